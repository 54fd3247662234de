/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_trace_text.h"
#include "kvr_check.h"
#include "trace_bed.h"
#include "duo.h"

#include <string.h>

/* ---- what is written is what is read ---- */

START_TEST(steps_come_back_as_they_were)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run r;
	uint32_t n_actors;
	size_t config_len;

	ck_assert_str_eq(bed_why, "");
	ck_assert_str_eq(kvr_trace_path(t), "");
	duo_open(&r, t);
	duo_work(&r, 1, 20);
	kvr_trace_mark(t, KVR_MARK_CLOSED, r.now_ns, "in order");
	struct kvr_trace_view *v = bed_copy(t);
	ck_assert_uint_eq(kvr_trace_view_count(v), r.n_steps + 1);
	ck_assert_str_eq(kvr_trace_view_tail(v), "");
	const struct kvr_trace_actor *actors = kvr_trace_view_actors(v, &n_actors);
	ck_assert_uint_eq(n_actors, 2);
	ck_assert_str_eq(actors[1].name, "tier 0");
	ck_assert_uint_eq(actors[1].spec_hash, kvr_spec_hash(&duo_back_spec));
	ck_assert_mem_eq(kvr_trace_view_config(v, &config_len), "{\"a\": 1}", 8);
	ck_assert_uint_eq(config_len, 8);
	const struct kvr_rec_step *s = kvr_rec_step(kvr_trace_view_at(v, 2));
	ck_assert_int_eq(s->msg.type, KVR_MSG_SUBMIT);
	ck_assert_uint_eq(s->rows_here, 1);
	ck_assert_uint_eq(s->before, DUO_IDLE);
	ck_assert_uint_eq(s->after, DUO_BUSY);
	ck_assert_uint_eq(s->n_fx, 2);
	ck_assert_uint_eq(s->rec.len, sizeof(*s) + s->msg.n_rows * sizeof(struct kvr_row));
	ck_assert_int_eq(kvr_rec_step(kvr_trace_view_at(v, 3))->msg.type, KVR_MSG_PART);
	ck_assert_uint_eq(kvr_rec_step(kvr_trace_view_at(v, 3))->rows_here, 0);
	const struct kvr_rec_mark *m = kvr_rec_mark(kvr_trace_view_at(v, r.n_steps));
	ck_assert_uint_eq(m->mark, KVR_MARK_CLOSED);
	ck_assert_mem_eq(m + 1, "in order", 8);
	kvr_trace_view_free(v);
	duo_close(&r);
	kvr_trace_close(t);
}
END_TEST

START_TEST(a_ring_that_wraps_keeps_the_newest)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run r;
	uint64_t start, snapshot, pads = 0;

	duo_open(&r, t);
	for (uint64_t round = 0; round < 60; round++) {
		duo_work(&r, round, 200 + (uint32_t)round);
		struct kvr_trace_view *v = bed_copy(t);
		uint64_t n = kvr_trace_view_count(v);
		ck_assert_str_eq(kvr_trace_view_tail(v), "");
		ck_assert_uint_eq(kvr_rec_step(kvr_trace_view_at(v, n - 1))->step, r.step);
		for (uint64_t i = 1; i < n; i++) {
			uint64_t gap =
			    kvr_trace_view_at(v, i)->number - kvr_trace_view_at(v, i - 1)->number;
			ck_assert_uint_le(gap, 2);
			pads += gap == 2;
		}
		ck_assert_uint_lt(kvr_trace_view_first_start(v), n);
		ck_assert(kvr_trace_view_start(v, n, &start, &snapshot));
		if (snapshot != UINT64_MAX)
			ck_assert_uint_eq(kvr_rec_mark(kvr_trace_view_at(v, snapshot))->mark,
			    KVR_MARK_SNAPSHOT_BEGIN);
		uint64_t middle = kvr_trace_view_at(v, n / 2)->number;
		ck_assert_uint_eq(kvr_trace_view_find(v, middle), n / 2);
		ck_assert_uint_eq(kvr_trace_view_find(v, UINT64_MAX), n);
		kvr_trace_view_free(v);
	}
	ck_assert_uint_gt(pads, 0); /* it did wrap */
	duo_close(&r);
	kvr_trace_close(t);
}
END_TEST

