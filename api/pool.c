/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_pool.h"

#include "kvr_layout.h"
#include "kvr_lock.h"
#include "kvr_map.h"
#include "kvr_range.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

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
 * Decides the size of a slot, once. Memory that we map is one part, because the kernel provides
 * pages only when they are touched. Memory from mem_get comes in parts of a power of two of slots,
 * so that a run never crosses from one part into the next.
 */
static bool
settle(struct kvr_pool *p)
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

static bool
grow(struct kvr_pool *p)
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

/* ---- objects; the lock is held ---- */

/* A handle is generation << 32 | first slot + 1. */
static struct kvr_object *
find(struct kvr_pool *p, kvr_obj obj)
{
	uint64_t slot = (obj & UINT32_MAX) - 1;

	if ((obj & UINT32_MAX) == 0 || p->slot == 0 || slot >= p->range.cap)
		return NULL;
	struct kvr_object *o = &p->objects[slot];

	return o->gen == obj >> 32 && (o->refs > 0 || o->pins > 0) ? o : NULL;
}

static void
shape(struct kvr_object *o, uint64_t len)
{
	struct kvr_meta cut;

	o->len = len;
	o->n_groups = 0;
	o->format = o->full.n_groups == 0 ? KVR_FMT_BINARY_BUFFER : o->full.memfmt;
	if (o->full.n_groups > 0 && kvr_layout_cut(&o->full, o->full_bytes, len, &cut)) {
		o->n_groups = cut.n_groups;
		memcpy(o->shape, cut.group, sizeof(o->shape));
	}
}

static void
drop(struct kvr_pool *p, struct kvr_object *o)
{
	if (o->refs > 0 || o->pins > 0)
		return;
	o->gen = o->gen == UINT32_MAX ? 1 : o->gen + 1;
	kvr_range_give(&p->range, (uint32_t)(o - p->objects), o->slots);
	p->n_live--;
	if (p->waiting > 0) {
		atomic_fetch_add(&p->bell, 1);
		kvr_wake_every(&p->bell);
	}
}

static bool
take_slots(struct kvr_pool *p, uint32_t n, uint32_t *ret_first)
{
	while (!kvr_range_take(&p->range, n, ret_first)) {
		if (!grow(p))
			return false;
	}
	return true;
}

