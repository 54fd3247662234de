/* SPDX-License-Identifier: Apache-2.0 */
/* An instance ends: everything is answered, every thread is joined, and then it is freed. */
#include "kvr_end.h"

#include "kvr_canary.h"
#include "kvr_endpoint.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_instance_device.h"
#include "kvr_ledger.h"
#include "kvr_map.h"
#include "kvr_notify.h"
#include "kvr_pool.h"
#include "kvr_puts.h"
#include "kvr_queue.h"
#include "kvr_range.h"
#include "kvr_region.h"
#include "kvr_system.h"
#include "kvr_thread.h"
#include "kvr_user_log.h"

#include <stdlib.h>
#include <string.h>

/* Time for a canary to delete what it has put into a store. */
static const uint64_t canary_ns = KVR_SEC(1);
/* A thread that only has to end, and does not within this time, never will. */
static const uint64_t hang_ns = KVR_SEC(5);
/*
 * A thread that may hang below its store is waited for until the end of the call, and this much
 * longer: on an overloaded machine it may return in time without being able to say so.
 */
static const uint64_t late_ns = KVR_SEC(1);

uint32_t
kvr_join_system(struct kvr *k, uint64_t until_ns)
{
	kvr_lock(&k->join_lock);
	uint32_t n = atomic_load(&k->joined) ? 0 : kvr_system_join(k->system, until_ns);

	atomic_store(&k->joined, n == 0);
	kvr_unlock(&k->join_lock);
	return n;
}

static void
post_stop(struct kvr *k, uint32_t drain)
{
	struct kvr_msg m = { .type = KVR_MSG_STOP, .from = KVR_ID_API, .to = KVR_ID_ROUTER };

	m.STOP.drain = drain;
	if (kvr_system_post(k->system, &m) != KVR_OK)
		atomic_store(&k->stopped, 1); /* dead: there is nobody who could stop */
}

static bool
wait_stopped(struct kvr *k, uint64_t until_ns)
{
	while (atomic_load(&k->stopped) == 0 && kvr_now_ns() < until_ns)
		kvr_futex_wait(&k->stopped, 0, until_ns);
	return atomic_load(&k->stopped) != 0;
}

/* A drain that takes too long becomes an abort while there is still time to answer everything. */
static void
stop_all(struct kvr *k, uint64_t until_ns, bool drain)
{
	uint64_t now_ns = kvr_now_ns();
	uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;

	if (drain) {
		post_stop(k, 1);
		if (wait_stopped(k, now_ns + left_ns - KVR_MIN(left_ns / 4, KVR_MS(200))))
			return;
	}
	post_stop(k, 0);
	wait_stopped(k, KVR_MAX(until_ns, kvr_now_ns() + KVR_MS(100)));
}

static void
close_now(struct kvr *k, uint64_t until_ns, bool drain)
{
	struct kvr_close_report *r = &k->report;

	kvr_wait_outside(k);
	if (atomic_load(&k->dead) == 0)
		stop_all(k, until_ns, drain);
	bool answered = atomic_load(&k->stopped) != 0;
	uint64_t end_ns = KVR_MAX(until_ns, kvr_now_ns()) + (answered ? hang_ns : late_ns);

	r->stuck_threads = kvr_join_system(k, end_ns);
	bool hangs = r->stuck_threads > 0;

	kvr_call_end_all(k,
	    r->stuck_threads > 0         ? KVR_E_STUCK
	    : atomic_load(&k->dead) != 0 ? KVR_E_DEAD
	                                 : KVR_E_SHUTDOWN,
	    r->stuck_threads == 0);
	if (!kvr_notifier_stop(k, KVR_MAX(until_ns, kvr_now_ns()) + late_ns)) {
		kvr_say(k, KVR_LOG_ERROR,
		    "kvr_close: a callback (kvr_opts.done), or the log function, does not return: its "
		    "thread is left behind");
		r->stuck_threads++;
	}
	/* By now these two can only be waiting for the log function. */
	end_ns = KVR_MAX(until_ns, kvr_now_ns()) + hang_ns;
	r->stuck_threads += !kvr_canary_end(k, end_ns);
	r->stuck_threads += !kvr_endpoint_close(k, end_ns);
	kvr_regions_close(k, hangs);
	r->size = sizeof(*r);
	r->finished = atomic_load(&k->n_finished);
	r->dropped = atomic_load(&k->n_dropped);
	r->not_quiet = kvr_call_not_quiet(k);
	kvr_say(k, r->stuck_threads > 0 ? KVR_LOG_ERROR : KVR_LOG_INFO,
	    "closed: %llu operations finished, %llu dropped, %u threads stuck, %llu keys not quiet",
	    (unsigned long long)r->finished, (unsigned long long)r->dropped, r->stuck_threads,
	    (unsigned long long)r->not_quiet);
}

