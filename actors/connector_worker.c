/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker: one thread, one connection. Takes parts from its link, runs them against the store and
 * answers each once, with an outcome per row. If the store allows it, a caller's thread that would
 * only wait for the answer runs the part itself, in the worker's turn: still one thread at a time.
 */
#include "kvr_workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CANCELLED_MAX = 8, WHY = 512 };

struct kvr_lane {
	struct kvr_lane_options opt;
	struct kvr_mailbox   *mailbox;
	struct kvr_thread    *thread;
	struct kvr_connector *connector; /* NULL: none */
	struct kvr_kick       kick;
	uint64_t              dials;
	uint64_t              salt; /* for the key that it probes with */

	/* Parts that were cancelled before they began; set under the domain's guard. */
	_Atomic uint32_t cancelled[CANCELLED_MAX];
	_Atomic uint32_t running; /* the part that has begun; 0: none */

	struct kvr_item items[KVR_WIDE_KEYS];
	struct kvr_meta metas[KVR_WIDE_KEYS];
};

/* ---- kicks ---- */

/* On the thread that steps the link. The mark is set before the kick: see kvr_kicked. */
static void
on_kick(void *arg, const struct kvr_msg *msg)
{
	struct kvr_lane *lane = arg;
	uint64_t one = 1, target = msg->type == KVR_MSG_HANG_UP ? KVR_KICK_ALL : msg->part;

	for (uint32_t i = 0; msg->type == KVR_MSG_PART_CANCEL && i < CANCELLED_MAX; i++) {
		uint32_t none = 0;

		if (atomic_compare_exchange_strong(&lane->cancelled[i], &none, msg->part))
			break;
	}
	/*
	 * Only the part that runs is kicked. There is one target, so a kick for a part that waits
	 * could replace one that has not been seen yet. For a waiting part the mark is enough:
	 * either the worker sees the mark when it begins, or we see here that it has begun.
	 */
	if (msg->type == KVR_MSG_PART_CANCEL && atomic_load(&lane->running) != msg->part)
		return;
	/* A lane that hangs up stays kicked, whichever part is cancelled afterwards. */
	if (atomic_load(&lane->kick.target) != KVR_KICK_ALL)
		atomic_store(&lane->kick.target, target);
	ssize_t n = write(lane->kick.fd, &one, sizeof(one));
	(void)n; /* if the counter is full it is readable anyway */
}

/* True once per cancelled part: takes its mark away, so that marks cannot fill up. */
static bool
take_mark(struct kvr_lane *lane, uint32_t part)
{
	bool found = false;

	for (uint32_t i = 0; i < CANCELLED_MAX; i++) {
		uint32_t mine = part;

		/* Load first: an exchange takes the cache line from the canceller, even for nothing. */
		if (atomic_load(&lane->cancelled[i]) == part &&
		    atomic_compare_exchange_strong(&lane->cancelled[i], &mine, 0))
			found = true;
	}
	return found;
}

/* ---- answers ---- */

static void
post(struct kvr_lane *lane, struct kvr_msg *msg)
{
	msg->from = KVR_ID_WORKER_OF(lane->opt.tier, lane->opt.lane);
	msg->to = KVR_ID_LINK_OF(lane->opt.tier, lane->opt.lane);
	kvr_work_post(lane->opt.work, msg);
}

static void
hang_up(struct kvr_lane *lane)
{
	lane->opt.ops->hang_up(lane->connector);
	lane->connector = NULL;
}

/* An error from run() has ended the connection, which others see only if it says CLOSE. */
static int32_t
as_end(int32_t err)
{
	return kvr_err_stream(err) == KVR_STREAM_CLOSE ? err : KVR_E_PROTO;
}

/* The deadline of a dial comes from the configuration, which only its link and we know. */
static void
say_dial(struct kvr_lane *lane, int32_t err, bool late, const char *why)
{
	char text[WHY + 48], whose[48] = "";

	if (late)
		snprintf(whose, sizeof(whose), KVR_CONNECT_FMT,
		    (unsigned long long)(lane->opt.connect_ns / KVR_MS(1)));
	snprintf(text, sizeof(text), "%s%s", why[0] != '\0' ? why : kvr_err_text(err), whose);
	kvr_words_set(lane->opt.words, err, text);
}

