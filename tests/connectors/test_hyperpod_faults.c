/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A HyperPod daemon that is slow, breaks off, or says what is not so: an error for whoever asked,
 * and no lease that is left behind.
 */
#include "kvr_hyperpod_get.h"

START_TEST(a_lease_that_may_have_ended_is_not_believed)
{
	struct getter g;
	struct hp h;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	h.opts.hyperpod.lease_ttl_ms = 50;
	bed_up(&h.bed, &h.opts);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	hold(&h, KVR_HYPERPOD_LEASE);
	getter_start(&g, &h, "k", bed_in(BED_LONG));
	wait_held(&h);
	ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	let_go(&h, KVR_HYPERPOD_LEASE);
	pthread_join(g.thread, NULL);
	ck_assert_int_eq(g.err, KVR_OK);
	ck_assert_int_eq(g.status, KVR_E_STALE);
	hp_says(&h, "lease_ttl");
	hp_down(&h);
}
END_TEST

START_TEST(nothing_is_read_after_its_lease_was_given_back)
{
	struct load l = load_new(24, 100000);
	struct hp h;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	atomic_store(&h.page->evict_released, 1);
	atomic_store(&h.page->fragment, 30000);
	bed_up(&h.bed, &h.opts);
	for (int round = 0; round < 3; round++) {
		load_fill(&l);
		bed_ok(&h.bed, KVR_VERB_PUT, l.items, l.n);
		load_wipe(&l);
		bed_ok(&h.bed, KVR_VERB_GET, l.items, l.n);
		for (uint32_t i = 0; i < l.n; i++) {
			bed_status(&l.items[i], KVR_OK);
			ck_assert(load_same(&l, i));
		}
		ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	}
	hp_down(&h);
	load_free(&l);
}
END_TEST

START_TEST(offsets_that_cannot_be_are_refused_and_their_lease_is_given_back)
{
	static const struct {
		const char *text, *type;
		enum kvr_err err; /* of the lane */
		int32_t status;
	} rows[] = {
#define FRAGMENTS(list) "{\"id\":\"%s\",\"offsets\":[" list "]}", "application/json"
		{ FRAGMENTS(""), KVR_OK, KVR_E_MISS },
		{ FRAGMENTS("{\"offset\":536870912,\"len\":1}"), KVR_OK, KVR_E_CORRUPT },
		{ FRAGMENTS("{\"offset\":0,\"len\":20},{\"offset\":536870900,\"len\":13}"), KVR_OK,
		    KVR_E_CORRUPT },
		{ FRAGMENTS("{\"offset\":18446744073709551615,\"len\":1}"), KVR_E_PROTO, 0 },
		{ FRAGMENTS("{\"offset\":-1,\"len\":100}"), KVR_E_PROTO, 0 },
		{ FRAGMENTS("{\"offset\":0,\"len\":-5}"), KVR_E_PROTO, 0 },
		{ FRAGMENTS("{\"offset\":0,\"len\":0}"), KVR_E_PROTO, 0 },
		{ FRAGMENTS("{\"offset\":0.5,\"len\":28}"), KVR_E_PROTO, 0 },
		{ FRAGMENTS("{\"offset\":0}"), KVR_E_PROTO, 0 },
		{ "{\"offsets\":[{\"offset\":-1,\"len\":1}],\"id\":\"%s\"}", "application/json",
		    KVR_E_PROTO, 0 },
		{ "{\"id\":\"%s\"}", "application/json", KVR_E_PROTO, 0 },
		{ "{\"id\":\"%s\",\"offsets\":[{\"offset\":0,\"len\":28}]}", "text/html",
		    KVR_E_PROTO, 0 },
	};
	struct hp h;
	int32_t status;
	up_with(&h, "k");
	atomic_store(&h.page->other_text, 1);
	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		snprintf(h.page->lease_text, sizeof(h.page->lease_text), "%s", rows[i].text);
		snprintf(h.page->lease_type, sizeof(h.page->lease_type), "%s", rows[i].type);
		enum kvr_err err =
		    hp_run(&h, KVR_VERB_GET, "k", out, LEN, bed_in(BED_LONG), &status);
		ck_assert_msg(err == rows[i].err, "row %zu: %s", i, kvr_err_name(err));
		ck_assert_int_eq(status, err == KVR_OK ? rows[i].status : KVR_PENDING);
		ck_assert(untouched());
		ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
		if (err != KVR_OK)
			hp_redial(&h);
	}
	ck_assert_uint_eq(atomic_load(&h.page->expired), 0);
	hp_down(&h);
}
END_TEST

