/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connector workers, as kvr_actors.h describes them: one message at a time, in order, each answered
 * once. How a job ends is drawn when it begins; a kick may end it sooner.
 */
#include "kvr_sim_own.h"

#include <string.h>

static uint16_t
id_of(uint32_t worker)
{
	return (uint16_t)(KVR_ID_WORKER + worker);
}

static uint16_t
link_of(uint32_t worker)
{
	return (uint16_t)(KVR_ID_LINK + worker);
}

static struct sim_tier *
tier_of(struct kvr_sim *sim, uint32_t worker)
{
	return &sim->tier[worker / KVR_LANES_MAX];
}

static uint64_t
between(struct kvr_sim *sim, uint64_t min_ns, uint64_t max_ns)
{
	return min_ns + kvr_sim_rand(sim, max_ns > min_ns ? max_ns - min_ns : 1);
}

static void
wake_at(struct kvr_sim *sim, uint32_t worker, uint64_t at_ns)
{
	struct sim_worker *w = &sim->worker[worker];
	struct sim_event ev = { .kind = SIM_WAKE, .worker = worker };

	ev.tag = w->tag = sim->seq + 1;
	kvr_sim_at(sim, at_ns, &ev);
}

static void
answer_part(struct kvr_sim *sim, uint32_t worker, const struct kvr_msg *part, int32_t err,
    uint32_t n_ok, uint64_t bytes)
{
	struct kvr_msg msg = { .type = KVR_MSG_PART_DONE,
		.n_rows = part->n_rows,
		.op = part->op,
		.cause = part->cause,
		.deadline_ns = part->deadline_ns,
		.rows = part->rows,
		.part = part->part };

	msg.PART_DONE.err = err;
	msg.PART_DONE.n_ok = n_ok;
	msg.PART_DONE.bytes = bytes;
	msg.PART_DONE.verb = part->PART.verb;
	msg.PART_DONE.cls = part->PART.cls;
	msg.PART_DONE.took_us = (uint32_t)((sim->now_ns - sim->worker[worker].begun_ns) / 1000);
	kvr_sim_reply(sim, id_of(worker), link_of(worker), &msg);
}

static void
answer_err(struct kvr_sim *sim, uint32_t worker, enum kvr_msg_type type, int32_t err)
{
	struct kvr_msg msg = { .type = (uint16_t)type,
		.cause = sim->worker[worker].running.msg.cause };

	if (type == KVR_MSG_DIALED)
		msg.DIALED.err = err;
	else if (type == KVR_MSG_PONG)
		msg.PONG.err = err;
	kvr_sim_reply(sim, id_of(worker), link_of(worker), &msg);
}

/* What is common to everything that crosses the wire. Returns when it ends. */
static uint64_t
draw(struct kvr_sim *sim, uint32_t worker, uint64_t takes_ns, uint64_t until_ns)
{
	struct sim_worker *w = &sim->worker[worker];
	const struct kvr_sim_store *s = &tier_of(sim, worker)->store;
	bool sticks = kvr_sim_chance(sim, s->sticks);

	w->kickable = !sticks;
	w->sticking = sticks;
	if (sticks) {
		w->outcome = KVR_E_TIMEOUT;
		w->n_rows = 0;
		return KVR_MAX(until_ns, sim->now_ns) + s->stick_ns;
	}
	if (until_ns != 0 && sim->now_ns + takes_ns >= until_ns) {
		w->outcome = KVR_E_TIMEOUT;
		w->n_rows = (uint32_t)kvr_sim_rand(sim, w->n_rows);
		return until_ns;
	}
	return sim->now_ns + takes_ns;
}