static void
dial(struct kvr_lane *lane, const struct kvr_msg *msg)
{
	struct kvr_msg reply = { .type = KVR_MSG_DIALED, .op = msg->op, .cause = msg->cause };
	uint64_t start_ns = kvr_now_ns();
	char why[WHY] = "";

	hang_up(lane);
	lane->kick.current = UINT64_C(1) << 63 | ++lane->dials;
	int32_t err = lane->opt.ops->dial(lane->opt.store, msg->deadline_ns, &lane->kick,
	    &lane->connector, why, sizeof(why));
	if (err != KVR_OK) {
		lane->connector = NULL;
		say_dial(lane, err, err == KVR_E_TIMEOUT && kvr_now_ns() >= msg->deadline_ns, why);
	} else if (why[0] != '\0') {
		kvr_words_set(lane->opt.words, KVR_OK, why);
		kvr_words_of_dial(&lane->opt);
	}
	reply.DIALED.err = err;
	reply.DIALED.took_us = kvr_work_took_us(start_ns);
	post(lane, &reply);
}

static void
ping(struct kvr_lane *lane, const struct kvr_msg *msg)
{
	struct kvr_msg reply = { .type = KVR_MSG_PONG, .op = msg->op, .cause = msg->cause };
	uint64_t start_ns = kvr_now_ns();
	int32_t err = KVR_E_DOWN;
	bool ended;

	if (lane->connector != NULL) {
		lane->kick.current = UINT64_C(1) << 63 | ++lane->dials;
		if (msg->PING.deep) {
			err = kvr_probe(lane->opt.ops, lane->connector, lane->salt, msg->deadline_ns, &ended);
		} else {
			err = lane->opt.ops->run(lane->connector, KVR_VERB_PING, NULL, 0, msg->deadline_ns);
			ended = err != KVR_OK && err != KVR_E_UNSUPPORTED;
		}
		if (err != KVR_OK && err != KVR_E_UNSUPPORTED)
			kvr_words_set(lane->opt.words, err, lane->opt.ops->why(lane->connector));
		if (ended) {
			kvr_words_of_end(&lane->opt, err);
			err = as_end(err);
			hang_up(lane);
		}
	}
	reply.PONG.err = err;
	reply.PONG.took_us = kvr_work_took_us(start_ns);
	post(lane, &reply);
}

/* ---- parts ---- */

static void
item_from_row(struct kvr_lane *lane, uint32_t i, const struct kvr_row *row, enum kvr_verb verb)
{
	const struct kvr_ledger *ledger = lane->opt.work->ledger;
	const struct kvr_key *key = &ledger->keys[row->key];
	struct kvr_item *item = &lane->items[i];
	bool encoded = (row->flags & KVR_ROW_ENCODED) != 0;
	/* Without payload there is no shape: one for all, because a copy each would fill a cache. */
	bool shaped = verb == KVR_VERB_GET || verb == KVR_VERB_PUT || verb == KVR_VERB_STAT;

	memset(item, 0, sizeof(*item));
	item->key = ledger->texts + key->text;
	item->key_len = key->len;
	item->flags = row->flags & KVR_ROW_AT_MOST ? KVR_ITEM_AT_MOST : 0;
	item->meta = &lane->metas[shaped ? i : 0];
	atomic_init(&item->status, row->err);
	if (verb == KVR_VERB_GET || verb == KVR_VERB_PUT) {
		item->span.at =
		    row->flags & KVR_ROW_STAGED ? kvr_ledger_staging(ledger, row->buf) : key->at;
		item->span.len = row->len;
		item->raw_len = encoded ? row->body.raw_len : row->len;
		item->serde = encoded ? row->body.serde : 0;
	}
	if (verb == KVR_VERB_PUT) {
		if (!kvr_ledger_meta(ledger, row->key, item->raw_len, item->meta))
			*item->meta = (struct kvr_meta){ 0 };
	} else if (shaped || i == 0) {
		*item->meta = ledger->ops[key->op].meta;
	}
}

/*
 * The bytes of an encoded value where the caller expects its payload would be a wrong answer. It
 * happens when a tier that was written with a serde is read without one: IDENTITY.
 */
static int32_t
status_of(const struct kvr_item *item, const struct kvr_row *row, enum kvr_verb verb)
{
	int32_t err = kvr_item_status(item);
	/* LENGTH, too: an encoded length means nothing to the caller. */
	bool whole = err == KVR_OK || err == KVR_E_LENGTH;

	if (whole && verb == KVR_VERB_GET && item->serde != 0 && (row->flags & KVR_ROW_STAGED) == 0)
		return KVR_E_IDENTITY;
	return err;
}

