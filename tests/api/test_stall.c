/* SPDX-License-Identifier: Apache-2.0 */
/* A server that stands still or dies under running operations: every call comes back in time. */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"

#include <pthread.h>
#include <unistd.h>

KVR_NEEDS_REDIS

enum { LEN = 4 << 20, LATE_MS = 5000 /* of a machine under sanitizers and other tests */ };

/* connect: how long a server may be silent, like "300ms"; NULL: as long as usual. */
static struct kvr *
open_patient(const char *url, const char *connect)
{
	char patience[40];
	const char *const set[] = { bed_set[0], patience };
	const struct kvr_options o = { .size = sizeof(o), .url = url, .set = set, .n_set = connect != NULL ? 2 : 1 };
	struct kvr *k;
	char why[256];

	snprintf(patience, sizeof(patience), "timeouts.connect=%s", connect != NULL ? connect : "");
	ck_assert_msg(kvr_open(&o, 0, &k, why, sizeof(why)) == KVR_OK, "%s", why);
	return k;
}

static struct kvr *
open_url(const char *url)
{
	return open_patient(url, NULL);
}

static enum kvr_err
move(struct kvr *k, uint32_t kind, void *at, uint64_t until_ns, struct kvr_done *d)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.keys = "large",
		.at = &(void *const){ at },
		.len = &(const uint64_t){ LEN } };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = until_ns };

	return kvr_run(k, &b, &o, d, NULL);
}

START_TEST(a_deadline_holds_against_a_server_that_stands_still)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct kvr *k = open_patient(s->url, "60s");
	struct kvr_done d = { .size = sizeof(d) };
	char *value = malloc(LEN);

	bed_fill(value, LEN, 1);
	OK(move(k, KVR_PUT, value, 0, &d));
	kvr_redis_server_pause(s);
	uint64_t until_ns = bed_in_ms(100);
	ERR(move(k, KVR_GET, value, until_ns, &d), KVR_E_TIMEOUT);
	ck_assert_uint_ge(bed_now_ns(), until_ns);
	ck_assert_uint_lt(bed_now_ns(), until_ns + LATE_MS * UINT64_C(1000000));
	ck_assert_uint_eq(d.flags & KVR_DONE_QUIET, KVR_DONE_QUIET);
	/* The memory is ours again: what the server says later must not get into it. */
	memset(value, 0, LEN);
	kvr_redis_server_resume(s);
	OK(kvr_contains(k, "large", false, bed_in_ms(20000)));
	for (int i = 0; i < LEN; i++)
		if (value[i] != 0)
			ck_abort_msg("byte %d was written after the completion", i);
	OK(move(k, KVR_GET, value, bed_in_ms(20000), &d));
	bed_same(value, LEN, 1);
	free(value);
	bed_close(k);
	kvr_redis_server_stop(s);
}
END_TEST

/* It accepts, as the kernel does for it, and does not answer. */
START_TEST(a_dial_that_takes_too_long_names_the_setting)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	const char *const set[] = { bed_set[0], "timeouts.connect=300ms" };
	struct bed_log log = BED_LOG;
	const struct kvr_options o = { .size = sizeof(o), .url = s->url, .set = set, .n_set = 2,
		.log = bed_log, .log_arg = &log };
	struct kvr_done d = { .size = sizeof(d) };
	static char at[LEN];
	char why[256];
	struct kvr *k;

	kvr_redis_server_pause(s);
	ck_assert_msg(kvr_open(&o, 0, &k, why, sizeof(why)) == KVR_OK, "%s", why);
	for (uint64_t until_ns = bed_in_ms(60000); strstr(d.why, "timeouts.connect, 300 ms") == NULL;) {
		ck_assert_msg(bed_now_ns() < until_ns, "%s", d.why);
		(void)move(k, KVR_GET, at, bed_in_ms(2000), &d);
	}
	bed_log_wait(&log, "(timeouts.connect, 300 ms)");
	kvr_redis_server_resume(s);
	bed_close(k);
	kvr_redis_server_stop(s);
}
END_TEST

struct mover {
	struct kvr *k;
	pthread_t id;
	int err;
	char *at;
};

static void *
get(void *arg)
{
	struct mover *m = arg;

	m->err = move(m->k, KVR_GET, m->at, bed_in_ms(60000), NULL);
	return NULL;
}

