/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces: the first byte says what is done with the rest, which is a file. Whatever is in it, it is
 * refused with a sentence, or its records are numbered without gaps and each prints as one line; if
 * some of what was announced is not among them, the view says which record is damaged. A replay
 * says OK or names a record. A trace that replays is the same after a cut of all of it.
 *
 * With REPAIR the sums of all records are made right again, else no mutation would come past them.
 * With PATCH the rest says which fields of which trace are overwritten.
 */
#include "kvr_actors.h"
#include "kvr_fuzz.h"
#include "kvr_replay.h"
#include "kvr_trace_cut.h"
#include "kvr_trace_input.h"
#include "kvr_trace_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPAIR = 1, REPLAY = 2, ANYWAY = 4, PATCH = 8 };

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	size_t len = kvr_trace_input_seed(i / 4, ret + 1);

	if (len == 0)
		return 0;
	if (i % 4 == 3) {
		memcpy(ret, (uint8_t[]){ PATCH | REPLAY, (uint8_t)(i / 4), 3, 40, 0, 130 }, 6);
		return 6;
	}
	ret[0] = (uint8_t[]){ REPLAY, REPAIR | REPLAY, REPAIR }[i % 4];
	return 1 + len;
}

/* ---- the view ---- */

static void
check_text(const char *at, size_t cap, bool lines)
{
	KVR_CHECK(cap == 0 || memchr(at, '\0', cap) != NULL || lines);
	for (size_t i = 0; i < cap && (lines || at[i] != '\0'); i++)
		KVR_CHECK(((unsigned char)at[i] >= ' ' && at[i] != 0x7f) ||
		          (lines && strchr("\t\r\n", at[i]) != NULL && at[i] != '\0'));
}

/* What of a file's head is printed. */
static void
check_texts(const struct kvr_trace_view *v)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(v);
	uint32_t n;
	size_t len;
	const struct kvr_trace_actor *a = kvr_trace_view_actors(v, &n);
	const char *config = kvr_trace_view_config(v, &len);

	KVR_CHECK(n <= KVR_ID_N);
	for (uint32_t i = 0; i < n; i++)
		check_text(a[i].name, sizeof(a[i].name), false);
	check_text(h->build, sizeof(h->build), false);
	check_text(h->instance, sizeof(h->instance), false);
	check_text(config, len, true);
}

static void
check_line(const struct kvr_trace_view *v, const struct kvr_rec *r, size_t cap)
{
	char line[KVR_TRACE_LINE];

	kvr_trace_line(kvr_trace_view_head(v), r, kvr_spec_of, line, cap);
	KVR_CHECK(strlen(line) < cap);
	check_text(line, cap, false);
}

static void
check_starts(const struct kvr_trace_view *v)
{
	uint64_t n = kvr_trace_view_count(v), first = kvr_trace_view_first_start(v);

	KVR_CHECK(first <= n);
	for (uint64_t i = 0; i <= n; i++) {
		uint64_t start = 0, snapshot = 0;
		bool found = kvr_trace_view_start(v, i, &start, &snapshot);

		KVR_CHECK(found == (i >= first && (first < n || n == 0 || start == n)) || i == n);
		KVR_CHECK(!found || start <= i);
		KVR_CHECK(!found || snapshot == UINT64_MAX || snapshot < start);
	}
}

/*
 * What was announced and is not among the records must be said to be damaged. The rest of a ring
 * may be padding, or too short for a record.
 */
static void
check_tail(const struct kvr_trace_view *v, const uint8_t *file)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(v);
	uint64_t n = kvr_trace_view_count(v), number = 0;
	const char *tail = kvr_trace_view_tail(v);

	if (n == 0)
		return;
	const struct kvr_rec *first = kvr_trace_view_at(v, 0), *last = kvr_trace_view_at(v, n - 1);
	if (tail[0] != '\0') {
		KVR_CHECK(sscanf(tail, "record %" SCNu64 " is damaged", &number) == 1);
		KVR_CHECK(number > last->number);
		return;
	}
	const uint8_t *from = file + h->head_bytes;
	/* A ring that was gone round, or that begins with padding, is left to the unit tests. */
	if (h->written > h->ring_bytes || memcmp(from + h->oldest, first, sizeof(*first)) != 0)
		return;
	uint64_t end = h->oldest +
	               (uint64_t)((const uint8_t *)last - (const uint8_t *)first) + last->len;
	uint64_t rest = end < h->written ? h->ring_bytes - end : 0;
	struct kvr_rec next = { .kind = KVR_REC_PAD };

	if (rest >= sizeof(next))
		memcpy(&next, from + end, sizeof(next));
	KVR_CHECK(next.kind == KVR_REC_PAD);
}

static void
check_view(const struct kvr_trace_view *v, const uint8_t *file, size_t cap)
{
	uint64_t n = kvr_trace_view_count(v), before = 0;

	for (uint64_t i = 0; i < n; i++) {
		const struct kvr_rec *r = kvr_trace_view_at(v, i);

		KVR_CHECK(before == 0 || r->number > before);
		KVR_CHECK(kvr_trace_view_find(v, r->number) == i);
		check_line(v, r, cap);
		check_line(v, r, KVR_TRACE_LINE);
		before = r->number;
	}
	KVR_CHECK(n == 0 || kvr_trace_view_find(v, before) == n - 1);
	check_texts(v);
	check_starts(v);
	check_tail(v, file);
}

