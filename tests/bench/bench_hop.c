/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime costs a caller who waits: bench_hop [rounds]. In turns, in one run:
 *
 *   condvar  two threads hand a token there and back with nothing but a mutex and a condition
 *            variable: what any answer from another thread costs at least
 *   hop      a post to an idle domain, two deciders, the mailbox of a worker, its thread, its reply
 *            through the same deciders, and the waiting caller is woken
 *   direct   the same without a worker: what the deciders, the guard and the trace cost
 *
 * and at last four callers at once, half of their operations through the worker. Prints medians and
 * 99th percentiles in microseconds, and the ratio of the medians. Two threads that wake each other
 * may stay on one core or not; taskset -c 0 makes that the same for all rows.
 */
#include "kvr_domain.h"
#include "kvr_thread.h"

#include "duo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EACH = 500, ROUNDS = 20, ROUNDS_MAX = 1000, CROWD = 4, CROWD_EACH = 5000 };

struct samples {
	const char *name;
	uint64_t *ns;
	uint32_t n;
};

struct token {
	pthread_mutex_t lock;
	pthread_cond_t there, back;
	uint64_t sent, returned;
};

struct hop {
	struct kvr_ledger *ledger;
	struct kvr_trace *trace;
	struct kvr_domain *domain;
	struct kvr_mailbox *work;
	struct kvr_thread *worker;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t done[CROWD];
	uint32_t gen[CROWD];
};

struct caller {
	struct hop *hop;
	struct samples samples;
	struct kvr_thread *thread;
	uint32_t slot;
};

static void
must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_hop: %s failed\n", what);
	exit(1);
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double
percentile(const struct samples *s, uint32_t percent)
{
	return (double)s->ns[(uint64_t)(s->n - 1) * percent / 100] / 1e3;
}

/* ---- the least that it can cost ---- */

static void
echo(void *arg)
{
	struct token *t = arg;

	pthread_mutex_lock(&t->lock);
	while (t->sent != UINT64_MAX) {
		while (t->sent == t->returned)
			kvr_cond_wait(&t->there, &t->lock, UINT64_MAX);
		if (t->sent == UINT64_MAX)
			break;
		t->returned = t->sent;
		pthread_mutex_unlock(&t->lock);
		pthread_cond_signal(&t->back);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
}

static void
ping(struct token *t, struct samples *s)
{
	for (int i = 0; i < EACH; i++) {
		uint64_t from = kvr_now_ns();

		pthread_mutex_lock(&t->lock);
		uint64_t mine = ++t->sent;
		pthread_mutex_unlock(&t->lock);
		pthread_cond_signal(&t->there);
		pthread_mutex_lock(&t->lock);
		while (t->returned != mine)
			kvr_cond_wait(&t->back, &t->lock, UINT64_MAX);
		pthread_mutex_unlock(&t->lock);
		s->ns[s->n++] = kvr_now_ns() - from;
	}
}

/* ---- through the runtime ---- */

static void
outside(void *arg, const struct kvr_msg *m, const struct kvr_row *rows)
{
	struct hop *h = arg;

	(void)rows;
	if (m->type != KVR_MSG_COMPLETE)
		return;
	pthread_mutex_lock(&h->lock);
	h->done[m->op % DUO_SLOTS] = m->op;
	pthread_mutex_unlock(&h->lock);
	pthread_cond_broadcast(&h->cond);
}

static void
work(void *arg)
{
	struct hop *h = arg;
	struct kvr_msg m;

	while (kvr_mailbox_take(h->work, UINT64_MAX, &m) == KVR_OK && m.type != KVR_MSG_STOP) {
		struct kvr_msg done = duo_part_done(&m);

		must(kvr_domain_post(h->domain, &done) == KVR_OK, "post");
	}
}

static void
open_hop(struct hop *h)
{
	const struct kvr_trace_options trace = { .dir = "none", .size = KVR_MIB(16) };
	struct kvr_domain_options o = { .name = "bench", .outside = outside, .arg = h };
	const struct kvr_msg start[] = { duo_start(KVR_ID_ROUTER, 1),
		duo_start(KVR_ID_TIER_OF(0), 1) };
	char why[200];

	memset(h, 0, sizeof(*h));
	must(pthread_mutex_init(&h->lock, NULL) == 0, "mutex");
	kvr_cond_init(&h->cond);
	o.ledger = h->ledger = kvr_ledger_new(0);
	must(kvr_trace_open(&trace, &h->trace, why, sizeof(why)) == KVR_OK, "trace");
	o.trace = h->trace;
	must(kvr_domain_open(&o, &h->domain) == KVR_OK, "domain");
	must(kvr_domain_add(h->domain, KVR_ID_ROUTER, &duo_front_spec) == KVR_OK, "add");
	must(kvr_domain_add(h->domain, KVR_ID_TIER_OF(0), &duo_back_spec) == KVR_OK, "add");
	must(kvr_mailbox_open("work", 64, NULL, NULL, &h->work) == KVR_OK, "mailbox");
	kvr_domain_attach(h->domain, KVR_ID_WORKER_OF(0, 0), h->work);
	must(kvr_domain_start(h->domain) == KVR_OK, "start");
	must(kvr_domain_post(h->domain, &start[0]) == KVR_OK, "post");
	must(kvr_domain_post(h->domain, &start[1]) == KVR_OK, "post");
	must(kvr_thread_start("worker", work, h, &h->worker) == KVR_OK, "thread");
}

static void
close_hop(struct hop *h)
{
	const struct kvr_msg stop = { .type = KVR_MSG_STOP };

	must(kvr_mailbox_post(h->work, &stop) == KVR_OK, "post");
	must(kvr_thread_join(h->worker, UINT64_MAX) == KVR_OK, "join");
	kvr_domain_free(h->domain);
	kvr_mailbox_close(h->work);
	kvr_trace_close(h->trace);
	kvr_ledger_free(h->ledger);
}

static void
call(struct hop *h, uint32_t slot, int by_worker, struct samples *s)
{
	uint64_t from = kvr_now_ns();
	/* The deadline is what sets a timer, as every operation of the library does. */
	struct kvr_msg m = duo_submit(slot, ++h->gen[slot], 4, by_worker, from + KVR_SEC(60));

	must(kvr_domain_post(h->domain, &m) == KVR_OK, "post");
	pthread_mutex_lock(&h->lock);
	while (h->done[slot] != m.op)
		kvr_cond_wait(&h->cond, &h->lock, UINT64_MAX);
	pthread_mutex_unlock(&h->lock);
	s->ns[s->n++] = kvr_now_ns() - from;
}

static void
call_often(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < CROWD_EACH; i++)
		call(c->hop, c->slot, i % 2, &c->samples);
}

