/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mailbox counts its places, and keeps messages in one of two ways. One with a function is carried
 * by nng, on whose thread the function runs. One that a worker takes from is a ring: the worker
 * sleeps on `came`, and whoever posts wakes it itself. Through nng there is a thread between them that
 * must wake first, in front of every part that a lane gets.
 *
 * `came` and `gone` count for ever. Posters, one at a time, and the taker each store one word and then
 * look at the other's, so one of them sees that there is something to do.
 *
 * A ring that is lent has a turn: whoever has it may take, and works on what he took before he gives
 * it back. A poster who keeps his message has it from before the message is there until it is done,
 * so the worker cannot end meanwhile, and the mailbox cannot be closed under him.
 */
#include "kvr_mailbox_own.h"

#include "kvr_thread.h"

#include <pthread.h>
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
	uint32_t mask;
	struct kvr_lock post_lock;
	_Atomic uint32_t came, gone;
	_Atomic bool taker_sleeps;

	struct kvr_lock turn;
	kvr_mailbox_fn *lent; /* NULL: the taker does everything */
	void *lent_arg;
};

/* What this thread would rather do itself than sleep for. */
static _Thread_local struct {
	const uint64_t *op;
	struct kvr_mailbox *kept; /* has its turn, and will work */
	struct kvr_mailbox *at;   /* has its turn, and works */
} help;

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
		/* What was kept and is done has left both counts one higher: then it looks again. */
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
	leave(m);
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
		kvr_unlock(&m->turn); /* it was kept */
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

/* What goes on behind an answer has nobody who waits for it: he would get his later. */
static bool
is_waited_for(const struct kvr_msg *msg)
{
	return msg->type == KVR_MSG_PART && msg->op == *help.op &&
	    msg->PART.cls != KVR_CLASS_BACKGROUND;
}

/*
 * In its turn, which kvr_mailbox_post_reserved has taken. An operation of many parts is worked on as
 * long as one of its own is next, or the worker would be woken to wait for the turn. The first of
 * another's has woken him.
 */
static void
work(struct kvr_mailbox *m)
{
	struct kvr_msg msg;
	int before;

	/* A thread that is cancelled in a wait of the store's would keep the turn for ever. */
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

		help.kept = NULL; /* the next tier is asked from within, and is kept too */
		work(m);
	}
	help.op = NULL;
}

/* By a poster, before his message can be seen. One mailbox at a time: others have their workers. */
static bool
keep(struct kvr_mailbox *m, const struct kvr_msg *msg)
{
	if (help.op == NULL || m->lent == NULL || !is_waited_for(msg))
		return false;
	if (m == help.kept || m == help.at)
		return true; /* in order, behind what this thread has kept before */
	if (help.kept != NULL || !kvr_lock_try(&m->turn))
		return false;
	if (is_empty(m))
		help.kept = m;
	else
		kvr_unlock(&m->turn); /* another one is before it, and has a right to the worker */
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
	atomic_fetch_add(&m->inside, 1);
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
