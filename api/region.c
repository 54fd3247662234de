/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch has to do with page-locked memory of the caller's: for places in it the driver need
 * not be asked where they are, and it is in use until the operation's memory is quiet.
 */
#include "kvr_region.h"

#include "kvr_instance.h"
#include "kvr_ledger.h"

bool
kvr_region_overlaps(const struct kvr_region *r, uintptr_t at, uint64_t len)
{
	return at < r->first + r->bytes && r->first < at + len;
}

static bool
holds(const struct kvr_region *r, uintptr_t at, uint64_t len)
{
	return r->state == KVR_REGION_LIVE && at >= r->first && len <= r->bytes &&
	       at - r->first <= r->bytes - len;
}

bool
kvr_regions_hold(struct kvr *k, const struct kvr_batch *b)
{
	const struct kvr_region *r = &k->region[0];
	bool all = true;

	if (atomic_load_explicit(&k->n_regions, memory_order_relaxed) == 0)
		return false;
	pthread_mutex_lock(&k->region_lock);
	for (uint32_t i = 0; i < b->n && all; i++) {
		uintptr_t at = (uintptr_t)b->at[i];

		if (b->len[i] == 0 || holds(r, at, b->len[i]))
			continue; /* in the region of the previous key */
		r = &k->region[0];
		while (r < &k->region[KVR_REGIONS_MAX] && !holds(r, at, b->len[i]))
			r++;
		all = r < &k->region[KVR_REGIONS_MAX];
	}
	pthread_mutex_unlock(&k->region_lock);
	return all;
}

/* The regions that contain any byte of this place. With the lock. */
static uint64_t
touched(const struct kvr *k, const struct kvr_key *key)
{
	uint64_t set = 0;

	for (uint32_t i = 0; i < KVR_REGIONS_MAX; i++) {
		const struct kvr_region *r = &k->region[i];

		if (r->state == KVR_REGION_LIVE &&
		    kvr_region_overlaps(r, (uintptr_t)key->at, key->room))
			set |= UINT64_C(1) << i;
	}
	return set;
}

void
kvr_regions_use(struct kvr *k, struct kvr_call *c)
{
	const struct kvr_key *key = &k->ledger->keys[c->first];
	uint32_t last = 0;

	c->regions = 0;
	if (atomic_load_explicit(&k->n_regions, memory_order_relaxed) == 0 || c->cache != NULL)
		return;
	pthread_mutex_lock(&k->region_lock);
	for (uint32_t i = 0; i < c->n; i++) {
		if (key[i].at == NULL ||
		    (c->regions != 0 && holds(&k->region[last], (uintptr_t)key[i].at, key[i].room)))
			continue;
		uint64_t set = touched(k, &key[i]);

		c->regions |= set;
		last = set == 0 ? last : (uint32_t)__builtin_ctzll(set);
	}
	for (uint64_t left = c->regions; left != 0; left &= left - 1)
		atomic_fetch_add(&k->region[__builtin_ctzll(left)].users, 1);
	pthread_mutex_unlock(&k->region_lock);
}

void
kvr_regions_unuse(struct kvr *k, struct kvr_call *c)
{
	for (uint64_t left = c->regions; left != 0; left &= left - 1)
		atomic_fetch_sub(&k->region[__builtin_ctzll(left)].users, 1);
	c->regions = 0;
}