static void
begin_part(struct kvr_sim *sim, uint32_t worker)
{
	struct sim_worker *w = &sim->worker[worker];
	const struct sim_tier *t = tier_of(sim, worker);
	const struct kvr_sim_store *s = &t->store;
	const struct kvr_msg *msg = &w->running.msg;
	uint64_t takes_ns = between(sim, s->run_min_ns, s->run_max_ns);
	bool loses = kvr_sim_chance(sim, s->loses);
	bool garbles = kvr_sim_chance(sim, s->garbles);
	bool stalls = kvr_sim_chance(sim, s->stalls);
	uint32_t some = (uint32_t)kvr_sim_rand(sim, msg->n_rows);

	if (s->drips != 0 && kvr_sim_chance(sim, s->drips))
		takes_ns *= 100;
	w->n_rows = msg->n_rows;
	w->outcome = KVR_OK;
	if (s->down || w->epoch != t->epoch || loses || garbles) {
		w->outcome = garbles ? KVR_E_PROTO : KVR_E_DOWN;
		w->n_rows = loses || garbles ? some : 0;
	} else if (stalls && msg->deadline_ns != 0) {
		takes_ns = msg->deadline_ns - sim->now_ns;
		w->n_rows = some;
	}
	wake_at(sim, worker, draw(sim, worker, takes_ns, msg->deadline_ns));
}

static void
begin_dial(struct kvr_sim *sim, uint32_t worker)
{
	struct sim_worker *w = &sim->worker[worker];
	const struct kvr_sim_store *s = &tier_of(sim, worker)->store;
	uint64_t takes_ns = between(sim, s->dial_min_ns, s->dial_max_ns);
	bool fails = kvr_sim_chance(sim, s->dial_fails);
	bool hangs = kvr_sim_chance(sim, s->dial_hangs);

	w->connected = false;
	w->outcome = fails || s->down ? KVR_E_DOWN : KVR_OK;
	if (hangs)
		takes_ns = w->running.msg.deadline_ns - sim->now_ns;
	wake_at(sim, worker, draw(sim, worker, takes_ns, w->running.msg.deadline_ns));
}

static void
begin_ping(struct kvr_sim *sim, uint32_t worker)
{
	struct sim_worker *w = &sim->worker[worker];
	const struct sim_tier *t = tier_of(sim, worker);
	uint64_t takes_ns = between(sim, t->store.run_min_ns, t->store.run_max_ns);
	bool fails = kvr_sim_chance(sim, t->store.ping_fails);
	bool stalls = kvr_sim_chance(sim, t->store.stalls);

	w->outcome = t->store.no_ping ? KVR_E_UNSUPPORTED : KVR_OK;
	if (fails || t->store.down || w->epoch != t->epoch)
		w->outcome = KVR_E_DOWN;
	else if (stalls)
		takes_ns = w->running.msg.deadline_ns - sim->now_ns;
	wake_at(sim, worker, draw(sim, worker, takes_ns, w->running.msg.deadline_ns));
}

/* True when the job has begun and will end later; false when it was answered at once. */
static bool
begin(struct kvr_sim *sim, uint32_t worker)
{
	struct sim_worker *w = &sim->worker[worker];
	const struct kvr_msg *msg = &w->running.msg;

	w->begun_ns = sim->now_ns;
	switch (msg->type) {
	case KVR_MSG_PART:
		if (kvr_sim_holder_of(sim, msg->part) != id_of(worker))
			kvr_sim_broken(sim, "a worker begins a part that it does not hold");
		if (w->hanging || w->running.cancelled || !w->connected ||
		    (msg->deadline_ns != 0 && msg->deadline_ns <= sim->now_ns)) {
			answer_part(sim, worker, msg, KVR_E_UNFINISHED, 0, 0);
			return false;
		}
		begin_part(sim, worker);
		return true;
	case KVR_MSG_DIAL:
		if (w->hanging) {
			answer_err(sim, worker, KVR_MSG_DIALED, KVR_E_SHUTDOWN);
			return false;
		}
		begin_dial(sim, worker);
		return true;
	case KVR_MSG_PING:
		if (w->hanging || !w->connected) {
			answer_err(sim, worker, KVR_MSG_PONG, KVR_E_DOWN);
			return false;
		}
		begin_ping(sim, worker);
		return true;
	case KVR_MSG_HANG_UP:
		w->connected = false;
		w->stopped = true;
		answer_err(sim, worker, KVR_MSG_STOPPED, KVR_OK);
		return false;
	default:
		kvr_sim_broken(sim, "a worker got a message that it does not know");
	}
}

