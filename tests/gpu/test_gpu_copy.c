/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's copies against the host's, bit for bit: fresh random data, poisoned destinations,
 * every layout and dtype, odd tables, from one token to 64 MiB; and what a device's errors become.
 */
#include "gpu_bed.h"

#include "gpu_check.h"
#include "kvr_paged_world.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { POISON = 0xa5, PINNED = 80 << 20, ERROR_TESTS = 3 };

static struct kvr_copier *copier;
static uint8_t *pinned;

/* The same cache in the device's memory. */
struct far {
	struct kvr_pages pages;
	uint8_t *base[64];
	uint8_t *memory;
};

static void
far_make(struct far *f, const struct paged_world *w)
{
	f->pages = w->pages;
	f->pages.base = f->base;
	f->memory = gpu_alloc(w->memory_len);
	for (uint32_t i = 0; i < w->pages.n_layers * w->pages.n_planes; i++)
		f->base[i] = f->memory + (w->base[i] - w->memory);
}

static struct kvr_walk
walk_of(const struct kvr_pages *pages, const struct paged_world *w, uint8_t *chunk)
{
	return (struct kvr_walk){ .pages = pages,
		.runs = w->runs,
		.tokens = w->tokens,
		.layer = w->layer,
		.chunk = chunk };
}

/* What the host makes of it, the reference. */
static void
on_host(const struct paged_world *w, uint8_t *chunk, bool out)
{
	struct kvr_walk walk = walk_of(&w->pages, w, chunk);
	struct kvr_piece piece;

	while (kvr_walk_next(&walk, &piece, 1) > 0) {
		for (uint64_t i = 0; i < kvr_piece_units(&piece); i++) {
			struct kvr_piece u = kvr_piece_unit(&piece, i);

			memcpy(out ? u.cache : u.chunk, out ? u.chunk : u.cache, u.len);
		}
	}
}

static void
moves(const struct far *f, const struct paged_world *w, enum kvr_way way)
{
	char why[128] = "";
	enum kvr_err err = gpu_copy(copier, way, walk_of(&f->pages, w, pinned), why, sizeof(why));

	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), why);
}

static void
are_alike(const struct far *f, struct paged_world *w)
{
	uint64_t len = kvr_pages_token(&w->pages) * w->tokens;
	uint8_t *want = malloc(len + PAGED_GUARD), *back = malloc(w->memory_len);

	ck_assert(want != NULL && back != NULL && len + PAGED_GUARD <= PINNED);
	gpu_put(f->memory, w->memory, w->memory_len);
	memset(want, POISON, len + PAGED_GUARD);
	memset(pinned, POISON, len + PAGED_GUARD);
	on_host(w, want, false);
	moves(f, w, KVR_WAY_IN);
	ck_assert_msg(memcmp(pinned, want, len + PAGED_GUARD) == 0, "gathered, seed %llu",
	    (unsigned long long)w->seed);
	paged_scramble(&w->seed, w->memory, w->memory_len);
	paged_scramble(&w->seed, pinned, len);
	gpu_put(f->memory, w->memory, w->memory_len);
	on_host(w, pinned, true);
	moves(f, w, KVR_WAY_OUT);
	gpu_fetch(back, f->memory, w->memory_len);
	ck_assert_msg(memcmp(back, w->memory, w->memory_len) == 0, "scattered, seed %llu",
	    (unsigned long long)w->seed);
	free(want);
	free(back);
}

static void
like_the_host(struct paged_world *w)
{
	struct far f;

	far_make(&f, w);
	are_alike(&f, w);
	gpu_free(f.memory);
}

/* A layer's planes by themselves, as most engines have them. */
static void
real_world(struct paged_world *w, uint32_t seed, uint32_t tokens, uint32_t block, bool heads_first)
{
	*w = (struct paged_world){ .seed = seed, .dtype = KVR_DTYPE_BFLOAT16 };
	w->pages = (struct kvr_pages){ .memfmt = KVR_MEMFMT_KV_2LTD,
		.n_layers = heads_first ? 4 : 32,
		.n_planes = 2,
		.n_heads = 8,
		.head_bytes = 256,
		.block_tokens = block,
		.n_blocks = tokens / block + 3 };
	paged_lay_out(w, seed % 2 == 1 ? PAGED_PER_LAYER : PAGED_ONE_ALLOCATION, heads_first, 0);
	paged_choose_slots(w, tokens, block, false);
	paged_find_runs(w);
}

START_TEST(every_layout_is_copied_as_the_host_does)
{
	for (uint32_t i = 0; i < 300; i++) {
		struct paged_world w;

		paged_draw_world(&w, i);
		like_the_host(&w);
		paged_free(&w);
	}
}
END_TEST

