/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may run: whoever holds the guard. What runs: the local queue, at most KVR_DOMAIN_STEPS
 * messages each time, so that the thread of a caller is not kept for the work of others.
 *
 * Order of each sender's messages: a message goes the direct way only when, under the guard, the
 * inbox is empty and so is the local queue. inbox_n counts a message from before it is posted
 * until it is in the local queue, so an earlier one of the same sender is always seen.
 *
 * No lost wake-up: home_until_ns, the instant at which the home thread will look by itself, is
 * written and read under the guard. It is 0 while that thread is awake, for it looks again before
 * it sleeps. So it is woken only for work that is left over and for a timer that is earlier than
 * what it sleeps for: an operation whose deadline lies behind another's costs no wake.
 */
#include "kvr_domain.h"

#include "kvr_thread.h"
#include "kvr_timers.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	LANES = KVR_TIERS_MAX * KVR_LANES_MAX,

	/*
	 * What can be on its way from outside: per operation a RELEASE of the slot's last one, a
	 * SUBMIT and a CANCEL; per part one reply of the worker that has it; per lane the replies
	 * to DIAL, PING and HANG_UP; START, CONFIG and STOP of all.
	 */
	INBOX_PLACES = 3 * KVR_OPS_MAX + KVR_PARTS_MAX + 3 * LANES + 256,

	/*
	 * What can wait between deciders: what came in; per operation CONTINUE or SLICE, OP_STAT
	 * and COUNT; per part PART, PART_DONE, PART_CANCEL and COUNT; per lane and tier the changes
	 * of state, twice; timers that are due together; and what one step may add to it.
	 */
	TIMERS = 4096,
	LOCAL = INBOX_PLACES + 3 * KVR_OPS_MAX + 4 * KVR_PARTS_MAX + 4 * (LANES + KVR_TIERS_MAX) +
	    TIMERS + KVR_FX_MAX
};

enum life { NEW, RUNNING, DEAD, STOPPED };

struct kvr_domain {
	struct kvr_domain_options opt;
	_Atomic int       life; /* enum life; changes under the guard */
	_Atomic bool      dead; /* stays when life goes on to STOPPED; why is written before it */
	_Atomic uint32_t  inbox_n;
	struct kvr_mailbox *inbox;
	struct kvr_thread  *home;

	pthread_mutex_t   guard; /* of all below */
	pthread_cond_t    bell;
	uint64_t          home_until_ns;
	uint64_t          now_ns, step;
	struct kvr_timers *timers;

	uint32_t          first, n; /* of local */
	struct kvr_msg    *local;   /* LOCAL */

	uint32_t          n_actors;
	struct kvr_actor  *actor[KVR_ID_N];
	struct kvr_actor  *in_order[KVR_ID_N]; /* n_actors, by id */
	struct kvr_mailbox *worker[KVR_ID_N];
	struct {
		kvr_kick_fn *fn;
		void        *arg;
	} kick[KVR_ID_N];

	bool              in_step;
	const struct kvr_event *running; /* NULL when no step is */
	uint32_t          running_before;
	struct kvr_row    rows_before[KVR_SLICE_KEYS]; /* for the trace: the step may write over them */
	jmp_buf           out_of_step;
	char              why[256];
	struct kvr_out    out;
};

/* ---- the local queue ---- */

static void
push(struct kvr_domain *d, const struct kvr_msg *msg)
{
	KVR_CHECK(d->n < LOCAL);
	/* Empty, it starts again at its beginning: the same few cache lines, not all of it in turn. */
	if (d->n == 0)
		d->first = 0;
	d->local[(d->first + d->n++) % LOCAL] = *msg;
}

static void
pop(struct kvr_domain *d, struct kvr_msg *ret)
{
	*ret = d->local[d->first];
	d->first = (d->first + 1) % LOCAL;
	d->n--;
}

/* ---- steps ---- */

static void
stamp(struct kvr_domain *d)
{
	uint64_t now_ns = d->opt.world.now_ns(d->opt.world.arg);

	/* A clock that differs between two cores may not make an effect older than its cause. */
	d->now_ns = KVR_MAX(d->now_ns, now_ns);
}

