/* SPDX-License-Identifier: Apache-2.0 */
/* What the submission call takes and refuses. */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#include <time.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

static enum kvr_err
one(struct kvr *k, uint32_t kind, const char *key, void *at, uint64_t len, const struct kvr_opts *o)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.key = &key,
		.at = &(void *const){ at },
		.len = &len };

	return kvr_run(k, &b, o, NULL, NULL);
}

START_TEST(put_get_lookup_size_remove)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	char in[1000], out[1000];

	bed_fill(in, sizeof(in), 1);
	ERR(one(k, KVR_LOOKUP, "key", NULL, 0, NULL), KVR_E_MISS);
	OK(one(k, KVR_PUT, "key", in, sizeof(in), NULL));
	OK(one(k, KVR_LOOKUP, "key", NULL, 0, NULL));
	OK(one(k, KVR_GET, "key", out, sizeof(out), NULL));
	bed_same(out, sizeof(out), 1);
	ERR(one(k, KVR_GET, "key", out, 999, NULL), KVR_E_LENGTH);
	OK(one(k, KVR_SIZE, "key", NULL, 0, NULL));
	OK(one(k, KVR_REMOVE, "key", NULL, 0, NULL));
	ERR(one(k, KVR_GET, "key", out, sizeof(out), NULL), KVR_E_MISS);
	bed_close(k);
}
END_TEST

START_TEST(results_say_each_key)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const char *key[] = { "a", "b", "c", "d" };
	uint64_t len[] = { 10, 20, 30, 40 }, got[4];
	char bytes[4][40];
	void *at[] = { bytes[0], bytes[1], bytes[2], bytes[3] };
	int32_t err[4];
	uint32_t tier[4];
	struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 2, .key = key, .at = at, .len = len
	};
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_results r = {
		.size = sizeof(r), .cap = 4, .err = err, .len = got, .tier = tier
	};
	const struct kvr_opts o = { .size = sizeof(o), .tag = 77 };

	OK(kvr_run(k, &b, &o, &d, &r));
	ck_assert_uint_eq(d.tag, 77);
	ck_assert_uint_eq(d.n_ok, 2);
	ck_assert_uint_eq(d.bytes, 30);
	ck_assert_uint_eq(d.kind, KVR_PUT);
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, KVR_DONE_QUIET);
	b = (struct kvr_batch){ .size = sizeof(b), .kind = KVR_SIZE, .n = 4, .keys = "a\0b\0c\0d" };
	ERR(kvr_run(k, &b, NULL, &d, &r), KVR_E_MISS);
	ck_assert_int_eq(err[1], KVR_OK);
	ck_assert_uint_eq(got[1], 20);
	ck_assert_uint_eq(tier[1], 0);
	ck_assert_int_eq(err[2], KVR_E_MISS);
	ck_assert_uint_eq(tier[2], KVR_NOWHERE_TIER);
	ck_assert_uint_eq(d.prefix, 2);
	b.kind = KVR_LOOKUP;
	b.keys = "a\0c\0b\0d";
	ERR(kvr_run(k, &b,
	        &(struct kvr_opts){ .size = sizeof(struct kvr_opts), .flags = KVR_PREFIX }, &d, &r),
	    KVR_E_MISS);
	ck_assert_uint_eq(d.prefix, 1);
	ck_assert_int_eq(err[2], KVR_E_UNASKED);
	r.cap = 3;
	ERR(kvr_run(k, &b, NULL, &d, &r), KVR_E_TOO_SMALL);
	ck_assert_uint_eq(r.need, 4);
	bed_close(k);
}
END_TEST

START_TEST(no_key_is_complete_at_once)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP };
	struct kvr_done d = { .size = sizeof(d) };

	OK(kvr_run(k, &b, NULL, &d, NULL));
	ck_assert_uint_eq(d.n, 0);
	ck_assert_uint_eq(kvr_fake_submits(), 0);
	bed_close(k);
}
END_TEST

