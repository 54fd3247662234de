/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small pieces by way of the device's memory, over a stand-in whose slots are so small that each
 * copy here fills both of them often: which way pieces take, that slots are not filled before they
 * are empty, and what is left when a call in the middle fails.
 */
#include "gpu_bed.h"
#include "kvr_check.h"
#include "kvr_cuda_fake.h"
#include "kvr_kernel.h"
#include "kvr_stage.h"

#include <cuda_runtime_api.h>
#include <string.h>

/* Both of the stand-in's build (CMakeLists.txt). */
enum { SLOT = KVR_STAGE_BYTES, MANY = KVR_COPY_MANY };
enum { PIECE = 3072, PIECES = 200, LEN = PIECE * PIECES, GAP = 512, DEVICE = 8 << 20 };

static const struct kvr_copy_ops *ops;
static char why[128];

struct bed {
	struct kvr_copier *copier;
	uint8_t *chunk, *far, *host;
};

static struct bed
bed_open(struct kvr_cuda_machine m)
{
	struct bed b = { 0 };

	if (m.memory == 0)
		m.memory = DEVICE;
	kvr_cuda_fake_machine(&m);
	gpu_open(0, NULL);
	ops = gpu_device()->copy;
	b.far = gpu_alloc((PIECE + GAP) * PIECES);
	b.copier = gpu_copier();
	b.chunk = gpu_pin(LEN);
	b.host = calloc(1, (PIECE + GAP) * PIECES);
	ck_assert_ptr_nonnull(b.host);
	why[0] = '\0';
	return b;
}

static void
bed_close(struct bed *b)
{
	ops->close(b->copier);
	gpu_free(b->far);
	gpu_unpin(b->chunk, LEN);
	free(b->host);
	ck_assert_uint_eq(kvr_cuda_fake_leaks(), 0);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	ck_assert_uint_eq(kvr_cuda_fake_synchronous(), 0);
}

/* n pieces from the first one on: backwards in the cache, and side by side in the chunk. */
static enum kvr_err
begin(const struct bed *b, enum kvr_way way, uint32_t first, uint32_t n)
{
	struct kvr_piece piece[PIECES];

	for (uint32_t i = 0; i < n; i++)
		piece[i] = (struct kvr_piece){ .chunk = b->chunk + (first + i) * PIECE,
			.cache = b->far + (PIECES - 1 - first - i) * (PIECE + GAP),
			.len = PIECE };
	return ops->copy(b->copier, way, piece, n, why, sizeof(why));
}

static enum kvr_err
end(const struct bed *b, enum kvr_way way)
{
	char last[sizeof(why)];
	enum kvr_err err = ops->mark(b->copier, way, last, sizeof(last));

	while (err == KVR_OK && (err = ops->poll(b->copier, way, last, sizeof(last))) == KVR_E_UNFINISHED)
		err = KVR_OK;
	return err;
}

static uint8_t
byte_of(uint32_t round, uint64_t at)
{
	return (uint8_t)(at * 7 + at / PIECE + round * 31 + 1);
}

static void
fill(uint8_t *to, uint32_t round)
{
	for (uint64_t i = 0; i < LEN; i++)
		to[i] = byte_of(round, i);
}

static void
is_filled(const uint8_t *at, uint32_t round)
{
	for (uint64_t i = 0; i < LEN; i++) {
		if (at[i] != byte_of(round, i))
			ck_abort_msg("round %u: byte %llu is %u", round, (unsigned long long)i, at[i]);
	}
}

/* What the cache would hold of that chunk; nothing between pieces. */
static void
spread(const struct bed *b, uint32_t round)
{
	for (uint64_t i = 0; i < LEN; i++)
		b->host[(PIECES - 1 - i / PIECE) * (PIECE + GAP) + i % PIECE] = byte_of(round, i);
}

static void
round_trip(const struct bed *b, uint32_t round)
{
	uint64_t len = (PIECE + GAP) * PIECES;
	uint8_t *got = malloc(len);

	ck_assert_ptr_nonnull(got);
	fill(b->chunk, round);
	ck_assert_int_eq(begin(b, KVR_WAY_OUT, 0, PIECES), KVR_OK);
	ck_assert_int_eq(end(b, KVR_WAY_OUT), KVR_OK);
	memset(b->chunk, 0, LEN);
	gpu_fetch(got, b->far, len);
	spread(b, round);
	ck_assert_int_eq(memcmp(got, b->host, len), 0);
	ck_assert_int_eq(begin(b, KVR_WAY_IN, 0, PIECES), KVR_OK);
	ck_assert_int_eq(end(b, KVR_WAY_IN), KVR_OK);
	is_filled(b->chunk, round);
	free(got);
}

