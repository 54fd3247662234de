/* SPDX-License-Identifier: Apache-2.0 */
/* What an audit tells of a store below it, and that it lets nothing through that is not what was put. */
#include "kvr_audit.h"
#include "kvr_connectors.h"
#include "kvr_check.h"
#include "kvr_peer.h"
#include "kvr_subject.h"

#include <stdio.h>
#include <string.h>

static char told[8192];

static void
hear(void *arg, const char *text)
{
	(void)arg;
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", text);
}

static uint32_t mode, excluded;
static const char *url = "memory://";

static void
begin(struct kvr_store_opts *opts)
{
	opts->url = url;
	opts->audit = (struct kvr_audit_opts){ .mode = mode, .excluded = excluded, .line = hear };
	told[0] = '\0';
}

static void
end(void)
{
}

/* Only its name is missing: a function gives it. */
static struct kvr_connector_ops ops;
const struct kvr_subject kvr_subjects[] = {
	{ .name = "audit", .ops = &ops, .format = KVR_FORMAT_BARE, .begin = begin, .end = end },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);

static struct kvr_world w;

static void
open_audit(uint32_t as)
{
	ops = *kvr_connector_audit();
	mode = as;
	kvr_world_begin(&w, 0);
}

static void
told_has(const char *text)
{
	ck_assert_msg(strstr(told, text) != NULL, "\"%s\" is not in: %s", text, told);
}

static const uint8_t abc[] = "abc"; /* SHA-256 ba7816bf 8f01cfea... */

START_TEST(each_key_is_a_line_with_the_sum_of_its_payload)
{
	char at[8];

	excluded = 1U << KVR_VERB_STAT;
	open_audit(KVR_AUDIT_SUM);
	ck_assert_int_eq(kvr_put1(w.lane, &ops, "a", abc, 3), KVR_OK);
	told_has("audit of tier conformance: put a: OK, 3 bytes, ");
	told_has(", sha256 ba7816bf\n");
	told[0] = '\0';
	ck_assert_int_eq(
	    kvr_get1(w.lane, &ops, "a", at, sizeof(at), KVR_ITEM_AT_MOST, NULL), KVR_OK);
	ck_assert_int_eq(memcmp(at, abc, 3), 0);
	told_has("get a: OK, 3 bytes, ");
	told_has(", sha256 ba7816bf\n");
	told[0] = '\0';
	ck_assert_int_eq(kvr_ask1(w.lane, &ops, KVR_VERB_STAT, "a"), KVR_OK);
	ck_assert_str_eq(told, "");
	ck_assert_int_eq(kvr_ask1(w.lane, &ops, KVR_VERB_EXISTS, "b"), KVR_E_MISS);
	told_has("exists b: MISS, 0 bytes");
	ck_assert_ptr_null(strstr(told, "sha256"));
	ck_assert_int_eq(ops.run(w.lane, KVR_VERB_PING, NULL, 0, kvr_soon()), KVR_OK);
	ck_assert_uint_eq(kvr_store_caps(&ops, w.store), kvr_memory_ops.caps);
	kvr_world_end(&w);
}
END_TEST

START_TEST(log_alone_takes_no_sum)
{
	excluded = 0;
	open_audit(KVR_AUDIT_LOG);
	ck_assert_int_eq(kvr_put1(w.lane, &ops, "a", abc, 3), KVR_OK);
	told_has("put a: OK, 3 bytes");
	ck_assert_ptr_null(strstr(told, "sha256"));
	kvr_world_end(&w);
}
END_TEST

/* The store below, as somebody else sees it who writes past the audit: the same map, another lane. */
struct below {
	uint32_t magic;
	const struct kvr_connector_ops *ops;
	struct kvr_store *inner;
};