/* ---- damage ---- */

struct copied {
	uint8_t *bytes;
	uint64_t len;
};

static struct copied
with_steps(uint32_t n, uint64_t *ret_count)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct copied c;
	struct duo_run r;

	duo_open(&r, t);
	duo_work(&r, 3, n);
	const void *bytes = kvr_trace_bytes(t, &c.len);
	c.bytes = malloc(c.len);
	ck_assert_ptr_nonnull(c.bytes);
	memcpy(c.bytes, bytes, c.len);
	*ret_count = r.n_steps;
	duo_close(&r);
	kvr_trace_close(t);
	return c;
}

/* Where record `index` begins, in an unwrapped ring. */
static uint64_t
place_of(const struct copied *c, uint64_t index)
{
	uint64_t at = ((const struct kvr_trace_head *)(const void *)c->bytes)->head_bytes;

	for (uint64_t i = 0; i < index; i++)
		at += ((const struct kvr_rec *)(const void *)(c->bytes + at))->len;
	return at;
}

static struct kvr_trace_view *
view_of(const struct copied *c)
{
	struct kvr_trace_view *v = NULL;

	ck_assert_int_eq(
	    kvr_trace_view_copy(c->bytes, c->len, &v, bed_why, sizeof(bed_why)), KVR_OK);
	return v;
}

START_TEST(a_torn_tail_is_normal)
{
	uint64_t count;
	struct copied c = with_steps(30, &count);
	struct kvr_trace_head *h = (struct kvr_trace_head *)(void *)c.bytes;
	uint64_t last = place_of(&c, count - 1);

	/* Killed between the record and its announcement: it is there all the same. */
	h->written = last - h->head_bytes;
	struct kvr_trace_view *v = view_of(&c);
	ck_assert_uint_eq(kvr_trace_view_count(v), count);
	kvr_trace_view_free(v);

	/* Killed before the length was written. */
	memset(c.bytes + last, 0, 4);
	v = view_of(&c);
	ck_assert_uint_eq(kvr_trace_view_count(v), count - 1);
	ck_assert_str_eq(kvr_trace_view_tail(v), "");
	kvr_trace_view_free(v);
	free(c.bytes);
}
END_TEST

START_TEST(a_flipped_bit_anywhere_in_a_record_is_seen)
{
	uint64_t count;
	struct copied c = with_steps(20, &count);
	uint64_t at = place_of(&c, 7), len = place_of(&c, 8) - at;

	/* Of the head of a record each bit, of the rest one in each byte. */
	for (uint64_t bit = 0; bit < 8 * len; bit += bit < 8 * sizeof(struct kvr_rec) ? 1 : 9) {
		uint8_t mask = (uint8_t)(1U << bit % 8);
		c.bytes[at + bit / 8] ^= mask;
		struct kvr_trace_view *v = view_of(&c);
		ck_assert_uint_eq(kvr_trace_view_count(v), 7);
		ck_assert_str_eq(kvr_trace_view_tail(v), "record 8 is damaged");
		kvr_trace_view_free(v);
		c.bytes[at + bit / 8] ^= mask;
	}
	free(c.bytes);
}
END_TEST

/* Numbers begin with 1, and there is always a next one. */
START_TEST(a_record_of_no_number_is_damaged)
{
	static const uint64_t none[] = { 0, UINT64_MAX };
	uint64_t count;
	struct copied c = with_steps(2, &count);
	struct kvr_rec *first = (struct kvr_rec *)(void *)(c.bytes + place_of(&c, 0));
	struct kvr_trace_view *v = NULL;

	for (size_t i = 0; i < KVR_LEN(none); i++) {
		first->number = none[i];
		first->sum = kvr_rec_sum(first, first->len);
		ck_assert_int_eq(kvr_trace_view_copy(c.bytes, c.len, &v, bed_why, sizeof(bed_why)),
		    KVR_E_CORRUPT);
	}
	free(c.bytes);
}
END_TEST

