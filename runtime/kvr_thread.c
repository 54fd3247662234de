/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_thread.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME_MAX_LEN = 16 };

/*
 * A flag of our own says that a thread has ended. pthread_clockjoin_np could, but some sanitizers
 * do not know it and then report a joined thread as leaked.
 */
struct kvr_thread {
	pthread_t id;
	kvr_thread_fn *fn;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool has_ended;
	char name[NAME_MAX_LEN];
};

enum { WAKES_MAX = 16 };

static _Thread_local struct {
	bool held;
	uint32_t n;
	_Atomic uint32_t *word[WAKES_MAX];
} wakes;

void
kvr_wake_all(_Atomic uint32_t *word)
{
	if (wakes.held && wakes.n < WAKES_MAX)
		wakes.word[wakes.n++] = word;
	else
		kvr_wake_every(word);
}

void
kvr_wakes_hold(void)
{
	wakes.held = true;
}

bool
kvr_wakes_held(void)
{
	return wakes.held;
}

void
kvr_wakes_release(void)
{
	wakes.held = false;
	for (uint32_t i = 0; i < wakes.n; i++)
		kvr_wake_every(wakes.word[i]);
	wakes.n = 0;
}

static void *
run(void *arg)
{
	struct kvr_thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	/* Signalled under the lock: the joiner frees the condition variable right afterwards. */
	pthread_mutex_lock(&t->lock);
	t->has_ended = true;
	pthread_cond_signal(&t->ended);
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

enum kvr_err
kvr_thread_start(const char *name, kvr_thread_fn *fn, void *arg, struct kvr_thread **ret)
{
	struct kvr_thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return KVR_E_NOMEM;
	t->fn = fn;
	t->arg = arg;
	snprintf(t->name, sizeof(t->name), "%s", name);
	KVR_CHECK(pthread_mutex_init(&t->lock, NULL) == 0);
	kvr_cond_init(&t->ended);
	if (kvr_spawn(&t->id, run, t) != 0) {
		pthread_cond_destroy(&t->ended);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return KVR_E_NOMEM;
	}
	*ret = t;
	return KVR_OK;
}

struct crowd {
	_Atomic uint32_t gone, n;
	pid_t tid[KVR_THREADS_FIT_MAX];
};

/* Stays until all others are there, because what counts is how many there may be at once. */
static void *
stand(void *arg)
{
	struct crowd *c = arg;

	c->tid[atomic_fetch_add(&c->n, 1)] = (pid_t)syscall(SYS_gettid);
	while (atomic_load(&c->gone) == 0)
		kvr_sleep_on(&c->gone, 0, UINT64_MAX);
	return NULL;
}

/* A joined thread still counts as one of the process for a moment, also against limits. */
static void
wait_gone(pid_t tid)
{
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(1);

	while (syscall(SYS_tgkill, getpid(), tid, 0) == 0 && kvr_now_ns() < until_ns)
		sched_yield();
}

bool
kvr_threads_fit(uint32_t n)
{
	pthread_t id[KVR_THREADS_FIT_MAX];
	struct crowd crowd = { .gone = 0 };
	uint32_t started = 0;

	KVR_CHECK(n <= KVR_THREADS_FIT_MAX);
	while (started < n && kvr_spawn(&id[started], stand, &crowd) == 0)
		started++;
	atomic_store(&crowd.gone, 1);
	kvr_wake_every(&crowd.gone);
	for (uint32_t i = 0; i < started; i++)
		KVR_CHECK(pthread_join(id[i], NULL) == 0);
	for (uint32_t i = 0; i < started; i++)
		wait_gone(crowd.tid[i]);
	return started == n;
}

enum kvr_err
kvr_thread_join(struct kvr_thread *take, uint64_t until_ns)
{
	bool in_time = true;

	pthread_mutex_lock(&take->lock);
	while (!take->has_ended && in_time)
		in_time = kvr_cond_wait(&take->ended, &take->lock, until_ns);
	bool ended = take->has_ended;
	pthread_mutex_unlock(&take->lock);
	if (!ended)
		return KVR_E_TIMEOUT;
	KVR_CHECK(pthread_join(take->id, NULL) == 0);
	pthread_cond_destroy(&take->ended);
	pthread_mutex_destroy(&take->lock);
	free(take);
	return KVR_OK;
}

void
kvr_thread_prompt(void)
{
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
}

/* *take stays: the thread touches it when it ends, whenever that is. */
void
kvr_thread_leave(struct kvr_thread *take)
{
	KVR_CHECK(pthread_detach(take->id) == 0);
}
