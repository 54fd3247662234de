/* SPDX-License-Identifier: Apache-2.0 */
/* What one lane promises, verb by verb. */
#include "kvr_subject.h"

#include <stdio.h>
#include <string.h>

#define OPS(w) ((w).subject->ops)

static struct kvr_world w;

static void
begin(int subject)
{
	kvr_world_begin(&w, subject);
}

static void
end(void)
{
	kvr_world_end(&w);
}

static int32_t
put(const char *key, const void *at, size_t len)
{
	return kvr_put1(w.lane, OPS(w), key, at, len);
}

static int32_t
get(const char *key, void *at, size_t len, uint32_t flags, uint64_t *ret_len)
{
	return kvr_get1(w.lane, OPS(w), key, at, len, flags, ret_len);
}

static int32_t
ask(enum kvr_verb verb, const char *key)
{
	return kvr_ask1(w.lane, OPS(w), verb, key);
}

static void
run(enum kvr_verb verb, struct kvr_item *items, uint32_t n)
{
	int err = OPS(w)->run(w.lane, verb, items, n, kvr_soon());

	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), OPS(w)->why(w.lane));
}

static void
stat_is_of(const char *key, uint64_t len)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of(key, &meta);

	run(KVR_VERB_STAT, &item, 1);
	ck_assert_int_eq(kvr_item_status(&item), KVR_OK);
	ck_assert_uint_eq(item.len, len);
}

static int32_t
after_delete(int32_t elsewhere)
{
	return w.subject->no_delete ? KVR_E_UNSUPPORTED : elsewhere;
}

START_TEST(what_was_never_put_is_a_miss)
{
	uint8_t buf[16];

	begin(_i);
	ck_assert_int_eq(get("k", buf, sizeof(buf), 0, NULL), KVR_E_MISS);
	ck_assert_int_eq(get("k", buf, sizeof(buf), KVR_ITEM_AT_MOST, NULL), KVR_E_MISS);
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "k"), KVR_E_MISS);
	ck_assert_int_eq(ask(KVR_VERB_STAT, "k"), KVR_E_MISS);
	ck_assert_int_eq(ask(KVR_VERB_DEL, "k"), after_delete(KVR_E_MISS));
	end();
}
END_TEST

START_TEST(an_empty_value_is_a_value)
{
	uint8_t  buf[16];
	uint64_t len = 99;

	begin(_i);
	if (w.subject->no_empty) {
		ck_assert_int_eq(put("k", buf, 0), KVR_E_UNSUPPORTED);
		ck_assert_int_eq(ask(KVR_VERB_EXISTS, "k"), KVR_E_MISS);
		end();
		return;
	}
	ck_assert_int_eq(put("k", buf, 0), KVR_OK);
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "k"), KVR_OK);
	stat_is_of("k", 0);
	ck_assert_int_eq(get("k", buf, 0, 0, &len), KVR_OK);
	ck_assert_uint_eq(len, 0);
	len = 99;
	ck_assert_int_eq(get("k", buf, sizeof(buf), KVR_ITEM_AT_MOST, &len), KVR_OK);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(get("k", buf, sizeof(buf), 0, NULL), KVR_E_LENGTH);
	end();
}
END_TEST

/* Around what the formats are made of: headers, slices, blocks. */
static const size_t lengths[] = { 1, 63, 64, 65, 4095, 4096, 4097, 65535, 65536, 65537, 262143,
	262144, 262145, 1048575, 1048576, 1048577, 3145721 };

START_TEST(what_is_put_comes_back_at_every_length)
{
	uint8_t *in = malloc(lengths[KVR_LEN(lengths) - 1]);
	uint8_t *out = malloc(lengths[KVR_LEN(lengths) - 1]);
	uint64_t len = 0;
	char     key[32];

	begin(_i);
	for (size_t i = 0; i < KVR_LEN(lengths); i++) {
		snprintf(key, sizeof(key), "m@1@0@%zx@half", lengths[i]);
		kvr_fill(in, lengths[i], i);
		ck_assert_int_eq(put(key, in, lengths[i]), KVR_OK);
	}
	for (size_t i = 0; i < KVR_LEN(lengths); i++) {
		snprintf(key, sizeof(key), "m@1@0@%zx@half", lengths[i]);
		memset(out, 0xEE, lengths[i]);
		ck_assert_int_eq(get(key, out, lengths[i], 0, &len), KVR_OK);
		ck_assert_uint_eq(len, lengths[i]);
		ck_assert(kvr_filled(out, lengths[i], i));
	}
	end();
	free(in);
	free(out);
}
END_TEST