/* By the host process, whose memory it is as well: the writer gives up the past and goes on. */
START_TEST(a_ring_that_is_written_over_goes_on)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run r;
	uint64_t len, rand = 9;
	uint8_t *bytes = (uint8_t *)(uintptr_t)kvr_trace_bytes(t, &len);

	duo_open(&r, t);
	for (uint64_t round = 0; round < 200; round++) {
		uint8_t *ring = bytes + len - KVR_MIB(1);
		for (int i = 0; i < 50; i++)
			ring[kvr_rand(&rand) % KVR_MIB(1)] ^= 0xff;
		duo_work(&r, round, 100);
	}
	memset(bytes + len - KVR_MIB(1), 0, KVR_MIB(1));
	duo_work(&r, 1, 5000);
	struct kvr_trace_view *v = bed_copy(t);
	ck_assert_str_eq(kvr_trace_view_tail(v), "");
	ck_assert_uint_gt(kvr_trace_view_count(v), 2000);
	kvr_trace_view_free(v);
	duo_close(&r);
	kvr_trace_close(t);
}
END_TEST

START_TEST(rubbish_is_refused_with_a_reason)
{
	uint64_t count;
	struct copied c = with_steps(3, &count);
	struct kvr_trace_view *v = NULL;
	uint64_t rand = 1;

	ck_assert_int_eq(
	    kvr_trace_view_open("/nowhere/x.kvrt", &v, bed_why, sizeof(bed_why)), KVR_E_DOWN);
	ck_assert_str_eq(bed_why, "/nowhere/x.kvrt: No such file or directory");
	ck_assert_int_eq(
	    kvr_trace_view_open("/dev/null", &v, bed_why, sizeof(bed_why)), KVR_E_INVALID);
	ck_assert_str_eq(bed_why, "/dev/null is no trace");
	ck_assert_int_eq(
	    kvr_trace_view_copy(c.bytes, 100, &v, bed_why, sizeof(bed_why)), KVR_E_INVALID);
	/* Any head: an answer, and no crash. */
	uint8_t *bytes = malloc(c.len);
	ck_assert_ptr_nonnull(bytes);
	for (int i = 0; i < 300; i++) {
		memcpy(bytes, c.bytes, c.len);
		for (int k = 0; k < 3; k++)
			bytes[8 + kvr_rand(&rand) % 100] = (uint8_t)kvr_rand(&rand);
		v = NULL;
		if (kvr_trace_view_copy(bytes, c.len, &v, bed_why, sizeof(bed_why)) != KVR_OK)
			ck_assert_str_ne(bed_why, "");
		kvr_trace_view_free(v);
	}
	/* The configuration, which is text, in the place of the actors, which are not. */
	memcpy(bytes, c.bytes, c.len);
	struct kvr_trace_head *h = (struct kvr_trace_head *)(void *)bytes;
	h->config_off = h->actors_off + 8;
	ck_assert_int_eq(
	    kvr_trace_view_copy(bytes, c.len, &v, bed_why, sizeof(bed_why)), KVR_E_CORRUPT);
	memcpy(bytes, c.bytes, c.len);
	bytes[0] ^= 1;
	ck_assert_int_eq(
	    kvr_trace_view_copy(bytes, c.len, &v, bed_why, sizeof(bed_why)), KVR_E_INVALID);
	free(bytes);
	free(c.bytes);
}
END_TEST