static void
crowd(struct hop *h)
{
	struct caller c[CROWD];
	uint64_t from_ns = kvr_now_ns();

	for (uint32_t i = 0; i < CROWD; i++) {
		c[i] = (struct caller){ .hop = h, .slot = i };
		must((c[i].samples.ns = calloc(CROWD_EACH, sizeof(uint64_t))) != NULL, "memory");
		must(kvr_thread_start("caller", call_often, &c[i], &c[i].thread) == KVR_OK,
		    "thread");
	}
	for (uint32_t i = 0; i < CROWD; i++) {
		must(kvr_thread_join(c[i].thread, UINT64_MAX) == KVR_OK, "join");
		free(c[i].samples.ns);
	}
	printf("%d callers %.0f operations/s\n", CROWD,
	    CROWD * CROWD_EACH / ((double)(kvr_now_ns() - from_ns) / 1e9));
}

int
main(int argc, char **argv)
{
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : ROUNDS;
	struct samples s[] = { { .name = "condvar" }, { .name = "hop" }, { .name = "direct" } };
	struct token t = { .sent = 0 };
	struct kvr_thread *echoes;
	static struct hop h;

	must(rounds > 0 && rounds <= ROUNDS_MAX, "rounds: 1 to 1000; that");
	for (size_t i = 0; i < KVR_LEN(s); i++)
		must((s[i].ns = calloc((size_t)rounds * EACH, sizeof(uint64_t))) != NULL, "memory");
	must(pthread_mutex_init(&t.lock, NULL) == 0, "mutex");
	kvr_cond_init(&t.there);
	kvr_cond_init(&t.back);
	must(kvr_thread_start("echo", echo, &t, &echoes) == KVR_OK, "thread");
	open_hop(&h);
	for (long r = 0; r < rounds; r++) {
		ping(&t, &s[0]);
		for (int i = 0; i < EACH; i++)
			call(&h, 0, 1, &s[1]);
		for (int i = 0; i < EACH; i++)
			call(&h, 0, 0, &s[2]);
	}
	crowd(&h);
	close_hop(&h);
	pthread_mutex_lock(&t.lock);
	t.sent = UINT64_MAX;
	pthread_cond_signal(&t.there);
	pthread_mutex_unlock(&t.lock);
	must(kvr_thread_join(echoes, UINT64_MAX) == KVR_OK, "join");
	for (size_t i = 0; i < KVR_LEN(s); i++) {
		qsort(s[i].ns, s[i].n, sizeof(s[i].ns[0]), by_size);
		printf("%-8s median %7.2f us  p99 %8.2f us\n", s[i].name, percentile(&s[i], 50),
		    percentile(&s[i], 99));
	}
	printf("hop / condvar %.2f\n", percentile(&s[1], 50) / percentile(&s[0], 50));
	for (size_t i = 0; i < KVR_LEN(s); i++)
		free(s[i].ns);
	return 0;
}
