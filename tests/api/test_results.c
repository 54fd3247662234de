/* SPDX-License-Identifier: Apache-2.0 */
/* What results say of a key, kind by kind, with two real tiers of which the first keeps nothing. */
#include "kvr_api_bed.h"

struct said {
	int32_t  err;
	uint64_t len, bytes;
	uint32_t tier;
};

static struct said
said(struct kvr *k, uint32_t kind, void *at)
{
	struct said s = { .len = 99, .tier = 99 };
	const uint64_t len = 1000;
	/* What is about payload is none of the other kinds' business, however wrong it is. */
	const struct kvr_layout wrong = { .size = 1, .format = 77 };
	bool moves = kind == KVR_GET || kind == KVR_PUT;
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.keys = "key",
		.at = &(void *const){ at },
		.len = &len,
		.obj = moves ? NULL : &(kvr_obj){ 77 },
		.layout = moves ? NULL : &wrong };
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_results r = { .size = sizeof(r), .cap = 1, .err = &s.err, .len = &s.len, .tier = &s.tier };
	enum kvr_err err = kvr_run(k, &b, NULL, &d, &r);

	ck_assert_int_eq(err, s.err);
	s.bytes = d.bytes;
	return s;
}

static char memory[1000];

static void
says(struct kvr *k, uint32_t kind, int32_t err, uint64_t len, uint64_t bytes, uint32_t tier)
{
	struct said s = said(k, kind, memory);

	ERR(s.err, err);
	ck_assert_uint_eq(s.len, len);
	ck_assert_uint_eq(s.bytes, bytes);
	ck_assert_uint_eq(s.tier, tier);
}

START_TEST(each_kind_says_what_it_knows_of_a_key)
{
	struct kvr *k = bed_open("{\"tiers\":[{\"name\":\"a\",\"url\":\"blackhole://\"},"
	                         "{\"name\":\"b\",\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);

	says(k, KVR_GET, KVR_E_MISS, 0, 0, KVR_NOWHERE_TIER);
	struct said put = said(k, KVR_PUT, memory);

	OK(put.err);
	ck_assert_uint_eq(put.len, 1000);
	ck_assert_uint_eq(put.bytes, 1000);
	ck_assert_uint_lt(put.tier, 2); /* whichever was quicker */
	says(k, KVR_LOOKUP, KVR_OK, 0, 0, 1);
	says(k, KVR_SIZE, KVR_OK, 1000, 0, 1);
	says(k, KVR_GET, KVR_OK, 1000, 1000, 1);
	says(k, KVR_REMOVE, KVR_OK, 0, 0, KVR_NOWHERE_TIER);
	says(k, KVR_LOOKUP, KVR_E_MISS, 0, 0, KVR_NOWHERE_TIER);
	bed_close(k);
}
END_TEST

/* Asking for it costs nothing, and it is not claimed that anything is held. */
START_TEST(what_nobody_can_hold_is_not_held)
{
	struct kvr *k = bed_open("{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}", NULL, NULL, NULL);
	const struct kvr_opts hold = { .size = sizeof(hold), .flags = KVR_HOLD };
	const struct kvr_opts force = { .size = sizeof(force), .flags = KVR_FORCE };
	struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "key" };
	struct kvr_done d = { .size = sizeof(d) };

	OK(said(k, KVR_PUT, memory).err);
	OK(kvr_run(k, &b, &hold, &d, NULL));
	ck_assert_uint_eq(d.flags, KVR_DONE_QUIET);
	OK(kvr_contains(k, "key", true, 0));
	b.kind = KVR_REMOVE;
	OK(kvr_run(k, &b, NULL, &d, NULL)); /* it did not keep it from this */
	OK(said(k, KVR_PUT, memory).err);
	OK(kvr_run(k, &b, &force, &d, NULL));
	ERR(kvr_contains(k, "key", false, 0), KVR_E_MISS);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN(
    "api.results", each_kind_says_what_it_knows_of_a_key, what_nobody_can_hold_is_not_held)