static void
close_on_a_server_that_stands_still(uint32_t mode)
{
	enum { MOVERS = 4 };
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct kvr *k = open_patient(s->url, "60s");
	struct mover m[MOVERS];
	struct kvr_close_report r = { .size = sizeof(r) };
	struct kvr_health h = { .size = sizeof(h) };
	char *value = calloc(1, LEN);

	OK(move(k, KVR_PUT, value, 0, NULL));
	kvr_redis_server_pause(s);
	for (int i = 0; i < MOVERS; i++) {
		m[i] = (struct mover){ .k = k, .at = malloc(LEN) };
		ck_assert_int_eq(pthread_create(&m[i].id, NULL, get, &m[i]), 0);
	}
	do
		OK(kvr_health(k, &h));
	while (h.in_flight < MOVERS);
	uint64_t until_ns = bed_in_ms(300);
	OK(kvr_close(k, until_ns, mode, &r));
	ck_assert_uint_lt(bed_now_ns(), until_ns + LATE_MS * UINT64_C(1000000));
	ck_assert_uint_eq(r.not_quiet, 0);
	for (int i = 0; i < MOVERS; i++) {
		pthread_join(m[i].id, NULL);
		ERR(m[i].err, KVR_E_SHUTDOWN);
		free(m[i].at);
	}
	ck_assert_uint_eq(r.dropped, MOVERS);
	kvr_free(k);
	free(value);
	kvr_redis_server_resume(s);
	kvr_redis_server_stop(s);
}

START_TEST(aborted_on_a_server_that_stands_still)
{
	close_on_a_server_that_stands_still(KVR_ABORT);
}
END_TEST

START_TEST(drained_on_a_server_that_stands_still)
{
	close_on_a_server_that_stands_still(KVR_DRAIN);
}
END_TEST

/*
 * The lanes are full of gets that have a minute. Those that come after them have little time, and
 * must not wait behind them, nor behind a ping: long enough for the lanes to be tried and dialled.
 */
static void
short_behind_long(int movers)
{
	enum { MOVERS = 6, ROUNDS = 50, SHORT_MS = 30 };
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct kvr *k = open_patient(s->url, "60s");
	struct mover m[MOVERS];
	struct kvr_health h = { .size = sizeof(h) };
	char *value = calloc(1, LEN);

	OK(move(k, KVR_PUT, value, 0, NULL));
	kvr_redis_server_pause(s);
	for (int i = 0; i < movers; i++) {
		m[i] = (struct mover){ .k = k, .at = malloc(LEN) };
		ck_assert_int_eq(pthread_create(&m[i].id, NULL, get, &m[i]), 0);
	}
	do
		OK(kvr_health(k, &h));
	while (h.in_flight < (uint64_t)movers);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t until_ns = bed_in_ms(SHORT_MS);
		enum kvr_err err = move(k, KVR_GET, value, until_ns, NULL);
		uint64_t now_ns = bed_now_ns();
		uint64_t late_ns = now_ns > until_ns ? now_ns - until_ns : 0;

		ck_assert_msg(err == KVR_E_TIMEOUT || err == KVR_E_DOWN, "%s", kvr_err_name(err));
		ck_assert_msg(late_ns < LATE_MS * UINT64_C(1000000), "call %d: %.1f ms late", i,
		    (double)late_ns / 1e6);
	}
	OK(kvr_close(k, bed_in_ms(300), KVR_ABORT, NULL));
	for (int i = 0; i < movers; i++) {
		pthread_join(m[i].id, NULL);
		free(m[i].at);
	}
	kvr_free(k);
	free(value);
	kvr_redis_server_resume(s);
	kvr_redis_server_stop(s);
}

START_TEST(short_deadlines_do_not_wait_behind_long_ones)
{
	short_behind_long(0); /* then it is pings that take their time */
	short_behind_long(1);
	short_behind_long(6);
}
END_TEST

struct looper {
	struct kvr *k;
	pthread_t id;
	_Atomic int n_ok, end;
};

static void *
get_again(void *arg)
{
	struct looper *l = arg;
	char *at = malloc(LEN);

	while (!l->end)
		l->n_ok += move(l->k, KVR_GET, at, bed_in_ms(60000), NULL) == KVR_OK;
	free(at);
	return NULL;
}

