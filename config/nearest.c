/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the valid names was meant: the one with the fewest insertions, deletions, changes and
 * swaps.
 */
#include "kvr_option.h"

#include <string.h>

enum { LETTERS = 40 };

static uint32_t
min3(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t ab = KVR_MIN(a, b);

	return KVR_MIN(ab, c);
}

static uint32_t
cost(const char *a, size_t n, const char *b, size_t m)
{
	uint32_t row[3][LETTERS + 1];

	for (uint32_t j = 0; j <= m; j++)
		row[0][j] = j;
	for (uint32_t i = 1; i <= n; i++) {
		uint32_t *cur = row[i % 3], *prev = row[(i + 2) % 3], *older = row[(i + 1) % 3];

		cur[0] = i;
		for (uint32_t j = 1; j <= m; j++) {
			uint32_t other = a[i - 1] != b[j - 1];

			cur[j] = min3(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + other);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cur[j] = KVR_MIN(cur[j], older[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

void
kvr_nearest_try(struct kvr_nearest *near, const char *name, size_t len)
{
	size_t n = strlen(near->to);
	uint32_t c;

	if (n == 0 || n > LETTERS || len > LETTERS)
		return;
	c = cost(near->to, n, name, len);
	/* At most a third of the letters: "ops" is not a misspelling of "keys". */
	if (c > KVR_MAX(n, (size_t)3) / 3 + (n > 4) || (near->best != NULL && c >= near->best_cost))
		return;
	near->best = name;
	near->best_len = len;
	near->best_cost = c;
}
