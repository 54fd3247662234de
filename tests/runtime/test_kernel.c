/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each thread of the kernel computes, without a device: its source as a C++ compiler of the host
 * reads it. Widths, tails and addresses are its whole logic; that they are fast is for a device.
 */
#include "kvr_base.h"
#include "kvr_check.h"
#include "kvr_kernel_host.h"

#include <stdlib.h>
#include <string.h>

enum { AROUND = 48, LONGEST = 300000 }; /* a piece is surrounded by bytes that must stay */

/* Both sides of a piece: what they have around them, and what the chunk's must be. */
struct ends {
	uint8_t *cache, *chunk;
	size_t cache_len;
	struct kvr_piece piece;
};

/* At a multiple of 16, as AROUND is. */
static uint8_t *
bytes_of(size_t n, uint64_t *rand)
{
	uint8_t *at = malloc(n);

	ck_assert_ptr_nonnull(at);
	for (size_t i = 0; i < n; i++) {
		*rand = *rand * UINT64_C(6364136223846793005) + 1442695040888963407;
		at[i] = (uint8_t)(*rand >> 33);
	}
	return at;
}

static uint64_t
next(uint64_t *rand, uint64_t below)
{
	*rand = *rand * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (*rand >> 33) % below;
}

/* p: len and, in units, the rest; its addresses are set. Each side ends where its memory does, for the sanitizer. */
static void
make(struct ends *e, struct kvr_piece p, size_t cache_off, size_t chunk_off, uint64_t *rand)
{
	size_t rows = p.unit == 0 ? 1 : p.len / p.unit / p.inner, low = 0;

	e->cache_len = AROUND + cache_off + p.len;
	if (p.unit != 0) {
		/* Steps may go backwards. */
		int64_t far = (int64_t)(rows - 1) * p.row_step, wide = (int64_t)(p.inner - 1) * p.unit_step;
		int64_t first = KVR_MIN(far, (int64_t)0) + KVR_MIN(wide, (int64_t)0);

		low = (size_t)-first;
		e->cache_len = AROUND + cache_off + low +
		               (size_t)(KVR_MAX(far, (int64_t)0) + KVR_MAX(wide, (int64_t)0)) + p.unit;
	}
	e->cache = bytes_of(e->cache_len, rand);
	e->chunk = bytes_of(AROUND + chunk_off + p.len, rand);
	p.cache = e->cache + AROUND + cache_off + low;
	p.chunk = e->chunk + AROUND + chunk_off;
	e->piece = p;
}

static void
is_copied(struct ends *e, uint32_t n, int in)
{
	struct kvr_piece *piece = malloc(n * sizeof(*piece));

	ck_assert_ptr_nonnull(piece);
	for (uint32_t i = 0; i < n; i++)
		piece[i] = e[i].piece;
	/* What it must be on both sides, by single bytes. */
	uint8_t **want = calloc(n, sizeof(*want));

	ck_assert_ptr_nonnull(want);
	for (uint32_t i = 0; i < n; i++) {
		const struct kvr_piece *q = &piece[i];
		size_t len = in ? q->len + (size_t)(q->chunk - e[i].chunk) : e[i].cache_len;
		const uint8_t *base = in ? e[i].chunk : e[i].cache;

		want[i] = malloc(len);
		ck_assert_ptr_nonnull(want[i]);
		memcpy(want[i], base, len);
		for (uint64_t u = 0; u < kvr_piece_units(q); u++) {
			struct kvr_piece unit = kvr_piece_unit(q, u);

			memcpy(want[i] + ((in ? unit.chunk : unit.cache) - base), in ? unit.cache : unit.chunk,
			    unit.len);
		}
	}
	ck_assert_int_eq(kvr_kernel_copy(piece, n, in, NULL), 0);
	for (uint32_t i = 0; i < n; i++) {
		size_t len = in ? piece[i].len + (size_t)(piece[i].chunk - e[i].chunk) : e[i].cache_len;

		ck_assert_msg(memcmp(in ? e[i].chunk : e[i].cache, want[i], len) == 0,
		    "piece %u of %u, %llu bytes in units of %u", i, n, (unsigned long long)piece[i].len,
		    piece[i].unit);
		free(want[i]);
		free(e[i].cache);
		free(e[i].chunk);
	}
	free(want);
	free(piece);
}

