/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connector worker owes its link (kvr_actors.h), against a store that does what the test
 * says. The domain is three functions of this file: they keep the worker's mailbox and its kick,
 * and collect what it answers.
 */
#include "kvr_workers.h"

#include "kvr_check.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = 2, REPLIES = 64, VALUE = 1000 };

/* ---- the store ---- */

enum act { ACT_OK, ACT_BLOCK, ACT_FAIL, ACT_HALF };

struct kvr_store {
	pthread_mutex_t lock;
	pthread_cond_t  moved;
	enum act        dial, run; /* what the next ones do */
	enum kvr_err    err;       /* of FAIL and HALF */
	int             dials, hang_ups, runs, pings, open, blocked;
	int32_t         seen[KVR_PART_KEYS]; /* statuses that the last run found */
};

struct kvr_connector {
	struct kvr_store *store;
	struct kvr_kick  *kick;
};

static void
say(struct kvr_store *s, int *what, int by)
{
	pthread_mutex_lock(&s->lock);
	*what += by;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static int
ask(struct kvr_store *s, const int *what)
{
	pthread_mutex_lock(&s->lock);
	int n = *what;

	pthread_mutex_unlock(&s->lock);
	return n;
}

/* As every wait of a connector: until the deadline or a kick that is meant for this. */
static enum kvr_err
block(struct kvr_store *s, struct kvr_kick *kick, uint64_t until_ns)
{
	enum kvr_err err = KVR_E_TIMEOUT;

	say(s, &s->blocked, 1);
	for (uint64_t now_ns; (now_ns = kvr_now_ns()) < until_ns;) {
		struct pollfd p = { .fd = kick->fd, .events = POLLIN };

		poll(&p, 1, (int)((until_ns - now_ns) / 1000000U) + 1);
		if (kvr_kicked(kick)) {
			err = KVR_E_CANCELLED;
			break;
		}
	}
	say(s, &s->blocked, -1);
	return err;
}

static enum kvr_err
store_dial(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret, char *why,
    size_t why_cap)
{
	enum kvr_err err = KVR_OK;

	pthread_mutex_lock(&s->lock);
	enum act act = s->dial;
	enum kvr_err fail = s->err;

	pthread_mutex_unlock(&s->lock);
	say(s, &s->dials, 1);
	if (act == ACT_BLOCK)
		err = block(s, kick, until_ns);
	else if (act == ACT_FAIL)
		err = fail;
	if (err != KVR_OK) {
		snprintf(why, why_cap, "no dial tone");
		return err;
	}
	struct kvr_connector *c = calloc(1, sizeof(*c));

	ck_assert_ptr_nonnull(c);
	c->store = s;
	c->kick = kick;
	say(s, &s->open, 1);
	*ret = c;
	return KVR_OK;
}

static void
store_hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	say(take->store, &take->store->hang_ups, 1);
	say(take->store, &take->store->open, -1);
	free(take);
}

static void
finish_item(struct kvr_item *item, enum kvr_verb verb)
{
	if (verb == KVR_VERB_GET) {
		memset(item->span.at, item->key[0], item->span.len);
		item->len = item->raw_len = item->span.len;
	}
	kvr_item_done(item, strcmp(item->key, "miss") == 0 ? KVR_E_MISS : KVR_OK);
}

static enum kvr_err
store_run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item, uint32_t n, uint64_t until_ns)
{
	struct kvr_store *s = c->store;

	pthread_mutex_lock(&s->lock);
	enum act act = s->run;
	enum kvr_err fail = s->err;

	for (uint32_t i = 0; i < n && i < KVR_PART_KEYS; i++)
		s->seen[i] = kvr_item_status(&item[i]);
	pthread_mutex_unlock(&s->lock);
	say(s, n == 0 ? &s->pings : &s->runs, 1);
	if (act == ACT_BLOCK)
		return block(s, c->kick, until_ns);
	if (act == ACT_FAIL)
		return fail;
	for (uint32_t i = 0; i < (act == ACT_HALF ? n / 2 : n); i++) {
		if (kvr_item_status(&item[i]) == KVR_PENDING)
			finish_item(&item[i], verb);
	}
	return act == ACT_HALF ? fail : KVR_OK;
}

