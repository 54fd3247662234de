/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_sim_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void
kvr_sim_broken(const struct kvr_sim *sim, const char *what)
{
	fprintf(stderr, "seed %" PRIu64 ", %" PRIu64 " ns, step %" PRIu64 "\n", sim->options.seed,
	    sim->now_ns, sim->steps);
	kvr_panic(__FILE__, __LINE__, what);
}

static bool
sooner(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void
kvr_sim_at(struct kvr_sim *sim, uint64_t at_ns, const struct sim_event *ev)
{
	if (sim->n_heap == sim->cap_heap) {
		sim->cap_heap = sim->cap_heap == 0 ? 256 : sim->cap_heap * 2;
		sim->heap = realloc(sim->heap, sim->cap_heap * sizeof(sim->heap[0]));
		KVR_CHECK(sim->heap != NULL);
	}
	size_t i = sim->n_heap++;
	struct sim_event e = *ev;

	e.at_ns = KVR_MAX(at_ns, sim->now_ns);
	e.seq = ++sim->seq;
	for (; i > 0 && sooner(&e, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = e;
}

static struct sim_event
take_first(struct kvr_sim *sim)
{
	struct sim_event first = sim->heap[0], last = sim->heap[--sim->n_heap];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= sim->n_heap)
			break;
		if (child + 1 < sim->n_heap && sooner(&sim->heap[child + 1], &sim->heap[child]))
			child++;
		if (!sooner(&sim->heap[child], &last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	if (sim->n_heap > 0)
		sim->heap[i] = last;
	return first;
}

/* A part has one holder. The router makes parts, so it may send one that nobody has seen yet. */
static void
move_part(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	uint32_t slot = KVR_PART_SLOT(msg->part);

	if (kvr_msg_info[msg->type].owner != KVR_OWNER_RECEIVER)
		return;
	if (msg->part == 0 || slot >= KVR_PARTS_MAX)
		kvr_sim_broken(sim, "an owned part without a number");
	struct sim_holder *h = &sim->holder[slot];

	if (h->part != msg->part) {
		if (msg->from != KVR_ID_ROUTER || (h->part != 0 && h->id != KVR_ID_ROUTER))
			kvr_sim_broken(sim, "a part that is still out, or was never made, is sent");
		h->part = msg->part;
	} else if (h->id != msg->from) {
		kvr_sim_broken(sim, "a part is sent by an actor that does not hold it");
	}
	h->id = msg->to;
}

uint16_t
kvr_sim_holder_of(const struct kvr_sim *sim, uint32_t part)
{
	const struct sim_holder *h = &sim->holder[KVR_PART_SLOT(part)];

	return h->part == part ? h->id : KVR_ID_NONE;
}

void
kvr_sim_post_at(struct kvr_sim *sim, uint64_t at_ns, uint16_t to, const struct kvr_msg *msg)
{
	struct sim_event ev = { .kind = SIM_MSG, .msg = *msg };

	ev.msg.to = to;
	move_part(sim, &ev.msg);
	kvr_sim_at(sim, at_ns, &ev);
}

void
kvr_sim_post(struct kvr_sim *sim, uint16_t to, const struct kvr_msg *msg)
{
	kvr_sim_post_at(sim, sim->now_ns, to, msg);
}

void
kvr_sim_reply(struct kvr_sim *sim, uint16_t from, uint16_t to, const struct kvr_msg *msg)
{
	struct kvr_msg m = *msg;

	m.from = from;
	kvr_sim_post(sim, to, &m);
}

/* Between deciders messages keep their order, and may take a while when hop_ns says so. */
static void
send_on(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	struct sim_event ev = { .kind = SIM_MSG, .msg = *msg };
	uint64_t at_ns = sim->now_ns;

	move_part(sim, msg);
	if (sim->options.hop_ns != 0) {
		at_ns += kvr_sim_rand(sim, sim->options.hop_ns);
		at_ns = KVR_MAX(at_ns, sim->local_ns);
		sim->local_ns = at_ns;
	}
	kvr_sim_at(sim, at_ns, &ev);
}

/*
 * One timer per number: set again, it moves. One that is due stands in the queue of messages like
 * any other, and nobody takes it out of there: what comes before it may set the timer again or be
 * the end of what it was set for, and it arrives nonetheless.
 */
static void
set_timer(struct kvr_sim *sim, struct sim_decider *d, const struct kvr_fx *fx)
{
	struct sim_event ev = { .kind = SIM_TIMER, .msg = fx->msg };
	uint32_t timer = fx->msg.TIMER.timer;

	if (timer >= d->n_timers) {
		uint32_t n = (timer + 1) * 2;

		d->timer = realloc(d->timer, n * sizeof(d->timer[0]));
		KVR_CHECK(d->timer != NULL);
		memset(d->timer + d->n_timers, 0, (n - d->n_timers) * sizeof(d->timer[0]));
		d->n_timers = n;
	}
	ev.tag = sim->seq + 1;
	d->timer[timer] = (struct sim_timer){ .tag = ev.tag, .gen = fx->msg.TIMER.gen };
	kvr_sim_at(sim, fx->at_ns, &ev);
}

/*
 * A timer that was set again while it stood in the queue is none any more. Mostly the decider would
 * only look too early, and find nothing to do: no answer would show that it took an old one.
 */
static bool
is_old(const struct sim_decider *d, const struct kvr_msg *msg)
{
	return msg->type == KVR_MSG_TIMER && msg->TIMER.timer < d->n_timers &&
	    d->timer[msg->TIMER.timer].gen != msg->TIMER.gen;
}

static void
step(struct kvr_sim *sim, struct sim_decider *d, const struct kvr_msg *msg)
{
	struct kvr_event ev = { .now_ns = sim->now_ns, .msg = *msg };
	uint32_t before = d->actor.state;
	uint64_t mark[3], digest = d->actor.digest;
	bool old = is_old(d, msg);

	if (kvr_msg_info[msg->type].rows != KVR_ROWS_NONE && msg->n_rows > 0)
		ev.rows = &sim->rows[msg->rows];
	sim->out->row_table = sim->rows;
	sim->out->step = ++sim->steps;
	if (sim->options.watch != NULL)
		sim->options.watch->before(sim->options.watch->arg, sim, &ev);
	mark[0] = kvr_step(&d->actor, &ev, sim->out);
	if (old && (sim->out->n > 0 || d->actor.digest != digest || d->actor.state != before))
		kvr_sim_broken(sim, "an old timer did something");
	mark[1] = msg->to;
	mark[2] = sim->now_ns;
	sim->digest = kvr_hash64_seed(mark, sizeof(mark), sim->digest);
	if (sim->options.watch != NULL)
		sim->options.watch->after(
		    sim->options.watch->arg, sim, &d->actor, before, mark[0], sim->out);
	if (sim->options.transcript)
		kvr_sim_line(sim, &d->actor, before, &ev);
	for (uint32_t i = 0; i < sim->out->n; i++) {
		const struct kvr_fx *fx = &sim->out->fx[i];

		if (fx->kind == KVR_FX_LATER)
			set_timer(sim, d, fx);
		else
			send_on(sim, &fx->msg);
	}
	if (sim->steps % sim->options.verify_every == 0)
		kvr_sim_verify(sim);
}

static void
deliver(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	KVR_CHECK(msg->to < KVR_ID_N);
	sim->seen[msg->to][msg->type]++;
	if (sim->decider[msg->to].present)
		step(sim, &sim->decider[msg->to], msg);
	else if (msg->to >= KVR_ID_WORKER)
		kvr_sim_worker_take(sim, msg);
	else if (kvr_sim_api_take(sim, msg))
		return;
	else if (sim->options.outside != NULL)
		sim->options.outside(sim->options.arg, sim, msg);
	else if (msg->to != KVR_ID_METRICS)
		kvr_sim_broken(sim, "a message for an actor that is not in this world");
}

static void
happen(struct kvr_sim *sim, const struct sim_event *ev)
{
	struct sim_decider *d = &sim->decider[ev->msg.to];

	sim->now_ns = ev->at_ns;
	switch ((enum sim_event_kind)ev->kind) {
	case SIM_MSG:
		deliver(sim, &ev->msg);
		break;
	case SIM_TIMER:
		if (d->timer[ev->msg.TIMER.timer].tag != ev->tag)
			break;
		if (sim->options.hop_ns != 0)
			send_on(sim, &ev->msg);
		else
			deliver(sim, &ev->msg);
		break;
	case SIM_WAKE:
		kvr_sim_worker_wake(sim, ev->worker, ev->tag);
		break;
	case SIM_SERVE:
		kvr_sim_api_serve(sim, &ev->msg);
		break;
	case SIM_WORD:
		kvr_sim_layers_word(sim, &ev->msg);
		break;
	case SIM_LAND:
		kvr_sim_layers_land(sim, &ev->msg);
		break;
	}
}

bool
kvr_sim_run_until(struct kvr_sim *sim, uint64_t until_ns, bool (*done)(void *), void *arg)
{
	while (done == NULL || !done(arg)) {
		if (sim->n_heap == 0 || sim->heap[0].at_ns > until_ns)
			return false;
		struct sim_event ev = take_first(sim);

		happen(sim, &ev);
	}
	return true;
}

uint64_t
kvr_sim_run(struct kvr_sim *sim, uint64_t at_ns)
{
	uint64_t before = sim->steps;

	(void)kvr_sim_run_until(sim, at_ns, NULL, NULL);
	if (at_ns != UINT64_MAX)
		sim->now_ns = KVR_MAX(sim->now_ns, at_ns);
	return sim->steps - before;
}

void
kvr_sim_add(struct kvr_sim *sim, uint16_t id, const struct kvr_spec *spec)
{
	struct sim_decider *d = &sim->decider[id];
	size_t bytes = kvr_actor_bytes(spec);

	KVR_CHECK(!d->present && spec != NULL);
	/* Not aligned_alloc and memset: of a router's megabytes a run touches little. */
	d->memory = calloc(1, bytes + 64);
	KVR_CHECK(d->memory != NULL);
	uintptr_t at = ((uintptr_t)d->memory + 63) / 64 * 64;

	kvr_actor_init(&d->actor, spec, id, (void *)at);
	d->present = true;
}

void
kvr_sim_start(struct kvr_sim *sim, uint16_t id, const void *config, size_t len, uint64_t seed)
{
	struct kvr_msg msg = { .type = KVR_MSG_START, .to = id, .rows = KVR_ROWS_CONFIG };
	size_t n = (len + sizeof(struct kvr_row) - 1) / sizeof(struct kvr_row);

	KVR_CHECK(n <= KVR_ROWS_MAX - KVR_ROWS_CONFIG);
	memset(&sim->rows[KVR_ROWS_CONFIG], 0, n * sizeof(struct kvr_row));
	memcpy(&sim->rows[KVR_ROWS_CONFIG], config, len);
	msg.n_rows = (uint16_t)n;
	msg.START.seed = seed;
	deliver(sim, &msg);
}

void
kvr_sim_verify(struct kvr_sim *sim)
{
	for (uint32_t id = 0; id < KVR_ID_N; id++) {
		const struct kvr_actor *a = &sim->decider[id].actor;

		if (!sim->decider[id].present || a->steps == 0)
			continue;
		if (kvr_actor_digest(a) != a->digest)
			kvr_sim_broken(sim, "a state was changed without kvr_touch");
		a->spec->check(a->self, a->state, true);
	}
}

struct kvr_sim *
kvr_sim_new(const struct kvr_sim_options *options)
{
	struct kvr_sim *sim = calloc(1, sizeof(*sim));

	KVR_CHECK(sim != NULL);
	sim->options = *options;
	if (sim->options.verify_every == 0)
		sim->options.verify_every = 64;
	sim->rand = options->seed;
	sim->rows = calloc(KVR_ROWS_MAX, sizeof(sim->rows[0]));
	sim->out = calloc(1, sizeof(*sim->out));
	sim->seen = calloc(KVR_ID_N, sizeof(sim->seen[0]));
	KVR_CHECK(sim->rows != NULL && sim->out != NULL && sim->seen != NULL);
	kvr_sim_store_init(sim);
	return sim;
}

void
kvr_sim_free(struct kvr_sim *sim)
{
	for (uint32_t id = 0; id < KVR_ID_N; id++) {
		free(sim->decider[id].memory);
		free(sim->decider[id].timer);
	}
	kvr_sim_store_free(sim);
	kvr_sim_api_free(sim);
	free(sim->heap);
	free(sim->rows);
	free(sim->out);
	free(sim->seen);
	free(sim->text.at);
	free(sim);
}