/* Offsets with which 16, 4 or 1 byte is the widest access that is allowed. */
START_TEST(every_length_at_every_address)
{
	static const size_t off[] = { 0, 1, 2, 4, 7, 8, 12, 15, 16 };
	static const size_t len[] = { 1, 2, 3, 4, 15, 16, 17, 32, 100, 128, 255, 256, 1024, 4095, 4096, 4100,
		16380, 16384, 16385, 16400, 16640, 65536, 65540 };
	uint64_t rand = 1;

	for (size_t i = 0; i < KVR_LEN(off) * KVR_LEN(off) * KVR_LEN(len); i++) {
		struct ends e;
		size_t from = off[i % KVR_LEN(off)], to = off[i / KVR_LEN(off) % KVR_LEN(off)];

		make(&e, (struct kvr_piece){ .len = len[i / KVR_LEN(off) / KVR_LEN(off)] }, from, to, &rand);
		kvr_kernel_order = i % 2 == 0 ? KVR_KERNEL_UP : KVR_KERNEL_DOWN;
		is_copied(&e, 1, i / 2 % 2 == 0);
	}
}
END_TEST

/* Rows of units, of which every number may be odd; the cache's side ends with the last unit. */
static struct kvr_piece
draw_units(uint64_t *rand)
{
	uint64_t wide = UINT64_C(1) << next(rand, 6), rows = 1 + next(rand, 20);
	struct kvr_piece p = { .unit = (uint32_t)((1 + next(rand, 20)) * wide), .inner = 1 + (uint32_t)next(rand, 9) };
	uint64_t row = p.inner * (p.unit + next(rand, 4) * wide);

	p.len = rows * p.inner * p.unit;
	if (next(rand, 2) == 0) {
		p.unit_step = (int64_t)(row / p.inner);
		p.row_step = (int64_t)(row + next(rand, 4) * wide);
	} else {
		/* As blocks with heads outermost have it. */
		p.row_step = (int64_t)p.unit;
		p.unit_step = (int64_t)(rows * p.unit + next(rand, 4) * wide);
	}
	if (next(rand, 4) == 0)
		p.unit_step = -p.unit_step;
	if (next(rand, 4) == 0)
		p.row_step = -p.row_step;
	return p;
}

START_TEST(units_in_rows)
{
	uint64_t rand = 3;

	for (uint32_t i = 0; i < 3000; i++) {
		uint64_t wide = UINT64_C(1) << next(&rand, 5);
		struct ends e;

		make(&e, draw_units(&rand), next(&rand, 4) * wide, next(&rand, 4) * wide, &rand);
		kvr_kernel_order = i % 2 == 0 ? KVR_KERNEL_UP : KVR_KERNEL_DOWN;
		is_copied(&e, 1, i / 2 % 2 == 0);
	}
}
END_TEST

START_TEST(as_many_pieces_as_a_launch_takes)
{
	static const uint32_t of[] = { 1, 2, 3, KVR_KERNEL_FEW - 1, KVR_KERNEL_FEW, KVR_KERNEL_FEW + 1,
		KVR_KERNEL_PIECES - 1, KVR_KERNEL_PIECES };
	static struct ends e[KVR_KERNEL_PIECES];
	uint64_t rand = 7;
	uint32_t most = 0;

	ck_assert_int_eq(kvr_kernel_load(&most), 0);
	ck_assert_uint_eq(most, KVR_KERNEL_PIECES);
	for (uint32_t k = 0; k < 2 * KVR_LEN(of); k++) {
		uint32_t n = of[k / 2];

		for (uint32_t i = 0; i < n; i++) {
			size_t wide = (size_t)1 << next(&rand, 5), long_one = i == 0 ? LONGEST : 4000;
			struct kvr_piece p = { .len = (1 + next(&rand, long_one / wide)) * wide };

			if (next(&rand, 3) == 0)
				p = draw_units(&rand);
			make(&e[i], p, next(&rand, 4) * wide % 64, next(&rand, 4) * wide % 64, &rand);
		}
		kvr_kernel_order = n % 2 == 0 ? KVR_KERNEL_UP : KVR_KERNEL_DOWN;
		is_copied(e, n, k % 2);
	}
}
END_TEST

/* Its launches take 4 KiB of arguments, and the kernel that takes more it need not even know. */
START_TEST(a_driver_for_cuda_12_0_has_few_at_a_time)
{
	uint32_t most = 0;

	kvr_kernel_driver = 12000;
	ck_assert_int_eq(kvr_kernel_load(&most), 0);
	ck_assert_uint_eq(most, KVR_KERNEL_FEW);
	kvr_kernel_driver = 12010;
	ck_assert_int_eq(kvr_kernel_load(&most), 0);
	ck_assert_uint_eq(most, KVR_KERNEL_PIECES);
}
END_TEST

KVR_CHECK_MAIN("runtime.kernel", every_length_at_every_address, units_in_rows,
    as_many_pieces_as_a_launch_takes, a_driver_for_cuda_12_0_has_few_at_a_time)
