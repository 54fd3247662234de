/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_measure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct bench_work *
bench_work_new(void)
{
	struct bench_work *w = calloc(1, sizeof(*w));

	if (w == NULL || (w->bytes = aligned_alloc(4096, BENCH_BYTES_MAX)) == NULL)
		bench_give_up("bench", "no memory");
	memset(w->bytes, 1, BENCH_BYTES_MAX); /* every page is there before anything is timed */
	return w;
}

void
bench_work_free(struct bench_work *take)
{
	free(take->bytes);
	free(take);
}

void
bench_work_set(struct bench_work *w, const char *name, uint32_t n, uint64_t len)
{
	w->n = n;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(w->text[i], BENCH_KEY, "%s@1@0@%llx%03x@bfloat16", name,
		    (unsigned long long)len, i);
		w->key[i] = w->text[i];
		w->len[i] = len;
		w->at[i] = w->bytes + i * len;
	}
}

static uint64_t
word_of(uint64_t seed, uint32_t i, uint64_t k)
{
	return (seed * BENCH_KEYS_MAX + i + 1) * UINT64_C(0x9e3779b97f4a7c15) + k;
}

void
bench_work_fill(struct bench_work *w, uint64_t seed)
{
	for (uint32_t i = 0; i < w->n; i++) {
		uint64_t *at = w->at[i];

		for (uint64_t k = 0; k < w->len[i] / 8; k++)
			at[k] = word_of(seed, i, k);
	}
}

void
bench_work_wipe(struct bench_work *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		memset(w->at[i], 0, w->len[i]);
}

void
bench_work_compare(const struct bench_work *w, uint64_t seed, const char *who)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const uint64_t *at = w->at[i];

		for (uint64_t k = 0; k < w->len[i] / 8; k++) {
			if (at[k] != word_of(seed, i, k))
				bench_give_up(who, "wrong bytes came back");
		}
	}
}

void
bench_dir_make(char ret[BENCH_PATH], const char *above, const char *name)
{
	snprintf(ret, BENCH_PATH, "%s/%s", above, name);
	if (mkdir(ret, 0700) != 0)
		bench_give_up(ret, "this directory cannot be made");
}