/* Copies over the bus, without those of gpu_put and gpu_fetch, which are cudaMemcpy. */
static uint64_t
crossings(void)
{
	return kvr_cuda_fake_calls("cudaMemcpyAsync");
}

START_TEST(many_pieces_cross_the_bus_a_slot_at_a_time)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });
	uint32_t in_slot = SLOT / PIECE, slices = (PIECES + in_slot - 1) / in_slot;

	ck_assert_uint_gt(slices, 2 * KVR_DEVICE_STAGE_SLOTS);
	gpu_put(b.far, b.host, (PIECE + GAP) * PIECES);
	for (uint32_t round = 0; round < 20; round++) {
		uint64_t before = crossings();

		round_trip(&b, round);
		ck_assert_uint_eq(crossings() - before, 2 * slices);
	}
	ck_assert_uint_eq(kvr_cuda_fake_calls("cudaMemcpyBatchAsync"), 0);
	bed_close(&b);
}
END_TEST

/* The same bytes, a head of a token in each unit: one launch for a slot, and over the bus they are as one. */
START_TEST(units_cross_the_bus_side_by_side)
{
	enum { HEADS = 8, TOKENS = 12, UNIT = PIECE / HEADS / TOKENS, BLOCKS = PIECES };
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });
	struct kvr_piece piece[BLOCKS];
	uint64_t before = crossings(), launches = kvr_cuda_fake_calls("kvr_kernel_copy");
	uint32_t in_slot = SLOT / PIECE, slices = (BLOCKS + in_slot - 1) / in_slot;

	for (uint32_t i = 0; i < BLOCKS; i++)
		piece[i] = (struct kvr_piece){ .chunk = b.chunk + i * PIECE,
			.cache = b.far + (BLOCKS - 1 - i) * (PIECE + GAP),
			.len = PIECE,
			.unit = UNIT,
			.inner = HEADS,
			.unit_step = TOKENS * UNIT,
			.row_step = UNIT };
	fill(b.chunk, 5);
	ck_assert_int_eq(ops->copy(b.copier, KVR_WAY_OUT, piece, BLOCKS, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(end(&b, KVR_WAY_OUT), KVR_OK);
	gpu_fetch(b.host, b.far, (PIECE + GAP) * PIECES);
	for (uint64_t i = 0; i < LEN; i++) {
		uint64_t in = i % PIECE, token = in / UNIT / HEADS, head = in / UNIT % HEADS;
		uint64_t at = (PIECES - 1 - i / PIECE) * (PIECE + GAP) + (head * TOKENS + token) * UNIT + in % UNIT;

		ck_assert_uint_eq(b.host[at], byte_of(5, i));
	}
	memset(b.chunk, 0, LEN);
	ck_assert_int_eq(ops->copy(b.copier, KVR_WAY_IN, piece, BLOCKS, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(end(&b, KVR_WAY_IN), KVR_OK);
	is_filled(b.chunk, 5);
	ck_assert_uint_eq(crossings() - before, 2 * slices);
	ck_assert_uint_eq(kvr_cuda_fake_calls("kvr_kernel_copy") - launches, 2 * slices);
	bed_close(&b);
}
END_TEST

/* Those that lie apart in the chunk, and those that are few: one launch, and no copy. */
START_TEST(few_pieces_are_copied_by_the_kernel_itself)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });
	struct kvr_piece apart[40];
	uint64_t before;

	for (uint32_t i = 0; i < KVR_LEN(apart); i++)
		apart[i] = (struct kvr_piece){ .chunk = b.chunk + 2 * i * PIECE,
			.cache = b.far + i * PIECE,
			.len = PIECE };
	memset(b.chunk, 0, LEN);
	before = kvr_cuda_fake_calls("kvr_kernel_copy");
	ck_assert_int_eq(
	    ops->copy(b.copier, KVR_WAY_OUT, apart, KVR_LEN(apart), why, sizeof(why)), KVR_OK);
	ck_assert_uint_eq(kvr_cuda_fake_calls("kvr_kernel_copy") - before, 1);
	ck_assert_int_eq(begin(&b, KVR_WAY_OUT, 100, (MANY - 1) / PIECE), KVR_OK);
	ck_assert_uint_eq(kvr_cuda_fake_calls("kvr_kernel_copy") - before, 2);
	ck_assert_int_eq(end(&b, KVR_WAY_OUT), KVR_OK);
	ck_assert_uint_eq(crossings(), 0);
	bed_close(&b);
}
END_TEST

