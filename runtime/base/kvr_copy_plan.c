/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_copy_plan.h"

#include <string.h>

/* Pieces side by side in the chunk, as far as they may be gathered together. */
struct run {
	uint32_t n;
	uint64_t bytes, longest;
	bool small; /* one of them is no engine's by itself */
};

static bool
is_small(const struct kvr_copy_rules *r, const struct kvr_piece *p)
{
	return p->unit != 0 || p->len < r->big;
}

static bool
is_huge(const struct kvr_copy_rules *r, const struct kvr_piece *p)
{
	return p->unit == 0 && p->len >= r->huge;
}

/* What is gathered of it at a time: contiguous bytes may be cut anywhere. */
static uint64_t
part_of(const struct kvr_piece *p)
{
	return p->unit == 0 ? KVR_MIN(p->len, (uint64_t)KVR_PIECE_TILE) : p->len;
}

static struct run
run_from(const struct kvr_copy_rules *r, const struct kvr_piece *p, uint32_t n)
{
	struct run run = { 0 };

	do {
		run.small = run.small || is_small(r, &p[run.n]);
		run.longest = KVR_MAX(run.longest, part_of(&p[run.n]));
		run.bytes += p[run.n].len;
		run.n++;
	} while (run.n < n && !is_huge(r, &p[run.n]) && p[run.n - 1].chunk + p[run.n - 1].len == p[run.n].chunk);
	return run;
}

static bool
is_worth_a_slot(const struct kvr_copy_rules *r, const struct kvr_piece *first, const struct run *run)
{
	return r->slot > 0 && run->small && run->bytes >= r->run && run->longest <= KVR_PIECE_TILE &&
	       (run->n > 1 || first->unit != 0);
}

static uint8_t
alone(const struct kvr_copy_rules *r, const struct kvr_piece *p)
{
	return r->kernel && is_small(r, p) ? KVR_BY_KERNEL : KVR_BY_ENGINE;
}

void
kvr_copy_plan(const struct kvr_copy_rules *r, const struct kvr_piece *p, uint32_t n, struct kvr_copy_plan *ret)
{
	uint64_t staged = 0;

	KVR_CHECK(n <= KVR_PLAN_PIECES);
	for (uint32_t i = 0; i < n;) {
		struct run run = { .n = 1 };

		if (r->kernel && !is_huge(r, &p[i]))
			run = run_from(r, &p[i], n - i);
		if (is_worth_a_slot(r, &p[i], &run)) {
			memset(&ret->by[i], KVR_BY_STAGE, run.n);
			staged += run.bytes;
		} else {
			for (uint32_t k = i; k < i + run.n; k++)
				ret->by[k] = alone(r, &p[k]);
		}
		i += run.n;
	}
	for (uint32_t i = 0; i < n && staged < r->many; i++)
		ret->by[i] = alone(r, &p[i]);
	uint64_t slots = r->slot == 0 ? 0 : (staged + r->slot - 1) / r->slot;

	ret->share = slots == 0 ? 0 : (staged + slots - 1) / slots;
}
