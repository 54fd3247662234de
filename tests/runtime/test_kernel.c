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

struct ends {
	uint8_t *from, *to;
	size_t   len;
};

/* At a multiple of 16, as AROUND is. */
static uint8_t *
bytes_of(size_t n, int fill)
{
	uint8_t *at = malloc(n);

	ck_assert_ptr_nonnull(at);
	memset(at, fill, n);
	return at;
}

static uint64_t
next(uint64_t *rand)
{
	*rand = *rand * UINT64_C(6364136223846793005) + 1442695040888963407;
	return *rand >> 33;
}

static struct kvr_kernel_piece
piece_of(struct ends *e, size_t from_off, size_t to_off, size_t len, uint64_t *rand)
{
	e->len = len;
	/* The source ends where its memory does: a read beyond it is for the address sanitizer. */
	e->from = bytes_of(AROUND + from_off + len, 0x11);
	e->to = bytes_of(AROUND + to_off + len + AROUND, 0xee);
	for (size_t i = 0; i < len; i++)
		e->from[AROUND + from_off + i] = (uint8_t)next(rand);
	return (struct kvr_kernel_piece){
		.to = e->to + AROUND + to_off, .from = e->from + AROUND + from_off, .len = len
	};
}

static void
arrived(const struct ends *e, const struct kvr_kernel_piece *p)
{
	const uint8_t *to = p->to;

	ck_assert_mem_eq(to, p->from, e->len);
	for (const uint8_t *at = e->to; at < to; at++)
		ck_assert_uint_eq(*at, 0xee);
	for (const uint8_t *at = to + e->len; at < to + e->len + AROUND; at++)
		ck_assert_uint_eq(*at, 0xee);
	free(e->from);
	free(e->to);
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
		struct kvr_kernel_piece p = piece_of(&e, from, to, len[i / KVR_LEN(off) / KVR_LEN(off)], &rand);

		kvr_kernel_order = i % 2 == 0 ? KVR_KERNEL_UP : KVR_KERNEL_DOWN;
		ck_assert_int_eq(kvr_kernel_copy(&p, 1, NULL), 0);
		arrived(&e, &p);
	}
}
END_TEST

START_TEST(as_many_pieces_as_a_launch_takes)
{
	struct kvr_kernel_piece piece[KVR_KERNEL_PIECES];
	struct ends e[KVR_KERNEL_PIECES];
	uint64_t rand = 7;

	ck_assert_int_eq(kvr_kernel_load(), 0);
	for (uint32_t n = 1; n <= KVR_KERNEL_PIECES; n += n < 4 ? 1 : 39) {
		for (uint32_t i = 0; i < n; i++) {
			size_t wide = (size_t)1 << next(&rand) % 5, most = i == 0 ? LONGEST : 9000;

			piece[i] = piece_of(&e[i], next(&rand) % 4 * wide % 64, next(&rand) % 4 * wide % 64,
			    (1 + next(&rand) % (most / wide)) * wide, &rand);
		}
		kvr_kernel_order = n % 2 == 0 ? KVR_KERNEL_UP : KVR_KERNEL_DOWN;
		ck_assert_int_eq(kvr_kernel_copy(piece, n, NULL), 0);
		for (uint32_t i = 0; i < n; i++)
			arrived(&e[i], &piece[i]);
	}
}
END_TEST

KVR_CHECK_MAIN("runtime.kernel", every_length_at_every_address, as_many_pieces_as_a_launch_takes)