enum kvr_err
kvr_pool_make(struct kvr_pool *p, const struct kvr_meta *full, uint64_t full_bytes, uint64_t len,
    uint64_t until_ns, uint64_t *ret)
{
	enum kvr_err err = KVR_OK;
	uint32_t first = 0;

	pthread_mutex_lock(&p->lock);
	if (!settle(p))
		err = KVR_E_NOMEM;
	/*
	 * Not computed by adding slot - 1: a length near the type's maximum would become a small
	 * one.
	 */
	uint64_t slots = err == KVR_OK ? len / p->slot + (len % p->slot != 0) : 0;
	if (err == KVR_OK && slots > p->part_slots)
		err = KVR_E_TOO_BIG;
	while (err == KVR_OK && !take_slots(p, KVR_MAX((uint32_t)slots, 1U), &first)) {
		bool in_time = false;

		if (until_ns > 0) {
			uint32_t seen = atomic_load(&p->bell);

			p->waiting++;
			pthread_mutex_unlock(&p->lock);
			in_time = kvr_sleep_on(&p->bell, seen, until_ns);
			pthread_mutex_lock(&p->lock);
			p->waiting--;
		}
		if (!in_time)
			err = until_ns > 0 ? KVR_E_TIMEOUT : KVR_E_NOMEM;
	}
	if (err == KVR_OK) {
		struct kvr_object *o = &p->objects[first];

		o->gen = o->gen == 0 ? 1 : o->gen;
		o->slots = KVR_MAX((uint32_t)slots, 1U);
		o->refs = 1;
		o->pins = o->users = 0;
		o->full = *full;
		o->full_bytes = full_bytes;
		o->at = (char *)p->part[first / p->part_slots] +
		        (uint64_t)(first % p->part_slots) * p->slot;
		shape(o, len);
		p->n_live++;
		*ret = (uint64_t)o->gen << 32 | (first + 1);
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

enum kvr_err
kvr_pool_use(struct kvr_pool *p, kvr_obj obj, struct kvr_pool_span *ret)
{
	pthread_mutex_lock(&p->lock);
	struct kvr_object *o = find(p, obj);

	if (o != NULL) {
		o->refs++;
		o->users++;
		*ret = (struct kvr_pool_span){
			.at = o->at, .len = o->len, .room = o->slots * p->slot
		};
	}
	pthread_mutex_unlock(&p->lock);
	return o == NULL ? KVR_E_STALE : KVR_OK;
}

void
kvr_pool_unuse(struct kvr_pool *p, kvr_obj obj)
{
	pthread_mutex_lock(&p->lock);
	struct kvr_object *o = find(p, obj);

	KVR_CHECK(o != NULL && o->users > 0 && o->refs > 0);
	o->users--;
	o->refs--;
	drop(p, o);
	pthread_mutex_unlock(&p->lock);
}

void
kvr_pool_found(
    struct kvr_pool *p, kvr_obj obj, const struct kvr_meta *full, uint64_t full_bytes, uint64_t len)
{
	pthread_mutex_lock(&p->lock);
	struct kvr_object *o = find(p, obj);

	KVR_CHECK(o != NULL && o->users > 0 && len <= o->slots * p->slot);
	if (full->n_groups > 0) {
		o->full = *full;
		o->full_bytes = full_bytes;
	}
	shape(o, len);
	pthread_mutex_unlock(&p->lock);
}

void
kvr_pool_meta(struct kvr_pool *p, kvr_obj obj, struct kvr_meta *ret, uint64_t *ret_bytes)
{
	pthread_mutex_lock(&p->lock);
	const struct kvr_object *o = find(p, obj);

	memset(ret, 0, sizeof(*ret));
	*ret_bytes = 0;
	if (o != NULL && o->full.n_groups > 0) {
		*ret = o->full;
		*ret_bytes = o->full_bytes;
	}
	pthread_mutex_unlock(&p->lock);
}

/* ---- what callers do with an object ---- */

enum kvr_err
kvr_pool_change(struct kvr_pool *p, kvr_obj obj, enum kvr_pool_change what, uint64_t len)
{
	enum kvr_err err = KVR_OK;

	pthread_mutex_lock(&p->lock);
	struct kvr_object *o = find(p, obj);
	struct kvr_meta cut;

	if (o == NULL) {
		err = KVR_E_STALE;
	} else if (what == KVR_POOL_REF) {
		o->refs++;
	} else if (what == KVR_POOL_UNREF) {
		/* References of operations are not the caller's to drop. */
		if (o->refs == o->users)
			err = KVR_E_STALE;
		else
			o->refs--;
	} else if (what == KVR_POOL_PIN) {
		o->pins++;
	} else if (what == KVR_POOL_UNPIN) {
		if (o->pins == 0)
			err = KVR_E_INVALID;
		else
			o->pins--;
	} else if (o->users > 0) {
		err = KVR_E_BUSY;
	} else if (len == 0 || len > o->len ||
	           (o->n_groups > 0 && !kvr_layout_cut(&o->full, o->full_bytes, len, &cut))) {
		err = KVR_E_INVALID;
	} else {
		shape(o, len);
	}
	if (err == KVR_OK)
		drop(p, o);
	pthread_mutex_unlock(&p->lock);
	return err;
}

enum kvr_err
kvr_pool_look(struct kvr_pool *p, kvr_obj obj, struct kvr_obj_info *ret)
{
	pthread_mutex_lock(&p->lock);
	const struct kvr_object *o = find(p, obj);

	if (o != NULL)
		*ret = (struct kvr_obj_info){ .size = ret->size,
			.format = o->format,
			.n_groups = o->n_groups,
			.refs = o->refs,
			.pins = o->pins,
			.at = o->at,
			.len = o->len,
			.room = o->slots * p->slot,
			.group = o->n_groups == 0
			             ? NULL
			             : (const struct kvr_group *)(const void *)o->shape };
	pthread_mutex_unlock(&p->lock);
	return o == NULL ? KVR_E_STALE : KVR_OK;
}
