/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of each sender's messages: a message goes the direct way only if, under the guard, the
 * inbox is empty, and then behind what is left in the local queue. inbox_n counts a message from
 * before it is posted until it is in the local queue, so an earlier one of the same sender is
 * always seen.
 *
 * No lost wake-up: home_until_ns, the time at which the home thread will look by itself, is written
 * and read under the guard. It is 0 while that thread is awake, because it looks again before it
 * sleeps. So the thread is woken only for work that is left over, and for a timer earlier than the
 * one it sleeps for: an operation whose deadline is later than another's costs no wake-up.
 */
#include "kvr_domain_own.h"

#include <sched.h>

static enum kvr_err
refusal(const struct kvr_domain *d)
{
	if (atomic_load(&d->life) == KVR_LIFE_RUNNING)
		return KVR_OK;
	return atomic_load(&d->dead) ? KVR_E_DEAD : KVR_E_SHUTDOWN;
}

/*
 * Every thread that runs the deciders fires due timers, not only the home thread: on a machine with
 * too few processors that one may get none for a tenth of a second, and deadlines are timers.
 */
static void
timers_due(struct kvr_domain *d)
{
	struct kvr_msg msg;

	kvr_domain_stamp(d);
	while (kvr_timers_pop(d->timers, d->now_ns, &msg))
		kvr_domain_push(d, &msg);
}

void
kvr_domain_on_inbox(void *domain, const struct kvr_msg *msg)
{
	struct kvr_domain *d = domain;

	kvr_lock(&d->guard);
	atomic_fetch_sub(&d->inbox_n, 1);
	if (refusal(d) == KVR_OK) {
		timers_due(d);
		kvr_domain_push(d, msg);
		kvr_domain_run(d);
	}
	kvr_domain_leave(d);
}

static bool
enter(struct kvr_domain *d)
{
	if (atomic_load(&d->inbox_n) != 0)
		return false;
	return kvr_lock_try(&d->guard) ||
	       kvr_lock_until(&d->guard, kvr_now_ns() + KVR_DOMAIN_PATIENCE_NS);
}

/* Holds the guard. True: the message has been run, or refused; the guard is free again. */
static bool
directly(struct kvr_domain *d, const struct kvr_msg *msg, enum kvr_err *ret_err)
{
	bool mine = true;

	*ret_err = refusal(d);
	if (*ret_err == KVR_OK) {
		/* What waits in the local queue came earlier, and runs earlier. */
		mine = atomic_load(&d->inbox_n) == 0;
		if (mine) {
			timers_due(d);
			kvr_domain_push(d, msg);
			kvr_domain_run(d);
		}
	}
	kvr_domain_leave(d);
	return mine;
}

enum kvr_err
kvr_domain_post(struct kvr_domain *d, const struct kvr_msg *msg)
{
	enum kvr_err err = refusal(d);

	if (err != KVR_OK)
		return err;
	if (enter(d) && directly(d, msg, &err))
		return err;
	atomic_fetch_add(&d->inbox_n, 1);
	/*
	 * Full: this thread waits and delays nobody else. That ends soon, because what empties the
	 * inbox needs only the guard, and no thread waits for anything while it holds the guard.
	 */
	while (kvr_mailbox_post(d->inbox, msg) != KVR_OK) {
		kvr_lock(&d->guard);
		kvr_unlock(&d->guard);
		sched_yield();
	}
	return KVR_OK;
}

/* ---- the home thread ---- */

/* Under the guard, which is free while the thread sleeps. */
static void
sleep_home(struct kvr_domain *d)
{
	uint64_t next_ns = kvr_timers_next(d->timers);
	uint64_t until_ns = next_ns;
	uint32_t seen = atomic_load(&d->bell);

	d->home_until_ns = next_ns;
	/* How long until then, by the domain's clock, which in a test is not the real one. */
	if (next_ns != UINT64_MAX)
		until_ns = kvr_now_ns() + (next_ns > d->now_ns ? next_ns - d->now_ns : 0);
	kvr_unlock(&d->guard);
	kvr_sleep_on(&d->bell, seen, until_ns);
	kvr_lock(&d->guard);
	d->home_until_ns = 0;
}

void
kvr_domain_at_home(void *domain)
{
	struct kvr_domain *d = domain;

	kvr_lock(&d->guard);
	while (atomic_load(&d->life) != KVR_LIFE_STOPPED) {
		timers_due(d);
		if (d->n == 0) {
			sleep_home(d);
			continue;
		}
		kvr_domain_run(d);
		/* Others may get the guard between two runs: much may be left. */
		kvr_domain_leave(d);
		kvr_lock(&d->guard);
	}
	kvr_unlock(&d->guard);
}
