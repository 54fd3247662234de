/* SPDX-License-Identifier: Apache-2.0 */
/* A broken invariant: the domain is poisoned, or the process aborts; either way it says what broke. */
#include "kvr_domain.h"
#include "kvr_check.h"
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(a_broken_invariant_poisons)
{
	struct world w;
	struct kvr_msg cancel = { .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER };
	const struct kvr_msg m = duo_continue(0, 1);

	world_open(&w, true, NULL);
	ck_assert(!kvr_domain_dead(w.domain));
	ck_assert_str_eq(kvr_domain_why(w.domain), "");
	cancel.CANCEL.reason = 1;
	world_post(&w, cancel);
	world_wait(&w, 1);
	ck_assert(kvr_domain_dead(w.domain));
	ck_assert_uint_eq(w.n_stopped, 1);
	ck_assert_uint_eq(w.last.msg.from, KVR_ID_NONE);
	ck_assert_ptr_nonnull(strstr(kvr_domain_why(w.domain), "duo.c:"));
	ck_assert_ptr_nonnull(strstr(kvr_domain_why(w.domain), "ev->msg.CANCEL.reason == 0"));
	ck_assert_int_eq(kvr_domain_post(w.domain, &m), KVR_E_DEAD);
	kvr_domain_stop(w.domain);
	ck_assert_int_eq(kvr_domain_post(w.domain, &m), KVR_E_DEAD);
	ck_assert_uint_eq(w.n_stopped, 1);
	world_close(&w);
}
END_TEST

START_TEST(what_has_no_cell_or_no_receiver_says_who_and_what)
{
	static const struct {
		uint16_t type, to;
		const char *why;
	} wrong[] = {
		{ KVR_MSG_PONG, KVR_ID_ROUTER, "router: PONG in IDLE: no cell" },
		{ KVR_MSG_DIALED, KVR_ID_ROUTER, "router: DIALED in IDLE: goes to a state" },
		{ KVR_MSG_PONG, KVR_ID_LINK_OF(3, 1), "d->actor[ev.msg.to] != NULL" },
	};
	struct world w;

	for (size_t i = 0; i < KVR_LEN(wrong); i++) {
		world_open(&w, true, NULL);
		world_post(&w, (struct kvr_msg){ .type = wrong[i].type, .to = wrong[i].to });
		world_wait(&w, 1);
		ck_assert_msg(strstr(kvr_domain_why(w.domain), wrong[i].why) != NULL, "%s",
		    kvr_domain_why(w.domain));
		world_close(&w);
	}
}
END_TEST

START_TEST(a_full_worker_is_a_bug_that_has_a_name)
{
	struct world w;

	world_open(&w, true, NULL);
	for (uint32_t i = 0; i < DUO_SLOTS; i++) {
		world_fill_rows(&w, i, 1, 1);
		world_post(&w, duo_submit(i, 1, 1, 1, 0));
	}
	ck_assert(!kvr_domain_dead(w.domain));
	struct kvr_msg more = {
		.type = KVR_MSG_PART, .from = KVR_ID_ROUTER, .to = KVR_ID_TIER_OF(0)
	};
	more.PART.cls = 1;
	world_post(&w, more);
	world_wait(&w, 1);
	const char *why = kvr_domain_why(w.domain);
	ck_assert_msg(
	    strstr(why, "tier 0 sends PART to worker 0.0: its mailbox is full") != NULL, "%s", why);
	world_close(&w);
}
END_TEST

START_TEST(without_poison_it_aborts)
{
	int status = 0;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct world w;
		struct kvr_msg cancel = { .type = KVR_MSG_CANCEL, .to = KVR_ID_ROUTER };

		fclose(stderr);
		world_open(&w, false, NULL);
		cancel.CANCEL.reason = 1;
		world_post(&w, cancel);
		world_wait(&w, 1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

KVR_CHECK_MAIN("runtime.domain_broken", a_broken_invariant_poisons,
    what_has_no_cell_or_no_receiver_says_who_and_what, a_full_worker_is_a_bug_that_has_a_name,
    without_poison_it_aborts)