/* ---- the replay ---- */

static uint64_t
steps_from(const struct kvr_trace_view *v, uint64_t first)
{
	uint64_t steps = 0;

	for (uint64_t i = first; i < kvr_trace_view_count(v); i++)
		steps += kvr_trace_view_at(v, i)->kind == KVR_REC_STEP;
	return steps;
}

static void
check_diff(const struct kvr_trace_view *v, const struct kvr_replay_diff *diff)
{
	KVR_CHECK(diff->what != KVR_REPLAY_SAME && diff->text[0] != '\0');
	KVR_CHECK(diff->index < kvr_trace_view_count(v));
	KVR_CHECK(kvr_trace_view_at(v, diff->index)->number == diff->number);
}

/* False: not everything came out as recorded. */
static bool
replay(const struct kvr_trace_view *v, struct kvr_replay *r, uint64_t *ret_steps)
{
	uint64_t first = kvr_trace_view_first_start(v), n = kvr_trace_view_count(v);
	struct kvr_replay_diff diff;
	enum kvr_err err = kvr_replay_all(r, ret_steps, &diff);

	KVR_CHECK(err == KVR_OK || err == KVR_E_CORRUPT || (err == KVR_E_MISS && first == n && n > 0));
	if (err == KVR_E_CORRUPT)
		check_diff(v, &diff);
	KVR_CHECK(err != KVR_OK || *ret_steps == steps_from(v, first));
	return err == KVR_OK;
}

/* As a cut does, and a replay of one actor: differences do not end it. */
static void
go_on(const struct kvr_trace_view *v, struct kvr_replay *r)
{
	struct kvr_replay_diff diff;
	enum kvr_err err = KVR_OK;

	for (uint64_t n = kvr_replay_position(r); err != KVR_E_MISS; n++) {
		KVR_CHECK(n == kvr_replay_position(r) && n <= kvr_trace_view_count(v));
		err = kvr_replay_next(r, &diff);
		if (err == KVR_E_CORRUPT)
			check_diff(v, &diff);
	}
}

static void
cut_all(const struct kvr_trace_view *v, struct kvr_replay *r, uint64_t steps)
{
	const struct kvr_trace_cut whole = { .first = kvr_trace_view_first_start(v),
		.end = kvr_trace_view_count(v) };
	struct kvr_trace_view *cut = NULL;
	struct kvr_replay *again = NULL;
	char path[32], why[512] = "";
	int fd = kvr_trace_input_file(path);

	KVR_CHECK(kvr_trace_cut(v, r, &whole, path, why, sizeof(why)) == KVR_OK);
	KVR_CHECK(kvr_trace_view_open(path, &cut, why, sizeof(why)) == KVR_OK);
	KVR_CHECK(kvr_replay_open(cut, kvr_spec_of, false, &again, why, sizeof(why)) == KVR_OK);
	uint64_t steps_again = 0;

	KVR_CHECK(replay(cut, again, &steps_again) && steps_again == steps);
	kvr_replay_free(again);
	kvr_trace_view_free(cut);
	close(fd);
}

static void
try_replay(const struct kvr_trace_view *v, bool anyway)
{
	struct kvr_replay *r = NULL;
	char why[512] = "";
	uint64_t steps = 0;
	enum kvr_err err = kvr_replay_open(v, kvr_spec_of, anyway, &r, why, sizeof(why));

	KVR_CHECK(err == KVR_OK || (err == KVR_E_UNSUPPORTED && why[0] != '\0'));
	if (err != KVR_OK)
		return;
	if (!replay(v, r, &steps))
		go_on(v, r);
	else if (steps > 0 && !anyway)
		cut_all(v, r, steps);
	kvr_replay_free(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static _Alignas(8) uint8_t file[KVR_FUZZ_LEN_MAX];
	struct kvr_trace_view *v = NULL;
	char why[256] = "";

	if (len == 0 || len > KVR_FUZZ_LEN_MAX)
		return 0;
	uint8_t how = at[0];
	memcpy(file, at + 1, --len);
	if (how & PATCH)
		len = kvr_trace_input_patched(at + 1, len, file);
	else if (how & REPAIR)
		kvr_trace_input_repair(file, len);
	enum kvr_err err = kvr_trace_view_copy(file, len, &v, why, sizeof(why));

	KVR_CHECK(err == KVR_OK || err == KVR_E_INVALID || err == KVR_E_CORRUPT);
	KVR_CHECK((err == KVR_OK) == (why[0] == '\0'));
	if (err != KVR_OK)
		return 0;
	check_view(v, file, 1 + how);
	if (how & REPLAY)
		try_replay(v, (how & ANYWAY) != 0);
	kvr_trace_view_free(v);
	return 0;
}
