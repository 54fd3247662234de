/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that move no payload: EXISTS, DEL, STAT. */
#include "kvr_redis.h"

/* So many that their replies fit into the read buffer while we still write: see kvr_stream.h. */
enum { SMALL_REPLY = 64, STAT_HEAD_REPLY = KVR_SEAL_HEAD + 32 };
enum { SMALL_IN_FLIGHT = 512, STAT_IN_FLIGHT = KVR_STREAM_IN / STAT_HEAD_REPLY };
_Static_assert(SMALL_IN_FLIGHT *SMALL_REPLY <= KVR_STREAM_IN, "replies fit the buffer");

static enum kvr_err
reply_count(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end = KVR_OK;
	(void)note;
	(void)part;
	if (r->kind == KVR_RESP_INTEGER) {
		end = r->n > 0 ? KVR_OK : KVR_E_MISS;
	} else {
		enum kvr_err err = kvr_redis_odd_reply(c, "EXISTS or DEL", r, &end);
		if (err != KVR_OK)
			return err;
	}
	kvr_item_done(item, end);
	return KVR_OK;
}

#define SMALL .in_flight_max = SMALL_IN_FLIGHT, .fill_max = KVR_STREAM_IN
#define STAT  .in_flight_max = STAT_IN_FLIGHT, .fill_max = KVR_STREAM_IN

const struct kvr_redis_plan *
kvr_redis_exists(const struct kvr_store *store)
{
	static const struct kvr_redis_step step = { .name = KVR_REDIS_MARK,
		.verb = &kvr_redis_say.exists, .reply = reply_count, SMALL };
	static const struct kvr_redis_plan plan = { 1, { &step } };
	(void)store;
	return &plan;
}

/* Both keys of a chunk in one command: another client never sees one without the other. */
static enum kvr_err
send_del(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)note;
	(void)part;
	bool two = c->store->rules.format == KVR_FORMAT_LMCACHE;
	enum kvr_err err = kvr_redis_put_verb(
	    c, two ? &kvr_redis_say.del_two : &kvr_redis_say.del, item, KVR_REDIS_MARK);
	return err == KVR_OK && two ? kvr_redis_put_name(c, item, KVR_REDIS_VALUE) : err;
}

static enum kvr_err
reply_del_mark(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	(void)item;
	(void)part;
	if (r->kind != KVR_RESP_INTEGER)
		return kvr_redis_odd_reply(c, "DEL", r, &note->err);
	note->err = r->n > 0 ? KVR_OK : KVR_E_MISS;
	return KVR_OK;
}

static enum kvr_err
reply_del_value(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t mark = note->err;
	enum kvr_err err = reply_del_mark(c, item, note, part, r);
	/* OK if there was something; but an error is more important than a miss. */
	if (err == KVR_OK)
		kvr_item_done(item, mark == KVR_E_MISS        ? note->err
		                    : note->err == KVR_E_MISS ? mark
		                                              : KVR_MIN(mark, note->err));
	return err;
}

const struct kvr_redis_plan *
kvr_redis_del(const struct kvr_store *store)
{
	static const struct kvr_redis_step one = { .name = KVR_REDIS_MARK, .send = send_del,
		.reply = reply_count, SMALL };
	/*
	 * One key after the other if they are on different nodes. The mark is deleted first, so
	 * that a reader in between finds nothing.
	 */
	static const struct kvr_redis_step mark = { .name = KVR_REDIS_MARK,
		.verb = &kvr_redis_say.del, .reply = reply_del_mark, SMALL };
	static const struct kvr_redis_step value = { .name = KVR_REDIS_VALUE,
		.verb = &kvr_redis_say.del, .reply = reply_del_value, SMALL };
	static const struct kvr_redis_plan plan = { 1, { &one } };
	static const struct kvr_redis_plan apart = { 2, { &mark, &value } };
	bool two = store->rules.format == KVR_FORMAT_LMCACHE;
	return two && store->map != NULL ? &apart : &plan;
}

/* Two requests: the length of the value, then what says whether it exists and what it is. */
enum { STAT_LENGTH, STAT_HEAD, STAT_PARTS };
enum { NOTHING, IS_EMPTY }; /* note.go */

static uint32_t
plan_stat(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	(void)c;
	note->err = KVR_OK;
	note->go = NOTHING;
	return kvr_item_status(item) == KVR_PENDING ? STAT_PARTS : 0;
}

static enum kvr_err
send_stat(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)note;
	if (part == STAT_LENGTH)
		return kvr_redis_put_verb(c, &kvr_redis_say.strlen, item, KVR_REDIS_VALUE);
	if (c->store->rules.format == KVR_FORMAT_BARE)
		return kvr_redis_put_verb(c, &kvr_redis_say.exists, item, KVR_REDIS_MARK);
	if (c->store->rules.format == KVR_FORMAT_LMCACHE)
		return kvr_redis_put_verb(c, &kvr_redis_say.get, item, KVR_REDIS_MARK);
	enum kvr_err err = kvr_redis_put_verb(c, &kvr_redis_say.getrange, item, KVR_REDIS_MARK);
	if (err == KVR_OK)
		err = kvr_resp_put_number(&c->s, 0);
	return err == KVR_OK ? kvr_resp_put_number(&c->s, KVR_SEAL_HEAD - 1) : err;
}

