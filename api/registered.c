/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's memory that is page-locked for the instance's device: which ranges, and when they
 * may be given back. Nothing here copies: copies simply find the memory page-locked. What batches
 * have to do with it is in region.c.
 *
 * A driver's call takes seconds for many GiB and cannot be interrupted, so it runs without a lock
 * and outside the gate. A state in the table says what is under way, and kvr_close waits for none
 * of it.
 */
#include "kvr_region.h"

#include "kvr_cache.h"
#include "kvr_device.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_instance_device.h"
#include "kvr_pool.h"
#include "kvr_user_log.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint64_t register_ns = KVR_SEC(60);

/* ---- ranges ---- */

/*
 * The whole pages that hold [at, at + len): drivers lock whole pages, so no page may be in two
 * ranges.
 */
static bool
pages_of(const void *at, uint64_t len, uintptr_t *ret_first, uint64_t *ret_bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)at / page * page, end;

	if (at == NULL || len == 0 || __builtin_add_overflow((uintptr_t)at, len, &end) ||
	    end > UINTPTR_MAX - page)
		return false;
	*ret_first = first;
	*ret_bytes = (end + page - 1) / page * page - first;
	return true;
}

static void
set_state(struct kvr *k, struct kvr_region *r, enum kvr_region_state to)
{
	pthread_mutex_lock(&k->region_lock);
	if (to == KVR_REGION_NONE)
		atomic_fetch_sub(&k->n_regions, 1);
	r->state = to;
	pthread_mutex_unlock(&k->region_lock);
}

/* ---- registering ---- */

/* The driver locks memory for the current device, and a context on it takes some hundred MiB. */
static enum kvr_err
check_thread(struct kvr *k)
{
	const struct kvr_device *d = kvr_device_memory(k);
	uint32_t current = d == NULL ? 0 : d->copy->current();

	if (d == NULL || current == k->device_number)
		return KVR_OK;
	return kvr_bad(k, KVR_E_INVALID,
	    "kvr_memory_register: device %" PRIu32
	    " is current on this thread, and the instance's is number %" PRIu32,
	    current, k->device_number);
}

static enum kvr_err
check_memory(struct kvr *k, void *at, uint64_t len)
{
	const struct kvr_device *d = k->asks;
	uintptr_t first;
	uint64_t bytes;

	if (!pages_of(at, len, &first, &bytes))
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_memory_register: %" PRIu64 " bytes at %p are no memory", len, at);
	if (d != NULL &&
	    (d->copy->where(k->device_number, at) != KVR_IN_HOST ||
	        d->copy->where(k->device_number, (uint8_t *)at + len - 1) != KVR_IN_HOST))
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_memory_register: %p lies in a device's memory, which is not page-locked: "
		    "name "
		    "it in a batch as it is",
		    at);
	/* Only asks whether all of it is mapped. */
	if (msync((void *)first, bytes, MS_ASYNC) != 0)
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_memory_register: of %" PRIu64 " bytes at %p some are not mapped", len, at);
	return KVR_OK;
}

/* A place for the range, in state COMING; or the range that it overlaps. */
static enum kvr_err
enlist(struct kvr *k, void *at, uint64_t len, struct kvr_region **ret, struct kvr_region *ret_other)
{
	struct kvr_region *free_place = NULL;
	enum kvr_err err = KVR_OK;
	uintptr_t first;
	uint64_t bytes;

	KVR_CHECK(pages_of(at, len, &first, &bytes));
	pthread_mutex_lock(&k->region_lock);
	for (uint32_t i = 0; i < KVR_REGIONS_MAX && err == KVR_OK; i++) {
		struct kvr_region *r = &k->region[i];

		if (r->state == KVR_REGION_NONE)
			free_place = r;
		else if (kvr_region_overlaps(r, first, bytes)) {
			ret_other->at = r->at;
			ret_other->len = r->len;
			err = KVR_E_INVALID;
		}
	}
	if (err == KVR_OK && k->regions_over)
		err = KVR_E_SHUTDOWN;
	else if (err == KVR_OK && free_place == NULL)
		err = KVR_E_BUSY;
	if (err == KVR_OK) {
		*free_place = (struct kvr_region){ .state = KVR_REGION_COMING,
			.at = at,
			.len = len,
			.first = first,
			.bytes = bytes };
		atomic_fetch_add(&k->n_regions, 1);
		*ret = free_place;
	}
	pthread_mutex_unlock(&k->region_lock);
	return err;
}

