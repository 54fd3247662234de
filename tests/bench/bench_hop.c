/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime costs a caller who waits: bench_hop --samples FILE [--quick]. In turns, in one
 * run:
 *
 *   raw      two threads hand a token there and back with nothing but a mutex and condition
 *            variables: what any answer from another thread costs at least
 *   hop      a post to an idle domain, two deciders, the mailbox of a worker, its thread, its reply
 *            through the same deciders, and the waiting caller is woken
 *   direct   the same without a worker: what the deciders, the guard and the trace cost
 *
 * first with everything on one CPU and then where the scheduler puts it, and at last four callers
 * at once, half of their operations through the worker, beside four pairs of threads with a token.
 */
#include "kvr_domain.h"
#include "kvr_thread.h"

#include "duo.h"
#include "kvr_measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CROWD = 4 };

static uint32_t each = 500, crowd_each = 2000;

struct samples {
	const char *name;
	uint64_t *ns;
	uint32_t n;
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
	struct hop *hop; /* or */
	const struct bench_client *token;
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

static void
ping(const struct bench_client *token, uint32_t n, struct samples *s)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t from = kvr_now_ns();

		token->put(token->self, NULL);
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

	if (c->token != NULL)
		ping(c->token, crowd_each, &c->samples);
	for (uint32_t i = 0; c->hop != NULL && i < crowd_each; i++)
		call(c->hop, c->slot, i % 2, &c->samples);
}

/* Operations a second. */
static double
crowd(struct hop *h, const struct bench_client *t)
{
	struct caller c[CROWD];
	uint64_t from_ns = kvr_now_ns();

	for (uint32_t i = 0; i < CROWD; i++) {
		c[i] = (struct caller){ .hop = h, .token = t == NULL ? NULL : &t[i], .slot = i };
		must((c[i].samples.ns = calloc(crowd_each, sizeof(uint64_t))) != NULL, "memory");
		must(kvr_thread_start("caller", call_often, &c[i], &c[i].thread) == KVR_OK,
		    "thread");
	}
	for (uint32_t i = 0; i < CROWD; i++) {
		must(kvr_thread_join(c[i].thread, UINT64_MAX) == KVR_OK, "join");
		free(c[i].samples.ns);
	}
	return CROWD * crowd_each / ((double)(kvr_now_ns() - from_ns) / 1e9);
}

static void
one_round(
    struct bench *b, struct hop *h, const struct bench_client *t, const char *what, uint32_t round)
{
	static uint64_t ns[3][1000];
	struct samples s[] = { { "raw condvar", ns[0], 0 }, { "hop", ns[1], 0 },
		{ "direct", ns[2], 0 } };

	ping(t, each, &s[0]);
	for (uint32_t i = 0; i < each; i++)
		call(h, 0, 1, &s[1]);
	for (uint32_t i = 0; i < each; i++)
		call(h, 0, 0, &s[2]);
	for (size_t i = 0; round > 0 && i < KVR_LEN(s); i++)
		bench_tell_times(b, "hops", what, s[i].name, round, s[i].ns, s[i].n);
}

int
main(int argc, char **argv)
{
	struct bench_client t[CROWD];
	static struct hop h;
	struct bench b;

	must(bench_args(&b, argc, argv) == argc,
	    "usage: bench_hop --samples FILE --dir DIR --tmpfs DIR [--quick]; that");
	if (b.size == BENCH_TINY)
		each = crowd_each = 20;
	for (uint32_t i = 0; i < CROWD; i++)
		t[i] = token_open();
	open_hop(&h);
	for (int one_cpu = 1; one_cpu >= 0; one_cpu--) {
		bench_pin(0, one_cpu ? 0 : -1);
		for (uint32_t round = 0; round <= b.rounds; round++)
			one_round(&b, &h, t, one_cpu ? "there and back, one CPU" : "there and back",
			    round);
	}
	for (uint32_t round = 0; round <= b.rounds; round++) {
		double raw = crowd(NULL, t), hop = crowd(&h, NULL);

		if (round == 0)
			continue;
		bench_tell(&b, "hops", "4 callers", "op/s", "raw condvar", round, raw);
		bench_tell(&b, "hops", "4 callers", "op/s", "hop", round, hop);
	}
	close_hop(&h);
	for (uint32_t i = 0; i < CROWD; i++)
		t[i].close(t[i].self);
	bench_end(&b);
	return 0;
}
