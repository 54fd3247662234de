/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec "planes": which high bytes get a code, and whether codes pay at all. Both are judged by
 * a sample, because counting every byte would take as long as coding. Same code on every processor.
 */
#include "kvr_planes.h"
#include "kvr_le.h"

#include <string.h>

enum {
	/*
	 * One in so many groups of a block is in the sample; of a small block more. Odd, so that
	 * patterns that repeat with the width of a layer (multiples of 64 elements) are met in all
	 * positions.
	 */
	EVERY = 29,
	AT_LEAST = 16,
	PROBES = 32, /* groups of a payload that decide whether it shrinks */
	GAIN = 32    /* a payload must lose 1/32 to be worth its decoding */
};

/* Four counters per value: adding to the same one twice in a row would wait for the first add. */
struct count {
	uint32_t n;
	uint32_t of[256], apart[3][256];
};

static void
count_group(struct count *count, const uint8_t *from)
{
	for (size_t i = 0; i < KVR_PLANES_GROUP; i += 4) {
		uint64_t x = kvr_le64(from + 2 * i);

		count->of[x >> 7 & 255]++;
		count->apart[0][x >> 23 & 255]++;
		count->apart[1][x >> 39 & 255]++;
		count->apart[2][x >> 55 & 255]++;
	}
	count->n += KVR_PLANES_GROUP;
}

static void
count_groups(struct count *count, const uint8_t *from, size_t groups, size_t step)
{
	for (size_t g = 0; g < groups; g += step)
		count_group(count, from + g * KVR_PLANES_GROUP_BYTES);
	for (size_t v = 0; v < 256; v++)
		count->of[v] += count->apart[0][v] + count->apart[1][v] + count->apart[2][v];
}

/* The most common bytes first, the lower one if equal. Returns how many there are, at most 15. */
static uint32_t
commonest(struct count *count, uint8_t *ret, uint32_t *ret_times)
{
	uint32_t n = 0;

	for (uint32_t v = 0; v < 256; v++) {
		uint32_t times = count->of[v], at = KVR_MIN(n, 15U);

		if (times == 0 || (n == 15 && times <= ret_times[14]))
			continue;
		if (n < 15)
			n++;
		else
			at = 14;
		for (; at > 0 && ret_times[at - 1] < times; at--) {
			ret[at] = ret[at - 1];
			ret_times[at] = ret_times[at - 1];
		}
		ret[at] = (uint8_t)v;
		ret_times[at] = times;
	}
	return n;
}

/* Bits that the sample's high bytes take with the best width; *ret is 0 if no code is shorter. */
static uint64_t
best_bits(const struct count *count, const uint32_t *times, uint32_t n, uint32_t *ret)
{
	uint64_t best = (uint64_t)count->n * 8;
	uint32_t coded = 0, used = 0;

	*ret = 0;
	for (uint32_t bits = 1; bits <= KVR_PLANES_BITS_MAX; bits++) {
		for (; used < n && used < (1U << bits) - 1; used++)
			coded += times[used];
		uint64_t cost = (uint64_t)count->n * bits + (uint64_t)(count->n - coded) * 8;

		if (cost < best) {
			best = cost;
			*ret = bits;
		}
	}
	return best;
}

void
kvr_planes_choose(const uint8_t *from, size_t groups, struct kvr_planes_code *ret)
{
	struct count count = { 0 };
	uint8_t value[15];
	uint32_t times[15];

	count_groups(&count, from, groups, KVR_MIN(EVERY, groups / AT_LEAST | 1));
	uint32_t n = commonest(&count, value, times);

	memset(ret, 0, sizeof(*ret));
	best_bits(&count, times, n, &ret->bits);
	uint32_t escape = (1U << ret->bits) - 1;

	memset(ret->of, (int)escape, sizeof(ret->of));
	for (uint32_t i = 0; i < n && i < escape; i++) {
		ret->value[i] = value[i];
		ret->of[value[i]] = (uint8_t)i;
	}
}

bool
kvr_planes_pays(const uint8_t *from, size_t groups)
{
	struct count count = { 0 };
	uint8_t value[15];
	uint32_t times[15], bits;

	count_groups(&count, from, groups, groups / PROBES | 1); /* odd, as EVERY is */
	uint32_t n = commonest(&count, value, times);

	return best_bits(&count, times, n, &bits) <= (uint64_t)count.n * (8 - 16 / GAIN);
}

bool
kvr_planes_low_is_noise(const uint8_t *from, size_t groups)
{
	uint32_t of[256] = { 0 };
	uint64_t n = 0, pairs = 0;

	for (size_t g = 0; g < groups; g += groups / PROBES | 1, n += KVR_PLANES_GROUP) {
		for (size_t i = 0; i < KVR_PLANES_GROUP; i++) {
			uint32_t x = kvr_le16(from + g * KVR_PLANES_GROUP_BYTES + 2 * i);

			of[(x << 1 | x >> 15) & 255]++;
		}
	}
	for (size_t v = 0; v < 256; v++)
		pairs += (uint64_t)of[v] * of[v];
	/* Random bytes give n + n * n / 256; a third more of the second term is no coincidence. */
	return n > 0 && pairs <= n + n * n / 192;
}