static enum kvr_err
refused(struct kvr *k, enum kvr_err err, void *at, uint64_t len, const struct kvr_region *other)
{
	if (err == KVR_E_BUSY)
		return kvr_bad(k, err,
		    "kvr_memory_register: %u ranges are registered already: register larger ones, "
		    "or give some back",
		    (unsigned)KVR_REGIONS_MAX);
	if (err == KVR_E_INVALID)
		return kvr_bad(k, err,
		    "kvr_memory_register: %" PRIu64 " bytes at %p share pages with %" PRIu64
		    " at %p, which are registered already",
		    len, at, other->len, other->at);
	return err;
}

static void
unlock(struct kvr *k, const struct kvr_region *r)
{
	const struct kvr_device *d = kvr_device_memory(k);

	if (d != NULL)
		kvr_device_unlock(d, (void *)r->first, r->bytes, KVR_DEVICE_PIECE);
}

/* Outside the gate: kvr_close may begin and end while the driver is at work. */
static enum kvr_err
lock(struct kvr *k, struct kvr_region *r, uint64_t until_ns)
{
	const struct kvr_device *d = kvr_device_memory(k);
	enum kvr_err err = KVR_OK;
	char why[192] = "";

	if (d != NULL)
		err = kvr_device_lock(d, (void *)r->first, r->bytes, KVR_DEVICE_PIECE,
		    KVR_TOUCH_USED, until_ns, why, sizeof(why));
	if (err != KVR_OK) {
		(void)kvr_bad(
		    k, err, "kvr_memory_register: %" PRIu64 " bytes at %p: %s", r->len, r->at, why);
		set_state(k, r, KVR_REGION_NONE);
		return err;
	}
	pthread_mutex_lock(&k->region_lock);
	bool over = k->regions_over;

	if (!over)
		r->state = KVR_REGION_LIVE;
	pthread_mutex_unlock(&k->region_lock);
	if (!over)
		return KVR_OK;
	unlock(k, r);
	set_state(k, r, KVR_REGION_NONE);
	return KVR_E_SHUTDOWN;
}

enum kvr_err
kvr_memory_register(struct kvr *k, void *at, size_t len, uint64_t until_ns)
{
	KVR_UNCANCELLED;
	struct kvr_region *r = NULL, other = { 0 };
	uint64_t by_ns = 0;
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	if (kvr_in_callback())
		err = kvr_bad(k, KVR_E_INVALID, "kvr_memory_register: not from a callback");
	if (err == KVR_OK)
		err = kvr_until(k, "kvr_memory_register", until_ns, register_ns, false, &by_ns);
	if (err == KVR_OK)
		err = check_thread(k);
	if (err == KVR_OK)
		err = check_memory(k, at, len);
	if (err == KVR_OK) {
		err = enlist(k, at, len, &r, &other);
		if (err != KVR_OK)
			(void)refused(k, err, at, len, &other);
	}
	kvr_leave(k);
	return err == KVR_OK ? lock(k, r, by_ns) : err;
}

/* ---- giving back ---- */

/* Memory that the library may use by itself: freeing it would cause an error only much later. */
static const char *
lies_in(struct kvr *k, uintptr_t first, uint64_t bytes)
{
	if (k->pool != NULL && kvr_pool_overlaps(k->pool, first, bytes))
		return "memory of objects (mem_get) lies in it, until kvr_free";
	return kvr_caches_overlap(k, first, bytes) ? "a cache lies in it: kvr_cache_close first"
	                                           : NULL;
}