/* Pieces below and above the boundary between kernel and copy engine, and right on it. */
START_TEST(real_shapes_from_one_token_to_64_mib)
{
	static const struct {
		uint32_t tokens, block;
		bool heads_first;
	} of[] = { { 1, 16, false }, { 17, 16, false }, { 256, 8, false }, { 256, 16, false }, { 256, 32, false },
		{ 255, 16, true }, { 1000, 64, true }, { 512, 64, false }, { 512, 128, false }, { 512, 1, false } };

	for (uint32_t i = 0; i < KVR_LEN(of); i++) {
		struct paged_world w;

		real_world(&w, i + 1, of[i].tokens, of[i].block, of[i].heads_first);
		like_the_host(&w);
		paged_free(&w);
	}
}
END_TEST

/* All marks each way without a look in between: all are reached. */
START_TEST(both_ways_run_at_once)
{
	enum { EACH = 1 << 17 };
	uint8_t *far = gpu_alloc(2 * KVR_MARKS_MAX * (size_t)EACH), *back = malloc(EACH);
	const struct kvr_copy_ops *ops = gpu_device()->copy;
	char why[128] = "";

	for (uint32_t i = 0; i < 2 * KVR_MARKS_MAX; i++) {
		memset(pinned + (size_t)i * EACH, (int)i + 1, EACH);
		gpu_put(far + (size_t)i * EACH, pinned + (size_t)i * EACH, EACH);
		memset(pinned + (size_t)i * EACH, i % 2 == 0 ? POISON : (int)i + 101, EACH);
	}
	for (uint32_t i = 0; i < 2 * KVR_MARKS_MAX; i++) {
		const struct kvr_piece p = { .cache = far + (size_t)i * EACH,
			.chunk = pinned + (size_t)i * EACH,
			.len = EACH };
		enum kvr_way way = i % 2 == 0 ? KVR_WAY_IN : KVR_WAY_OUT;

		ck_assert_int_eq(ops->copy(copier, way, &p, 1, why, sizeof(why)), KVR_OK);
		ck_assert_int_eq(ops->mark(copier, way, why, sizeof(why)), KVR_OK);
	}
	for (uint32_t i = 0; i < 2 * KVR_MARKS_MAX; i++) {
		enum kvr_err err;

		do
			err = ops->poll(
			    copier, i % 2 == 0 ? KVR_WAY_IN : KVR_WAY_OUT, why, sizeof(why));
		while (err == KVR_E_UNFINISHED);
		ck_assert_int_eq(err, KVR_OK);
	}
	for (uint32_t i = 0; i < 2 * KVR_MARKS_MAX; i++) {
		int want = i % 2 == 0 ? (int)i + 1 : (int)i + 101;

		gpu_fetch(back, far + (size_t)i * EACH, EACH);
		ck_assert_int_eq(back[0], i % 2 == 0 ? (int)i + 1 : want);
		ck_assert_int_eq(back[EACH - 1], back[0]);
		ck_assert_int_eq(pinned[(size_t)i * EACH + EACH / 2], want);
	}
	gpu_free(far);
	free(back);
}
END_TEST

static void *
look_around(void *arg)
{
	uint8_t *far = arg;
	static uint8_t mine[2];
	const struct kvr_copy_ops *ops = gpu_device()->copy;
	enum kvr_where there = gpu_is_twin() ? KVR_IN_HOST : KVR_IN_DEVICE;

	ck_assert_int_eq(ops->where(ops->current(), far), there);
	ck_assert_int_eq(ops->where(ops->current(), far + 4095), there);
	ck_assert_int_eq(ops->where(ops->current(), pinned + PINNED / 2), KVR_IN_HOST);
	ck_assert_int_eq(ops->where(ops->current(), mine), KVR_IN_HOST);
	ck_assert_int_eq(ops->where(ops->current(), &far), KVR_IN_HOST);
	return NULL;
}

/* Also on one that has no context: whoever takes a device's memory for the host's dies of it. */
START_TEST(what_lies_where_is_known_on_any_thread)
{
	uint8_t *far = gpu_alloc(4096);
	pthread_t thread;

	look_around(far);
	ck_assert_int_eq(pthread_create(&thread, NULL, look_around, far), 0);
	pthread_join(thread, NULL);
	gpu_free(far);
}
END_TEST

/* A copier that lacks something copies all the same, and nobody would see that it has never been tried. */
START_TEST(nothing_is_missing_that_makes_copies_quick)
{
	const char *lacks = gpu_is_twin() ? NULL : gpu_lacks();

	ck_assert_msg(lacks == NULL, "this device is without %s", lacks);
}
END_TEST

