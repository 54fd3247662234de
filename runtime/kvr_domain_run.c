/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may run: the thread that holds the guard. What runs: the local queue, at most
 * KVR_DOMAIN_STEPS messages at a time, so that a caller's thread does not spend long on the work of
 * others.
 *
 * Messages to workers are posted after the guard is free, and callers are woken after that. Posting
 * wakes the worker, which on a busy machine runs at once and answers. If the guard were still
 * taken, its answer would have to go through the inbox, and the next call of a caller would have to
 * sleep. Order is kept all the same: a thread that leaves with such messages takes post_lock while
 * it still holds the guard, so runs post in the order in which they ran.
 */
#include "kvr_domain_own.h"

#include <stdio.h>
#include <string.h>

/* ---- the local queue ---- */

void
kvr_domain_push(struct kvr_domain *d, const struct kvr_msg *msg)
{
	KVR_CHECK(d->n < KVR_DOMAIN_LOCAL);
	/* An empty queue restarts at its beginning: the same few cache lines, not all in turn. */
	if (d->n == 0)
		d->first = 0;
	d->local[(d->first + d->n++) % KVR_DOMAIN_LOCAL] = *msg;
}

static void
pop(struct kvr_domain *d, struct kvr_msg *ret)
{
	*ret = d->local[d->first];
	d->first = (d->first + 1) % KVR_DOMAIN_LOCAL;
	d->n--;
}

/* ---- what a step asks for ---- */

static void
outside(struct kvr_domain *d, const struct kvr_msg *msg)
{
	if (d->opt.outside == NULL)
		return;
	d->in_step = false; /* a panic in there is no decider's fault: it aborts */
	d->opt.outside(d->opt.arg, msg, msg->n_rows > 0 ? &d->opt.ledger->rows[msg->rows] : NULL);
	d->in_step = true;
}

static void
post_box(struct kvr_domain *d, struct kvr_domain_box *box)
{
	for (uint32_t i = 0; i < box->n; i++)
		kvr_mailbox_post_reserved(d->worker[box->msg[i].to].mailbox, &box->msg[i]);
	box->n = 0;
}

/* False when its mailbox is full. */
static bool
to_worker(struct kvr_domain *d, const struct kvr_msg *msg)
{
	const struct kvr_domain_worker *w = &d->worker[msg->to];
	struct kvr_domain_box *box = &d->box[d->fill];

	if ((msg->type == KVR_MSG_PART_CANCEL || msg->type == KVR_MSG_HANG_UP) && w->kick != NULL)
		w->kick(w->kick_arg, msg);
	if (kvr_mailbox_reserve(w->mailbox) != KVR_OK)
		return false;
	if (box->n == KVR_DOMAIN_BOX) {
		kvr_lock(&d->post_lock); /* behind what an earlier run is still posting */
		post_box(d, box);
		kvr_unlock(&d->post_lock);
	}
	box->msg[box->n++] = *msg;
	return true;
}

static void
send_one(struct kvr_domain *d, const struct kvr_msg *msg)
{
	char text[160], to[24], from[24];
	const char *what = "nobody is there";

	if (msg->to == KVR_ID_API) {
		outside(d, msg);
		return;
	}
	if (msg->to < KVR_ID_N && d->actor[msg->to] != NULL) {
		kvr_domain_push(d, msg);
		return;
	}
	if (msg->to < KVR_ID_N && d->worker[msg->to].mailbox != NULL) {
		if (to_worker(d, msg))
			return;
		what = "its mailbox is full";
	}
	snprintf(text, sizeof(text), "%s sends %s to %s: %s",
	    kvr_id_name(msg->from, from, sizeof(from)), kvr_msg_info[msg->type].name,
	    kvr_id_name(msg->to, to, sizeof(to)), what);
	kvr_panic(__FILE__, __LINE__, text);
}

static void
obey(struct kvr_domain *d, const struct kvr_actor *a)
{
	for (uint32_t i = 0; i < d->out.n; i++) {
		const struct kvr_fx *fx = &d->out.fx[i];

		if (fx->kind == KVR_FX_SEND) {
			send_one(d, &fx->msg);
		} else {
			KVR_CHECK(fx->kind == KVR_FX_LATER && fx->msg.to == a->id);
			KVR_CHECK(kvr_timers_set(d->timers, &fx->msg, fx->at_ns));
		}
	}
}

/* ---- steps ---- */

void
kvr_domain_stamp(struct kvr_domain *d)
{
	uint64_t now_ns = d->opt.world.now_ns(d->opt.world.arg);

	/* If clocks differ between cores, an effect must still not be older than its cause. */
	d->now_ns = KVR_MAX(d->now_ns, now_ns);
}

/* The event as the trace needs it: with a copy of its rows, which the step may overwrite. */
static struct kvr_event
as_it_was(struct kvr_domain *d, const struct kvr_event *ev)
{
	struct kvr_event was = *ev;

	if (d->opt.trace != NULL && kvr_trace_wants_rows(&ev->msg)) {
		KVR_CHECK(ev->msg.n_rows <= KVR_LEN(d->rows_before));
		memcpy(d->rows_before, ev->rows, ev->msg.n_rows * sizeof(*ev->rows));
		was.rows = d->rows_before;
	}
	return was;
}