/* Finds a range by the address with which it was registered. NULL: none. With the lock. */
static struct kvr_region *
find(struct kvr *k, const void *at)
{
	for (uint32_t i = 0; i < KVR_REGIONS_MAX; i++) {
		if (k->region[i].state != KVR_REGION_NONE && k->region[i].at == at)
			return &k->region[i];
	}
	return NULL;
}

/* From now on it cannot be found. */
static enum kvr_err
delist(struct kvr *k, const void *at, struct kvr_region **ret)
{
	const char *why = NULL;
	enum kvr_err err = KVR_OK;

	pthread_mutex_lock(&k->region_lock);
	struct kvr_region *r = find(k, at);

	if (r == NULL) {
		err = KVR_E_INVALID;
		why = "nothing that begins there is registered";
	} else if (r->state != KVR_REGION_LIVE) {
		err = KVR_E_BUSY;
		why = "another thread is registering it or giving it back";
	} else if (atomic_load(&r->users) > 0) {
		err = KVR_E_BUSY;
		why = "an operation uses it";
	} else {
		r->state = KVR_REGION_GOING;
		*ret = r;
	}
	pthread_mutex_unlock(&k->region_lock);
	return err == KVR_OK ? err : kvr_bad(k, err, "kvr_memory_unregister: %p: %s", at, why);
}

enum kvr_err
kvr_memory_unregister(struct kvr *k, void *at)
{
	KVR_UNCANCELLED;
	struct kvr_region *r = NULL;
	const char *why = NULL;
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	if (kvr_in_callback())
		err = kvr_bad(k, KVR_E_INVALID, "kvr_memory_unregister: not from a callback");
	if (err == KVR_OK) {
		struct kvr_region was = { .state = KVR_REGION_NONE };

		pthread_mutex_lock(&k->region_lock);
		r = find(k, at);
		if (r != NULL) {
			was.first = r->first;
			was.bytes = r->bytes;
		}
		pthread_mutex_unlock(&k->region_lock);
		why = was.bytes == 0 ? NULL : lies_in(k, was.first, was.bytes);
	}
	if (why != NULL)
		err = kvr_bad(k, KVR_E_BUSY, "kvr_memory_unregister: %p: %s", at, why);
	if (err == KVR_OK)
		err = delist(k, at, &r);
	kvr_leave(k);
	if (err != KVR_OK)
		return err;
	unlock(k, r);
	set_state(k, r, KVR_REGION_NONE);
	return KVR_OK;
}

enum which { UNUSED, ALL };

static void
give_back(struct kvr *k, enum which which)
{
	for (uint32_t i = 0; i < KVR_REGIONS_MAX; i++) {
		struct kvr_region *r = &k->region[i];

		pthread_mutex_lock(&k->region_lock);
		bool mine =
		    r->state == KVR_REGION_LIVE && (which == ALL || atomic_load(&r->users) == 0);

		if (mine)
			r->state = KVR_REGION_GOING;
		pthread_mutex_unlock(&k->region_lock);
		if (mine) {
			unlock(k, r);
			set_state(k, r, KVR_REGION_NONE);
		}
	}
}

void
kvr_regions_close(struct kvr *k, bool hangs)
{
	pthread_mutex_lock(&k->region_lock);
	k->regions_over = true;
	pthread_mutex_unlock(&k->region_lock);
	/*
	 * A range that a hanging thread may touch stays locked until that thread has ended; and a
	 * driver that hangs would not return from unlocking either.
	 */
	if (!hangs || kvr_device_memory(k) == NULL)
		give_back(k, UNUSED);
}

void
kvr_regions_free(struct kvr *k)
{
	give_back(k, ALL);
}