/* A minute is left to everybody, and nobody waits for it: what is silent is taken for dead. */
START_TEST(a_far_deadline_is_not_waited_for_when_a_server_stops_in_the_middle)
{
	enum { LOOPERS = 3, SOON_MS = 30000 };
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct kvr *k = open_patient(s->url, "300ms");
	struct looper l[LOOPERS];
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_health h = { .size = sizeof(h) };
	char *value = calloc(1, LEN);
	enum kvr_err err;

	uint64_t until_ns = bed_in_ms(SOON_MS);
	do /* a busy machine may be silent, too */
		err = move(k, KVR_PUT, value, bed_in_ms(SOON_MS), NULL);
	while (err != KVR_OK && bed_now_ns() < until_ns);
	OK(err);
	for (int i = 0; i < LOOPERS; i++) {
		l[i] = (struct looper){ .k = k };
		ck_assert_int_eq(pthread_create(&l[i].id, NULL, get_again, &l[i]), 0);
	}
	for (int i = 0; i < LOOPERS; i++)
		for (until_ns = bed_in_ms(SOON_MS); l[i].n_ok < 2; usleep(1000))
			ck_assert_uint_lt(bed_now_ns(), until_ns);
	kvr_redis_server_pause(s);
	until_ns = bed_in_ms(SOON_MS);
	for (int i = 0; i < LOOPERS; i++)
		l[i].end = 1;
	for (int i = 0; i < LOOPERS; i++)
		pthread_join(l[i].id, NULL);
	ERR(move(k, KVR_GET, value, bed_in_ms(60000), &d), KVR_E_DOWN);
	ck_assert_str_ne(d.why, "");
	do /* it cools down */
		OK(kvr_health(k, &h));
	while (h.n_up > 0 && bed_now_ns() < until_ns);
	ck_assert_uint_lt(bed_now_ns(), until_ns);
	kvr_redis_server_resume(s);
	until_ns = bed_in_ms(SOON_MS);
	do
		err = move(k, KVR_GET, value, bed_in_ms(SOON_MS), NULL);
	while (err != KVR_OK && bed_now_ns() < until_ns);
	OK(err);
	free(value);
	bed_close(k);
	kvr_redis_server_stop(s);
}
END_TEST

START_TEST(a_server_that_dies_and_comes_back)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct kvr *k = open_patient(s->url, "10s"); /* the first put needs its connection */
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_health h = { .size = sizeof(h) };
	char *value = calloc(1, LEN);
	enum kvr_err err;

	OK(move(k, KVR_PUT, value, 0, NULL));
	kvr_redis_server_kill(s);
	err = move(k, KVR_GET, value, bed_in_ms(5000), &d);
	ck_assert_msg(err == KVR_E_DOWN || err == KVR_E_TIMEOUT, "%s", kvr_err_name(err));
	uint64_t until_ns = bed_in_ms(30000);
	do { /* the answer may come before the tier has tried a new connection */
		ck_assert_uint_lt(bed_now_ns(), until_ns);
		OK(kvr_health(k, &h));
	} while (h.ok != 0);
	ck_assert_str_ne(h.why, "");
	kvr_redis_server_restart(s);
	until_ns = bed_in_ms(30000);
	do
		err = move(k, KVR_PUT, value, bed_in_ms(5000), NULL);
	while (err != KVR_OK && bed_now_ns() < until_ns);
	OK(err);
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.ok, 1);
	free(value);
	bed_close(k);
	kvr_redis_server_stop(s);
}
END_TEST

/* A store that was never there: open succeeds, and calls say DOWN at once or by their deadline. */
START_TEST(a_server_that_is_not_there)
{
	struct kvr *k = open_url("redis://127.0.0.1:1");
	uint64_t until_ns = bed_in_ms(3000);
	enum kvr_err err = kvr_contains(k, "k", false, until_ns);

	ck_assert_msg(err == KVR_E_DOWN || err == KVR_E_TIMEOUT, "%s", kvr_err_name(err));
	ck_assert_uint_lt(bed_now_ns(), until_ns + LATE_MS * UINT64_C(1000000));
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.stall", a_deadline_holds_against_a_server_that_stands_still,
    aborted_on_a_server_that_stands_still, drained_on_a_server_that_stands_still,
    short_deadlines_do_not_wait_behind_long_ones,
    a_far_deadline_is_not_waited_for_when_a_server_stops_in_the_middle,
    a_server_that_dies_and_comes_back, a_server_that_is_not_there,
    a_dial_that_takes_too_long_names_the_setting)