/* ---- only a device has these ---- */

/* Engines leave little. A copier that can be had at all copies as ever, and nothing of it is left for others. */
START_TEST(a_device_that_is_full_costs_speed_only)
{
	struct paged_world w;
	struct kvr_copier *first = copier, *second = NULL;
	const struct kvr_copy_ops *ops = gpu_device()->copy;
	char why[128] = "";
	struct far f;

	real_world(&w, 1, 256, 8, false);
	far_make(&f, &w);
	void *rest = gpu_fill_up();
	enum kvr_err err = ops->open(ops->current(), &second, why, sizeof(why));

	if (err == KVR_OK) {
		copier = second;
		are_alike(&f, &w);
		ops->close(second);
		copier = first;
	} else {
		ck_assert_int_eq(err, KVR_E_DEVICE);
		ck_assert_msg(strncmp(why, "cuda", 4) == 0, "'%s'", why);
	}
	are_alike(&f, &w);
	gpu_empty(rest);
	are_alike(&f, &w);
	gpu_free(f.memory);
	paged_free(&w);
}
END_TEST

START_TEST(a_place_that_is_none_is_an_error_with_the_calls_name)
{
	uint8_t *far = gpu_alloc(1 << 20);
	/* Far beyond it. An address that is nobody's would do on some machines, and end the process on others. */
	const struct kvr_piece p = { .cache = far, .chunk = pinned, .len = 64 << 20 };
	char why[128] = "";
	enum kvr_err err = gpu_device()->copy->copy(copier, KVR_WAY_IN, &p, 1, why, sizeof(why));

	ck_assert_int_eq(err, KVR_E_DEVICE);
	ck_assert_msg(strncmp(why, "cudaMemcpyAsync: ", 17) == 0, "'%s'", why);
	/* Which of them a driver makes of memory that is none its manual does not say. */
	err = gpu_device()->lock((void *)(uintptr_t)4096, 4096, KVR_TOUCH_USED, why, sizeof(why));
	ck_assert_msg(err == KVR_E_INVALID || err == KVR_E_DEVICE || err == KVR_E_NOMEM, "%s", kvr_err_name(err));
	ck_assert_msg(strncmp(why, "page-locking 4096 bytes failed: ", 32) == 0, "'%s'", why);
	err = gpu_device()->lock(pinned + 4096, 4096, KVR_TOUCH_USED, why, sizeof(why));
	ck_assert_msg(err == KVR_E_INVALID, "%s", kvr_err_name(err));
	ck_assert(!gpu_device()->copy->lost(copier));
	gpu_free(far);
}
END_TEST

/* Last: afterwards there is no device for anybody. */
START_TEST(a_reset_in_the_middle_is_a_lost_device_and_no_hang)
{
	uint8_t *far = gpu_alloc(PINNED);
	const struct kvr_piece p = { .cache = far, .chunk = pinned, .len = PINNED };
	const struct kvr_copy_ops *ops = gpu_device()->copy;
	char why[128] = "";

	gpu_put(far, pinned, PINNED);
	enum kvr_err err = ops->copy(copier, KVR_WAY_IN, &p, 1, why, sizeof(why));

	ck_assert_int_eq(err, KVR_OK);
	ck_assert_int_eq(ops->mark(copier, KVR_WAY_IN, why, sizeof(why)), KVR_OK);
	gpu_reset();
	do
		err = ops->poll(copier, KVR_WAY_IN, why, sizeof(why));
	while (err == KVR_E_UNFINISHED);
	err = ops->copy(copier, KVR_WAY_IN, &p, 1, why, sizeof(why));
	ck_assert_int_eq(err, KVR_E_DEVICE);
	ck_assert(ops->lost(copier));
}
END_TEST

int
main(int argc, char **argv)
{
	const TTest *const tests[] = { nothing_is_missing_that_makes_copies_quick,
		every_layout_is_copied_as_the_host_does,
		real_shapes_from_one_token_to_64_mib, both_ways_run_at_once,
		what_lies_where_is_known_on_any_thread, a_device_that_is_full_costs_speed_only,
		a_place_that_is_none_is_an_error_with_the_calls_name,
		a_reset_in_the_middle_is_a_lost_device_and_no_hang };

	gpu_open(argc, argv);
	printf("on %s\n", gpu_name());
	copier = gpu_copier();
	pinned = gpu_pin(PINNED);
	int rc = gpu_run("gpu.copy", tests, KVR_LEN(tests) - (gpu_may_err() ? 0 : ERROR_TESTS));

	if (!gpu_may_err()) {
		gpu_device()->copy->close(copier);
		gpu_unpin(pinned, PINNED);
	}
	return rc;
}