/* Deciders never see texts: they are recorded before the step that brings the operation in. */
static void
record_texts(struct kvr_domain *d, const struct kvr_event *ev)
{
	const struct kvr_ledger *l = d->opt.ledger;
	const struct kvr_msg *m = &ev->msg;
	uint32_t slot = (uint32_t)m->op;

	if (m->type != KVR_MSG_SUBMIT && m->type != KVR_MSG_SLICE)
		return;
	if (m->type == KVR_MSG_SUBMIT && slot < KVR_OPS_MAX && l->ops[slot].request[0] != '\0')
		kvr_trace_text(d->opt.trace, KVR_TEXT_OF_REQUEST, m->op, 0, l->ops[slot].request,
		    strnlen(l->ops[slot].request, sizeof(l->ops[slot].request)));
	for (uint32_t i = 0; i < m->n_rows; i++) {
		uint32_t key = ev->rows[i].key;

		if (key < KVR_KEYS_MAX)
			kvr_trace_text(d->opt.trace, KVR_TEXT_OF_KEY, m->op, key,
			    &l->texts[l->keys[key].text], l->keys[key].len);
	}
}

static void
step_one(struct kvr_domain *d)
{
	struct kvr_event ev = { .now_ns = d->now_ns };

	pop(d, &ev.msg);
	KVR_CHECK(ev.msg.type < KVR_MSG_N && ev.msg.to < KVR_ID_N && d->actor[ev.msg.to] != NULL);
	struct kvr_actor *a = d->actor[ev.msg.to];
	uint32_t before = a->state;

	if (ev.msg.n_rows > 0) {
		KVR_CHECK(d->opt.ledger != NULL && ev.msg.rows < KVR_ROWS_MAX &&
		          ev.msg.n_rows <= KVR_ROWS_MAX - ev.msg.rows);
		ev.rows = &d->opt.ledger->rows[ev.msg.rows];
	}
	struct kvr_event was = as_it_was(d, &ev);

	if (d->opt.texts && d->opt.trace != NULL)
		record_texts(d, &ev);
	d->out.step = ++d->step;
	d->running = &was;
	d->running_before = before;
	uint64_t digest = kvr_step(a, &ev, &d->out);
	d->running = NULL;
	if (d->opt.trace != NULL)
		kvr_trace_step(d->opt.trace, a, &was, before, digest, &d->out);
	d->in_step = false;
	if (d->opt.after != NULL)
		d->opt.after(d->opt.watch_arg, a);
	if (a->state != before && d->opt.watch != NULL)
		d->opt.watch(d->opt.watch_arg, a, before, &was);
	d->in_step = true;
	obey(d, a);
}

static void
snapshot(struct kvr_domain *d)
{
	for (uint32_t i = 0; i < d->n_actors && !kvr_trace_in_snapshot(d->opt.trace); i++)
		d->in_order[i]->spec->check(d->in_order[i]->self, d->in_order[i]->state, true);
	kvr_trace_snapshot(
	    d->opt.trace, (const struct kvr_actor *const *)d->in_order, d->n_actors, d->now_ns);
}

/* kvr_panic calls this on the thread that steps. When it returns, kvr_panic aborts. */
static void
broken(void *arg, const char *file, int line, const char *what)
{
	struct kvr_domain *d = arg;
	const char *base = strrchr(file, '/');

	if (!d->in_step)
		return;
	d->in_step = false; /* a second panic, in the trace, aborts */
	snprintf(d->why, sizeof(d->why), "%s:%d: %s", base == NULL ? file : base + 1, line, what);
	if (d->opt.trace != NULL && d->running != NULL)
		kvr_trace_broken(d->opt.trace, d->actor[d->running->msg.to], d->running,
		    d->running_before, d->step, d->why);
	else if (d->opt.trace != NULL)
		kvr_trace_mark(d->opt.trace, KVR_MARK_PANIC, d->now_ns, d->why);
	d->running = NULL;
	if (d->opt.poison)
		longjmp(d->out_of_step, 1);
}

static void
die(struct kvr_domain *d)
{
	const struct kvr_msg last = {
		.type = KVR_MSG_STOPPED, .from = KVR_ID_NONE, .to = KVR_ID_API
	};

	d->n = 0;
	kvr_timers_clear(d->timers);
	atomic_store(&d->dead, true);
	atomic_store(&d->life, KVR_LIFE_DEAD);
	if (d->opt.outside != NULL)
		d->opt.outside(d->opt.arg, &last, NULL);
}

void
kvr_domain_run(struct kvr_domain *d)
{
	kvr_wakes_hold();
	kvr_on_panic(broken, d);
	if (_setjmp(d->out_of_step) == 0) {
		d->in_step = true;
		for (uint32_t i = 0; i < KVR_DOMAIN_STEPS && d->n > 0; i++)
			step_one(d);
		if (d->opt.trace != NULL && kvr_trace_wants_snapshot(d->opt.trace))
			snapshot(d);
		d->in_step = false;
	} else {
		die(d);
	}
	kvr_on_panic(NULL, NULL);
}

void
kvr_domain_leave(struct kvr_domain *d)
{
	uint64_t look_ns = d->n > 0 ? 1 : kvr_timers_next(d->timers);
	bool wake = look_ns < d->home_until_ns;
	struct kvr_domain_box *box = NULL;

	if (wake) {
		d->home_until_ns = 0;
		atomic_fetch_add(&d->bell, 1);
	}
	if (d->box[d->fill].n > 0) {
		kvr_lock(&d->post_lock);
		box = &d->box[d->fill];
		d->fill = 1 - d->fill; /* is empty: post_lock is held until it is */
	}
	kvr_unlock(&d->guard);
	if (box != NULL) {
		post_box(d, box);
		kvr_unlock(&d->post_lock);
	}
	if (wake)
		kvr_wake(&d->bell);
	kvr_wakes_release(); /* callers last: a woken one may take this processor */
}
