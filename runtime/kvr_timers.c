/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binary heap of slots, and an open hash from (actor, number) to slot, so that setting a timer
 * again moves it in the heap and leaves no stale entry. Otherwise a router, which moves its
 * deadline at every operation, would fill any bound.
 */
#include "kvr_timers.h"

#include <stdlib.h>
#include <string.h>

struct slot {
	uint64_t at_ns;
	uint32_t place; /* in heap */
	uint32_t spare;
	struct kvr_msg msg;
};

struct kvr_timers {
	uint32_t max, n, mask;
	uint32_t *heap;   /* n slots */
	uint32_t *table;  /* slot + 1; 0: empty */
	uint32_t *unused; /* max - n slots */
	struct slot *slot;
};

struct kvr_timers *
kvr_timers_new(uint32_t max)
{
	struct kvr_timers *t = calloc(1, sizeof(*t));
	uint32_t table_len = 4;

	KVR_CHECK(max > 0 && max <= UINT32_C(1) << 24);
	if (t == NULL)
		return NULL;
	while (table_len < 2 * max)
		table_len *= 2;
	t->max = max;
	t->mask = table_len - 1;
	t->heap = calloc(max, sizeof(t->heap[0]));
	t->unused = calloc(max, sizeof(t->unused[0]));
	t->table = calloc(table_len, sizeof(t->table[0]));
	t->slot = calloc(max, sizeof(t->slot[0]));
	if (t->heap == NULL || t->unused == NULL || t->table == NULL || t->slot == NULL) {
		kvr_timers_free(t);
		return NULL;
	}
	kvr_timers_clear(t);
	return t;
}

void
kvr_timers_free(struct kvr_timers *take)
{
	if (take == NULL)
		return;
	free(take->heap);
	free(take->unused);
	free(take->table);
	free(take->slot);
	free(take);
}

void
kvr_timers_clear(struct kvr_timers *t)
{
	memset(t->table, 0, ((size_t)t->mask + 1) * sizeof(t->table[0]));
	t->n = 0;
	/* The lowest slots are used first, so that a few timers stay in a few cache lines. */
	for (uint32_t i = 0; i < t->max; i++)
		t->unused[i] = t->max - 1 - i;
}

uint32_t
kvr_timers_count(const struct kvr_timers *t)
{
	return t->n;
}

/* ---- hash ---- */

static uint32_t
home_of(const struct kvr_timers *t, uint16_t actor, uint32_t timer)
{
	uint64_t h = ((uint64_t)actor << 32 | timer) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32) & t->mask;
}

/* The timer's place in the table, or the empty place where it would be. */
static uint32_t
find(const struct kvr_timers *t, uint16_t actor, uint32_t timer)
{
	uint32_t i = home_of(t, actor, timer);

	for (; t->table[i] != 0; i = (i + 1) & t->mask) {
		const struct kvr_msg *m = &t->slot[t->table[i] - 1].msg;

		if (m->to == actor && m->TIMER.timer == timer)
			break;
	}
	return i;
}

/* Moves back what was displaced: tombstones would fill the table for good. */
static void
forget(struct kvr_timers *t, uint32_t hole)
{
	uint32_t i = hole;

	for (;;) {
		i = (i + 1) & t->mask;
		if (t->table[i] == 0)
			break;
		const struct kvr_msg *m = &t->slot[t->table[i] - 1].msg;
		uint32_t home = home_of(t, m->to, m->TIMER.timer);

		if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
			t->table[hole] = t->table[i];
			hole = i;
		}
	}
	t->table[hole] = 0;
}

/* ---- heap ---- */

static bool
earlier(const struct kvr_timers *t, uint32_t a, uint32_t b)
{
	const struct slot *x = &t->slot[a], *y = &t->slot[b];

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns;
	if (x->msg.to != y->msg.to)
		return x->msg.to < y->msg.to;
	return x->msg.TIMER.timer < y->msg.TIMER.timer;
}

static void
put(struct kvr_timers *t, uint32_t place, uint32_t slot)
{
	t->heap[place] = slot;
	t->slot[slot].place = place;
}

static void
up(struct kvr_timers *t, uint32_t place)
{
	uint32_t slot = t->heap[place];

	while (place > 0 && earlier(t, slot, t->heap[(place - 1) / 2])) {
		put(t, place, t->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(t, place, slot);
}

static void
down(struct kvr_timers *t, uint32_t place)
{
	uint32_t slot = t->heap[place];

	for (;;) {
		uint32_t child = 2 * place + 1;

		if (child >= t->n)
			break;
		if (child + 1 < t->n && earlier(t, t->heap[child + 1], t->heap[child]))
			child++;
		if (!earlier(t, t->heap[child], slot))
			break;
		put(t, place, t->heap[child]);
		place = child;
	}
	put(t, place, slot);
}

/* ---- what others call ---- */

bool
kvr_timers_set(struct kvr_timers *t, const struct kvr_msg *msg, uint64_t at_ns)
{
	uint32_t at = find(t, msg->to, msg->TIMER.timer);
	uint32_t slot;

	if (t->table[at] != 0) {
		slot = t->table[at] - 1;
	} else {
		if (t->n == t->max)
			return false;
		slot = t->unused[t->max - t->n - 1];
		t->table[at] = slot + 1;
		put(t, t->n++, slot);
	}
	t->slot[slot].at_ns = at_ns;
	t->slot[slot].msg = *msg;
	up(t, t->slot[slot].place);
	down(t, t->slot[slot].place);
	return true;
}

uint64_t
kvr_timers_next(const struct kvr_timers *t)
{
	return t->n == 0 ? UINT64_MAX : t->slot[t->heap[0]].at_ns;
}

bool
kvr_timers_pop(struct kvr_timers *t, uint64_t now_ns, struct kvr_msg *ret)
{
	if (t->n == 0 || t->slot[t->heap[0]].at_ns > now_ns)
		return false;
	uint32_t slot = t->heap[0];

	*ret = t->slot[slot].msg;
	forget(t, find(t, ret->to, ret->TIMER.timer));
	t->n--;
	t->unused[t->max - t->n - 1] = slot;
	if (t->n > 0) {
		put(t, 0, t->heap[t->n]);
		down(t, 0);
	}
	return true;
}