static void
row_from_item(const struct kvr_item *item, struct kvr_row *row, enum kvr_verb verb)
{
	int32_t err = status_of(item, row, verb);

	row->err = (int8_t)err;
	if (err != KVR_OK || (verb != KVR_VERB_GET && verb != KVR_VERB_STAT))
		return;
	memset(&row->body, 0, sizeof(row->body));
	row->body.raw_len = (uint32_t)item->raw_len;
	row->body.serde = item->serde;
	row->len = (uint32_t)(verb == KVR_VERB_STAT ? item->raw_len : item->len);
}

static void
tell_done(struct kvr_lane *lane, const struct kvr_msg *msg, int32_t err, uint64_t since_ns,
    uint64_t bytes)
{
	const struct kvr_row *rows = &lane->opt.work->ledger->rows[msg->rows];
	struct kvr_msg reply = kvr_work_answer(msg, KVR_MSG_PART_DONE, 0);

	for (uint32_t i = 0; i < msg->n_rows; i++)
		reply.PART_DONE.n_ok += rows[i].err == KVR_OK;
	reply.PART_DONE.err = err;
	reply.PART_DONE.bytes = bytes;
	reply.PART_DONE.took_us = kvr_work_took_us(since_ns);
	reply.PART_DONE.verb = msg->PART.verb;
	reply.PART_DONE.cls = msg->PART.cls;
	reply.PART_DONE.tier = (uint8_t)lane->opt.tier;
	reply.PART_DONE.lane = (uint8_t)lane->opt.lane;
	post(lane, &reply);
}

/* What a tier tells of for as long as it lasts: see tier_done.c. */
static void
keep_words(struct kvr_lane *lane, enum kvr_verb verb, int32_t err)
{
	const char *why = lane->opt.ops->why(lane->connector);

	if (verb == KVR_VERB_PUT && kvr_refuses_writes(verb, err))
		kvr_words_keep(lane->opt.words, KVR_WORDS_PUT, why);
	else if (verb == KVR_VERB_PUT && err == KVR_E_NOSPACE)
		kvr_words_keep(lane->opt.words, KVR_WORDS_FULL, why);
	else if (err == KVR_E_DOWN)
		kvr_words_keep(lane->opt.words, KVR_WORDS_AWAY, why);
}

static void
run_part(struct kvr_lane *lane, const struct kvr_msg *msg)
{
	struct kvr_row *rows = &lane->opt.work->ledger->rows[msg->rows];
	enum kvr_verb verb = (enum kvr_verb)msg->PART.verb;
	uint64_t start_ns = kvr_now_ns(), bytes = 0;

	lane->kick.current = msg->part;
	for (uint32_t i = 0; i < msg->n_rows; i++)
		item_from_row(lane, i, &rows[i], verb);
	int32_t err = lane->opt.ops->run(
	    lane->connector, verb, lane->items, msg->n_rows, msg->deadline_ns);
	for (uint32_t i = 0; i < msg->n_rows; i++) {
		if (rows[i].err != KVR_PENDING)
			continue;
		row_from_item(&lane->items[i], &rows[i], verb);
		if (rows[i].err == KVR_OK)
			bytes += rows[i].len;
		if (rows[i].err >= KVR_E_MISS)
			continue;
		kvr_words_set(lane->opt.words, rows[i].err, lane->opt.ops->why(lane->connector));
		keep_words(lane, verb, rows[i].err);
		kvr_words_of_key(&lane->opt, verb, rows[i].err);
	}
	if (err != KVR_OK) {
		kvr_words_set(lane->opt.words, err, lane->opt.ops->why(lane->connector));
		kvr_words_of_end(&lane->opt, err);
		err = as_end(err);
		hang_up(lane);
	}
	atomic_store(&lane->running, 0);
	take_mark(lane, msg->part);
	tell_done(lane, msg, err, start_ns, bytes);
}

static void
part(struct kvr_lane *lane, const struct kvr_msg *msg)
{
	uint64_t now_ns = kvr_now_ns();

	KVR_CHECK(msg->n_rows > 0 && msg->n_rows <= KVR_WIDE_KEYS);
	atomic_store(&lane->running, msg->part); /* before it looks at the marks: see on_kick */
	if (take_mark(lane, msg->part) || lane->connector == NULL || msg->deadline_ns <= now_ns) {
		atomic_store(&lane->running, 0);
		tell_done(lane, msg, KVR_E_UNFINISHED, now_ns, 0);
	} else {
		run_part(lane, msg);
	}
}