static void
next(struct kvr_sim *sim, uint32_t worker)
{
	struct sim_worker *w = &sim->worker[worker];

	while (!w->busy && w->n > 0) {
		w->running = w->queue[0];
		w->n--;
		memmove(&w->queue[0], &w->queue[1], w->n * sizeof(w->queue[0]));
		w->busy = begin(sim, worker);
	}
}

static void
end_part(struct kvr_sim *sim, uint32_t worker)
{
	struct sim_worker *w = &sim->worker[worker];
	const struct kvr_msg *msg = &w->running.msg;
	uint32_t n_ok = 0, done = 0;
	uint64_t bytes = 0;

	if (kvr_sim_holder_of(sim, msg->part) != id_of(worker))
		kvr_sim_broken(sim, "a worker writes rows of a part that it does not hold");
	for (uint32_t i = 0; i < msg->n_rows && done < w->n_rows; i++) {
		struct kvr_row *row = &sim->rows[msg->rows + i];

		if (row->err != KVR_PENDING)
			continue;
		bytes += kvr_sim_store_row(sim, worker / KVR_LANES_MAX,
		    (enum kvr_verb)msg->PART.verb, row);
		n_ok += row->err == KVR_OK;
		done++;
	}
	answer_part(sim, worker, msg, w->outcome, n_ok, bytes);
}

void
kvr_sim_worker_wake(struct kvr_sim *sim, uint32_t worker, uint64_t tag)
{
	struct sim_worker *w = &sim->worker[worker];

	if (!w->busy || w->tag != tag)
		return; /* a kick came first */
	w->busy = false;
	if (w->sticking)
		w->stuck_ns = sim->now_ns;
	if (w->running.msg.type == KVR_MSG_PART) {
		end_part(sim, worker);
	} else if (w->running.msg.type == KVR_MSG_DIAL) {
		w->connected = w->outcome == KVR_OK;
		w->epoch = tier_of(sim, worker)->epoch;
		answer_err(sim, worker, KVR_MSG_DIALED, w->outcome);
	} else {
		answer_err(sim, worker, KVR_MSG_PONG, w->outcome);
	}
	if (w->outcome != KVR_OK && kvr_err_stream(w->outcome) == KVR_STREAM_CLOSE)
		w->connected = false;
	next(sim, worker);
}

static void
kick(struct kvr_sim *sim, uint32_t worker, int32_t outcome)
{
	struct sim_worker *w = &sim->worker[worker];

	if (!w->kickable)
		return;
	w->outcome = outcome;
	w->n_rows = (uint32_t)kvr_sim_rand(sim, w->n_rows + 1);
	w->kickable = false;
	wake_at(sim, worker, sim->now_ns + tier_of(sim, worker)->store.kick_ns);
}

void
kvr_sim_worker_take(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	uint32_t worker = (uint32_t)(msg->to - KVR_ID_WORKER);
	struct sim_worker *w = &sim->worker[worker];

	if (w->stopped)
		kvr_sim_broken(sim, "a message after HANG_UP");
	if (msg->type == KVR_MSG_PART_CANCEL) {
		if (w->busy && w->running.msg.type == KVR_MSG_PART &&
		    w->running.msg.part == msg->part)
			kick(sim, worker, KVR_E_CANCELLED);
		for (uint32_t i = 0; i < w->n; i++)
			w->queue[i].cancelled |= w->queue[i].msg.part == msg->part;
		return;
	}
	if (msg->type == KVR_MSG_HANG_UP) {
		w->hanging = true;
		if (w->busy)
			kick(sim, worker, KVR_E_SHUTDOWN);
	}
	if (w->n == SIM_QUEUE)
		kvr_sim_broken(sim, "a worker's mailbox is full");
	w->queue[w->n++] = (struct sim_job){ .msg = *msg };
	next(sim, worker);
}
