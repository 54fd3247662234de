/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mailbox counts its places and keeps messages in one of two ways. With a function, nng carries
 * them, and the function runs on nng's thread. If a worker takes from it, it is a ring: the worker
 * sleeps on `came`, and the poster itself wakes it. With nng a thread between the two would have to
 * wake first, for every part that a lane gets.
 *
 * `came` and `gone` only ever grow. The poster (one at a time) and the taker each store their own
 * word and then read the other's, so at least one of them sees that there is something to do.
 *
 * A ring that is lent has a turn: whoever has the turn may take, and finishes the message before
 * giving the turn back. A poster that keeps its message has the turn from before the message is
 * visible until it is done, so the worker cannot end meanwhile, nor can the mailbox be closed.
 */
#include "kvr_mailbox_own.h"

#include "kvr_thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct kvr_mailbox {
	uint32_t places;
	_Atomic uint32_t taken; /* places that hold a message or are reserved */

	struct kvr_carrier *carrier; /* with fn */
	kvr_mailbox_fn *fn;
	void *arg;

	struct kvr_msg *waiting; /* places, rounded up to a power of two; NULL with fn */
	uint32_t mask;
	struct kvr_lock post_lock;
	_Atomic uint32_t came, gone;
	_Atomic bool taker_sleeps;

	struct kvr_lock turn;
	kvr_mailbox_fn *lent; /* NULL: the taker does everything */
	void *lent_arg;
};

/* What this thread would rather do itself than wait for. */
static _Thread_local struct {
	const uint64_t *op;
	struct kvr_mailbox *kept; /* this thread has its turn, and will work */
	struct kvr_mailbox *at;   /* this thread has its turn, and is working */
} help;

/* ---- taking ---- */

static void
carried(void *arg, const struct kvr_msg *msg)
{
	struct kvr_mailbox *m = arg;

	kvr_mailbox_unreserve(m);
	m->fn(m->arg, msg);
}

static bool
is_empty(const struct kvr_mailbox *m)
{
	return atomic_load(&m->came) == atomic_load(&m->gone);
}

static void
wait_for_one(struct kvr_mailbox *m, uint64_t until_ns)
{
	bool in_time = until_ns != 0;

	while (is_empty(m) && in_time) {
		uint32_t gone = atomic_load(&m->gone);

		atomic_store(&m->taker_sleeps, true);
		/* A kept message that is done has raised both counts: then it looks again. */
		if (atomic_load(&m->came) == gone)
			in_time = kvr_sleep_on(&m->came, gone, until_ns);
		atomic_store(&m->taker_sleeps, false);
	}
}

enum kvr_err
kvr_mailbox_take(struct kvr_mailbox *m, uint64_t until_ns, struct kvr_msg *ret)
{
	KVR_CHECK(m->waiting != NULL);
	wait_for_one(m, until_ns);
	if (is_empty(m))
		return KVR_E_TIMEOUT;
	uint32_t gone = atomic_load_explicit(&m->gone, memory_order_relaxed);

	*ret = m->waiting[gone & m->mask];
	atomic_store(&m->gone, gone + 1);
	kvr_mailbox_unreserve(m);
	return KVR_OK;
}

void
kvr_mailbox_lend(struct kvr_mailbox *m, kvr_mailbox_fn *fn, void *arg)
{
	m->lent = fn;
	m->lent_arg = arg;
}

void
kvr_mailbox_take_turn(struct kvr_mailbox *m, struct kvr_msg *ret)
{
	for (;;) {
		wait_for_one(m, UINT64_MAX);
		kvr_lock(&m->turn);
		if (kvr_mailbox_take(m, 0, ret) == KVR_OK)
			return;
		kvr_unlock(&m->turn); /* its poster has kept it */
	}
}

void
kvr_mailbox_end_turn(struct kvr_mailbox *m)
{
	kvr_unlock(&m->turn);
}

/* ---- helping ---- */

void
kvr_help_offer(const uint64_t *op)
{
	help.op = op;
}

/* Nobody waits for background work; the helper's caller would get its answer later. */
static bool
is_waited_for(const struct kvr_msg *msg)
{
	return msg->type == KVR_MSG_PART && msg->op == *help.op &&
	    msg->PART.cls != KVR_CLASS_BACKGROUND;
}

/*
 * Has the turn, which kvr_mailbox_post_reserved has taken. Goes on while a part of the same
 * operation is next; otherwise the worker would be woken only to wait for the turn. The first
 * message of another operation has woken it.
 */
static void
work(struct kvr_mailbox *m)
{
	struct kvr_msg msg;
	int before;

	/* A thread cancelled while it waits for the store would keep the turn for ever. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	help.at = m;
	do {
		enum kvr_err err = kvr_mailbox_take(m, 0, &msg);

		KVR_CHECK(err == KVR_OK);
		m->lent(m->lent_arg, &msg);
	} while (!is_empty(m) && is_waited_for(&m->waiting[atomic_load(&m->gone) & m->mask]));
	help.at = NULL;
	kvr_unlock(&m->turn);
	pthread_setcancelstate(before, NULL);
}

void
kvr_help_give(void)
{
	while (help.kept != NULL) {
		struct kvr_mailbox *m = help.kept;

		help.kept = NULL; /* within, the next tier may be asked, and that is kept too */
		work(m);
	}
	help.op = NULL;
}

/* By a poster, before its message is visible. One mailbox at a time: others have their workers. */
static bool
keep(struct kvr_mailbox *m, const struct kvr_msg *msg)
{
	if (help.op == NULL || m->lent == NULL || !is_waited_for(msg))
		return false;
	if (m == help.kept || m == help.at)
		return true; /* in order, behind what this thread has kept already */
	if (help.kept != NULL || !kvr_lock_try(&m->turn))
		return false;
	if (is_empty(m))
		help.kept = m;
	else
		kvr_unlock(&m->turn); /* another message is first, and the worker must do it */
	return help.kept == m;
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
	if (m->carrier != NULL) {
		kvr_carrier_post(m->carrier, msg);
		return;
	}
	kvr_lock(&m->post_lock);
	uint32_t came = atomic_load_explicit(&m->came, memory_order_relaxed);
	bool kept = keep(m, msg);

	m->waiting[came & m->mask] = *msg;
	atomic_store(&m->came, came + 1);
	if (!kept && atomic_load(&m->taker_sleeps) && atomic_exchange(&m->taker_sleeps, false))
		kvr_wake(&m->came);
	/* Last: the message may be the one that ends the taker and the mailbox. */
	kvr_unlock(&m->post_lock);
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
	kvr_lock(&take->post_lock); /* the poster of the last message may not be done yet */
	kvr_carrier_close(take->carrier);
	free(take->waiting);
	free(take);
}