static const char *
store_why(const struct kvr_connector *c)
{
	return c == NULL ? "gone" : "the store's own words";
}

static const struct kvr_connector_ops ops = { .name = "script", .dial = store_dial, .hang_up = store_hang_up,
	.run = store_run, .why = store_why };

/* ---- the domain ---- */

struct kvr_domain {
	pthread_mutex_t     lock;
	pthread_cond_t      moved;
	struct kvr_mailbox *mailbox;
	kvr_kick_fn        *kick;
	void               *kick_arg;
	uint32_t            n, taken;
	struct kvr_msg      reply[REPLIES];
};

void
kvr_domain_attach(struct kvr_domain *d, uint16_t id, struct kvr_mailbox *m)
{
	ck_assert_uint_eq(id, KVR_ID_WORKER_OF(1, 3));
	d->mailbox = m;
}

void
kvr_domain_kick(struct kvr_domain *d, uint16_t id, kvr_kick_fn *fn, void *arg)
{
	ck_assert_uint_eq(id, KVR_ID_WORKER_OF(1, 3));
	d->kick = fn;
	d->kick_arg = arg;
}

enum kvr_err
kvr_domain_post(struct kvr_domain *d, const struct kvr_msg *m)
{
	pthread_mutex_lock(&d->lock);
	if (d->n == REPLIES || m->from != KVR_ID_WORKER_OF(1, 3) || m->to != KVR_ID_LINK_OF(1, 3))
		abort();
	d->reply[d->n++] = *m;
	pthread_cond_broadcast(&d->moved);
	pthread_mutex_unlock(&d->lock);
	return KVR_OK;
}

/* ---- a lane between them ---- */

struct bed {
	struct kvr_store   store;
	struct kvr_domain  domain;
	struct kvr_words   words;
	struct kvr_work    work;
	struct kvr_ledger *ledger;
	struct kvr_lane   *lane;
	uint8_t            memory[KVR_PART_KEYS][VALUE];
};

static struct bed *
bed_new(void)
{
	static uint32_t number;
	static char name[32];
	struct bed *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	snprintf(name, sizeof(name), "lane-test-%u", ++number);
	pthread_mutex_init(&b->store.lock, NULL);
	pthread_mutex_init(&b->domain.lock, NULL);
	pthread_mutex_init(&b->words.lock, NULL);
	kvr_cond_init(&b->store.moved);
	kvr_cond_init(&b->domain.moved);
	b->ledger = kvr_ledger_new(KVR_MIB(1));
	ck_assert_ptr_nonnull(b->ledger);
	b->work = (struct kvr_work){ .instance = name, .ledger = b->ledger, .domain = &b->domain };
	const struct kvr_lane_options o = { .work = &b->work, .ops = &ops, .store = &b->store, .words = &b->words,
		.tier = 1, .lane = 3, .places = PLACES };

	ck_assert_int_eq(kvr_lane_start(&o, &b->lane), KVR_OK);
	return b;
}

static void
act(struct bed *b, enum act dial, enum act run, enum kvr_err err)
{
	pthread_mutex_lock(&b->store.lock);
	b->store.dial = dial;
	b->store.run = run;
	b->store.err = err;
	pthread_mutex_unlock(&b->store.lock);
}

/* As a link does: who is blocked is told before the message is there. */
static void
tell(struct bed *b, struct kvr_msg m)
{
	if (m.type == KVR_MSG_PART_CANCEL || m.type == KVR_MSG_HANG_UP)
		b->domain.kick(b->domain.kick_arg, &m);
	ck_assert_int_eq(kvr_mailbox_post(b->domain.mailbox, &m), KVR_OK);
}

static void
tell_type(struct bed *b, uint16_t type, uint64_t budget_ns)
{
	tell(b, (struct kvr_msg){ .type = type, .deadline_ns = kvr_now_ns() + budget_ns });
}

