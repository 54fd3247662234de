/* SPDX-License-Identifier: Apache-2.0 */
/* What a domain with threads has recorded, ended in order, poisoned or killed, comes out the same. */
#include "kvr_replay.h"
#include "kvr_trace_text.h"
#include "kvr_check.h"
#include "trace_bed.h"
#include "world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Workers and callers write rows while snapshots are taken: the replay must not see that. */
START_TEST(a_domain_with_many_threads_replays)
{
	struct world w;
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);

	world_open(&w, true, t);
	world_start_worker(&w);
	world_call(&w, WORLD_SENDERS, 3000);
	world_stop_worker(&w);
	world_close(&w);
	struct kvr_trace_view *v = bed_copy(t);
	ck_assert_uint_gt(kvr_trace_view_at(v, 0)->number, 1); /* it wrapped */
	ck_assert_uint_gt(bed_all_same(v), 1000);
	uint64_t last = kvr_trace_view_count(v) - 1;
	ck_assert_uint_eq(kvr_rec_mark(kvr_trace_view_at(v, last))->mark, KVR_MARK_CLOSED);
	kvr_trace_view_free(v);
	kvr_trace_close(t);
}
END_TEST

START_TEST(the_step_that_broke_is_recorded_and_breaks_again)
{
	struct world w;
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct kvr_msg cancel = { .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER };

	world_open(&w, true, t);
	world_start_worker(&w);
	world_call(&w, WORLD_SENDERS, 20);
	world_stop_worker(&w);
	cancel.CANCEL.reason = KVR_E_TIMEOUT;
	ck_assert_int_eq(kvr_domain_post(w.domain, &cancel), KVR_OK);
	pthread_mutex_lock(&w.lock);
	while (w.n_stopped == 0)
		ck_assert(kvr_cond_wait(&w.cond, &w.lock, world_soon()));
	pthread_mutex_unlock(&w.lock);
	world_close(&w);
	struct kvr_trace_view *v = bed_copy(t);
	ck_assert_uint_gt(bed_all_same(v), 100);
	char line[KVR_TRACE_LINE];
	uint64_t n = kvr_trace_view_count(v);
	kvr_trace_line(
	    kvr_trace_view_head(v), kvr_trace_view_at(v, n - 3), duo_find, line, sizeof(line));
	ck_assert_msg(strstr(line, " CANCEL      IDLE       -> BROKEN ") != NULL, "%s", line);
	ck_assert_msg(strstr(line, " reason TIMEOUT") != NULL, "%s", line);
	kvr_trace_line(
	    kvr_trace_view_head(v), kvr_trace_view_at(v, n - 2), duo_find, line, sizeof(line));
	ck_assert_msg(strstr(line, "-- PANIC duo.c:") != NULL, "%s", line);
	kvr_trace_view_free(v);
	kvr_trace_close(t);
}
END_TEST

START_TEST(a_killed_domain_replays)
{
	char dir[] = "/tmp/kvr-replay-XXXXXX", path[300] = "";
	int ends[2], status = 0;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(pipe(ends), 0);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct world w;

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail before it kills */
		struct kvr_trace *t = bed_trace(dir, KVR_MIB(1), 0);

		world_open(&w, true, t);
		ck_assert_int_gt(write(ends[1], kvr_trace_path(t), strlen(kvr_trace_path(t))), 0);
		world_call_for_ever(&w);
		_exit(0);
	}
	ck_assert_int_gt(read(ends[0], path, sizeof(path) - 1), 0);
	struct kvr_trace_view *v = NULL;
	for (uint64_t n = 0; n < 20000;) {
		ck_assert_msg(kvr_trace_view_open(path, &v, bed_why, sizeof(bed_why)) == KVR_OK,
		    "%s", bed_why);
		n = kvr_trace_view_count(v) == 0
		        ? 0
		        : kvr_trace_view_at(v, kvr_trace_view_count(v) - 1)->number;
		kvr_trace_view_free(v);
	}
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(kvr_trace_view_open(path, &v, bed_why, sizeof(bed_why)), KVR_OK);
	ck_assert_uint_gt(bed_all_same(v), 1000);
	kvr_trace_view_free(v);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

KVR_CHECK_MAIN("runtime.replay_domain", a_domain_with_many_threads_replays,
    the_step_that_broke_is_recorded_and_breaks_again, a_killed_domain_replays)
