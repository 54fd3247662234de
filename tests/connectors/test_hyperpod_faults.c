/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A HyperPod daemon that is slow, breaks off, or says what is not so: an error for whoever asked,
 * and no lease that is left behind. The linker puts the two functions below in place of the
 * system's, for a machine that has no memory for them.
 */
#include "kvr_hyperpod.h"
#include "kvr_hyperpod_get.h"

#include <arpa/inet.h>
#include <errno.h>

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __real_curl_multi_perform(void *multi, int *running);
int __wrap_curl_multi_perform(void *multi, int *running);

static _Atomic bool no_threads;
static _Atomic int performed, performs_to_fail;

int
__wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(id, attr, fn, arg);
}

int
__wrap_curl_multi_perform(void *multi, int *running)
{
	const int out_of_memory = 3; /* CURLM_OUT_OF_MEMORY */

	performed++;
	if (performs_to_fail == 0)
		return __real_curl_multi_perform(multi, running);
	performs_to_fail--;
	return out_of_memory;
}

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
		/* A lease that ends by its time takes its object with it, and that is the one before. */
		const char key[] = { 'k', (char)('0' + i), '\0' };

		ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, key, in, 1000), KVR_OK);
		snprintf(h.page->lease_text, sizeof(h.page->lease_text), "%s", texts[i]);
		enum kvr_err err =
		    hp_run(&h, KVR_VERB_GET, key, out, 1000, bed_in(BED_LONG), &status);
		ck_assert_msg(err == KVR_E_PROTO, "\"%s\": %s, %s: %s", texts[i], kvr_err_name(err),
		    kvr_err_name(status), h.bed.ops->why(h.bed.lane));
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

/* What is not asked for need not be given back, and nobody waits for it until his deadline. */
START_TEST(no_lease_is_asked_for_that_no_thread_would_give_back)
{
	struct hp h;
	up_with(&h, "k");
	no_threads = true;
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_E_NOMEM);
	hp_says(&h, "no thread can be had");
	ck_assert(untouched());
	ck_assert_int_eq(hp_one(&h, KVR_VERB_EXISTS, "k", NULL, 0), KVR_E_NOMEM);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_PUT, "other", in, LEN), KVR_OK);
	ck_assert_uint_eq(atomic_load(&h.page->granted), 0);
	no_threads = false;
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	ck_assert(memcmp(in, out, LEN) == 0);
	hp_down(&h);
}
END_TEST

START_TEST(a_lane_without_memory_ends_and_the_next_has_some)
{
	struct kvr_connector *lane = NULL;
	struct hp h;
	int32_t status;
	up_with(&h, "k");
	performs_to_fail = 1;
	ck_assert_int_eq(h.bed.ops->dial(h.bed.store, bed_in(BED_LONG), &h.bed.kick, &lane, h.bed.why,
	                     sizeof(h.bed.why)),
	    KVR_E_PROTO);
	ck_assert_msg(strstr(h.bed.why, "no memory for HTTP") != NULL, "%s", h.bed.why);
	/* From here on a thread may be waiting for what the lane leaves behind. */
	performs_to_fail = 1;
	ck_assert_int_eq(
	    hp_run(&h, KVR_VERB_GET, "k", out, LEN, bed_in(BED_LONG), &status), KVR_E_PROTO);
	hp_says(&h, "no memory for HTTP");
	ck_assert_int_eq(status, KVR_PENDING);
	hp_redial(&h);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	ck_assert(memcmp(in, out, LEN) == 0);
	hp_down(&h);
}
END_TEST

/* Under way, and again: the thread that gives leases back begins anew with what it still owes. */
START_TEST(leases_are_given_back_when_there_is_memory_again)
{
	struct hp h;
	up_with(&h, "k");
	atomic_store(&h.page->status[KVR_HYPERPOD_RELEASE], 500);
	ck_assert_int_eq(hp_one(&h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	performs_to_fail = 3;
	while (performs_to_fail > 0)
		usleep(1000);
	atomic_store(&h.page->status[KVR_HYPERPOD_RELEASE], 0);
	ck_assert(kvr_hyperpod_server_wait_no_lease(h.server));
	ck_assert_uint_eq(atomic_load(&h.page->released), 1);
	hp_down(&h);
}
END_TEST

/* The name of the daemon's machine has another address after a while. */
START_TEST(leases_are_given_back_where_the_daemon_is_by_now)
{
	struct sockaddr_in nobody = { .sin_family = AF_INET };
	struct kvr_addrs before = { .n = 1, .addr[0].len = sizeof(nobody) };
	struct kvr_hp_segment memory = { .fd = -1 };
	char url[64];
	struct hp h;
	hp_begin(&h, KVR_FORMAT_LMCACHE);
	snprintf(url, sizeof(url), "sagemaker-hyperpod://localhost%s", strrchr(h.opts.url, ':'));
	h.opts.url = url;
	atomic_store(&h.page->by_name, 1);
	h.bed = (struct bed){ .ops = kvr_connector_find(h.opts.url) };
	ck_assert_int_eq(h.bed.ops->open(&h.opts, &h.bed.store, h.bed.why, sizeof(h.bed.why)), KVR_OK);
	inet_pton(AF_INET, "127.0.0.9", &nobody.sin_addr);
	memcpy(&before.addr[0].at, &nobody, sizeof(nobody));
	ck_assert_int_eq(kvr_hp_segment_fresh(&memory, h.bed.store->segment, h.bed.why,
	                     sizeof(h.bed.why)),
	    KVR_OK);
	const struct kvr_hp_term term = { bed_in(BED_LONG), memory.file };

	kvr_hp_owed_where(h.bed.store->owed, &before);
	ck_assert(kvr_hp_owed_ready(h.bed.store->owed));
	ck_assert(kvr_hp_owe(h.bed.store->owed, "L-unknown", &term));
	while (performed == 0)
		usleep(1000);
	ck_assert_uint_eq(atomic_load(&h.page->unknown), 0);
	h.bed.kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	hp_redial(&h);
	for (uint64_t until_ns = bed_in(BED_LONG); atomic_load(&h.page->unknown) == 0;) {
		ck_assert_uint_lt(kvr_now_ns(), until_ns);
		usleep(1000);
	}
	kvr_hp_segment_close(&memory);
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
    a_release_that_fails_is_tried_again, no_lease_is_asked_for_that_no_thread_would_give_back,
    a_lane_without_memory_ends_and_the_next_has_some,
    leases_are_given_back_when_there_is_memory_again,
    leases_are_given_back_where_the_daemon_is_by_now, a_lease_that_comes_after_a_kick_is_given_back,
    a_lease_that_comes_after_the_deadline_is_given_back, a_put_that_is_cancelled_leaves_nothing,
    a_daemon_that_never_answers_is_down_after_its_own_time,
    what_does_not_listen_is_down_with_a_sentence)