/* Each run of them goes the way that it is worth, whatever stands before and behind. */
START_TEST(many_among_few_are_found)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });
	struct kvr_piece piece[PIECES];
	uint32_t n = 0;

	fill(b.chunk, 3);
	for (uint32_t i = 0; i < PIECES; i++) {
		/* Every third is left out at the ends, and none in the middle. */
		if (i % 3 == 0 && (i < 60 || i >= 140))
			continue;
		piece[n++] = (struct kvr_piece){ .chunk = b.chunk + i * PIECE,
			.cache = b.far + i * PIECE,
			.len = PIECE };
	}
	ck_assert_int_eq(ops->copy(b.copier, KVR_WAY_OUT, piece, n, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(end(&b, KVR_WAY_OUT), KVR_OK);
	ck_assert_uint_ge(crossings(), 80 * PIECE / SLOT);
	memset(b.chunk, 0, LEN);
	ck_assert_int_eq(ops->copy(b.copier, KVR_WAY_IN, piece, n, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(end(&b, KVR_WAY_IN), KVR_OK);
	for (uint64_t i = 0; i < LEN; i++) {
		uint64_t of = i / PIECE;
		bool left = of % 3 == 0 && (of < 60 || of >= 140);

		ck_assert_uint_eq(b.chunk[i], left ? 0 : byte_of(3, i));
	}
	bed_close(&b);
}
END_TEST

/* Without room in the device all goes on as it would without: slower, and nothing is left. */
START_TEST(a_device_without_memory_costs_speed_only)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ .memory = (PIECE + GAP) * PIECES + 3 * SLOT });

	gpu_put(b.far, b.host, (PIECE + GAP) * PIECES);
	for (uint32_t round = 0; round < 3; round++)
		round_trip(&b, round);
	ck_assert_uint_lt(crossings(), 3 * 2 * (LEN / SLOT));
	bed_close(&b);
}
END_TEST

/* The gathering kernel is not on the way's own stream, and has to wait as that does. */
START_TEST(what_is_gathered_waits_for_the_engines_event)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });

	kvr_cuda_fake_hold(true);
	void *event = gpu_fill_later(b.far, 0x5c, (PIECE + GAP) * PIECES);

	ck_assert_int_eq(ops->await(b.copier, KVR_WAY_IN, event, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(begin(&b, KVR_WAY_IN, 0, PIECES), KVR_OK);
	kvr_cuda_fake_hold(false);
	ck_assert_int_eq(end(&b, KVR_WAY_IN), KVR_OK);
	for (uint64_t i = 0; i < LEN; i++)
		ck_assert_uint_eq(b.chunk[i], 0x5c);
	gpu_event_free(event);
	bed_close(&b);
}
END_TEST

/* And whoever waits for the library's event finds everything scattered. */
START_TEST(an_event_stands_behind_what_is_scattered)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });
	uint64_t len = (PIECE + GAP) * PIECES;
	uint8_t *got = gpu_pin(len);
	void *event = gpu_event();

	gpu_put(b.far, b.host, len);
	fill(b.chunk, 9);
	spread(&b, 9);
	ck_assert_int_eq(begin(&b, KVR_WAY_OUT, 0, PIECES), KVR_OK);
	ck_assert_int_eq(ops->record(b.copier, KVR_WAY_OUT, event, why, sizeof(why)), KVR_OK);
	gpu_fetch_behind(event, got, b.far, len);
	ck_assert_int_eq(memcmp(got, b.host, len), 0);
	ck_assert_int_eq(end(&b, KVR_WAY_OUT), KVR_OK);
	gpu_event_free(event);
	gpu_unpin(got, len);
	bed_close(&b);
}
END_TEST

static const struct {
	const char *call, *said;
	uint32_t n; /* calls of a copy: one of them fails */
} of_a_copy[] = { { "kvr_kernel_copy", "the copy kernel: ", 5 }, { "cudaMemcpyAsync", "cudaMemcpyAsync: ", 5 },
	{ "cudaEventRecord", "cudaEventRecord: ", 8 }, { "cudaStreamWaitEvent", "cudaStreamWaitEvent: ", 8 } };

