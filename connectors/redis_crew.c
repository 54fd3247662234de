/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A few threads that belong to one lane and run its jobs, one job per node. With a single thread, a
 * node that stops in the middle of a value would hold up the values of the other nodes. Threads are
 * started when there is first work for them, and kept.
 */
#include "kvr_lock.h"
#include "kvr_redis_cluster.h"
#include "kvr_spawn.h"

#include <stdlib.h>

struct kvr_redis_crew {
	pthread_mutex_t lock;
	_Atomic uint32_t work, done; /* bells; rung under lock */
	void (*fn)(void *);
	uint8_t *jobs;
	size_t size;
	uint32_t n, next, n_done; /* of the running batch */
	bool stop;
	uint32_t n_threads;
	pthread_t thread[KVR_CLUSTER_HELPERS];
};

static void
ring(_Atomic uint32_t *bell)
{
	atomic_fetch_add(bell, 1);
	kvr_wake_every(bell);
}

/*
 * Under lock, which is released while waiting. May return for no reason, so check the condition
 * again.
 */
static void
wait_for_ring(struct kvr_redis_crew *me, _Atomic uint32_t *bell)
{
	uint32_t seen = atomic_load(bell);

	pthread_mutex_unlock(&me->lock);
	(void)kvr_sleep_on(bell, seen, UINT64_MAX);
	pthread_mutex_lock(&me->lock);
}

struct kvr_redis_crew *
kvr_redis_crew_new(void)
{
	struct kvr_redis_crew *me = calloc(1, sizeof(*me));
	if (me == NULL)
		return NULL;
	KVR_CHECK(pthread_mutex_init(&me->lock, NULL) == 0);
	return me;
}

void
kvr_redis_crew_free(struct kvr_redis_crew *take)
{
	if (take == NULL)
		return;
	pthread_mutex_lock(&take->lock);
	take->stop = true;
	ring(&take->work);
	pthread_mutex_unlock(&take->lock);
	for (uint32_t i = 0; i < take->n_threads; i++)
		pthread_join(take->thread[i], NULL);
	pthread_mutex_destroy(&take->lock);
	free(take);
}

/* Under lock, which is released while a job runs. False: there was no job. */
static bool
do_one(struct kvr_redis_crew *me)
{
	if (me->next == me->n)
		return false;
	void *job = me->jobs + me->next++ * me->size;
	pthread_mutex_unlock(&me->lock);
	me->fn(job);
	pthread_mutex_lock(&me->lock);
	if (++me->n_done == me->n)
		ring(&me->done);
	return true;
}

static void *
thread_main(void *arg)
{
	struct kvr_redis_crew *me = arg;
	pthread_mutex_lock(&me->lock);
	while (!me->stop)
		if (!do_one(me))
			wait_for_ring(me, &me->work);
	pthread_mutex_unlock(&me->lock);
	return NULL;
}

/* Under lock. Fewer threads than wanted are fine, because the caller works too. */
static void
grow(struct kvr_redis_crew *me, uint32_t want)
{
	while (me->n_threads < KVR_MIN(want, (uint32_t)KVR_CLUSTER_HELPERS)) {
		pthread_t *t = &me->thread[me->n_threads];
		if (kvr_spawn(t, thread_main, me) != 0)
			break;
		pthread_setname_np(*t, "kvr-cluster");
		me->n_threads++;
	}
}

void
kvr_redis_crew_run(
    struct kvr_redis_crew *me, void (*fn)(void *job), void *jobs, size_t size, uint32_t n)
{
	if (n == 0)
		return;
	pthread_mutex_lock(&me->lock);
	grow(me, n - 1);
	me->fn = fn;
	me->jobs = jobs;
	me->size = size;
	me->next = me->n_done = 0;
	me->n = n;
	if (n > 1)
		ring(&me->work);
	while (do_one(me))
		;
	while (me->n_done < me->n)
		wait_for_ring(me, &me->done);
	me->n = me->next = 0;
	pthread_mutex_unlock(&me->lock);
}