/* On a terminal some bytes are commands, and a trace in a bug report may be anybody's. */
START_TEST(what_a_file_says_can_be_printed)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	uint64_t bytes;
	struct kvr_trace_head *h = (void *)(uintptr_t)kvr_trace_bytes(t, &bytes);
	struct kvr_trace_actor *a = (void *)((uint8_t *)h + h->actors_off);
	char line[KVR_TRACE_LINE], text[12], *config = (char *)h + h->config_off;
	struct duo_run r;
	uint32_t n;
	size_t len;

	duo_open(&r, t);
	kvr_trace_mark(t, KVR_MARK_PANIC, 1, "\033[31ma\nb");
	memset(h->instance, '\033', sizeof(h->instance));
	memset(h->build, 'b', sizeof(h->build));
	memset(a[0].name, '\n', sizeof(a[0].name));
	memcpy(config, "{\r\n\t\r\033\177}", 8);
	struct kvr_trace_view *v = bed_copy(t);
	const struct kvr_trace_head *seen = kvr_trace_view_head(v);
	ck_assert_uint_eq(strlen(seen->instance), sizeof(h->instance) - 1);
	ck_assert_ptr_null(strchr(seen->instance, '\033'));
	ck_assert_uint_eq(strlen(seen->build), sizeof(h->build) - 1);
	ck_assert_str_eq(kvr_trace_view_actors(v, &n)[0].name, ".......................");
	ck_assert_int_eq(memcmp(kvr_trace_view_config(v, &len), "{\r\n\t...}", 8), 0);
	const struct kvr_rec *mark = kvr_trace_view_at(v, kvr_trace_view_count(v) - 1);
	kvr_trace_line(seen, mark, duo_find, line, sizeof(line));
	ck_assert_msg(strstr(line, " -- PANIC .[31ma.b") != NULL, "%s", line);
	ck_assert_str_eq(kvr_mark_text(kvr_rec_mark(mark), text, sizeof(text)), ".[31ma.b");
	ck_assert_str_eq(kvr_mark_text(kvr_rec_mark(mark), text, 3), ".[");
	kvr_trace_view_free(v);
	duo_close(&r);
	kvr_trace_close(t);
}
END_TEST

/* ---- a state that is larger than its half of the ring ---- */

static struct kvr_actor big;

START_TEST(a_snapshot_that_does_not_fit_is_seldom_tried)
{
	static const struct kvr_cell none[1][KVR_MSG_N];
	static const char *const names[] = { "ONLY" };
	const struct kvr_spec spec = { "big", names, 1, KVR_MIB(2), none, NULL, NULL };
	const struct kvr_actor *actors[] = { &big };
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	uint32_t tried = 0;
	void *bytes = aligned_alloc(64, kvr_actor_bytes(&spec));

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 1, kvr_actor_bytes(&spec));
	kvr_actor_init(&big, &spec, KVR_ID_ROUTER, bytes);
	kvr_trace_actors(t, actors, 1);
	for (uint64_t i = 0; i < 400000; i++) {
		kvr_trace_mark(t, KVR_MARK_CLOSED, i, "fill");
		if (kvr_trace_wants_snapshot(t))
			tried += kvr_trace_snapshot(t, actors, 1, i);
	}
	struct kvr_trace_view *v = bed_copy(t);
	ck_assert_str_eq(kvr_trace_view_tail(v), "");
	ck_assert_uint_eq(kvr_trace_view_first_start(v), kvr_trace_view_count(v));
	ck_assert_uint_eq(kvr_trace_view_head(v)->snapshot, UINT64_MAX);
	ck_assert_uint_ge(tried, 1);
	ck_assert_uint_le(tried, 3);
	kvr_trace_view_free(v);
	kvr_trace_close(t);
	free(bytes);
}
END_TEST

KVR_CHECK_MAIN("runtime.trace", steps_come_back_as_they_were, a_ring_that_wraps_keeps_the_newest,
    a_torn_tail_is_normal, a_flipped_bit_anywhere_in_a_record_is_seen, a_record_of_no_number_is_damaged,
    a_ring_that_is_written_over_goes_on, rubbish_is_refused_with_a_reason,
    what_a_file_says_can_be_printed, a_snapshot_that_does_not_fit_is_seldom_tried)