static void
outside(struct kvr_domain *d, const struct kvr_msg *msg)
{
	if (d->opt.outside == NULL)
		return;
	d->in_step = false; /* what breaks out there is not the deciders' fault: no way back from it */
	d->opt.outside(d->opt.arg, msg, msg->n_rows > 0 ? &d->opt.ledger->rows[msg->rows] : NULL);
	d->in_step = true;
}

static void
send_one(struct kvr_domain *d, const struct kvr_msg *msg)
{
	char text[160], to[24], from[24];
	const char *what;

	if (msg->to == KVR_ID_API) {
		outside(d, msg);
		return;
	}
	if (msg->to < KVR_ID_N && d->actor[msg->to] != NULL) {
		push(d, msg);
		return;
	}
	if (msg->to < KVR_ID_N && d->worker[msg->to] != NULL) {
		bool kicks = msg->type == KVR_MSG_PART_CANCEL || msg->type == KVR_MSG_HANG_UP;

		if (kicks && d->kick[msg->to].fn != NULL)
			d->kick[msg->to].fn(d->kick[msg->to].arg, msg);
		if (kvr_mailbox_post(d->worker[msg->to], msg) == KVR_OK)
			return;
		what = "its mailbox is full";
	} else {
		what = "nobody is there";
	}
	snprintf(text, sizeof(text), "%s sends %s to %s: %s", kvr_id_name(msg->from, from, sizeof(from)),
	    kvr_msg_info[msg->type].name, kvr_id_name(msg->to, to, sizeof(to)), what);
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
	struct kvr_event traced = ev;

	if (d->opt.trace != NULL && kvr_trace_wants_rows(&ev.msg)) {
		KVR_CHECK(ev.msg.n_rows <= KVR_LEN(d->rows_before));
		memcpy(d->rows_before, ev.rows, ev.msg.n_rows * sizeof(*ev.rows));
		traced.rows = d->rows_before;
	}
	d->out.step = ++d->step;
	d->running = &traced;
	d->running_before = before;
	uint64_t digest = kvr_step(a, &ev, &d->out);
	d->running = NULL;
	if (d->opt.trace != NULL)
		kvr_trace_step(d->opt.trace, a, &traced, before, digest, &d->out);
	if (a->state != before && d->opt.watch != NULL) {
		d->in_step = false;
		d->opt.watch(d->opt.watch_arg, a, before, &ev);
		d->in_step = true;
	}
	obey(d, a);
}

static void
snapshot(struct kvr_domain *d)
{
	for (uint32_t i = 0; i < d->n_actors; i++)
		d->in_order[i]->spec->check(d->in_order[i]->self, d->in_order[i]->state, true);
	kvr_trace_snapshot(d->opt.trace, (const struct kvr_actor *const *)d->in_order, d->n_actors,
	    d->now_ns);
}

/* kvr_panic comes here, on the thread that steps. Returning means: abort. */
static void
broken(void *arg, const char *file, int line, const char *what)
{
	struct kvr_domain *d = arg;
	const char *base = strrchr(file, '/');

	if (!d->in_step)
		return;
	d->in_step = false; /* should the trace break too, that is the end */
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
	const struct kvr_msg last = { .type = KVR_MSG_STOPPED, .from = KVR_ID_NONE, .to = KVR_ID_API };

	d->n = 0;
	kvr_timers_clear(d->timers);
	atomic_store(&d->dead, true);
	atomic_store(&d->life, DEAD);
	if (d->opt.outside != NULL)
		d->opt.outside(d->opt.arg, &last, NULL);
}