/* Part `slot` with n keys, the last of them "miss". Its rows are fresh. */
static uint32_t
tell_part(struct bed *b, uint32_t slot, enum kvr_verb verb, uint16_t n, uint64_t budget_ns)
{
	uint32_t part = slot | 9U << 16, rows = kvr_part_rows(part);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t key = slot * KVR_PART_KEYS + i;
		const char *text = i + 1 == n ? "miss" : "key";

		snprintf(b->ledger->texts + key * 8, 8, "%s", text);
		b->ledger->keys[key] = (struct kvr_key){ .at = b->memory[i], .room = VALUE, .text = key * 8,
			.len = (uint16_t)strlen(text) };
		b->ledger->rows[rows + i] = (struct kvr_row){ .len = VALUE, .key = key, .err = KVR_PENDING };
	}
	tell(b, (struct kvr_msg){ .type = KVR_MSG_PART, .n_rows = n, .op = 5, .rows = rows, .part = part,
	    .deadline_ns = kvr_now_ns() + budget_ns, .PART = { .verb = (uint8_t)verb, .cls = KVR_CLASS_GET } });
	return part;
}

static void
cancel(struct bed *b, uint32_t part)
{
	tell(b, (struct kvr_msg){ .type = KVR_MSG_PART_CANCEL, .part = part });
}

/* The next answer; a minute is for ever. */
static struct kvr_msg
answer(struct bed *b, uint16_t type)
{
	struct kvr_domain *d = &b->domain;
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(60);

	pthread_mutex_lock(&d->lock);
	while (d->n == d->taken)
		ck_assert_msg(kvr_cond_wait(&d->moved, &d->lock, until_ns), "no answer");
	struct kvr_msg m = d->reply[d->taken++];

	pthread_mutex_unlock(&d->lock);
	ck_assert_str_eq(kvr_msg_info[m.type].name, kvr_msg_info[type].name);
	return m;
}

static void
wait_blocked(struct bed *b)
{
	struct kvr_store *s = &b->store;
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(60);

	pthread_mutex_lock(&s->lock);
	while (s->blocked == 0)
		ck_assert_msg(kvr_cond_wait(&s->moved, &s->lock, until_ns), "it does not block");
	pthread_mutex_unlock(&s->lock);
}

static void
part_is(struct bed *b, uint32_t part, int32_t err)
{
	struct kvr_msg m = answer(b, KVR_MSG_PART_DONE);

	ck_assert_uint_eq(m.part, part);
	ck_assert_str_eq(kvr_err_name(m.PART_DONE.err), kvr_err_name(err));
}

static void
row_is(struct bed *b, uint32_t part, uint32_t i, int32_t err)
{
	ck_assert_int_eq(b->ledger->rows[kvr_part_rows(part) + i].err, err);
}

static void
connect(struct bed *b)
{
	tell_type(b, KVR_MSG_DIAL, KVR_SEC(30));
	ck_assert_int_eq(answer(b, KVR_MSG_DIALED).DIALED.err, KVR_OK);
}

/* STOPPED is the last answer, and every connection that was opened is closed. */
static void
bed_free(struct bed *take, bool hung_up)
{
	if (!hung_up)
		tell_type(take, KVR_MSG_HANG_UP, 0);
	struct kvr_msg m = answer(take, KVR_MSG_STOPPED);

	ck_assert_uint_eq(m.STOPPED.tier, 1);
	ck_assert_uint_eq(m.STOPPED.lane, 3);
	ck_assert_int_eq(kvr_lane_join(take->lane, kvr_now_ns() + KVR_SEC(30)), KVR_OK);
	ck_assert_uint_eq(take->domain.n, take->domain.taken);
	ck_assert_int_eq(take->store.open, 0);
	kvr_ledger_free(take->ledger);
	free(take);
}