START_TEST(another_length_is_an_error_unless_less_is_asked_for)
{
	uint8_t  buf[5000];
	uint64_t len = 0;
	enum { N = 4500 };

	begin(_i);
	kvr_fill(buf, N, 7);
	ck_assert_int_eq(put("k", buf, N), KVR_OK);
	ck_assert_int_eq(get("k", buf, N - 1, 0, NULL), KVR_E_LENGTH);
	ck_assert_int_eq(get("k", buf, N + 1, 0, NULL), KVR_E_LENGTH);
	ck_assert_int_eq(get("k", buf, 0, 0, NULL), KVR_E_LENGTH);
	ck_assert_int_eq(get("k", buf, N - 1, KVR_ITEM_AT_MOST, NULL), KVR_E_LENGTH);
	/* The lane is in step after each of them, and nothing is written behind the payload. */
	memset(buf, 0x5A, sizeof(buf));
	ck_assert_int_eq(get("k", buf, sizeof(buf), KVR_ITEM_AT_MOST, &len), KVR_OK);
	ck_assert_uint_eq(len, N);
	ck_assert(kvr_filled(buf, N, 7));
	for (size_t i = N; i < sizeof(buf); i++)
		ck_assert_uint_eq(buf[i], 0x5A);
	end();
}
END_TEST

START_TEST(no_byte_is_written_behind_the_span)
{
	uint8_t buf[300];

	begin(_i);
	kvr_fill(buf, sizeof(buf), 1);
	ck_assert_int_eq(put("k", buf, sizeof(buf)), KVR_OK);
	memset(buf, 0x5A, sizeof(buf));
	ck_assert_int_eq(get("k", buf, 100, KVR_ITEM_AT_MOST, NULL), KVR_E_LENGTH);
	for (size_t i = 100; i < sizeof(buf); i++)
		ck_assert_uint_eq(buf[i], 0x5A);
	end();
}
END_TEST

enum { BATCH = 100, BATCH_LEN = 5000 };

struct batch {
	struct kvr_item item[BATCH];
	struct kvr_meta meta[BATCH];
	char            key[BATCH][32];
	uint8_t         bytes[BATCH][BATCH_LEN];
};

static struct batch *
new_batch(void)
{
	struct batch *b = calloc(1, sizeof(*b));

	for (int i = 0; i < BATCH; i++) {
		snprintf(b->key[i], sizeof(b->key[i]), "org/model@8@3@%x@half", i);
		b->item[i] = kvr_item_of(b->key[i], &b->meta[i]);
		b->item[i].span = (struct kvr_span){ b->bytes[i], BATCH_LEN - (size_t)i };
		b->item[i].raw_len = BATCH_LEN - (uint64_t)i;
		kvr_fill(b->bytes[i], BATCH_LEN, (uint64_t)i);
	}
	return b;
}

static void
pend(struct batch *b)
{
	for (int i = 0; i < BATCH; i++)
		atomic_store(&b->item[i].status, KVR_PENDING);
}

START_TEST(each_key_of_a_batch_has_its_own_status)
{
	struct batch *b = new_batch();

	begin(_i);
	/* Two in three are put: the rest is done already, and must be left alone. */
	for (int i = 0; i < BATCH; i += 3)
		kvr_item_done(&b->item[i], KVR_E_STALE);
	run(KVR_VERB_PUT, b->item, BATCH);
	for (int i = 0; i < BATCH; i++)
		ck_assert_int_eq(kvr_item_status(&b->item[i]), i % 3 == 0 ? KVR_E_STALE : KVR_OK);
	pend(b);
	run(KVR_VERB_EXISTS, b->item, BATCH);
	for (int i = 0; i < BATCH; i++)
		ck_assert_int_eq(kvr_item_status(&b->item[i]), i % 3 == 0 ? KVR_E_MISS : KVR_OK);
	pend(b);
	memset(b->bytes, 0, sizeof(b->bytes));
	b->item[10].span.len--;
	run(KVR_VERB_GET, b->item, BATCH);
	for (int i = 0; i < BATCH; i++) {
		int32_t want = i % 3 == 0 ? KVR_E_MISS : i == 10 ? KVR_E_LENGTH : KVR_OK;
		ck_assert_int_eq(kvr_item_status(&b->item[i]), want);
		ck_assert(want != KVR_OK ||
		    kvr_filled(b->bytes[i], BATCH_LEN - (size_t)i, (uint64_t)i));
	}
	pend(b);
	run(KVR_VERB_DEL, b->item, BATCH);
	for (int i = 0; i < BATCH; i++)
		ck_assert_int_eq(kvr_item_status(&b->item[i]),
		    after_delete(i % 3 == 0 ? KVR_E_MISS : KVR_OK));
	end();
	free(b);
}
END_TEST

