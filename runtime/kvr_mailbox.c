/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mailbox counts its places, and keeps messages in one of two ways. One with a function is carried
 * by nng, on whose thread the function runs. One that a worker takes from is a ring: the worker
 * sleeps on `came`, and whoever posts wakes it itself. Through nng there is a thread between them that
 * must wake first, in front of every part that a lane gets.
 *
 * `came` and `gone` count for ever. Posters, one at a time, and the taker each store one word and then
 * look at the other's, so one of them sees that there is something to do.
 */
#include "kvr_mailbox_own.h"

#include "kvr_thread.h"

#include <stdatomic.h>
#include <stdlib.h>

struct kvr_mailbox {
	uint32_t places;
	_Atomic uint32_t taken; /* places that hold a message or are reserved */
	_Atomic uint32_t inside;

	struct kvr_carrier *carrier; /* with fn */
	kvr_mailbox_fn *fn;
	void *arg;

	struct kvr_msg *waiting; /* places, rounded up to a power of two; NULL with fn */
	uint32_t mask, gone;
	struct kvr_lock post_lock;
	_Atomic uint32_t came;
	_Atomic bool taker_sleeps;
};

static void
leave(struct kvr_mailbox *m)
{
	atomic_fetch_sub(&m->inside, 1);
	atomic_fetch_sub(&m->taken, 1);
}

uint32_t
kvr_mailbox_depth(const struct kvr_mailbox *m)
{
	return atomic_load(&m->inside);
}

/* ---- taking ---- */

static void
carried(void *arg, const struct kvr_msg *msg)
{
	struct kvr_mailbox *m = arg;

	leave(m);
	m->fn(m->arg, msg);
}

enum kvr_err
kvr_mailbox_take(struct kvr_mailbox *m, uint64_t until_ns, struct kvr_msg *ret)
{
	bool in_time = until_ns != 0;

	KVR_CHECK(m->waiting != NULL);
	while (atomic_load(&m->came) == m->gone && in_time) {
		atomic_store(&m->taker_sleeps, true);
		if (atomic_load(&m->came) == m->gone)
			in_time = kvr_sleep_on(&m->came, m->gone, until_ns);
		atomic_store(&m->taker_sleeps, false);
	}
	if (atomic_load(&m->came) == m->gone)
		return KVR_E_TIMEOUT;
	*ret = m->waiting[m->gone++ & m->mask];
	leave(m);
	return KVR_OK;
}

/* ---- posting ---- */

enum kvr_err
kvr_mailbox_reserve(struct kvr_mailbox *m)
{
	uint32_t taken = atomic_load(&m->taken);

	do {
		if (taken == m->places)
			return KVR_E_BUSY;
	} while (!atomic_compare_exchange_weak(&m->taken, &taken, taken + 1));
	return KVR_OK;
}

void
kvr_mailbox_unreserve(struct kvr_mailbox *m)
{
	KVR_CHECK(atomic_fetch_sub(&m->taken, 1) > 0);
}

void
kvr_mailbox_post_reserved(struct kvr_mailbox *m, const struct kvr_msg *msg)
{
	atomic_fetch_add(&m->inside, 1);
	if (m->carrier != NULL) {
		kvr_carrier_post(m->carrier, msg);
		return;
	}
	kvr_lock(&m->post_lock);
	uint32_t came = atomic_load_explicit(&m->came, memory_order_relaxed);

	m->waiting[came & m->mask] = *msg;
	atomic_store(&m->came, came + 1);
	if (atomic_load(&m->taker_sleeps) && atomic_exchange(&m->taker_sleeps, false))
		kvr_wake(&m->came);
	kvr_unlock(
	    &m->post_lock); /* last: what was posted may be what ends the taker and the mailbox */
}

enum kvr_err
kvr_mailbox_post(struct kvr_mailbox *m, const struct kvr_msg *msg)
{
	enum kvr_err err = kvr_mailbox_reserve(m);

	if (err == KVR_OK)
		kvr_mailbox_post_reserved(m, msg);
	return err;
}

/* ---- open and close ---- */

enum kvr_err
kvr_mailbox_open(
    const char *name, uint32_t places, kvr_mailbox_fn *fn, void *arg, struct kvr_mailbox **ret)
{
	enum kvr_err err = KVR_OK;

	if (places == 0 || places > KVR_CARRIER_MAX)
		return KVR_E_INVALID;
	struct kvr_mailbox *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return KVR_E_NOMEM;
	m->places = places;
	m->fn = fn;
	m->arg = arg;
	while (m->mask + 1 < places)
		m->mask = 2 * m->mask + 1;
	if (fn != NULL)
		err = kvr_carrier_open(name, places, carried, m, &m->carrier);
	else if ((m->waiting = calloc((size_t)m->mask + 1, sizeof(m->waiting[0]))) == NULL)
		err = KVR_E_NOMEM;
	if (err == KVR_OK)
		*ret = m;
	else
		kvr_mailbox_close(m);
	return err;
}

void
kvr_mailbox_close(struct kvr_mailbox *take)
{
	if (take == NULL)
		return;
	kvr_lock(&take->post_lock); /* whoever posted the last message may not be through yet */
	kvr_carrier_close(take->carrier);
	free(take->waiting);
	free(take);
}