START_TEST(every_message_is_answered_once_and_in_order)
{
	struct bed *b = bed_new();

	tell_type(b, KVR_MSG_DIAL, KVR_SEC(30));
	tell_type(b, KVR_MSG_PING, KVR_SEC(30));
	uint32_t get = tell_part(b, 0, KVR_VERB_GET, 4, KVR_SEC(30));
	uint32_t put = tell_part(b, 1, KVR_VERB_PUT, 3, KVR_SEC(30));

	ck_assert_int_eq(answer(b, KVR_MSG_DIALED).DIALED.err, KVR_OK);
	ck_assert_int_eq(answer(b, KVR_MSG_PONG).PONG.err, KVR_OK);
	struct kvr_msg m = answer(b, KVR_MSG_PART_DONE);

	ck_assert_uint_eq(m.part, get);
	ck_assert_uint_eq(m.op, 5);
	ck_assert_uint_eq(m.n_rows, 4);
	ck_assert_int_eq(m.PART_DONE.err, KVR_OK);
	ck_assert_uint_eq(m.PART_DONE.n_ok, 3);
	ck_assert_uint_eq(m.PART_DONE.bytes, 3 * VALUE);
	ck_assert_uint_eq(m.PART_DONE.tier, 1);
	ck_assert_uint_eq(m.PART_DONE.lane, 3);
	ck_assert_uint_eq(m.PART_DONE.verb, KVR_VERB_GET);
	for (uint32_t i = 0; i < 3; i++) {
		row_is(b, get, i, KVR_OK);
		ck_assert_uint_eq(b->memory[i][VALUE - 1], 'k');
	}
	row_is(b, get, 3, KVR_E_MISS);
	part_is(b, put, KVR_OK);
	bed_free(b, false);
}
END_TEST

START_TEST(a_part_that_cannot_begin_is_unfinished_and_untouched)
{
	struct bed *b = bed_new();
	uint32_t part = tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(30));

	part_is(b, part, KVR_E_UNFINISHED); /* no connection */
	row_is(b, part, 0, KVR_PENDING);
	tell_type(b, KVR_MSG_PING, KVR_SEC(30));
	ck_assert_int_eq(answer(b, KVR_MSG_PONG).PONG.err, KVR_E_DOWN);
	connect(b);
	part = tell_part(b, 1, KVR_VERB_GET, 2, 0); /* its deadline is now */
	part_is(b, part, KVR_E_UNFINISHED);
	row_is(b, part, 0, KVR_PENDING);
	ck_assert_int_eq(ask(&b->store, &b->store.runs), 0);
	ck_assert_int_eq(ask(&b->store, &b->store.open), 1); /* the stream is as it was */
	bed_free(b, false);
}
END_TEST

START_TEST(a_kick_ends_the_part_that_is_meant)
{
	struct bed *b = bed_new();

	connect(b);
	act(b, ACT_OK, ACT_BLOCK, KVR_OK);
	uint32_t runs = tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(60));

	wait_blocked(b);
	uint32_t waits = tell_part(b, 1, KVR_VERB_GET, 2, KVR_SEC(60));

	cancel(b, waits); /* the one that runs goes on */
	ck_assert_int_eq(ask(&b->store, &b->store.blocked), 1);
	uint64_t start_ns = kvr_now_ns();

	cancel(b, runs);
	struct kvr_msg m = answer(b, KVR_MSG_PART_DONE);

	ck_assert_uint_eq(m.part, runs);
	ck_assert_int_eq(kvr_err_stream(m.PART_DONE.err), KVR_STREAM_CLOSE);
	row_is(b, runs, 0, KVR_PENDING);
	part_is(b, waits, KVR_E_UNFINISHED);
	row_is(b, waits, 0, KVR_PENDING);
	ck_assert_uint_lt(kvr_now_ns() - start_ns, KVR_SEC(20));
	ck_assert_int_eq(ask(&b->store, &b->store.runs), 1);
	/* A kick that came too late is not for the next one. */
	cancel(b, runs);
	act(b, ACT_OK, ACT_OK, KVR_OK);
	connect(b);
	uint32_t next = tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(60));

	ck_assert_uint_eq(next, runs); /* even of the same name: the mark was taken away */
	part_is(b, next, KVR_OK);
	bed_free(b, false);
}
END_TEST

