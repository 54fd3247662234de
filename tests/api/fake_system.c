/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fake_system.h"

#include "kvr_stats.h"
#include "kvr_system.h"
#include "kvr_thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct value {
	kvr_digest digest;
	char *bytes;
	uint32_t len;
	struct value *next;
};

enum phase { GONE, WAITING, QUIET_LEFT, RELEASE_LEFT };

struct op {
	struct kvr_msg msg, complete;
	enum phase phase;
	int32_t reason; /* why it ends before its time */
};

struct kvr_system {
	struct kvr_system_options opt;
	struct kvr_thread *thread;
	pthread_mutex_t lock;
	pthread_cond_t bell, held_bell;
	struct op op[KVR_OPS_MAX];
	struct value *values;
	uint32_t n_submits;
	int stopping; /* 0, 1 drain, 2 abort */
	bool stopped, dead, over;
};

struct stop {
	_Atomic(void *) arg; /* NULL: nobody calls fn */
	void (*fn)(void *);
};

static struct stop stops[KVR_FAKE_PLACES];

static struct {
	bool hold, late, hold_memory;
	int32_t fail;
	uint32_t stuck, tier, freed;
	uint64_t join_until_ns;
	struct kvr_system *system;
} fake = { .tier = KVR_TIER_UP };

static void
pass(enum kvr_fake_place place)
{
	void *arg = atomic_exchange(&stops[place].arg, NULL);

	if (arg != NULL)
		stops[place].fn(arg);
}

static struct value *
find(struct kvr_system *s, kvr_digest d)
{
	struct value *v = s->values;

	while (v != NULL && (v->digest.hi != d.hi || v->digest.lo != d.lo))
		v = v->next;
	return v;
}

static void
store(struct kvr_system *s, kvr_digest d, const void *at, uint32_t len)
{
	struct value *v = find(s, d);

	if (v == NULL) {
		v = calloc(1, sizeof(*v));
		KVR_CHECK(v != NULL);
		v->digest = d;
		v->next = s->values;
		s->values = v;
	}
	free(v->bytes);
	v->bytes = malloc(len + 1);
	KVR_CHECK(v->bytes != NULL);
	if (len > 0)
		memcpy(v->bytes, at, len);
	v->len = len;
}

static int32_t
read_value(const struct value *v, const struct kvr_row *row, const struct kvr_key *key)
{
	bool fits = (row->flags & KVR_ROW_AT_MOST) != 0 ? v->len <= row->len : v->len == row->len;

	if (!fits)
		return KVR_E_LENGTH;
	memcpy(key->at, v->bytes, v->len);
	return KVR_OK;
}

static int32_t
do_key(struct kvr_system *s, uint32_t kind, uint32_t flags, struct kvr_row *row)
{
	const struct kvr_key *key = &s->opt.ledger->keys[row->key];
	struct value *v = find(s, row->digest);

	if (fake.fail != 0)
		return fake.fail;
	if (kind == KVR_OP_PUT) {
		if (v != NULL && (flags & KVR_OPF_IF_ABSENT) != 0)
			return KVR_E_EXISTS;
		store(s, row->digest, key->at, row->len);
		return KVR_OK;
	}
	if (v == NULL)
		return KVR_E_MISS;
	if (kind == KVR_OP_GET) {
		int32_t err = read_value(v, row, key);

		if (err != KVR_OK)
			return err;
	}
	row->len = v->len;
	if (kind == KVR_OP_REMOVE)
		v->digest = (kvr_digest){ 0, 0 };
	return KVR_OK;
}