static enum kvr_err
stat_head(struct kvr_connector *c, struct kvr_item *item, const struct kvr_redis_note *note,
    uint64_t bulk_len, int32_t *ret_err)
{
	const struct kvr_store *store = c->store;
	bool lm = store->rules.format == KVR_FORMAT_LMCACHE;
	uint64_t have = KVR_MIN(bulk_len, lm ? store->lm_head_len : KVR_SEAL_HEAD);
	enum kvr_err err = kvr_stream_read_all(&c->s, c->scratch, (size_t)have);
	if (err == KVR_OK)
		err = kvr_redis_bulk_skip(c, bulk_len - have);
	if (err != KVR_OK)
		return err;
	uint64_t total = note->total + (lm ? have : 0);
	bool gone = note->total == 0 && !lm;
	*ret_err = note->err;
	if (*ret_err == KVR_OK)
		*ret_err =
		    gone ? KVR_E_MISS
		         : kvr_frame_stat(&store->rules, item, c->scratch, (size_t)have, total, c->why,
		               sizeof(c->why));
	/* A header whose payload was evicted; a get would be a miss too. */
	if (lm && note->total == 0 && *ret_err != KVR_OK && note->err == KVR_OK)
		*ret_err = KVR_E_MISS;
	return KVR_OK;
}

/* For a bare value, of which only the length is known. */
static int32_t
stat_bare(struct kvr_connector *c, struct kvr_item *item, const struct kvr_redis_note *note)
{
	if (note->err != KVR_OK)
		return note->err;
	return kvr_frame_stat(
	    &c->store->rules, item, c->scratch, 0, note->total, c->why, sizeof(c->why));
}

static enum kvr_err
reply_stat(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end = KVR_OK;
	enum kvr_err err = KVR_OK;
	bool is_int = r->kind == KVR_RESP_INTEGER && r->n >= 0;
	if (part == STAT_LENGTH && is_int) {
		note->total = (uint64_t)r->n;
		return KVR_OK;
	}
	if (part == STAT_LENGTH)
		return kvr_redis_odd_reply(c, "STRLEN", r, &note->err);
	/* Only EXISTS, which bare values are asked, answers with a number. */
	bool exists = is_int && c->store->rules.format == KVR_FORMAT_BARE;
	/*
	 * It exists, but its length was 0: an empty value, or one that was put between the two
	 * requests.
	 */
	if (exists && r->n > 0 && note->err == KVR_OK && note->total == 0) {
		note->go = IS_EMPTY;
		return KVR_OK;
	}
	if (r->kind == KVR_RESP_BULK)
		err = stat_head(c, item, note, (uint64_t)r->n, &end);
	else if (r->kind == KVR_RESP_NIL || (exists && r->n == 0))
		end = KVR_E_MISS;
	else if (exists)
		end = stat_bare(c, item, note);
	else
		err = kvr_redis_odd_reply(c, "GETRANGE, GET or EXISTS", r, &end);
	if (err == KVR_OK)
		kvr_item_done(item, end);
	return err;
}

/* Asks for the length once more. */

static enum kvr_err
reply_again(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	enum kvr_err err = reply_stat(c, item, note, part, r);
	if (err == KVR_OK)
		kvr_item_done(item, stat_bare(c, item, note));
	return err;
}

/* The same two requests as separate steps, for two nodes. */

static uint32_t
plan_length(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	(void)c;
	note->err = KVR_OK;
	return kvr_item_status(item) == KVR_PENDING;
}

static enum kvr_err
send_head(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	return send_stat(c, item, note, part + STAT_HEAD);
}

static enum kvr_err
reply_head(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	return reply_stat(c, item, note, part + STAT_HEAD, r);
}

const struct kvr_redis_plan *
kvr_redis_stat(const struct kvr_store *store)
{
	static const struct kvr_redis_step both = { .name = KVR_REDIS_MARK, .plan = plan_stat,
		.send = send_stat, .reply = reply_stat, STAT };
	static const struct kvr_redis_step length = { .name = KVR_REDIS_VALUE, .plan = plan_length,
		.verb = &kvr_redis_say.strlen, .reply = reply_stat, SMALL };
	static const struct kvr_redis_step head = { .name = KVR_REDIS_MARK, .send = send_head,
		.reply = reply_head, STAT };
	static const struct kvr_redis_step again = { .name = KVR_REDIS_VALUE, .go = IS_EMPTY,
		.verb = &kvr_redis_say.strlen, .reply = reply_again, SMALL };
	static const struct kvr_redis_plan plan = { 1, { &both } };
	static const struct kvr_redis_plan apart = { 2, { &length, &head } };
	static const struct kvr_redis_plan bare = { 2, { &both, &again } };
	if (store->rules.format == KVR_FORMAT_BARE)
		return &bare;
	bool two = store->rules.format == KVR_FORMAT_LMCACHE;
	return two && store->map != NULL ? &apart : &plan;
}
