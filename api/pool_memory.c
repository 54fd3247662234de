/* SPDX-License-Identifier: Apache-2.0 */
/* The memory behind objects: how large its slots are, and the parts in which it comes. */
#include "kvr_pool_own.h"

#include "kvr_map.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static uint32_t
floor_power(uint32_t n)
{
	return n == 0 ? 1 : UINT32_C(1) << (31 - __builtin_clz(n));
}

/*
 * Memory that we map is one part, because the kernel provides pages only when they are touched.
 * Memory from mem_get comes in parts of a power of two of slots, so that a run never crosses from
 * one part into the next.
 */
bool
kvr_pool_settle(struct kvr_pool *p)
{
	if (p->slot != 0)
		return true;
	uint64_t slot = p->slot_wish != 0 ? p->slot_wish : p->limit / KVR_RANGE_SLOTS;

	slot = round_up(KVR_MAX(slot, (uint64_t)KVR_POOL_ALIGN), KVR_POOL_ALIGN);
	uint32_t slots = (uint32_t)KVR_MIN(p->limit / slot, (uint64_t)KVR_POOL_SLOTS_MAX);
	if (slots == 0)
		return false;
	if (p->memory.get == NULL) {
		p->part_slots = slots;
		p->parts_max = 1;
	} else {
		p->part_slots = floor_power(slots / (KVR_POOL_PARTS_MAX / 2));
		p->parts_max = slots / p->part_slots;
	}
	slots = p->part_slots * p->parts_max;
	p->objects_bytes = (size_t)slots * sizeof(p->objects[0]);
	p->objects = kvr_map(p->objects_bytes);
	if (p->objects == NULL)
		return false;
	if (!kvr_range_init(&p->range, slots, p->part_slots)) {
		kvr_unmap(p->objects, p->objects_bytes);
		p->objects = NULL;
		return false;
	}
	p->slot = slot;
	return true;
}

bool
kvr_pool_grow(struct kvr_pool *p)
{
	size_t len = (size_t)(p->part_slots * p->slot);
	void *at;

	if (p->n_parts == p->parts_max)
		return false;
	if (p->memory.get != NULL) {
		at = p->memory.get(p->memory.arg, len, KVR_POOL_ALIGN);
		if (at != NULL && (uintptr_t)at % KVR_POOL_ALIGN != 0) {
			p->memory.put(p->memory.arg, at, len);
			at = NULL;
		}
	} else {
		at = kvr_map(len);
	}
	if (at == NULL)
		return false;
	kvr_range_give(&p->range, p->n_parts * p->part_slots, p->part_slots);
	p->part[p->n_parts++] = at;
	return true;
}

struct kvr_pool *
kvr_pool_new(struct kvr *k, uint64_t limit, const struct kvr_pool_memory *memory)
{
	struct kvr_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->magic = KVR_POOL_MAGIC;
	p->kvr = k;
	p->limit = limit;
	p->memory = *memory;
	KVR_CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
	return p;
}

void
kvr_pool_free(struct kvr_pool *take)
{
	if (take == NULL)
		return;
	for (uint32_t i = 0; i < take->n_parts; i++) {
		size_t len = (size_t)(take->part_slots * take->slot);

		if (take->memory.get != NULL)
			take->memory.put(take->memory.arg, take->part[i], len);
		else
			kvr_unmap(take->part[i], len);
	}
	kvr_unmap(take->objects, take->objects_bytes);
	kvr_range_clear(&take->range);
	pthread_mutex_destroy(&take->lock);
	take->magic = 0;
	free(take);
}

bool
kvr_pool_overlaps(struct kvr_pool *p, uintptr_t first, uint64_t bytes)
{
	bool yes = false;

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < p->n_parts; i++) {
		uintptr_t at = (uintptr_t)p->part[i];

		yes = yes || (at < first + bytes && first < at + p->part_slots * p->slot);
	}
	pthread_mutex_unlock(&p->lock);
	return yes;
}

bool
kvr_pool_set_slot(struct kvr_pool *p, uint64_t bytes)
{
	pthread_mutex_lock(&p->lock);
	bool in_time = p->slot == 0;

	if (in_time)
		p->slot_wish = bytes;
	pthread_mutex_unlock(&p->lock);
	return in_time;
}