/* Fills the rows and says what COMPLETE says. */
static struct kvr_msg
outcome(struct kvr_system *s, struct op *op)
{
	const struct kvr_msg *sub = &op->msg;
	uint32_t per = sub->SUBMIT.per_chunk == 0 ? 1 : sub->SUBMIT.per_chunk, whole = 0;
	struct kvr_msg m = { .type = KVR_MSG_COMPLETE,
		.from = KVR_ID_ROUTER,
		.to = KVR_ID_API,
		.op = sub->op,
		.rows = sub->SUBMIT.first,
		.n_rows = sub->n_rows };
	bool cut = false;

	for (uint32_t i = 0; i < sub->SUBMIT.n; i++) {
		struct kvr_row *row = &s->opt.ledger->rows[sub->SUBMIT.first + i];

		if (row->err == KVR_PENDING && op->reason != 0)
			row->err = (int8_t)op->reason;
		else if (row->err == KVR_PENDING && cut &&
		         (sub->SUBMIT.flags & KVR_OPF_PREFIX) != 0)
			row->err = KVR_E_UNASKED;
		else if (row->err == KVR_PENDING)
			row->err = (int8_t)do_key(s, sub->SUBMIT.kind, sub->SUBMIT.flags, row);
		row->where = row->err == KVR_OK ? 0 : KVR_NOWHERE;
		if (row->err == KVR_OK) {
			m.COMPLETE.n_ok++;
			m.COMPLETE.bytes += row->len;
			whole += cut ? 0 : 1;
		} else {
			row->len = 0;
			m.COMPLETE.err = m.COMPLETE.err == 0 ? row->err : m.COMPLETE.err;
			cut = true;
		}
	}
	m.COMPLETE.prefix = whole / per;
	return m;
}

static void
release(struct kvr_system *s, struct op *op)
{
	struct kvr_msg m = {
		.type = KVR_MSG_RELEASE, .from = KVR_ID_ROUTER, .to = KVR_ID_API, .op = op->msg.op
	};

	op->phase = GONE;
	s->opt.outside(s->opt.arg, &m, NULL);
}

/* Does what can be done with one operation now. */
static void
move(struct kvr_system *s, struct op *op, uint64_t now_ns)
{
	bool early = (op->msg.SUBMIT.flags & KVR_OPF_EARLY) != 0;

	if (op->phase == WAITING) {
		if (op->reason == 0 && now_ns >= op->msg.deadline_ns)
			op->reason = KVR_E_TIMEOUT;
		if (op->reason == 0 && s->stopping == 2)
			op->reason = KVR_E_SHUTDOWN;
		if (op->reason == 0 && fake.hold)
			return;
		struct kvr_msg m = outcome(s, op);

		m.COMPLETE.flags = early ? 0 : KVR_DONEB_QUIET;
		op->phase = early ? QUIET_LEFT : RELEASE_LEFT;
		s->opt.outside(s->opt.arg, &m, &s->opt.ledger->rows[m.rows]);
		op->complete = m;
	}
	if (op->phase == QUIET_LEFT && (!fake.hold_memory || s->stopping == 2)) {
		struct kvr_msg m = op->complete;

		m.COMPLETE.flags = KVR_DONEB_QUIET;
		op->phase = RELEASE_LEFT;
		s->opt.outside(s->opt.arg, &m, NULL);
	}
	if (op->phase == RELEASE_LEFT && (!fake.late || s->stopping != 0))
		release(s, op);
}