START_TEST(a_value_that_is_not_what_was_put_is_no_hit)
{
	const struct kvr_connector_ops *memory = &kvr_memory_ops;
	struct kvr_connector *other;
	struct below below;
	struct kvr_kick kick;
	char at[3], why[64];

	excluded = 0;
	open_audit(KVR_AUDIT_VERIFY);
	memcpy(&below, w.store, sizeof(below));
	kvr_kick_open(&kick);
	ck_assert_int_eq(
	    memory->dial(below.inner, kvr_soon(), &kick, &other, why, sizeof(why)), KVR_OK);
	/* What another process has put is not known, so it is let through. */
	ck_assert_int_eq(kvr_put1(other, memory, "theirs", "xyz", 3), KVR_OK);
	ck_assert_int_eq(kvr_get1(w.lane, &ops, "theirs", at, 3, 0, NULL), KVR_OK);
	ck_assert_int_eq(kvr_put1(w.lane, &ops, "a", abc, 3), KVR_OK);
	ck_assert_int_eq(kvr_get1(w.lane, &ops, "a", at, 3, 0, NULL), KVR_OK);
	ck_assert_int_eq(kvr_put1(other, memory, "a", "abd", 3), KVR_OK);
	ck_assert_int_eq(kvr_get1(w.lane, &ops, "a", at, 3, 0, NULL), KVR_E_CORRUPT);
	told_has("get a: CORRUPT");
	ck_assert_ptr_nonnull(strstr(ops.why(w.lane), "SHA-256"));
	/* A new put, and a removal, end that. */
	ck_assert_int_eq(kvr_put1(w.lane, &ops, "a", "abd", 3), KVR_OK);
	ck_assert_int_eq(kvr_get1(w.lane, &ops, "a", at, 3, 0, NULL), KVR_OK);
	ck_assert_int_eq(kvr_ask1(w.lane, &ops, KVR_VERB_DEL, "a"), KVR_OK);
	ck_assert_int_eq(kvr_put1(other, memory, "a", abc, 3), KVR_OK);
	ck_assert_int_eq(kvr_get1(w.lane, &ops, "a", at, 3, 0, NULL), KVR_OK);
	memory->hang_up(other);
	kvr_kick_close(&kick);
	kvr_world_end(&w);
}
END_TEST

/* It came in place of the one before: nobody knows but the store. */
START_TEST(a_put_whose_answer_got_lost_is_let_through)
{
	static const struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, "+PONG\r\n", 0 }, { KVR_PEER_AWAIT, "abc\r\n", 0 },
		{ KVR_PEER_SEND, "+OK\r\n", 0 }, { KVR_PEER_AWAIT, "abd\r\n", 0 },
		{ KVR_PEER_CLOSE, NULL, 0 }, { KVR_PEER_AWAIT, "PING\r\n", 0 },
		{ KVR_PEER_SEND, "+PONG\r\n", 0 }, { KVR_PEER_AWAIT, "GET\r\n", 0 },
		{ KVR_PEER_SEND, "$3\r\nabd\r\n", 0 }, { KVR_PEER_STALL, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of("a", &meta);
	char at[3], lost[] = "abd";

	excluded = 0;
	url = kvr_peer_url(peer);
	open_audit(KVR_AUDIT_VERIFY);
	ck_assert_int_eq(kvr_put1(w.lane, &ops, "a", abc, 3), KVR_OK);
	item.span = (struct kvr_span){ lost, 3 };
	item.raw_len = 3;
	ck_assert_int_eq(ops.run(w.lane, KVR_VERB_PUT, &item, 1, kvr_soon()), KVR_E_DOWN);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	kvr_world_redial(&w);
	ck_assert_int_eq(kvr_get1(w.lane, &ops, "a", at, 3, 0, NULL), KVR_OK);
	ck_assert_int_eq(memcmp(at, lost, 3), 0);
	kvr_world_end(&w);
	kvr_peer_stop(peer);
}
END_TEST

START_TEST(the_table_of_sums_is_bounded)
{
	static const uint8_t one[KVR_SHA256_LEN] = { 1 }, two[KVR_SHA256_LEN] = { 2 };
	struct kvr_audit_sums sums = { .index = { 0 } };
	char key[16];

	ck_assert_int_eq(kvr_audit_sums_open(&sums), KVR_OK);
	for (uint32_t i = 0; i <= KVR_AUDIT_SUMS; i++) {
		int len = snprintf(key, sizeof(key), "k%u", i);

		kvr_audit_sums_set(&sums, key, (uint32_t)len, one);
	}
	ck_assert_uint_eq(sums.index.n, KVR_AUDIT_SUMS);
	ck_assert(!kvr_audit_sums_differ(&sums, "k0", 2, two)); /* the oldest is gone */
	ck_assert(kvr_audit_sums_differ(&sums, "k1", 2, two));
	ck_assert(!kvr_audit_sums_differ(&sums, "k1", 2, one));
	kvr_audit_sums_close(&sums);
}
END_TEST

/* Without SHA-256 in the build only the log is left, and asking for more says so. */
static int
sums_are_built(void)
{
	return kvr_tls_lib_is_built();
}

int
main(void)
{
	const TTest *const with[] = { each_key_is_a_line_with_the_sum_of_its_payload,
		a_value_that_is_not_what_was_put_is_no_hit,
		a_put_whose_answer_got_lost_is_let_through };
	const TTest *const always[] = { log_alone_takes_no_sum, the_table_of_sums_is_bounded };
	Suite *suite = suite_create("connectors.audit");
	TCase *tc = tcase_create("audit");

	tcase_set_timeout(tc, 240); /* a table of sums is filled, under a sanitizer too */
	for (size_t i = 0; i < KVR_LEN(with) && sums_are_built(); i++)
		tcase_add_test(tc, with[i]);
	for (size_t i = 0; i < KVR_LEN(always); i++)
		tcase_add_test(tc, always[i]);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