START_TEST(one_key_twice_in_a_batch_is_no_trouble)
{
	struct batch *b = new_batch();

	begin(_i);
	for (int i = 1; i < 4; i++) {
		b->item[i].key = b->item[0].key;
		b->item[i].key_len = b->item[0].key_len;
		b->item[i].span = b->item[0].span;
	}
	run(KVR_VERB_PUT, b->item, 4);
	pend(b);
	memset(b->bytes[0], 0, BATCH_LEN);
	run(KVR_VERB_GET, b->item, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(kvr_item_status(&b->item[i]), KVR_OK);
	ck_assert(kvr_filled(b->bytes[0], BATCH_LEN, 0));
	end();
	free(b);
}
END_TEST

START_TEST(a_put_replaces_whatever_was_there_or_nothing)
{
	uint8_t  buf[3000];
	uint64_t len = 0;

	begin(_i);
	for (size_t n = 3000; n > 0; n -= 500) {
		kvr_fill(buf, n, n);
		ck_assert_int_eq(put("k", buf, n), KVR_OK);
		memset(buf, 0, sizeof(buf));
		ck_assert_int_eq(get("k", buf, sizeof(buf), KVR_ITEM_AT_MOST, &len), KVR_OK);
		size_t want = w.subject->keeps_first ? sizeof(buf) : n;
		ck_assert_uint_eq(len, want);
		ck_assert(kvr_filled(buf, want, want));
	}
	end();
}
END_TEST

START_TEST(a_deleted_key_is_a_miss)
{
	uint8_t buf[100] = { 1 };

	begin(_i);
	ck_assert_int_eq(put("k", buf, sizeof(buf)), KVR_OK);
	ck_assert_int_eq(put("k2", buf, sizeof(buf)), KVR_OK);
	ck_assert_int_eq(ask(KVR_VERB_DEL, "k"), after_delete(KVR_OK));
	ck_assert_int_eq(ask(KVR_VERB_DEL, "k"), after_delete(KVR_E_MISS));
	int32_t gone = w.subject->no_delete ? KVR_OK : KVR_E_MISS;
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "k"), gone);
	ck_assert_int_eq(get("k", buf, sizeof(buf), 0, NULL), gone);
	ck_assert_int_eq(get("k2", buf, sizeof(buf), 0, NULL), KVR_OK);
	end();
}
END_TEST

static const struct kvr_meta chunk = { .memfmt = KVR_MEMFMT_KV_2LTD, .n_groups = 1,
	.group = { { .dtype = KVR_DTYPE_BFLOAT16, .n_dims = 4, .dim = { 2, 2, 8, 16 } } } };
enum { CHUNK_BYTES = 2 * 2 * 8 * 16 * 2 };

/* Puts the chunk and asks for it as want says. */
static int32_t
get_chunk(const struct kvr_meta *want, struct kvr_meta *ret_found)
{
	uint8_t         buf[CHUNK_BYTES];
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of("chunk", &meta);

	kvr_fill(buf, sizeof(buf), 3);
	item.span = (struct kvr_span){ buf, sizeof(buf) };
	item.raw_len = sizeof(buf);
	meta = chunk;
	run(KVR_VERB_PUT, &item, 1);
	ck_assert_int_eq(kvr_item_status(&item), KVR_OK);
	item = kvr_item_of("chunk", &meta);
	item.span = (struct kvr_span){ buf, sizeof(buf) };
	meta = *want;
	memset(buf, 0, sizeof(buf));
	run(KVR_VERB_GET, &item, 1);
	if (kvr_item_status(&item) == KVR_OK)
		ck_assert(kvr_filled(buf, sizeof(buf), 3));
	*ret_found = meta;
	return kvr_item_status(&item);
}