static void
is_quiet(const struct bed *b)
{
	ck_assert(!kvr_cuda_fake_works_on(b->chunk, LEN));
	ck_assert(!kvr_cuda_fake_works_on(b->far, (PIECE + GAP) * PIECES));
}

/* One copy is lost and the next is whole; and the memory of the failed one is quiet behind its mark. */
START_TEST(a_call_that_fails_in_the_middle_costs_one_copy)
{
	for (uint32_t i = 0; i < KVR_LEN(of_a_copy); i++) {
		for (uint32_t k = 0; k < KVR_WAYS * of_a_copy[i].n; k++) {
			struct bed b = bed_open((struct kvr_cuda_machine){ 0 });
			enum kvr_way way = (enum kvr_way)(k % KVR_WAYS);

			kvr_cuda_fake_fail(of_a_copy[i].call, k / KVR_WAYS + 1, cudaErrorMemoryAllocation);
			ck_assert_int_eq(begin(&b, way, 0, PIECES), KVR_E_DEVICE);
			ck_assert_msg(strncmp(why, of_a_copy[i].said, strlen(of_a_copy[i].said)) == 0, "'%s'", why);
			ck_assert(!ops->lost(b.copier));
			ck_assert_int_eq(end(&b, way), KVR_OK);
			is_quiet(&b);
			gpu_put(b.far, b.host, (PIECE + GAP) * PIECES);
			round_trip(&b, k);
			bed_close(&b);
		}
	}
}
END_TEST

/* What was launched before still reads the cache, on a stream that nobody has marked. */
START_TEST(a_launch_that_fails_leaves_no_reader_behind)
{
	enum { TINY = 192, PARTS = 2 * KVR_KERNEL_FEW };
	_Static_assert(TINY * PARTS <= SLOT && TINY * PARTS >= MANY, "one slot, two launches");

	for (uint32_t round = 0; round < 50; round++) {
		struct bed b = bed_open((struct kvr_cuda_machine){ .old_driver = true });
		struct kvr_piece piece[PARTS];

		for (uint32_t i = 0; i < PARTS; i++)
			piece[i] = (struct kvr_piece){ .chunk = b.chunk + i * TINY,
				.cache = b.far + 2 * i * TINY,
				.len = TINY };
		kvr_cuda_fake_hold(true);
		kvr_cuda_fake_fail("kvr_kernel_copy", 2, cudaErrorMemoryAllocation);
		ck_assert_int_eq(ops->copy(b.copier, KVR_WAY_IN, piece, PARTS, why, sizeof(why)), KVR_E_DEVICE);
		ck_assert(kvr_cuda_fake_works_on(b.far, (PIECE + GAP) * PIECES));
		kvr_cuda_fake_hold(false);
		ck_assert_int_eq(end(&b, KVR_WAY_IN), KVR_OK);
		is_quiet(&b);
		bed_close(&b);
	}
}
END_TEST

START_TEST(a_reset_between_two_slots_leaves_nothing)
{
	struct bed b = bed_open((struct kvr_cuda_machine){ 0 });

	for (uint32_t way = 0; way < KVR_WAYS; way++) {
		ck_assert_int_eq(begin(&b, (enum kvr_way)way, way * 100, 100), KVR_OK);
		ck_assert_int_eq(ops->mark(b.copier, (enum kvr_way)way, why, sizeof(why)), KVR_OK);
	}
	gpu_reset();
	ck_assert_int_eq(begin(&b, KVR_WAY_IN, 0, PIECES), KVR_E_DEVICE);
	ck_assert(ops->lost(b.copier));
	ops->close(b.copier);
	gpu_device()->unlock(b.chunk, LEN);
	free(b.host);
	ck_assert_int_eq(cudaGetLastError(), cudaSuccess);
	ck_assert(!kvr_cuda_fake_context_on(0));
}
END_TEST

KVR_CHECK_MAIN("gpu.stage", many_pieces_cross_the_bus_a_slot_at_a_time, units_cross_the_bus_side_by_side,
    few_pieces_are_copied_by_the_kernel_itself, many_among_few_are_found,
    a_device_without_memory_costs_speed_only, what_is_gathered_waits_for_the_engines_event,
    an_event_stands_behind_what_is_scattered, a_call_that_fails_in_the_middle_costs_one_copy,
    a_launch_that_fails_leaves_no_reader_behind, a_reset_between_two_slots_leaves_nothing)
