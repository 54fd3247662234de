/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The staging arena as the router sees it: slots of equal length and a stack of the free ones.
 * Where they lie is known to the ledger; a slot is named by its first page + 1.
 */
#include "kvr_router_own.h"

/* Whether the longest value fits into this slot without crossing into the next locked range. */
static bool
is_in_one_lock(uint32_t page, uint32_t slot_pages)
{
	uint32_t last = page + KVR_MIN(slot_pages, (uint32_t)KVR_VALUE_PAGES) - 1;

	return page / KVR_LOCK_PAGES == last / KVR_LOCK_PAGES;
}

void
kvr_router_staging_init(struct step *s, uint32_t slot_pages)
{
	struct router *me = s->me;
	uint32_t n = slot_pages == 0 ? 0 : me->config.staging_pages / slot_pages;

	n = KVR_MIN(n, (uint32_t)KVR_STAGING_MAX);
	kvr_touch(s->out, me, offsetof(struct router, tier));
	kvr_touch(s->out, me->slot_free, sizeof(me->slot_free));
	me->slot_pages = slot_pages;
	me->n_slots_free = 0;
	me->grow_pages = 0;
	for (uint32_t i = n; i-- > 0;) {
		if (is_in_one_lock(i * slot_pages, slot_pages))
			me->slot_free[me->n_slots_free++] = i * slot_pages + 1;
	}
	me->n_slots = me->n_slots_free;
}

/* 0: none is free, or none is long enough until all slots in use are back. */
uint32_t
kvr_router_staging_take(struct step *s, uint64_t len, bool gives)
{
	struct router *me = s->me;
	/* An empty value takes a page, too: with none, no slots would be made for a first value. */
	uint32_t pages = (uint32_t)((KVR_MAX(len, UINT64_C(1)) + KVR_PAGE - 1) / KVR_PAGE);

	if (pages > me->slot_pages && pages > me->grow_pages && pages <= me->config.staging_pages) {
		uint32_t want = 1;

		while (want < pages)
			want *= 2;
		kvr_touch(s->out, &me->grow_pages, sizeof(me->grow_pages));
		me->grow_pages = KVR_MIN(want, me->config.staging_pages);
	}
	/* Nothing is given out until all are back; otherwise short values could keep long ones out. */
	if (me->grow_pages != 0 && me->n_slots_free == me->n_slots)
		kvr_router_staging_init(s, me->grow_pages);
	if ((me->grow_pages != 0 && !gives) || me->n_slots_free == 0 || pages > me->slot_pages)
		return 0;
	kvr_touch(s->out, &me->n_slots_free, sizeof(me->n_slots_free));
	kvr_touch(s->out, &me->slot_free[me->n_slots_free - 1], sizeof(uint32_t));
	uint32_t buf = me->slot_free[--me->n_slots_free];

	me->slot_free[me->n_slots_free] = 0;
	return buf;
}

void
kvr_router_staging_give(struct step *s, uint32_t buf)
{
	struct router *me = s->me;

	KVR_CHECK(buf != 0 && (buf - 1) % me->slot_pages == 0 && me->n_slots_free < me->n_slots);
	kvr_touch(s->out, &me->n_slots_free, sizeof(me->n_slots_free));
	kvr_touch(s->out, &me->slot_free[me->n_slots_free], sizeof(uint32_t));
	me->slot_free[me->n_slots_free++] = buf;
}

void
kvr_router_keep(struct step *s, struct key *k, uint32_t *buf)
{
	KVR_CHECK(k->buf == 0 && *buf != 0);
	kvr_touch(s->out, buf, sizeof(*buf));
	kvr_touch(s->out, &s->me->n_slots_back, sizeof(s->me->n_slots_back));
	k->buf = *buf;
	*buf = 0;
	s->me->n_slots_back++;
	op_of(s, k->op)->kept++;
}

void
kvr_router_unkeep(struct step *s, struct key *k)
{
	kvr_router_staging_give(s, k->buf);
	kvr_touch(s->out, &s->me->n_slots_back, sizeof(s->me->n_slots_back));
	s->me->n_slots_back--;
	k->buf = 0;
	op_of(s, k->op)->kept--;
}
