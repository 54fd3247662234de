/* SPDX-License-Identifier: Apache-2.0 */
#include "trace_bed.h"
#include "duo.h"

#include <check.h>

char bed_why[256];
struct kvr_replay_diff bed_diff;

struct kvr_trace *
bed_trace(const char *dir, uint64_t size, uint32_t keep)
{
	const struct kvr_trace_options o = { .dir = dir,
		.size = size,
		.keep = keep,
		.instance = "test/1",
		.config = "{\"a\": 1}",
		.config_len = 8 };
	struct kvr_trace *t = NULL;

	ck_assert_int_eq(kvr_trace_open(&o, &t, bed_why, sizeof(bed_why)), KVR_OK);
	return t;
}

struct kvr_trace_view *
bed_copy(const struct kvr_trace *t)
{
	struct kvr_trace_view *v = NULL;
	uint64_t len;
	const void *bytes = kvr_trace_bytes(t, &len);
	enum kvr_err err = kvr_trace_view_copy(bytes, len, &v, bed_why, sizeof(bed_why));

	ck_assert_msg(err == KVR_OK, "%s", bed_why);
	return v;
}

struct kvr_replay *
bed_replay(const struct kvr_trace_view *v)
{
	struct kvr_replay *r = NULL;
	enum kvr_err err = kvr_replay_open(v, duo_find, false, &r, bed_why, sizeof(bed_why));

	ck_assert_msg(err == KVR_OK, "%s", bed_why);
	return r;
}

uint64_t
bed_all_same(const struct kvr_trace_view *v)
{
	struct kvr_replay *r = bed_replay(v);
	uint64_t steps = 0;

	ck_assert_msg(kvr_replay_all(r, &steps, &bed_diff) == KVR_OK, "%s", bed_diff.text);
	ck_assert_int_eq(bed_diff.what, KVR_REPLAY_SAME);
	kvr_replay_free(r);
	return steps;
}
