/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lane_bed.h"

#include "kvr_log.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- the store ---- */

struct kvr_connector {
	struct kvr_store *store;
	struct kvr_kick *kick;
};

static void
say(struct kvr_store *s, int *what, int by)
{
	pthread_mutex_lock(&s->lock);
	*what += by;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

int
lane_ask(struct kvr_store *s, const int *what)
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
store_dial(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick,
    struct kvr_connector **ret, char *why, size_t why_cap)
{
	enum kvr_err err = KVR_OK;

	pthread_mutex_lock(&s->lock);
	enum lane_act act = s->dial;
	enum kvr_err fail = s->err;

	pthread_mutex_unlock(&s->lock);
	say(s, &s->dials, 1);
	if (act == ACT_BLOCK)
		err = block(s, kick, until_ns);
	else if (act == ACT_FAIL)
		err = fail;
	if (err != KVR_OK) {
		snprintf(why, why_cap, "%s", LANE_NO_DIAL);
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
store_run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item, uint32_t n,
    uint64_t until_ns)
{
	struct kvr_store *s = c->store;

	pthread_mutex_lock(&s->lock);
	enum lane_act act = s->run;
	enum kvr_err fail = s->err;

	for (uint32_t i = 0; i < n && i < KVR_PART_KEYS; i++)
		s->seen[i] = kvr_item_status(&item[i]);
	s->runner = pthread_self();
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

static const struct kvr_connector_ops ops = { .name = "script",
	.caps = KVR_CAP(ANY_THREAD),
	.dial = store_dial,
	.hang_up = store_hang_up,
	.run = store_run,
	.why = store_why };

/* ---- the domain ---- */

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

struct lane_bed *
lane_new(void)
{
	static uint32_t number;
	static char name[32];
	struct lane_bed *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	snprintf(name, sizeof(name), "lane-test-%u", ++number);
	pthread_mutex_init(&b->store.lock, NULL);
	pthread_mutex_init(&b->domain.lock, NULL);
	pthread_mutex_init(&b->words.lock, NULL);
	kvr_cond_init(&b->store.moved);
	kvr_cond_init(&b->domain.moved);
	b->ledger = kvr_ledger_new(KVR_MIB(1));
	ck_assert_ptr_nonnull(b->ledger);
	static const struct kvr_log silent = { .level = KVR_LOG_NONE };

	b->work = (struct kvr_work){
		.instance = name, .ledger = b->ledger, .domain = &b->domain, .log = &silent
	};
	const struct kvr_lane_options o = { .work = &b->work,
		.ops = &ops,
		.store = &b->store,
		.words = &b->words,
		.tier_name = "bed",
		.tier = 1,
		.lane = 3,
		.places = PLACES };

	ck_assert_int_eq(kvr_lane_start(&o, &b->lane), KVR_OK);
	return b;
}

void
lane_act(struct lane_bed *b, enum lane_act dial, enum lane_act run, enum kvr_err err)
{
	pthread_mutex_lock(&b->store.lock);
	b->store.dial = dial;
	b->store.run = run;
	b->store.err = err;
	pthread_mutex_unlock(&b->store.lock);
}

/* As a link does: who is blocked is told before the message is there. */
void
lane_tell(struct lane_bed *b, struct kvr_msg m)
{
	if (m.type == KVR_MSG_PART_CANCEL || m.type == KVR_MSG_HANG_UP)
		b->domain.kick(b->domain.kick_arg, &m);
	ck_assert_int_eq(kvr_mailbox_post(b->domain.mailbox, &m), KVR_OK);
}

void
lane_tell_type(struct lane_bed *b, uint16_t type, uint64_t budget_ns)
{
	lane_tell(b, (struct kvr_msg){ .type = type, .deadline_ns = kvr_now_ns() + budget_ns });
}

/* Part `slot` with n keys, the last of them "miss". Its rows are fresh. */
uint32_t
lane_tell_part(
    struct lane_bed *b, uint32_t slot, enum kvr_verb verb, uint16_t n, uint64_t budget_ns)
{
	uint32_t part = slot | 9U << 16, rows = kvr_part_rows(part);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t key = slot * KVR_PART_KEYS + i;
		const char *text = i + 1 == n ? "miss" : "key";

		snprintf(b->ledger->texts + key * 8, 8, "%s", text);
		b->ledger->keys[key] = (struct kvr_key){ .at = b->memory[i],
			.room = VALUE,
			.text = key * 8,
			.len = (uint16_t)strlen(text) };
		b->ledger->rows[rows + i] =
		    (struct kvr_row){ .len = VALUE, .key = key, .err = KVR_PENDING };
	}
	lane_tell(b, (struct kvr_msg){ .type = KVR_MSG_PART,
	                 .n_rows = n,
	                 .op = 5,
	                 .rows = rows,
	                 .part = part,
	                 .deadline_ns = kvr_now_ns() + budget_ns,
	                 .PART = { .verb = (uint8_t)verb, .cls = KVR_CLASS_GET } });
	return part;
}

void
lane_cancel(struct lane_bed *b, uint32_t part)
{
	lane_tell(b, (struct kvr_msg){ .type = KVR_MSG_PART_CANCEL, .part = part });
}

/* The next answer; a minute is for ever. */
struct kvr_msg
lane_answer(struct lane_bed *b, uint16_t type)
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

void
lane_wait_blocked(struct lane_bed *b)
{
	struct kvr_store *s = &b->store;
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(60);

	pthread_mutex_lock(&s->lock);
	while (s->blocked == 0)
		ck_assert_msg(kvr_cond_wait(&s->moved, &s->lock, until_ns), "it does not block");
	pthread_mutex_unlock(&s->lock);
}

void
lane_part_is(struct lane_bed *b, uint32_t part, int32_t err)
{
	struct kvr_msg m = lane_answer(b, KVR_MSG_PART_DONE);

	ck_assert_uint_eq(m.part, part);
	ck_assert_str_eq(kvr_err_name(m.PART_DONE.err), kvr_err_name(err));
}

void
lane_row_is(struct lane_bed *b, uint32_t part, uint32_t i, int32_t err)
{
	ck_assert_int_eq(b->ledger->rows[kvr_part_rows(part) + i].err, err);
}

void
lane_connect(struct lane_bed *b)
{
	lane_tell_type(b, KVR_MSG_DIAL, KVR_SEC(30));
	ck_assert_int_eq(lane_answer(b, KVR_MSG_DIALED).DIALED.err, KVR_OK);
}

/* STOPPED is the last answer, and every connection that was opened is closed. */
void
lane_free(struct lane_bed *take, bool hung_up)
{
	if (!hung_up)
		lane_tell_type(take, KVR_MSG_HANG_UP, 0);
	struct kvr_msg m = lane_answer(take, KVR_MSG_STOPPED);

	ck_assert_uint_eq(m.STOPPED.tier, 1);
	ck_assert_uint_eq(m.STOPPED.lane, 3);
	ck_assert_int_eq(kvr_lane_join(take->lane, kvr_now_ns() + KVR_SEC(30)), KVR_OK);
	ck_assert_uint_eq(take->domain.n, take->domain.taken);
	ck_assert_int_eq(take->store.open, 0);
	kvr_ledger_free(take->ledger);
	free(take);
}