/* A lane with a hundred cancelled parts behind it marks the next as well as the first. */
START_TEST(marks_do_not_fill_up)
{
	struct bed *b = bed_new();

	connect(b);
	for (uint32_t i = 0; i < 100; i++) {
		act(b, ACT_OK, ACT_BLOCK, KVR_OK);
		uint32_t runs = tell_part(b, 2 * i, KVR_VERB_GET, 2, KVR_SEC(60));

		wait_blocked(b);
		uint32_t waits = tell_part(b, 2 * i + 1, KVR_VERB_GET, 2, KVR_SEC(60));

		act(b, ACT_OK, ACT_OK, KVR_OK);
		cancel(b, waits);
		cancel(b, runs);
		answer(b, KVR_MSG_PART_DONE);
		part_is(b, waits, KVR_E_UNFINISHED);
		connect(b);
		b->domain.n = b->domain.taken = 0;
	}
	ck_assert_int_eq(ask(&b->store, &b->store.runs), 100);
	bed_free(b, false);
}
END_TEST

START_TEST(a_deadline_ends_what_blocks)
{
	struct bed *b = bed_new();

	act(b, ACT_BLOCK, ACT_BLOCK, KVR_OK);
	tell_type(b, KVR_MSG_DIAL, KVR_MS(30));
	ck_assert_int_eq(answer(b, KVR_MSG_DIALED).DIALED.err, KVR_E_TIMEOUT);
	act(b, ACT_OK, ACT_BLOCK, KVR_OK);
	connect(b);
	uint32_t part = tell_part(b, 0, KVR_VERB_GET, 2, KVR_MS(30));

	part_is(b, part, KVR_E_TIMEOUT);
	row_is(b, part, 0, KVR_PENDING);
	ck_assert_int_eq(ask(&b->store, &b->store.open), 0); /* half a reply may be under way */
	connect(b);
	tell_type(b, KVR_MSG_PING, KVR_MS(30));
	ck_assert_int_eq(answer(b, KVR_MSG_PONG).PONG.err, KVR_E_TIMEOUT);
	bed_free(b, false);
}
END_TEST

START_TEST(hanging_up_ends_a_part_and_what_waits_behind_it)
{
	struct bed *b = bed_new();

	connect(b);
	act(b, ACT_OK, ACT_BLOCK, KVR_OK);
	uint32_t runs = tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(600));

	wait_blocked(b);
	uint32_t waits = tell_part(b, 1, KVR_VERB_PUT, 2, KVR_SEC(600));

	tell_type(b, KVR_MSG_HANG_UP, 0);
	ck_assert_uint_eq(answer(b, KVR_MSG_PART_DONE).part, runs);
	part_is(b, waits, KVR_E_UNFINISHED);
	bed_free(b, true);
}
END_TEST

START_TEST(hanging_up_ends_a_dial)
{
	struct bed *b = bed_new();

	act(b, ACT_BLOCK, ACT_OK, KVR_OK);
	tell_type(b, KVR_MSG_DIAL, KVR_SEC(600));
	wait_blocked(b);
	tell_type(b, KVR_MSG_HANG_UP, 0);
	ck_assert_int_ne(answer(b, KVR_MSG_DIALED).DIALED.err, KVR_OK);
	bed_free(b, true);
}
END_TEST

