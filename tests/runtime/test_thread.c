/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_thread.h"
#include "kvr_check.h"

#include <dirent.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool open;
	char name[16];
	int n_unblocked;
};

static void
gate_init(struct gate *g)
{
	memset(g, 0, sizeof(*g));
	ck_assert_int_eq(pthread_mutex_init(&g->lock, NULL), 0);
	kvr_cond_init(&g->cond);
}

static void
wait_at(void *arg)
{
	struct gate *g = arg;
	sigset_t mask;

	pthread_getname_np(pthread_self(), g->name, sizeof(g->name));
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	for (int s = 1; s < 32; s++)
		if (s != SIGKILL && s != SIGSTOP && !sigismember(&mask, s))
			g->n_unblocked++;
	pthread_mutex_lock(&g->lock);
	while (!g->open)
		kvr_cond_wait(&g->cond, &g->lock, UINT64_MAX);
	pthread_mutex_unlock(&g->lock);
}

static void
open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_signal(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

START_TEST(has_its_name_and_no_signals)
{
	struct gate g;
	struct kvr_thread *t;
	sigset_t before, after;

	gate_init(&g);
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	ck_assert_int_eq(kvr_thread_start("kvr-a-long-name-for-a-thread", wait_at, &g, &t), KVR_OK);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	open_gate(&g);
	ck_assert_int_eq(kvr_thread_join(t, UINT64_MAX), KVR_OK);
	ck_assert_str_eq(g.name, "kvr-a-long-name");
	ck_assert_int_eq(g.n_unblocked, 0);
	for (int s = 1; s < 32; s++)
		ck_assert_int_eq(sigismember(&before, s), sigismember(&after, s));
}
END_TEST

static void
look_at_slack(void *arg)
{
	int *slack = arg;

	slack[0] = prctl(PR_GET_TIMERSLACK);
	kvr_thread_prompt();
	slack[1] = prctl(PR_GET_TIMERSLACK);
}

START_TEST(a_prompt_thread_lets_no_wait_be_late)
{
	struct kvr_thread *t;
	int slack[2] = { 0, 0 };

	ck_assert_int_eq(kvr_thread_start("kvr-test", look_at_slack, slack, &t), KVR_OK);
	ck_assert_int_eq(kvr_thread_join(t, UINT64_MAX), KVR_OK);
	ck_assert_int_gt(slack[0], 1000);
	ck_assert_int_eq(slack[1], 1);
	ck_assert_int_gt(prctl(PR_GET_TIMERSLACK), 1000);
}
END_TEST

START_TEST(join_keeps_its_deadline_and_the_handle)
{
	struct gate g;
	struct kvr_thread *t;

	gate_init(&g);
	ck_assert_int_eq(kvr_thread_start("kvr-test", wait_at, &g, &t), KVR_OK);
	uint64_t until_ns = kvr_now_ns() + KVR_MS(20);
	ck_assert_int_eq(kvr_thread_join(t, until_ns), KVR_E_TIMEOUT);
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
	ck_assert_int_eq(kvr_thread_join(t, 1), KVR_E_TIMEOUT);
	open_gate(&g);
	ck_assert_int_eq(kvr_thread_join(t, kvr_now_ns() + KVR_SEC(60)), KVR_OK);
}
END_TEST

static uint32_t
count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	uint32_t n = 0;

	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

START_TEST(threads_that_were_tried_are_gone)
{
	ck_assert(kvr_threads_fit(1)); /* a sanitizer may have started one of its own */
	uint32_t before = count_threads();

	ck_assert(kvr_threads_fit(0));
	for (int i = 0; i < 20; i++) {
		ck_assert(kvr_threads_fit(16));
		ck_assert_uint_eq(count_threads(), before);
	}
}
END_TEST

KVR_CHECK_MAIN("runtime.thread", threads_that_were_tried_are_gone, has_its_name_and_no_signals,
    join_keeps_its_deadline_and_the_handle, a_prompt_thread_lets_no_wait_be_late)
