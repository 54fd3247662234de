/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of leases, texts and what is read in them. */
#include "kvr_check.h"
#include "kvr_hyperpod.h"

#include <stdio.h>
#include <string.h>

static enum kvr_err
read_text(const char *text, struct kvr_hp_lease *ret, const char **why)
{
	return kvr_hp_lease_read((struct kvr_const_span){ text, strlen(text) }, ret, why);
}

START_TEST(the_documented_answers_are_read)
{
	struct kvr_hp_lease lease;
	const char *why;
	uint64_t offset, len;
	size_t at = 0;
	ck_assert_int_eq(read_text("{\"id\":\"L-17\",\"offsets\":[{\"offset\":100,\"len\":20},"
	                           "{\"offset\":4096,\"len\":9437192}]}", &lease, &why), KVR_OK);
	ck_assert_str_eq(lease.id, "L-17");
	ck_assert_uint_eq(lease.n, 2);
	ck_assert_uint_eq(lease.total, 9437212);
	ck_assert(kvr_hp_lease_next(&lease, &at, &offset, &len) && offset == 100 && len == 20);
	ck_assert(
	    kvr_hp_lease_next(&lease, &at, &offset, &len) && offset == 4096 && len == 9437192);
	ck_assert(!kvr_hp_lease_next(&lease, &at, &offset, &len));
	ck_assert_int_eq(read_text("{\"id\": \"x\", \"offsets\": []}", &lease, &why), KVR_OK);
	ck_assert_uint_eq(lease.n, 0);
	at = 0;
	ck_assert(!kvr_hp_lease_next(&lease, &at, &offset, &len));
}
END_TEST

START_TEST(members_that_are_not_known_are_skipped)
{
	static const char *const texts[] = {
		"{\"ttl\":30.0,\"id\":\"x\",\"offsets\":[{\"offset\":1,\"len\":2}]}",
		"{\"id\":\"x\",\"meta\":{\"a\":[1,2,{\"b\":\"]}\"}]},\"offsets\":[{\"node\":null,"
		"\"offset\":1,\"tail\":\"\\\"\",\"len\":2}]}",
		"\r\n{ \"offsets\" :\t[ { \"len\" : 2 , \"offset\" : 1 } ] , "
		"\"id\" : \"\\u0078\" }\n",
		"{\"id\":\"x\",\"offsets\":[{\"offset\":1,\"len\":2}],\"ok\":true}",
	};
	for (size_t i = 0; i < KVR_LEN(texts); i++) {
		struct kvr_hp_lease lease;
		const char *why = NULL;
		ck_assert_msg(read_text(texts[i], &lease, &why) == KVR_OK, "%s: %s", texts[i], why);
		ck_assert_str_eq(lease.id, "x");
		ck_assert_uint_eq(lease.total, 2);
	}
}
END_TEST

START_TEST(what_is_no_lease_is_refused_and_its_id_kept)
{
	static const struct {
		const char *text, *id;
	} rows[] = { { "", "" }, { "null", "" }, { "[]", "" }, { "{}", "" },
		{ "{\"id\":\"a\"}", "a" },
		{ "{\"id\":\"a\",\"offsets\":[]} x", "a" }, { "{\"id\":\"a\",\"id\":\"b\"}", "a" },
		{ "{\"id\":\"a\",\"offsets\":[{\"offset\":01,\"len\":2}]}", "a" },
		{ "{\"id\":\"a\",\"offsets\":[{\"offset\":1,\"len\":2e3}]}", "a" },
		{ "{\"id\":\"a\",\"offsets\":[{\"offset\":1,\"len\":99999999999999999999}]}", "a" },
		{ "{\"id\":\"a\",\"offsets\":[{\"offset\":1,\"offset\":1,\"len\":2}]}", "a" },
		{ "{\"id\":\"a\",\"offsets\":[{\"offset\":1,\"len\":2},]}", "a" },
		{ "{\"offsets\":[{\"offset\":\"1\",\"len\":2}],\"id\":\"late\"}", "late" },
		{ "{\"id\":5,\"offsets\":[]}", "" }, { "{\"id\":\"\\x\",\"offsets\":[]}", "" },
		{ "{\"id\":\"\\u4e00\",\"offsets\":[]}", "" }, { "{\"id\":\"a\n\"}", "" },
		{ "{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]],\"id\":\"a\"}", "" },
		{ "{\"a\":[},\"id\":\"a\",\"offsets\":[]}", "" } };
	char text[1000];
	struct kvr_hp_lease lease;
	const char *why;
	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		why = NULL;
		ck_assert_msg(read_text(rows[i].text, &lease, &why) == KVR_E_PROTO, "%s",
		    rows[i].text);
		ck_assert_ptr_nonnull(why);
		ck_assert_msg(strcmp(lease.id, rows[i].id) == 0, "%s: id \"%s\"", rows[i].text,
		    lease.id);
	}
	/* An id that does not fit is none, or another lease would be given back. */
	snprintf(text, sizeof(text), "{\"id\":\"%0256d\",\"offsets\":[]}", 1);
	ck_assert_int_eq(read_text(text, &lease, &why), KVR_E_PROTO);
	ck_assert_str_eq(lease.id, "");
	snprintf(text, sizeof(text), "{\"id\":\"%0255d\",\"offsets\":[]}", 1);
	ck_assert_int_eq(read_text(text, &lease, &why), KVR_OK);
	ck_assert_uint_eq(strlen(lease.id), 255);
}
END_TEST

KVR_CHECK_MAIN("connectors.hyperpod_answer", the_documented_answers_are_read,
    members_that_are_not_known_are_skipped, what_is_no_lease_is_refused_and_its_id_kept)