static enum kvr_err
report(struct kvr *k, uint64_t until_ns, struct kvr_close_report *ret)
{
	enum kvr_err err = KVR_OK;

	pthread_mutex_lock(&k->end_lock);
	while (!k->reported && err == KVR_OK) {
		if (!kvr_cond_wait(&k->end_bell, &k->end_lock, until_ns))
			err = k->reported ? KVR_OK : KVR_E_TIMEOUT;
	}
	if (err == KVR_OK) {
		err = k->report.stuck_threads > 0 ? KVR_E_STUCK : KVR_OK;
		if (ret != NULL) {
			uint32_t size = ret->size;

			memcpy(ret, &k->report, sizeof(*ret));
			ret->size = size;
		}
	}
	pthread_mutex_unlock(&k->end_lock);
	return err;
}

enum kvr_err
kvr_close(struct kvr *k, uint64_t until_ns, uint32_t mode, struct kvr_close_report *ret)
{
	KVR_UNCANCELLED;
	uint64_t at_ns;
	uint32_t open = KVR_LIFE_OPEN;
	enum kvr_err err = kvr_check_instance(k);

	if (err != KVR_OK)
		return err;
	if (kvr_in_callback())
		return kvr_bad(k, KVR_E_INVALID, "kvr_close: not from a callback");
	if (mode > KVR_ABORT || (ret != NULL && ret->size < sizeof(*ret)))
		return kvr_bad(
		    k, KVR_E_INVALID, "kvr_close: no such mode, or size of the report is not set");
	err = kvr_until(k, "kvr_close", until_ns, atomic_load(&k->limit.put_ns), false, &at_ns);
	if (err != KVR_OK)
		return err;
	if (atomic_compare_exchange_strong(&k->life, &open, KVR_LIFE_ENDING)) {
		(void)kvr_canary_end(k, KVR_MIN(at_ns, kvr_now_ns() + canary_ns));
		atomic_store(&k->life, KVR_LIFE_CLOSING);
		close_now(k, at_ns, mode == KVR_DRAIN);
		pthread_mutex_lock(&k->end_lock);
		k->reported = true;
		atomic_store(&k->life, KVR_LIFE_CLOSED);
		pthread_cond_broadcast(&k->end_bell);
		pthread_mutex_unlock(&k->end_lock);
	}
	/* The closing thread finds its report at once; another one waits for it. */
	return report(k, KVR_MAX(at_ns, kvr_now_ns()), ret);
}

void
kvr_instance_free(struct kvr *k)
{
	for (uint32_t i = 0; i < k->n_queues; i++)
		kvr_queue_free(k->queue[i]);
	for (uint32_t i = 0; i < KVR_CACHES_MAX; i++)
		free(k->cache[i]);
	if (k->system != NULL)
		kvr_system_free(k->system);
	kvr_notifier_close(k);
	kvr_pool_free(k->pool);
	kvr_device_give(k);
	kvr_ledger_free(k->ledger);
	kvr_config_free(k->config);
	kvr_range_clear(&k->keys);
	kvr_range_clear(&k->texts);
	kvr_range_clear(&k->runs);
	kvr_unmap(k->sides, KVR_KEYS_MAX * sizeof(k->sides[0]));
	kvr_unmap(k->chain, KVR_PUT_CHAINS * sizeof(k->chain[0]));
	pthread_mutex_destroy(&k->put_off.lock);
	pthread_mutex_destroy(&k->lock);
	pthread_mutex_destroy(&k->change_lock);
	pthread_mutex_destroy(&k->put_lock);
	pthread_mutex_destroy(&k->region_lock);
	pthread_mutex_destroy(&k->end_lock);
	pthread_cond_destroy(&k->end_bell);
	k->magic = 0;
	free(k);
}

/*
 * Threads that were late at the end may have ended since; then nothing needs to be kept for them.
 */
static bool
all_ended(struct kvr *k)
{
	uint64_t now_ns = kvr_now_ns();
	bool ended = kvr_join_system(k, now_ns) == 0;

	ended = kvr_notifier_stop(k, now_ns) && ended;
	ended = kvr_canary_end(k, now_ns) && ended;
	return kvr_endpoint_close(k, now_ns) && ended;
}

void
kvr_free(struct kvr *take)
{
	KVR_UNCANCELLED;
	if (kvr_check_instance(take) != KVR_OK)
		return;
	if (kvr_in_callback()) {
		kvr_say(take, KVR_LOG_ERROR, "kvr_free: not from a callback; nothing was freed");
		return;
	}
	(void)kvr_close(take, kvr_now_ns() + KVR_SEC(5), KVR_ABORT, NULL);
	if (take->report.stuck_threads > 0 && !all_ended(take)) {
		/* A page to which a thread may still write must never be reused for something else. */
		kvr_say(take, KVR_LOG_ERROR,
		    "kvr_free: %u threads hang below the library: instance and pool stay in memory",
		    take->report.stuck_threads);
		kvr_system_leave(take->system);
		kvr_log_leave_user(take);
		return;
	}
	kvr_regions_free(take);
	kvr_instance_free(take);
}