/* Every reason for INVALID or TOO_BIG, each with a line in the log, and nothing is kept of any. */
START_TEST(wrong_calls_are_named)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	char at[8], text[KVR_KEY_MAX + 2];
	const char *key[] = { "k" }, *empty[] = { "" }, *null[] = { NULL }, *longest[] = { text };
	void *place[] = { at }, *no_place[] = { NULL };
	uint64_t len[] = { 8 }, huge[] = { UINT64_C(1) << 32 };
	const uint32_t size = sizeof(struct kvr_batch);
	const struct {
		enum kvr_err want;
		struct kvr_batch b;
	} bad[] = {
		{ KVR_E_INVALID, { .size = 4, .kind = KVR_LOOKUP, .n = 1, .key = key } },
		{ KVR_E_INVALID, { .size = size, .kind = 9, .n = 1, .key = key } },
		{ KVR_E_INVALID, { .size = size, .kind = KVR_LOOKUP, .n = 1 } },
		{ KVR_E_INVALID,
		    { .size = size, .kind = KVR_LOOKUP, .n = 1, .key = key, .keys = "k" } },
		{ KVR_E_INVALID, { .size = size, .kind = KVR_LOOKUP, .n = 1, .key = empty } },
		{ KVR_E_INVALID, { .size = size, .kind = KVR_LOOKUP, .n = 1, .key = null } },
		{ KVR_E_TOO_BIG, { .size = size, .kind = KVR_LOOKUP, .n = 1, .key = longest } },
		{ KVR_E_TOO_BIG, { .size = size, .kind = KVR_LOOKUP, .n = 65537, .key = key } },
		{ KVR_E_TOO_BIG,
		    { .size = size, .kind = KVR_LOOKUP, .n = 1, .per_chunk = 65536, .key = key } },
		{ KVR_E_INVALID, { .size = size, .kind = KVR_GET, .n = 1, .key = key } },
		{ KVR_E_INVALID,
		    { .size = size, .kind = KVR_GET, .n = 1, .key = key, .at = place } },
		{ KVR_E_INVALID, { .size = size,
		                     .kind = KVR_PUT,
		                     .n = 1,
		                     .key = key,
		                     .at = no_place,
		                     .len = len } },
		{ KVR_E_TOO_BIG, { .size = size,
		                     .kind = KVR_PUT,
		                     .n = 1,
		                     .key = key,
		                     .at = place,
		                     .len = huge } },
		{ KVR_E_STALE, { .size = size,
		                   .kind = KVR_GET,
		                   .n = 1,
		                   .key = key,
		                   .obj = &(kvr_obj){ 12345 } } },
		{ KVR_E_INVALID,
		    { .size = size, .kind = KVR_PUT, .n = 1, .key = key, .obj = &(kvr_obj){ 0 } } },
	};
	kvr_op op = 4711;

	memset(text, 'x', sizeof(text));
	text[KVR_KEY_MAX + 1] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum kvr_err err = kvr_submit(k, &bad[i].b, NULL, &op);

		ck_assert_msg(err == bad[i].want, "case %zu is %s", i, kvr_err_name(err));
		ck_assert_uint_eq(op, 4711);
	}
	ck_assert_int_ge(log.n, 8); /* rationed */
	ck_assert_int_eq(log.level, KVR_LEVEL_ERROR);
	struct kvr_health h = { .size = sizeof(h) };
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.in_flight, 0);
	ck_assert_uint_eq(kvr_fake_submits(), 0);
	bed_close(k);
}
END_TEST

START_TEST(wrong_options_are_named)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL), *none = NULL;
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	struct kvr_opts o = { .size = 8 };
	struct kvr_queue *q;
	kvr_op op;

	OK(kvr_queue_open(k, &q));
	ERR(kvr_submit(k, &b, &o, &op), KVR_E_INVALID);
	o = (struct kvr_opts){ .size = sizeof(o), .flags = 64 };
	ERR(kvr_submit(k, &b, &o, &op), KVR_E_INVALID);
	o = (struct kvr_opts){ .size = sizeof(o), .until_ns = UINT64_C(5000000000) };
	o.until_ns = 12345; /* a duration by mistake */
	ERR(kvr_submit(k, &b, &o, &op), KVR_E_INVALID);
	o.until_ns = ((uint64_t)time(NULL) + 5) * UINT64_C(1000000000); /* a date by mistake */
	ERR(kvr_submit(k, &b, &o, &op), KVR_E_INVALID);
	o.until_ns = KVR_NEVER;
	ERR(kvr_submit(k, &b, &o, &op), KVR_E_INVALID);
	o = (struct kvr_opts){ .size = sizeof(o), .queue = q };
	ERR(kvr_run(k, &b, &o, NULL, NULL), KVR_E_INVALID);
	ERR(kvr_submit(k, NULL, NULL, &op), KVR_E_INVALID);
	ERR(kvr_submit(none, &b, NULL, &op), KVR_E_INVALID);
	struct kvr_done small = { .size = 8 };
	ERR(kvr_run(k, &b, NULL, &small, NULL), KVR_E_INVALID);
	/* A struct of a newer header, with something in it that this library does not know. */
	struct {
		struct kvr_batch b;
		uint64_t more;
	} newer = { .b = b };
	newer.b.size = sizeof(newer);
	ERR(kvr_run(k, &newer.b, NULL, NULL, NULL), KVR_E_MISS);
	newer.more = 1;
	ERR(kvr_run(k, &newer.b, NULL, NULL, NULL), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

START_TEST(the_deadline_ends_it)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(30) };

	kvr_fake_hold(true);
	ERR(one(k, KVR_LOOKUP, "k", NULL, 0, &o), KVR_E_TIMEOUT);
	ck_assert_uint_ge(bed_now_ns(), o.until_ns);
	o.until_ns = KVR_NOW;
	ERR(one(k, KVR_LOOKUP, "k", NULL, 0, &o), KVR_E_TIMEOUT);
	bed_close(k);
}
END_TEST