START_TEST(an_answer_without_sense_ends_the_lane)
{
	static const char *const texts[] = { "", "null", "[]", "{", "{\"id\":\"L-1\"", "\xff\xfe",
		"{\"offsets\":[]}", "{\"id\":7,\"offsets\":[]}", "{\"id\":\"a\",\"offsets\":{}}" };
	struct hp h;
	int32_t status;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	h.opts.hyperpod.lease_ttl_ms = 100; /* nobody can tell the daemon which lease it was */
	bed_up(&h.bed, &h.opts);
	atomic_store(&h.page->other_text, 1);
	snprintf(h.page->lease_type, sizeof(h.page->lease_type), "application/json");
	for (size_t i = 0; i < KVR_LEN(texts); i++) {
		ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", in, 1000), KVR_OK);
		snprintf(h.page->lease_text, sizeof(h.page->lease_text), "%s", texts[i]);
		enum kvr_err err =
		    hp_run(&h, KVR_VERB_GET, "k", out, 1000, bed_in(BED_LONG), &status);
		ck_assert_msg(err == KVR_E_PROTO, "\"%s\": %s", texts[i], kvr_err_name(err));
		hp_redial(&h);
	}
	hp_down(&h);
}
END_TEST

START_TEST(an_answer_that_breaks_off_ends_the_lane)
{
	struct hp h;
	int32_t status;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	h.opts.hyperpod.lease_ttl_ms = 200;
	bed_up(&h.bed, &h.opts);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "k", in, 1000), KVR_OK);
	atomic_store(&h.page->cut_lease, 10);
	ck_assert_int_eq(
	    hp_run(&h, KVR_VERB_GET, "k", out, 1000, bed_in(BED_LONG), &status), KVR_E_DOWN);
	ck_assert_int_eq(status, KVR_PENDING);
	hp_down(&h);
}
END_TEST

START_TEST(a_release_that_fails_is_tried_again)
{
	struct hp h;
	up_with(&h, "k");
	atomic_store(&h.page->status[KVR_HYPERPOD_RELEASE], 500);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	uint32_t before = atomic_load(&h.page->requests);
	while (atomic_load(&h.page->requests) < before + 3)
		usleep(1000);
	ck_assert_uint_eq(atomic_load(&h.page->released), 0);
	atomic_store(&h.page->status[KVR_HYPERPOD_RELEASE], 0);
	ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	ck_assert_uint_eq(atomic_load(&h.page->released), 1);
	hp_down(&h);
}
END_TEST

/* ---- late and cancelled ---- */

START_TEST(a_lease_that_comes_after_a_kick_is_given_back)
{
	struct getter g;
	struct hp h;
	up_with(&h, "k");
	hold(&h, KVR_HYPERPOD_LEASE);
	getter_start(&g, &h, "k", bed_in(BED_LONG));
	wait_held(&h);
	kick(&h);
	pthread_join(g.thread, NULL);
	ck_assert_int_eq(g.err, KVR_E_CANCELLED);
	ck_assert(untouched());
	no_more_kick(&h);
	hp_redial(&h);
	let_go(&h, KVR_HYPERPOD_LEASE);
	ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	ck_assert_uint_eq(atomic_load(&h.page->released), 1);
	ck_assert(untouched());
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	hp_down(&h);
}
END_TEST