START_TEST(another_layout_is_not_taken_for_this_one)
{
	struct kvr_meta want = chunk, found;

	begin(_i);
	ck_assert_int_eq(get_chunk(&chunk, &found), KVR_OK);
	ck_assert(!w.subject->keeps_shape || kvr_meta_same(&found, &chunk));
	want.group[0].dim[2] = 16; /* tokens */
	ck_assert_int_eq(get_chunk(&want, &found), KVR_OK);
	ck_assert(!w.subject->keeps_shape || kvr_meta_same(&found, &chunk));
	int32_t strict = w.subject->keeps_shape ? KVR_E_IDENTITY : KVR_OK;
	want = chunk;
	want.group[0].dtype = KVR_DTYPE_FLOAT16;
	ck_assert_int_eq(get_chunk(&want, &found), strict);
	want = chunk;
	want.group[0].dim[1] = 4; /* layers */
	ck_assert_int_eq(get_chunk(&want, &found), strict);
	want = chunk;
	want.memfmt = KVR_MEMFMT_KV_MLA;
	ck_assert_int_eq(get_chunk(&want, &found), strict);
	end();
}
END_TEST

START_TEST(stat_tells_what_is_stored_without_reading_it)
{
	uint8_t         buf[CHUNK_BYTES];
	struct kvr_meta meta;

	begin(_i);
	struct kvr_item item = kvr_item_of("chunk", &meta);
	kvr_fill(buf, sizeof(buf), 5);
	item.span = (struct kvr_span){ buf, sizeof(buf) };
	item.raw_len = w.subject->keeps_raw ? 12345 : sizeof(buf);
	item.serde = w.subject->keeps_raw ? 3 : 0;
	meta = chunk;
	run(KVR_VERB_PUT, &item, 1);
	ck_assert_int_eq(kvr_item_status(&item), KVR_OK);
	item = kvr_item_of("chunk", &meta);
	run(KVR_VERB_STAT, &item, 1);
	ck_assert_int_eq(kvr_item_status(&item), KVR_OK);
	ck_assert_uint_eq(item.len, sizeof(buf));
	ck_assert(!w.subject->keeps_shape || kvr_meta_same(&meta, &chunk));
	ck_assert_uint_eq(item.raw_len, w.subject->keeps_raw ? 12345 : sizeof(buf));
	ck_assert_uint_eq(item.serde, w.subject->keeps_raw ? 3 : 0);
	end();
}
END_TEST

START_TEST(ping_touches_no_key)
{
	begin(_i);
	run(KVR_VERB_PING, NULL, 0);
	run(KVR_VERB_PING, NULL, 0);
	end();
}
END_TEST

START_TEST(a_batch_of_nothing_is_done)
{
	begin(_i);
	run(KVR_VERB_GET, NULL, 0);
	run(KVR_VERB_EXISTS, NULL, 0);
	end();
}
END_TEST

START_TEST(values_are_there_for_the_next_lane)
{
	uint8_t buf[100];

	begin(_i);
	kvr_fill(buf, sizeof(buf), 1);
	ck_assert_int_eq(put("k", buf, sizeof(buf)), KVR_OK);
	kvr_world_redial(&w);
	ck_assert_int_eq(get("k", buf, sizeof(buf), 0, NULL), KVR_OK);
	if (w.subject->outlives) {
		char why[512];
		OPS(w)->hang_up(w.lane);
		OPS(w)->close(w.store);
		ck_assert_int_eq(OPS(w)->open(&w.opts, &w.store, why, sizeof(why)), KVR_OK);
		w.lane = kvr_world_dial(&w, &w.kick);
		memset(buf, 0, sizeof(buf));
		ck_assert_int_eq(get("k", buf, sizeof(buf), 0, NULL), KVR_OK);
		ck_assert(kvr_filled(buf, sizeof(buf), 1));
	}
	end();
}
END_TEST

START_TEST(nothing_is_something_that_can_be_closed)
{
	kvr_subjects[_i].ops->hang_up(NULL);
	kvr_subjects[_i].ops->close(NULL);
}
END_TEST

void
kvr_add_conformance(TCase *tc)
{
	const TTest *const tests[] = { what_was_never_put_is_a_miss,
		an_empty_value_is_a_value, what_is_put_comes_back_at_every_length,
		another_length_is_an_error_unless_less_is_asked_for,
		no_byte_is_written_behind_the_span, each_key_of_a_batch_has_its_own_status,
		one_key_twice_in_a_batch_is_no_trouble, a_put_replaces_whatever_was_there_or_nothing,
		a_deleted_key_is_a_miss, another_layout_is_not_taken_for_this_one,
		stat_tells_what_is_stored_without_reading_it, ping_touches_no_key,
		a_batch_of_nothing_is_done, values_are_there_for_the_next_lane,
		nothing_is_something_that_can_be_closed };

	for (size_t i = 0; i < KVR_LEN(tests); i++)
		tcase_add_loop_test(tc, tests[i], 0, kvr_subjects_n);
}