/* From the submission to the answer, however it ends; and nothing else is one. */
START_TEST(lookups_under_way_are_counted)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch ask = { .size = sizeof(ask), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	struct kvr_batch other = ask, none = ask;
	kvr_op op[4];

	other.kind = KVR_SIZE;
	none.n = 0;
	kvr_fake_hold(true);
	for (int i = 0; i < 3; i++)
		OK(kvr_submit(k, &ask, NULL, &op[i]));
	OK(kvr_submit(k, &other, NULL, &op[3]));
	OK(kvr_run(k, &none, NULL, NULL, NULL));
	ck_assert_uint_eq(kvr_fake_lookups(), 3);
	OK(kvr_cancel(k, op[0]));
	ERR(kvr_wait(k, op[0], 0, NULL, NULL), KVR_E_CANCELLED);
	ck_assert_uint_eq(kvr_fake_lookups(), 2);
	kvr_fake_hold(false);
	for (int i = 1; i < 4; i++)
		ERR(kvr_wait(k, op[i], 0, NULL, NULL), KVR_E_MISS);
	ck_assert_uint_eq(kvr_fake_lookups(), 0);
	bed_close(k);
}
END_TEST

/* Slots come back a moment after the completion. */
static enum kvr_err
run_when_free(struct kvr *k, const struct kvr_batch *b)
{
	uint64_t until_ns = bed_in_ms(20000);
	enum kvr_err err;

	do
		err = kvr_run(k, b, NULL, NULL, NULL);
	while (err == KVR_E_BUSY && bed_now_ns() < until_ns);
	return err;
}

/* Puts are refused first: lookups still find room when puts do not. */
START_TEST(a_quarter_is_kept_for_reads)
{
	struct kvr *k = bed_open("{\"limits\":{\"ops\":16,\"keys\":64},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);
	char at[1];
	const struct kvr_batch put = { .size = sizeof(put),
		.kind = KVR_PUT,
		.n = 1,
		.keys = "k",
		.at = &(void *const){ at },
		.len = &(const uint64_t){ 1 } };
	const struct kvr_batch ask = {
		.size = sizeof(ask), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
	};
	kvr_op op[16];

	kvr_fake_hold(true);
	for (int i = 0; i < 12; i++)
		OK(kvr_submit(k, &put, NULL, &op[i]));
	kvr_op none = 0;
	ERR(kvr_submit(k, &put, NULL, &none), KVR_E_BUSY);
	ck_assert_uint_eq(none, 0);
	for (int i = 12; i < 16; i++)
		OK(kvr_submit(k, &ask, NULL, &op[i]));
	ERR(kvr_submit(k, &ask, NULL, &none), KVR_E_BUSY);
	kvr_fake_hold(false);
	for (int i = 0; i < 16; i++)
		ck_assert_int_ge(kvr_wait(k, op[i], 0, NULL, NULL), KVR_E_MISS);
	/* And by keys: 48 of 64. */
	char *keys = calloc(65, 2);
	void *zero[65];
	uint64_t len[65] = { 0 };
	struct kvr_batch many = put;

	memset(zero, 0, sizeof(zero));
	for (int i = 0; i < 65; i++)
		keys[2 * i] = 'k';
	many.keys = keys;
	many.at = zero;
	many.len = len;
	many.n = 49;
	ERR(kvr_submit(k, &many, NULL, &none), KVR_E_TOO_BIG);
	many.n = 48;
	OK(run_when_free(k, &many));
	struct kvr_batch wide = { .size = sizeof(wide), .kind = KVR_LOOKUP, .n = 65, .keys = keys };
	ERR(kvr_submit(k, &wide, NULL, &none), KVR_E_TOO_BIG);
	wide.n = 64;
	OK(run_when_free(k, &wide));
	free(keys);
	bed_close(k);
}
END_TEST

START_TEST(a_late_release_keeps_its_slots)
{
	struct kvr *k = bed_open("{\"limits\":{\"ops\":16,\"keys\":64},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);
	char keys[128];

	for (int i = 0; i < 128; i++)
		keys[i] = i % 2 == 0 ? 'k' : '\0';
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 64, .keys = keys };

	kvr_fake_release_late(true);
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_MISS);
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_BUSY);
	kvr_fake_release_late(false);
	enum kvr_err err;
	do
		err = kvr_run(k, &b, NULL, NULL, NULL);
	while (err == KVR_E_BUSY);
	ERR(err, KVR_E_MISS);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.submit", put_get_lookup_size_remove, results_say_each_key,
    no_key_is_complete_at_once, wrong_calls_are_named, wrong_options_are_named,
    the_deadline_ends_it, lookups_under_way_are_counted, a_quarter_is_kept_for_reads,
    a_late_release_keeps_its_slots)