START_TEST(a_lease_that_comes_after_the_deadline_is_given_back)
{
	struct hp h;
	int32_t status;
	up_with(&h, "k");
	hold(&h, KVR_HYPERPOD_LEASE);
	uint64_t start = kvr_now_ns();
	ck_assert_int_eq(
	    hp_run(&h, KVR_VERB_GET, "k", out, LEN, start + KVR_MS(200), &status), KVR_E_TIMEOUT);
	ck_assert_uint_ge(kvr_now_ns() - start, KVR_MS(200));
	/* The store is closed while the lease is on its way: it waits a moment for it. */
	h.bed.ops->hang_up(h.bed.lane);
	h.bed.lane = NULL;
	let_go(&h, KVR_HYPERPOD_LEASE);
	hp_down(&h);
}
END_TEST

START_TEST(a_put_that_is_cancelled_leaves_nothing)
{
	struct getter g;
	struct hp h;
	/* More than the kernel takes off a sender's hands: what has left whole is stored. */
	size_t len = 64 << 20;
	uint8_t *from = calloc(1, len);
	up_with(&h, "other");
	hold(&h, KVR_HYPERPOD_PUT);
	g = (struct getter){ .h = &h,
		.key = "k",
		.until_ns = bed_in(BED_LONG),
		.verb = KVR_VERB_PUT,
		.at = from,
		.len = len };
	ck_assert_int_eq(pthread_create(&g.thread, NULL, getter_main, &g), 0);
	wait_held(&h);
	kick(&h);
	pthread_join(g.thread, NULL);
	ck_assert_int_eq(g.err, KVR_E_CANCELLED);
	/* From here on the body is ours again. */
	memset(from, 1, len);
	free(from);
	no_more_kick(&h);
	hp_redial(&h);
	let_go(&h, KVR_HYPERPOD_PUT);
	atomic_store(&h.page->miss_at_once, 1);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_EXISTS, "k", NULL, 0), KVR_E_MISS);
	hp_down(&h);
}
END_TEST

START_TEST(a_daemon_that_never_answers_is_down_after_its_own_time)
{
	struct hp h;
	int32_t status;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	h.opts.hyperpod.timeout_ms = 300;
	/* A busy machine may need longer for a dial. */
	for (int i = 0; bed_try(&h.bed, &h.opts, bed_in(BED_LONG)) != KVR_OK; i++) {
		ck_assert_msg(i < 100, "%s", h.bed.why);
		bed_down(&h.bed);
	}
	hold(&h, KVR_HYPERPOD_PUT);
	ck_assert_int_eq(
	    hp_run(&h, KVR_VERB_PUT, "k", in, 1000, bed_in(BED_LONG), &status), KVR_E_DOWN);
	hp_says(&h, "timed out");
	let_go(&h, KVR_HYPERPOD_PUT);
	hp_down(&h);
}
END_TEST

START_TEST(what_does_not_listen_is_down_with_a_sentence)
{
	struct hp h;
	struct bed bed;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	kvr_hyperpod_server_kill(h.server);
	ck_assert_int_eq(bed_try(&bed, &h.opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_msg(strstr(bed.why, "http://127.0.0.1:") != NULL, "%s", bed.why);
	bed_down(&bed);
	hp_end(&h);
}
END_TEST

KVR_CHECK_MAIN("connectors.hyperpod_faults", a_lease_that_may_have_ended_is_not_believed,
    nothing_is_read_after_its_lease_was_given_back,
    offsets_that_cannot_be_are_refused_and_their_lease_is_given_back,
    an_answer_without_sense_ends_the_lane, an_answer_that_breaks_off_ends_the_lane,
    a_release_that_fails_is_tried_again, a_lease_that_comes_after_a_kick_is_given_back,
    a_lease_that_comes_after_the_deadline_is_given_back, a_put_that_is_cancelled_leaves_nothing,
    a_daemon_that_never_answers_is_down_after_its_own_time,
    what_does_not_listen_is_down_with_a_sentence)