static void
run(void *arg)
{
	struct kvr_system *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->over) {
		uint64_t next_ns = UINT64_MAX, now_ns = kvr_now_ns();
		uint32_t left = 0;

		for (uint32_t i = 0; i < KVR_OPS_MAX && !s->dead; i++) {
			if (s->op[i].phase == GONE)
				continue;
			move(s, &s->op[i], now_ns);
			left += s->op[i].phase != GONE;
			if (s->op[i].phase == WAITING)
				next_ns = KVR_MIN(next_ns, s->op[i].msg.deadline_ns);
		}
		pthread_cond_broadcast(&s->held_bell);
		if (s->stopping != 0 && left == 0 && !s->stopped && !s->dead) {
			struct kvr_msg m = { .type = KVR_MSG_STOPPED, .from = KVR_ID_ROUTER };

			s->stopped = true;
			s->opt.outside(s->opt.arg, &m, NULL);
		}
		kvr_cond_wait(&s->bell, &s->lock, next_ns);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- the system's functions ---- */

enum kvr_err
kvr_system_open(
    const struct kvr_system_options *opt, struct kvr_system **ret, char *why, size_t cap)
{
	struct kvr_system *s = calloc(1, sizeof(*s));

	(void)why;
	(void)cap;
	KVR_CHECK(fake.system == NULL);
	if (s == NULL)
		return KVR_E_NOMEM;
	s->opt = *opt;
	pthread_mutex_init(&s->lock, NULL);
	kvr_cond_init(&s->bell);
	kvr_cond_init(&s->held_bell);
	if (kvr_thread_start("fake", run, s, &s->thread) != KVR_OK) {
		free(s);
		return KVR_E_NOMEM;
	}
	fake.system = s;
	*ret = s;
	return KVR_OK;
}

enum kvr_err
kvr_system_post(struct kvr_system *s, const struct kvr_msg *m)
{
	enum kvr_err err = KVR_OK;

	if (m->type == KVR_MSG_SUBMIT)
		pass(KVR_FAKE_SUBMIT);
	pthread_mutex_lock(&s->lock);
	struct op *op = &s->op[m->op & (KVR_OPS_MAX - 1)];

	if (s->dead) {
		err = KVR_E_DEAD;
	} else if (m->type == KVR_MSG_SUBMIT) {
		KVR_CHECK(op->phase == GONE && m->SUBMIT.n > 0 && m->deadline_ns != 0);
		*op = (struct op){ .msg = *m, .phase = WAITING };
		s->n_submits++;
	} else if (m->type == KVR_MSG_CANCEL && op->phase == WAITING && op->msg.op == m->op) {
		op->reason = m->CANCEL.reason;
	} else if (m->type == KVR_MSG_STOP) {
		s->stopping = m->STOP.drain != 0 ? 1 : 2;
	}
	pthread_mutex_unlock(&s->lock);
	pthread_cond_signal(&s->bell);
	return err;
}

void
kvr_system_leave(struct kvr_system *take)
{
	(void)take;
}

uint32_t
kvr_system_join(struct kvr_system *s, uint64_t until_ns)
{
	pass(KVR_FAKE_JOIN);
	fake.join_until_ns = until_ns;
	if (fake.stuck > 0)
		return fake.stuck;
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_mutex_unlock(&s->lock);
	pthread_cond_signal(&s->bell);
	if (s->thread != NULL)
		KVR_CHECK(kvr_thread_join(s->thread, UINT64_MAX) == KVR_OK);
	s->thread = NULL;
	return 0;
}

void
kvr_system_free(struct kvr_system *take)
{
	fake.freed++;
	while (take->values != NULL) {
		struct value *v = take->values;

		take->values = v->next;
		free(v->bytes);
		free(v);
	}
	fake.system = NULL;
	free(take);
}

uint32_t
kvr_system_tiers(struct kvr_system *s, struct kvr_tier_view *ret, uint32_t cap)
{
	(void)s;
	KVR_CHECK(cap > 0);
	ret[0] = (struct kvr_tier_view){ .name = "fake", .state = fake.tier, .n_links = 1 };
	snprintf(ret[0].why, sizeof(ret[0].why), "%s", fake.tier == KVR_TIER_UP ? "" : "refused");
	return 1;
}

void
kvr_system_stats(struct kvr_system *s, struct kvr_stats *ret)
{
	ret->metrics.n_tiers = 1;
	ret->metrics.op[KVR_OP_GET].keys = s->n_submits;
}

void
kvr_system_show_dead(struct kvr_system *s)
{
	(void)s;
}

void
kvr_system_device_why(struct kvr_system *s, char *ret, size_t cap)
{
	(void)s;
	snprintf(ret, cap, "the driver's words");
}

void
kvr_system_why(struct kvr_system *s, uint32_t tier, bool put, char *ret, size_t cap)
{
	(void)s;
	(void)put;
	snprintf(ret, cap, "tier %u said no", tier);
}

bool
kvr_system_why_since(struct kvr_system *s, int32_t err, uint64_t since_ns, char *ret, size_t cap)
{
	(void)since_ns;
	pass(KVR_FAKE_WHY);
	kvr_system_why(s, 0, false, ret, err == KVR_E_BUSY ? 0 : cap);
	return err != KVR_E_BUSY;
}

void
kvr_system_left_out(struct kvr_system *s, uint32_t tier, bool put, char *ret, size_t cap)
{
	(void)s;
	(void)put;
	snprintf(ret, cap, "tier %u was left out", tier);
}

void
kvr_system_canary_why(struct kvr_system *s, uint32_t tier, const char *words)
{
	(void)s;
	(void)tier;
	(void)words;
}

void
kvr_system_late(struct kvr_system *s, uint32_t tier, uint64_t took_ns, char *ret, size_t cap)
{
	(void)s;
	(void)took_ns;
	snprintf(ret, cap, "tier %u was late", tier);
}

/* ---- the strings ---- */

static void
set(void *at, const void *from, size_t len)
{
	struct kvr_system *s = fake.system;

	if (s != NULL)
		pthread_mutex_lock(&s->lock);
	memcpy(at, from, len);
	if (s != NULL) {
		pthread_mutex_unlock(&s->lock);
		pthread_cond_signal(&s->bell);
	}
}

void
kvr_fake_hold(bool hold)
{
	set(&fake.hold, &hold, sizeof(hold));
}

void
kvr_fake_release_late(bool late)
{
	set(&fake.late, &late, sizeof(late));
}

void
kvr_fake_hold_memory(bool hold)
{
	set(&fake.hold_memory, &hold, sizeof(hold));
}

void
kvr_fake_fail(int32_t err)
{
	set(&fake.fail, &err, sizeof(err));
}

void
kvr_fake_say(const char *line)
{
	kvr_log(fake.system->opt.log, ERROR, 0, "%s", line);
}

void
kvr_fake_stuck(uint32_t n)
{
	set(&fake.stuck, &n, sizeof(n));
}

uint64_t
kvr_fake_join_until(void)
{
	return fake.join_until_ns;
}

uint32_t
kvr_fake_freed(void)
{
	return fake.freed;
}

void
kvr_fake_tier(uint32_t state)
{
	set(&fake.tier, &state, sizeof(state));
}

void
kvr_fake_die(void)
{
	struct kvr_system *s = fake.system;
	struct kvr_msg m = { .type = KVR_MSG_STOPPED, .from = KVR_ID_NONE };

	pthread_mutex_lock(&s->lock);
	s->dead = true;
	s->opt.outside(s->opt.arg, &m, NULL);
	pthread_mutex_unlock(&s->lock);
}

void
kvr_fake_at(enum kvr_fake_place place, void (*fn)(void *), void *arg)
{
	KVR_CHECK(arg != NULL);
	stops[place].fn = fn;
	atomic_store(&stops[place].arg, arg);
}

void
kvr_fake_wait_held(uint32_t n)
{
	struct kvr_system *s = fake.system;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		uint32_t held = 0;

		for (uint32_t i = 0; i < KVR_OPS_MAX; i++)
			held += s->op[i].phase == WAITING || s->op[i].phase == QUIET_LEFT;
		if (held >= n)
			break;
		kvr_cond_wait(&s->held_bell, &s->lock, kvr_now_ns() + KVR_SEC(10));
	}
	pthread_mutex_unlock(&s->lock);
}

uint32_t
kvr_fake_lookups(void)
{
	return atomic_load(&fake.system->opt.ledger->lookups);
}

uint32_t
kvr_fake_submits(void)
{
	struct kvr_system *s = fake.system;
	uint32_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n_submits;
	pthread_mutex_unlock(&s->lock);
	return n;
}