static void
on_message(struct kvr_lane *lane, const struct kvr_msg *msg)
{
	struct kvr_msg stopped = { .type = KVR_MSG_STOPPED };

	switch (msg->type) {
	case KVR_MSG_DIAL:
		dial(lane, msg);
		break;
	case KVR_MSG_PING:
		ping(lane, msg);
		break;
	case KVR_MSG_PART:
		part(lane, msg);
		break;
	case KVR_MSG_PART_CANCEL:
		take_mark(lane, msg->part); /* it is done, or was answered before it began */
		break;
	case KVR_MSG_HANG_UP:
		hang_up(lane);
		stopped.STOPPED.tier = lane->opt.tier;
		stopped.STOPPED.lane = lane->opt.lane;
		post(lane, &stopped);
		break;
	default:
		KVR_WRONG("message that a connector worker does not know");
	}
}

/* On the thread of a caller that waits for this part and for nothing else. */
static void
on_lent(void *arg, const struct kvr_msg *msg)
{
	part(arg, msg);
}

static void
lane_main(void *arg)
{
	struct kvr_lane *lane = arg;
	struct kvr_msg msg;

	do {
		kvr_mailbox_take_turn(lane->mailbox, &msg);
		on_message(lane, &msg);
		kvr_mailbox_end_turn(lane->mailbox);
	} while (msg.type != KVR_MSG_HANG_UP);
}

/* ---- life ---- */

static void
lane_free(struct kvr_lane *lane)
{
	if (lane->mailbox != NULL)
		kvr_mailbox_close(lane->mailbox);
	if (lane->kick.fd >= 0)
		close(lane->kick.fd);
	free(lane);
}

enum kvr_err
kvr_lane_start(const struct kvr_lane_options *opt, struct kvr_lane **ret)
{
	uint16_t id = KVR_ID_WORKER_OF(opt->tier, opt->lane);
	struct kvr_lane *lane = calloc(1, sizeof(*lane));
	char name[96];

	if (lane == NULL)
		return KVR_E_NOMEM;
	lane->opt = *opt;
	const uint64_t who[2] = { kvr_now_ns(), (uint64_t)getpid() << 32 | opt->tier << 8 | opt->lane };

	lane->salt = kvr_hash64(who, sizeof(who));
	lane->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lane->kick.lookups = &opt->work->ledger->lookups;
	snprintf(name, sizeof(name), "%s.lane.%u.%u", opt->work->instance, opt->tier, opt->lane);
	/* Parts and a cancel for each, a dial, a ping, a hang-up: all that a link can have sent. */
	if (lane->kick.fd < 0 ||
	    kvr_mailbox_open(name, 2 * opt->places + 4, NULL, NULL, &lane->mailbox) != KVR_OK) {
		lane_free(lane);
		return KVR_E_NOMEM;
	}
	if (kvr_store_caps(opt->ops, opt->store) & KVR_CAP(ANY_THREAD))
		kvr_mailbox_lend(lane->mailbox, on_lent, lane);
	kvr_domain_attach(opt->work->domain, id, lane->mailbox);
	kvr_domain_kick(opt->work->domain, id, on_kick, lane);
	snprintf(name, sizeof(name), "kvr-lane-%u.%u", opt->tier, opt->lane);
	if (kvr_thread_start(name, lane_main, lane, &lane->thread) != KVR_OK) {
		lane_free(lane);
		return KVR_E_NOMEM;
	}
	*ret = lane;
	return KVR_OK;
}

void
kvr_lane_end(struct kvr_lane *lane)
{
	const struct kvr_msg hang_up_now = { .type = KVR_MSG_HANG_UP };

	on_kick(lane, &hang_up_now);
	enum kvr_err err = kvr_mailbox_post(lane->mailbox, &hang_up_now);
	(void)err; /* BUSY: then a HANG_UP is already in there */
}

void
kvr_lane_leave(struct kvr_lane *take)
{
	kvr_thread_leave(take->thread);
}

enum kvr_err
kvr_lane_join(struct kvr_lane *take, uint64_t until_ns)
{
	enum kvr_err err = kvr_thread_join(take->thread, until_ns);

	if (err == KVR_OK)
		lane_free(take);
	return err;
}
