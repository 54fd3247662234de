/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

uint64_t
world_soon(void)
{
	return kvr_now_ns() + KVR_SEC(200);
}

/* ---- what comes out ---- */

static void
outside(void *arg, const struct kvr_msg *m, const struct kvr_row *rows)
{
	struct world *w = arg;

	pthread_mutex_lock(&w->lock);
	w->last = (struct world_seen){ .msg = *m, .by = pthread_self(), .at_ns = kvr_now_ns() };
	if (rows != NULL)
		w->last.first_row = rows[0];
	w->n++;
	if (m->type == KVR_MSG_STOPPED)
		w->n_stopped++;
	if (m->type == KVR_MSG_COUNT && m->part != 0 && w->next[m->part - 1]++ != m->op)
		w->wrong++;
	if (m->type == KVR_MSG_COMPLETE)
		w->done_gen[m->op % DUO_SLOTS] = m->op >> 32;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void
watch(void *arg, const struct kvr_actor *a, uint32_t before, const struct kvr_event *ev)
{
	struct world *w = arg;

	pthread_mutex_lock(&w->lock);
	w->n_watched++;
	snprintf(w->watched, sizeof(w->watched), "%s %s -> %s by %s", a->spec->name,
	    a->spec->state_name[before], a->spec->state_name[a->state],
	    kvr_msg_info[ev->msg.type].name);
	pthread_mutex_unlock(&w->lock);
}

void
world_wait(struct world *w, uint64_t n)
{
	bool in_time = true;

	pthread_mutex_lock(&w->lock);
	while (w->n < n && in_time)
		in_time = kvr_cond_wait(&w->cond, &w->lock, world_soon());
	ck_assert_uint_ge(w->n, n);
	pthread_mutex_unlock(&w->lock);
}

/* ---- open and close ---- */

void
world_post(struct world *w, const struct kvr_msg m)
{
	ck_assert_int_eq(kvr_domain_post(w->domain, &m), KVR_OK);
}

void
world_open_by(struct world *w, bool poison, struct kvr_trace *trace, struct kvr_world clock)
{
	struct kvr_domain_options o = { .name = "test",
		.world = clock,
		.outside = outside,
		.arg = w,
		.watch = watch,
		.watch_arg = w,
		.poison = poison,
		.trace = trace };

	memset(w, 0, sizeof(*w));
	ck_assert_int_eq(pthread_mutex_init(&w->lock, NULL), 0);
	kvr_cond_init(&w->cond);
	w->trace = trace;
	o.ledger = w->ledger = kvr_ledger_new(0);
	ck_assert_ptr_nonnull(w->ledger);
	ck_assert_int_eq(kvr_domain_open(&o, &w->domain), KVR_OK);
	ck_assert_int_eq(kvr_domain_add(w->domain, KVR_ID_ROUTER, &duo_front_spec), KVR_OK);
	ck_assert_int_eq(kvr_domain_add(w->domain, KVR_ID_TIER_OF(0), &duo_back_spec), KVR_OK);
	ck_assert_int_eq(kvr_mailbox_open("work", WORLD_PLACES, NULL, NULL, &w->work), KVR_OK);
	kvr_domain_attach(w->domain, KVR_ID_WORKER_OF(0, 0), w->work);
	ck_assert_int_eq(kvr_domain_start(w->domain), KVR_OK);
	world_post(w, duo_start(KVR_ID_ROUTER, 42));
	world_post(w, duo_start(KVR_ID_TIER_OF(0), 42));
}

void
world_open(struct world *w, bool poison, struct kvr_trace *trace)
{
	world_open_by(w, poison, trace, (struct kvr_world){ .now_ns = NULL });
}

void
world_close(struct world *w)
{
	kvr_domain_stop(w->domain);
	kvr_domain_free(w->domain);
	kvr_mailbox_close(w->work);
	kvr_ledger_free(w->ledger);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
}

/* ---- the worker ---- */

static void
work(void *arg)
{
	struct world *w = arg;
	struct kvr_msg m;

	while (kvr_mailbox_take(w->work, UINT64_MAX, &m) == KVR_OK && m.type != KVR_MSG_STOP) {
		struct kvr_msg done = duo_part_done(&m);

		for (uint32_t i = 0; i < m.n_rows; i++)
			w->ledger->rows[m.rows + i].len *= 2;
		ck_assert_int_eq(kvr_domain_post(w->domain, &done), KVR_OK);
	}
}

void
world_start_worker(struct world *w)
{
	ck_assert_int_eq(kvr_thread_start("worker", work, w, &w->worker), KVR_OK);
}

void
world_stop_worker(struct world *w)
{
	const struct kvr_msg stop = { .type = KVR_MSG_STOP };

	ck_assert_int_eq(kvr_mailbox_post(w->work, &stop), KVR_OK);
	ck_assert_int_eq(kvr_thread_join(w->worker, world_soon()), KVR_OK);
}

/* ---- callers ---- */

struct caller {
	struct world *world;
	struct kvr_thread *thread;
	uint32_t slot, n;
};

void
world_fill_rows(struct world *w, uint32_t slot, uint32_t n, uint32_t len)
{
	for (uint32_t i = 0; i < n; i++)
		w->ledger->rows[slot * DUO_ROWS + i] =
		    (struct kvr_row){ .key = slot * DUO_ROWS + i, .len = len + i };
}

static void
call(void *arg)
{
	struct caller *c = arg;
	struct world *w = c->world;

	for (uint32_t i = 1; i <= c->n; i++) {
		const struct kvr_row *rows = &w->ledger->rows[c->slot * DUO_ROWS];
		uint32_t n = 1 + i % DUO_ROWS, times = i % 3 != 0 ? 2 : 1;
		bool in_time = true;

		world_fill_rows(w, c->slot, n, i);
		world_post(w, duo_submit(c->slot, i, n, times == 2, kvr_now_ns() + KVR_MS(i % 50)));
		pthread_mutex_lock(&w->lock);
		while (w->done_gen[c->slot] != i && in_time)
			in_time = kvr_cond_wait(&w->cond, &w->lock, world_soon());
		pthread_mutex_unlock(&w->lock);
		ck_assert(in_time);
		for (uint32_t k = 0; k < n; k++)
			ck_assert_uint_eq(rows[k].len, times * (i + k));
	}
}

void
world_call(struct world *w, uint32_t callers, uint32_t n)
{
	struct caller c[WORLD_SENDERS];

	ck_assert_uint_le(callers, WORLD_SENDERS);
	for (uint32_t i = 0; i < callers; i++) {
		c[i] = (struct caller){ .world = w, .slot = i, .n = n };
		ck_assert_int_eq(kvr_thread_start("caller", call, &c[i], &c[i].thread), KVR_OK);
	}
	for (uint32_t i = 0; i < callers; i++)
		ck_assert_int_eq(kvr_thread_join(c[i].thread, UINT64_MAX), KVR_OK);
}

void
world_call_for_ever(struct world *w)
{
	world_start_worker(w);
	world_call(w, WORLD_SENDERS, UINT32_MAX - 1);
}