/* Under the guard. */
static void
run(struct kvr_domain *d)
{
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

/* Gives the guard back, and wakes the home thread when it has to look before it would. */
static void
leave(struct kvr_domain *d)
{
	uint64_t look_ns = d->n > 0 ? 1 : kvr_timers_next(d->timers);
	bool wake = look_ns < d->home_until_ns;

	if (wake)
		d->home_until_ns = 0;
	pthread_mutex_unlock(&d->guard);
	if (wake)
		pthread_cond_signal(&d->bell);
}

/* ---- the ways in ---- */

static enum kvr_err
refusal(const struct kvr_domain *d)
{
	if (atomic_load(&d->life) == RUNNING)
		return KVR_OK;
	return atomic_load(&d->dead) ? KVR_E_DEAD : KVR_E_SHUTDOWN;
}

static void
on_inbox(void *arg, const struct kvr_msg *msg)
{
	struct kvr_domain *d = arg;

	pthread_mutex_lock(&d->guard);
	atomic_fetch_sub(&d->inbox_n, 1);
	if (refusal(d) == KVR_OK) {
		stamp(d);
		push(d, msg);
		run(d);
	}
	leave(d);
}

enum kvr_err
kvr_domain_post(struct kvr_domain *d, const struct kvr_msg *msg)
{
	enum kvr_err err = refusal(d);

	if (err != KVR_OK)
		return err;
	if (atomic_load(&d->inbox_n) == 0 && pthread_mutex_trylock(&d->guard) == 0) {
		err = refusal(d);
		if (err == KVR_OK && d->n == 0 && atomic_load(&d->inbox_n) == 0) {
			stamp(d);
			push(d, msg);
			run(d);
			leave(d);
			return KVR_OK;
		}
		leave(d);
		if (err != KVR_OK)
			return err;
	}
	atomic_fetch_add(&d->inbox_n, 1);
	/*
	 * INBOX_PLACES is the sum of all that can be on its way. Who posts more than he may have
	 * open waits for whoever runs: he loses time, and the others lose nothing.
	 */
	while (kvr_mailbox_post(d->inbox, msg) != KVR_OK) {
		pthread_mutex_lock(&d->guard);
		pthread_mutex_unlock(&d->guard);
	}
	return KVR_OK;
}

static void
timers_due(struct kvr_domain *d)
{
	struct kvr_msg msg;

	stamp(d);
	while (kvr_timers_pop(d->timers, d->now_ns, &msg))
		push(d, &msg);
}

/* Under the guard; it is free while the thread sleeps. */
static void
sleep_home(struct kvr_domain *d)
{
	uint64_t next_ns = kvr_timers_next(d->timers);
	uint64_t until_ns = next_ns;

	d->home_until_ns = next_ns;
	/* What is left until then by the domain's clock, which in a test is not the real one. */
	if (next_ns != UINT64_MAX)
		until_ns = kvr_now_ns() + (next_ns > d->now_ns ? next_ns - d->now_ns : 0);
	kvr_cond_wait(&d->bell, &d->guard, until_ns);
	d->home_until_ns = 0;
}

static void
home(void *arg)
{
	struct kvr_domain *d = arg;

	pthread_mutex_lock(&d->guard);
	while (atomic_load(&d->life) != STOPPED) {
		timers_due(d);
		if (d->n == 0) {
			sleep_home(d);
			continue;
		}
		run(d);
		/* Others may have it between two runs: there may be a lot left. */
		pthread_mutex_unlock(&d->guard);
		pthread_mutex_lock(&d->guard);
	}
	pthread_mutex_unlock(&d->guard);
}

void
kvr_domain_look(struct kvr_domain *d, void (*fn)(void *arg, const struct kvr_actor *), void *arg,
    uint16_t id)
{
	KVR_CHECK(id < KVR_ID_N && d->actor[id] != NULL);
	pthread_mutex_lock(&d->guard);
	fn(arg, d->actor[id]);
	pthread_mutex_unlock(&d->guard);
}

bool
kvr_domain_dead(const struct kvr_domain *d)
{
	return atomic_load(&d->dead);
}

const char *
kvr_domain_why(const struct kvr_domain *d)
{
	return kvr_domain_dead(d) ? d->why : "";
}

/* ---- life ---- */

static uint64_t
real_now_ns(void *arg)
{
	(void)arg;
	return kvr_now_ns();
}

enum kvr_err
kvr_domain_open(const struct kvr_domain_options *opt, struct kvr_domain **ret)
{
	struct kvr_domain *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return KVR_E_NOMEM;
	d->opt = *opt;
	if (d->opt.world.now_ns == NULL)
		d->opt.world.now_ns = real_now_ns;
	if (d->opt.ledger != NULL)
		d->out.row_table = d->opt.ledger->rows;
	KVR_CHECK(pthread_mutex_init(&d->guard, NULL) == 0);
	kvr_cond_init(&d->bell);
	d->local = calloc(LOCAL, sizeof(d->local[0]));
	d->timers = kvr_timers_new(TIMERS);
	if (d->local == NULL || d->timers == NULL ||
	    kvr_mailbox_open(opt->name, INBOX_PLACES, on_inbox, d, &d->inbox) != KVR_OK) {
		kvr_domain_free(d);
		return KVR_E_NOMEM;
	}
	*ret = d;
	return KVR_OK;
}

enum kvr_err
kvr_domain_add(struct kvr_domain *d, uint16_t id, const struct kvr_spec *spec)
{
	KVR_CHECK(atomic_load(&d->life) == NEW && id < KVR_ID_N && d->actor[id] == NULL);
	struct kvr_actor *a = calloc(1, sizeof(*a));
	void *bytes = mmap(NULL, kvr_actor_bytes(spec), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (a == NULL || bytes == MAP_FAILED) {
		if (bytes != MAP_FAILED)
			munmap(bytes, kvr_actor_bytes(spec));
		free(a);
		return KVR_E_NOMEM;
	}
	kvr_actor_init(a, spec, id, bytes);
	d->actor[id] = a;
	return KVR_OK;
}

void
kvr_domain_kick(struct kvr_domain *d, uint16_t id, kvr_kick_fn *fn, void *arg)
{
	KVR_CHECK(atomic_load(&d->life) == NEW && id < KVR_ID_N);
	d->kick[id].fn = fn;
	d->kick[id].arg = arg;
}

void
kvr_domain_attach(struct kvr_domain *d, uint16_t id, struct kvr_mailbox *box)
{
	KVR_CHECK(atomic_load(&d->life) == NEW && id < KVR_ID_N && d->actor[id] == NULL);
	d->worker[id] = box;
}

enum kvr_err
kvr_domain_start(struct kvr_domain *d)
{
	KVR_CHECK(atomic_load(&d->life) == NEW);
	for (uint16_t id = 0; id < KVR_ID_N; id++)
		if (d->actor[id] != NULL)
			d->in_order[d->n_actors++] = d->actor[id];
	if (d->opt.trace != NULL)
		kvr_trace_actors(d->opt.trace, (const struct kvr_actor *const *)d->in_order, d->n_actors);
	atomic_store(&d->life, RUNNING);
	enum kvr_err err = kvr_thread_start("kvr-home", home, d, &d->home);
	if (err != KVR_OK)
		atomic_store(&d->life, STOPPED);
	return err;
}

void
kvr_domain_stop(struct kvr_domain *d)
{
	pthread_mutex_lock(&d->guard);
	if (atomic_load(&d->life) != STOPPED && d->opt.trace != NULL)
		kvr_trace_mark(d->opt.trace, KVR_MARK_CLOSED, d->now_ns, "");
	atomic_store(&d->life, STOPPED);
	pthread_mutex_unlock(&d->guard);
	pthread_cond_signal(&d->bell);
	if (d->home != NULL)
		KVR_CHECK(kvr_thread_join(d->home, UINT64_MAX) == KVR_OK);
	d->home = NULL;
}

void
kvr_domain_free(struct kvr_domain *take)
{
	if (take == NULL)
		return;
	kvr_domain_stop(take);
	kvr_mailbox_close(take->inbox);
	for (uint32_t id = 0; id < KVR_ID_N; id++) {
		if (take->actor[id] == NULL)
			continue;
		munmap(take->actor[id]->self, kvr_actor_bytes(take->actor[id]->spec));
		free(take->actor[id]);
	}
	kvr_timers_free(take->timers);
	pthread_cond_destroy(&take->bell);
	pthread_mutex_destroy(&take->guard);
	free(take->local);
	free(take);
}
