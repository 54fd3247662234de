/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: slots that are counted, and given back with the last reference. */
#include "kvr_pool_own.h"

#include "kvr_layout.h"
#include "kvr_lock.h"

#include <string.h>

/* ---- with the lock ---- */

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
		if (!kvr_pool_grow(p))
			return false;
	}
	return true;
}

/*
 * Takes n slots that lie side by side, and lets the lock go while it waits for them; until_ns 0:
 * does not wait.
 */
static enum kvr_err
wait_slots(struct kvr_pool *p, uint32_t n, uint64_t until_ns, uint32_t *ret_first)
{
	while (!take_slots(p, n, ret_first)) {
		uint32_t seen = atomic_load(&p->bell);

		if (until_ns == 0)
			return KVR_E_NOMEM;
		p->waiting++;
		pthread_mutex_unlock(&p->lock);
		bool in_time = kvr_sleep_on(&p->bell, seen, until_ns);

		pthread_mutex_lock(&p->lock);
		p->waiting--;
		if (!in_time)
			return KVR_E_TIMEOUT;
	}
	return KVR_OK;
}

static uint64_t
begin(struct kvr_pool *p, uint32_t first, uint32_t slots, const struct kvr_meta *full,
    uint64_t full_bytes, uint64_t len)
{
	struct kvr_object *o = &p->objects[first];

	o->gen = o->gen == 0 ? 1 : o->gen;
	o->slots = slots;
	o->refs = 1;
	o->pins = o->users = 0;
	o->full = *full;
	o->full_bytes = full_bytes;
	o->at = (char *)p->part[first / p->part_slots] +
	        (uint64_t)(first % p->part_slots) * p->slot;
	shape(o, len);
	p->n_live++;
	return (uint64_t)o->gen << 32 | (first + 1);
}

enum kvr_err
kvr_pool_make(struct kvr_pool *p, const struct kvr_meta *full, uint64_t full_bytes, uint64_t len,
    uint64_t until_ns, uint64_t *ret)
{
	uint32_t first = 0, n = 1;

	pthread_mutex_lock(&p->lock);
	enum kvr_err err = kvr_pool_settle(p) ? KVR_OK : KVR_E_NOMEM;

	/*
	 * Not computed by adding slot - 1: a length near the type's maximum would become a small
	 * one.
	 */
	if (err == KVR_OK && len > 0) {
		uint64_t slots = len / p->slot + (len % p->slot != 0);

		n = (uint32_t)slots;
		err = slots > p->part_slots ? KVR_E_TOO_BIG : KVR_OK;
	}
	if (err == KVR_OK)
		err = wait_slots(p, n, until_ns, &first);
	if (err == KVR_OK)
		*ret = begin(p, first, n, full, full_bytes, len);
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