/* Any answer of run() but OK ends the connection, and the house reads that off the error. */
START_TEST(an_error_that_keeps_the_stream_cannot_end_it)
{
	struct bed *b = bed_new();

	for (int32_t err = -1; err >= KVR_E_TOO_SMALL; err--) {
		act(b, ACT_OK, ACT_OK, KVR_OK);
		connect(b);
		act(b, ACT_OK, ACT_FAIL, (enum kvr_err)err);
		uint32_t part = tell_part(b, 0, KVR_VERB_GET, 2, KVR_SEC(30));

		part_is(b, part, kvr_err_stream(err) == KVR_STREAM_CLOSE ? err : KVR_E_PROTO);
		ck_assert_int_eq(ask(&b->store, &b->store.open), 0);
		part = tell_part(b, 1, KVR_VERB_GET, 2, KVR_SEC(30));
		part_is(b, part, KVR_E_UNFINISHED);
		b->domain.n = b->domain.taken = 0;
	}
	char words[112];

	kvr_words_get(&b->words, words, sizeof(words));
	ck_assert_str_eq(words, "the store's own words");
	bed_free(b, false);
}
END_TEST

START_TEST(a_dial_that_fails_says_why_and_can_be_tried_again)
{
	struct bed *b = bed_new();
	char words[112];

	act(b, ACT_FAIL, ACT_OK, KVR_E_AUTH);
	tell_type(b, KVR_MSG_DIAL, KVR_SEC(30));
	ck_assert_int_eq(answer(b, KVR_MSG_DIALED).DIALED.err, KVR_E_AUTH);
	kvr_words_get(&b->words, words, sizeof(words));
	ck_assert_str_eq(words, "no dial tone");
	act(b, ACT_OK, ACT_OK, KVR_OK);
	connect(b);
	connect(b); /* what was open is closed first */
	ck_assert_int_eq(ask(&b->store, &b->store.hang_ups), 1);
	bed_free(b, false);
}
END_TEST

/* A part that comes again after its connection was lost: rows with an outcome keep it. */
START_TEST(a_second_try_leaves_finished_rows_alone)
{
	struct bed *b = bed_new();

	connect(b);
	act(b, ACT_OK, ACT_HALF, KVR_E_PROTO);
	uint32_t part = tell_part(b, 0, KVR_VERB_GET, 4, KVR_SEC(30));
	struct kvr_msg m = answer(b, KVR_MSG_PART_DONE);

	ck_assert_int_eq(m.PART_DONE.err, KVR_E_PROTO);
	ck_assert_uint_eq(m.PART_DONE.n_ok, 2);
	row_is(b, part, 1, KVR_OK);
	row_is(b, part, 2, KVR_PENDING);
	/* What the first two got is marked; the second try must not touch it. */
	memset(b->memory, 0x11, sizeof(b->memory));
	act(b, ACT_OK, ACT_OK, KVR_OK);
	connect(b);
	tell(b, (struct kvr_msg){ .type = KVR_MSG_PART, .n_rows = 4, .rows = kvr_part_rows(part), .part = part,
	    .deadline_ns = kvr_now_ns() + KVR_SEC(30), .PART = { .verb = KVR_VERB_GET } });
	m = answer(b, KVR_MSG_PART_DONE);
	ck_assert_uint_eq(m.PART_DONE.n_ok, 3);
	ck_assert_uint_eq(m.PART_DONE.bytes, VALUE); /* moved by this try */
	ck_assert_int_eq(b->store.seen[0], KVR_OK);
	ck_assert_int_eq(b->store.seen[1], KVR_OK);
	ck_assert_int_eq(b->store.seen[2], KVR_PENDING);
	ck_assert_uint_eq(b->memory[0][0], 0x11);
	ck_assert_uint_eq(b->memory[2][0], 'k');
	row_is(b, part, 3, KVR_E_MISS);
	bed_free(b, false);
}
END_TEST

KVR_CHECK_MAIN("actors.lane", every_message_is_answered_once_and_in_order,
    a_part_that_cannot_begin_is_unfinished_and_untouched, a_kick_ends_the_part_that_is_meant, marks_do_not_fill_up,
    a_deadline_ends_what_blocks, hanging_up_ends_a_part_and_what_waits_behind_it, hanging_up_ends_a_dial,
    an_error_that_keeps_the_stream_cannot_end_it, a_dial_that_fails_says_why_and_can_be_tried_again,
    a_second_try_leaves_finished_rows_alone)
