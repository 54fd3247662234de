/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tail of lookups while puts of the same client saturate the link, and while nothing else
 * happens. Whoever has but one connection would wait for a whole value, so the raw client and
 * hiredis put on a second one.
 */
#include "kvr_measure.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LOOKS_MAX = 50000, CLIENTS = 4 };

struct putter {
	const struct bench_client *client;
	struct bench_work *work;
	pthread_t thread;
	atomic_bool end;
	atomic_uint batches;
};

static void *
put_on(void *arg)
{
	struct putter *p = arg;

	while (!p->end) {
		p->client->put(p->client->self, p->work);
		p->batches++;
	}
	return NULL;
}

/* For so long, and at least once: a batch of puts takes longer than many lookups. */
static uint32_t
look(const struct bench_client *c, const struct bench_work *w, uint64_t *ns, uint32_t ms)
{
	uint64_t now_ns = bench_now_ns(), end_ns = now_ns + ms * UINT64_C(1000000);
	uint32_t n = 0;

	while (n == 0 || (now_ns < end_ns && n < LOOKS_MAX)) {
		uint64_t from_ns = now_ns;

		c->look(c->self, w);
		now_ns = bench_now_ns();
		ns[n++] = now_ns - from_ns;
	}
	return n;
}

/* Of times that bench_tell_times has sorted. */
static double
p99(const uint64_t *ns, uint32_t n)
{
	return (double)ns[(uint64_t)(n - 1) * 99 / 100];
}

static void
turn(struct bench *b, const struct bench_client *looks, const struct bench_work *w,
    struct putter *p, uint32_t round)
{
	static const uint32_t ms_of[] = { 20, 200, 1000 };
	static uint64_t idle[LOOKS_MAX], loaded[LOOKS_MAX];
	uint32_t ms = ms_of[b->size], n_idle = look(looks, w, idle, ms / 2), n = 0;
	const char *who = looks->name;

	p->end = false;
	p->batches = 0;
	if (pthread_create(&p->thread, NULL, put_on, p) != 0)
		bench_give_up("load", "no thread");
	while (p->batches == 0) /* until it runs */
		(void)look(looks, w, loaded, 0);
	uint32_t before = p->batches;
	uint64_t from_ns = bench_now_ns();

	n = look(looks, w, loaded, ms);
	double gb = (double)(p->batches - before) * p->work->n * (double)p->work->len[0] / 1e9,
	       s = (double)(bench_now_ns() - from_ns) / 1e9;
	p->end = true;
	pthread_join(p->thread, NULL);
	if (round == 0)
		return;
	bench_tell_times(b, "load", "lookup, idle", who, round, idle, n_idle);
	bench_tell_times(b, "load", "lookup, loaded", who, round, loaded, n);
	bench_tell(b, "load", "lookup, loaded", "puts GB/s", who, round, gb / s);
	bench_tell(
	    b, "load", "lookup", "loaded/idle p99", who, round, p99(loaded, n) / p99(idle, n_idle));
}

void
bench_load(struct bench *b)
{
	struct bench_work *w = bench_work_new(), *puts = bench_work_new();
	const struct bench_client looks[CLIENTS] = { raw_open(b->server->port),
		hiredis_open(b->server->port),
		kvrelay_open_redis("kvrelay 1", b->server->url, "bare", 1),
		kvrelay_open_redis("kvrelay 2", b->server->url, "bare", 2) };
	const struct bench_client raw_puts = raw_open(b->server->port),
	                          hiredis_puts = hiredis_open(b->server->port);
	struct putter p[CLIENTS] = { { .client = &raw_puts, .work = puts },
		{ .client = &hiredis_puts, .work = puts }, { .client = &looks[2], .work = puts },
		{ .client = &looks[3], .work = puts } };

	raw_choose(&raw_puts, (struct raw_setting){ 2, 2, BENCH_MIB(1) });
	bench_work_set(puts, "put", 2, BENCH_MIB(4));
	bench_work_set(w, "look", 1, 8);
	bench_work_fill(w, 0);
	looks[0].put(looks[0].self, w);
	for (uint32_t round = 0; round <= b->rounds; round++)
		for (uint32_t i = 0; i < CLIENTS; i++) {
			uint32_t k = (i + round) % CLIENTS;

			turn(b, &looks[k], w, &p[k], round);
		}
	for (uint32_t i = 0; i < CLIENTS; i++)
		looks[i].close(looks[i].self);
	raw_puts.close(raw_puts.self);
	hiredis_puts.close(hiredis_puts.self);
	bench_work_free(w);
	bench_work_free(puts);
}
