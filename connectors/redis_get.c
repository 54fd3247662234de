/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET. One reply per value, with two exceptions:
 *
 *   sealed, more than KVR_REDIS_PIECE  STRLEN, then pieces with GETRANGE. An overwrite between two
 *       of them changes a length or breaks the seal, so the result is the old value, the new one or
 *       an error. The other formats have no seal and are therefore always read with one GET.
 *   LMCache's two keys                 the headers of the whole group, then the payloads. Headers
 *       whose payload is gone are then deleted, if LMCache does so for this kind of store.
 */
#include "kvr_redis.h"

#include <stdio.h>
#include <string.h>

enum { GET_IN_FLIGHT = 64 };        /* for small values; the window bounds larger ones */
enum { NOTHING, HAS_HEAD, ORPHAN }; /* note.go */

/*
 * The longest sealed value with room for that many payload bytes; its key text can only be this
 * key.
 */
static uint64_t
sealed_max(const struct kvr_item *item)
{
	uint64_t room = item->span.len;
	return KVR_SEAL_HEAD + room + kvr_seal_tail_len(item->key_len, room);
}

static bool
in_pieces(const struct kvr_item *item)
{
	return item->span.len > KVR_REDIS_PIECE;
}

static uint64_t
weight_value(const struct kvr_item *item, uint32_t part)
{
	(void)part;
	return item->span.len;
}

static uint32_t
plan_value(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	(void)c;
	(void)note;
	return kvr_item_status(item) == KVR_PENDING ? 1 : 0;
}

static enum kvr_err
send_value(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)note;
	(void)part;
	return kvr_redis_put_verb(c, &kvr_redis_say.get, item, KVR_REDIS_VALUE);
}

static int32_t
frame_end(struct kvr_connector *c)
{
	int32_t end = kvr_frame_in_end(&c->frame);
	if (end != KVR_OK)
		snprintf(c->why, sizeof(c->why), "GET: %s", kvr_frame_why(&c->frame));
	return end;
}

static enum kvr_err
reply_value(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end = KVR_E_MISS;
	enum kvr_err err = KVR_OK;
	(void)note;
	(void)part;
	if (r->kind == KVR_RESP_BULK) {
		uint64_t len = (uint64_t)r->n;
		kvr_frame_in_begin(&c->frame, &c->store->rules, item, c->scratch, len);
		err = kvr_redis_bulk_to_frame(c, len);
		if (err == KVR_OK)
			end = frame_end(c);
	} else if (r->kind != KVR_RESP_NIL) {
		err = kvr_redis_odd_reply(c, "GET", r, &end);
	}
	if (err == KVR_OK)
		kvr_item_done(item, end);
	return err;
}

/* Sealed values, whole or in pieces; part 0 of pieces is STRLEN. */

static uint32_t
plan_sealed(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	uint32_t parts = plan_value(c, item, note);
	note->err = KVR_OK;
	if (parts == 0 || !in_pieces(item))
		return parts;
	return 1 + (uint32_t)((sealed_max(item) + KVR_REDIS_PIECE - 1) / KVR_REDIS_PIECE);
}

static uint64_t
weight_sealed(const struct kvr_item *item, uint32_t part)
{
	if (!in_pieces(item))
		return item->span.len;
	return part == 0 ? 0 : KVR_REDIS_PIECE;
}

static enum kvr_err
send_sealed(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	if (!in_pieces(item))
		return send_value(c, item, note, part);
	if (part == 0)
		return kvr_redis_put_verb(c, &kvr_redis_say.strlen, item, KVR_REDIS_VALUE);
	uint64_t from = (part - 1) * KVR_REDIS_PIECE;
	enum kvr_err err = kvr_redis_put_verb(c, &kvr_redis_say.getrange, item, KVR_REDIS_VALUE);
	if (err == KVR_OK)
		err = kvr_resp_put_number(&c->s, from);
	return err == KVR_OK ? kvr_resp_put_number(&c->s, from + KVR_REDIS_PIECE - 1) : err;
}

static enum kvr_err
reply_length(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    const struct kvr_resp *r)
{
	c->frame_total = 0;
	if (r->kind != KVR_RESP_INTEGER || r->n < 0)
		return kvr_redis_odd_reply(c, "STRLEN", r, &note->err);
	c->frame_total = (uint64_t)r->n;
	if (c->frame_total == 0)
		note->err = KVR_E_MISS;
	else if (c->frame_total > sealed_max(item))
		note->err = KVR_E_LENGTH;
	else
		kvr_frame_in_begin(&c->frame, &c->store->rules, item, c->scratch, c->frame_total);
	return KVR_OK;
}

static enum kvr_err
reply_piece(
    struct kvr_connector *c, struct kvr_redis_note *note, uint32_t part, const struct kvr_resp *r)
{
	uint64_t from = (part - 1) * KVR_REDIS_PIECE;
	uint64_t left = c->frame_total > from ? c->frame_total - from : 0;
	if (r->kind != KVR_RESP_BULK) {
		int32_t odd = KVR_OK;
		enum kvr_err err = kvr_redis_odd_reply(c, "GETRANGE", r, &odd);
		if (note->err == KVR_OK)
			note->err = odd;
		return err;
	}
	uint64_t len = (uint64_t)r->n;
	/* Since its STRLEN the value was replaced (another length) or deleted (no bytes). */
	if (note->err == KVR_OK && len != KVR_MIN(left, KVR_REDIS_PIECE))
		note->err = len == 0 ? KVR_E_MISS : KVR_E_CORRUPT;
	if (note->err != KVR_OK)
		return kvr_redis_bulk_skip(c, len);
	return kvr_redis_bulk_to_frame(c, len);
}

static enum kvr_err
reply_sealed(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	if (!in_pieces(item))
		return reply_value(c, item, note, part, r);
	if (part == 0)
		return reply_length(c, item, note, r);
	enum kvr_err err = reply_piece(c, note, part, r);
	if (err != KVR_OK || part + 1 < note->parts)
		return err;
	kvr_item_done(item, note->err == KVR_OK ? frame_end(c) : note->err);
	return KVR_OK;
}

/* LMCache's header key. */

static uint32_t
plan_head(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	note->go = NOTHING;
	return plan_value(c, item, note);
}

static enum kvr_err
send_head(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)note;
	(void)part;
	return kvr_redis_put_verb(c, &kvr_redis_say.get, item, KVR_REDIS_MARK);
}

static uint8_t *
head_of(const struct kvr_connector *c, const struct kvr_redis_note *note)
{
	return c->heads + (size_t)(note - c->note) * c->store->lm_head_len;
}

static enum kvr_err
reply_head(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end = KVR_E_MISS;
	enum kvr_err err = KVR_OK;
	(void)part;
	if (r->kind == KVR_RESP_BULK) {
		/* Readers of the format ignore what follows the last group. */
		uint64_t len = (uint64_t)r->n;
		uint64_t head_len = c->store->lm_head_len;
		uint64_t have = KVR_MIN(len, head_len);
		err = kvr_stream_read_all(&c->s, head_of(c, note), (size_t)have);
		if (err == KVR_OK)
			err = kvr_redis_bulk_skip(c, len - have);
		if (err == KVR_OK && have == head_len) {
			note->go = HAS_HEAD;
			return KVR_OK;
		}
		end = KVR_E_CORRUPT;
		snprintf(c->why, sizeof(c->why),
		    "metadata of %llu bytes, needs %llu: written for "
		    "another number of groups?",
		    (unsigned long long)len, (unsigned long long)head_len);
	} else if (r->kind != KVR_RESP_NIL) {
		err = kvr_redis_odd_reply(c, "GET", r, &end);
	}
	if (err == KVR_OK)
		kvr_item_done(item, end);
	return err;
}

/*
 * The payload. The frame reads header and payload as one value, whose first bytes we already have.
 */

static uint32_t
plan_payload(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	(void)c;
	(void)item;
	return note->go == HAS_HEAD ? 1 : 0;
}

static void
feed_head(struct kvr_connector *c, const uint8_t *head)
{
	size_t left = c->store->lm_head_len;
	while (left > 0) {
		struct kvr_span span = kvr_frame_in_next(&c->frame, left);
		KVR_CHECK(span.len > 0 && span.len <= left);
		memcpy(span.at, head, span.len);
		kvr_frame_in_got(&c->frame, span.len);
		head += span.len;
		left -= span.len;
	}
}

static enum kvr_err
reply_payload(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end = KVR_E_MISS;
	enum kvr_err err = KVR_OK;
	(void)part;
	if (r->kind == KVR_RESP_BULK) {
		uint64_t len = (uint64_t)r->n;
		kvr_frame_in_begin(
		    &c->frame, &c->store->rules, item, c->scratch, c->store->lm_head_len + len);
		feed_head(c, head_of(c, note));
		err = kvr_redis_bulk_to_frame(c, len);
		if (err == KVR_OK)
			end = frame_end(c);
	} else if (r->kind == KVR_RESP_NIL) {
		note->go = ORPHAN;
	} else {
		err = kvr_redis_odd_reply(c, "GET", r, &end);
	}
	if (err == KVR_OK)
		kvr_item_done(item, end);
	return err;
}

static uint32_t
plan_orphan(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	(void)item;
	/* A replica may just be behind; the master, which is asked next, knows. */
	return note->go == ORPHAN && !c->from_replica ? 1 : 0;
}

static enum kvr_err
send_orphan(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)note;
	(void)part;
	return kvr_redis_put_verb(c, &kvr_redis_say.del, item, KVR_REDIS_MARK);
}

/* The item is already a miss; whether its header could be deleted changes nothing for it. */
static enum kvr_err
reply_orphan(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t ignored = KVR_OK;
	(void)item;
	(void)note;
	(void)part;
	return r->kind == KVR_RESP_INTEGER ? KVR_OK : kvr_redis_odd_reply(c, "DEL", r, &ignored);
}

/*
 * What a near server needs so that it never waits for us. With more in flight it builds replies in
 * fresh memory: with 8 MiB, values of 1 MiB came at 0.6 of the speed, and cost the server 1.5 times
 * as much CPU. Half of the window is requested at a time, when that much has come: values of 64 KiB
 * reached 0.87 of a raw client's speed with 1 MiB in flight and two requests at a time, and reach
 * 1.02 this way, with a fifth less CPU.
 */
#define GET_WINDOW KVR_KIB(512), KVR_KIB(256)

static const struct kvr_redis_step value_step = { plan_value, send_value, reply_value, weight_value,
	GET_IN_FLIGHT, KVR_STREAM_AHEAD, GET_WINDOW };
/* The header arrives together with the line before it. */
static const struct kvr_redis_step sealed_step = { plan_sealed, send_sealed, reply_sealed,
	weight_sealed, GET_IN_FLIGHT, KVR_STREAM_AHEAD + KVR_SEAL_HEAD, GET_WINDOW };
static const struct kvr_redis_step head_step = { plan_head, send_head, reply_head, NULL,
	KVR_STREAM_IN / (KVR_REDIS_LM_HEAD_MAX + 32), KVR_STREAM_IN, 0, 0 };
static const struct kvr_redis_step payload_step = { plan_payload, send_value, reply_payload,
	weight_value, GET_IN_FLIGHT, KVR_STREAM_AHEAD, GET_WINDOW };
static const struct kvr_redis_step orphan_step = { plan_orphan, send_orphan, reply_orphan, NULL,
	KVR_REDIS_GROUP, KVR_STREAM_IN, 0, 0 };

const struct kvr_redis_plan *
kvr_redis_get(const struct kvr_store *store)
{
	static const struct kvr_redis_plan bare = { 1, { { &value_step, KVR_REDIS_VALUE } } };
	static const struct kvr_redis_plan sealed = { 1, { { &sealed_step, KVR_REDIS_VALUE } } };
	/* The last step is for stores where orphaned headers are deleted. */
	static const struct kvr_redis_plan lmcache[2] = {
		{ 2, { { &head_step, KVR_REDIS_MARK }, { &payload_step, KVR_REDIS_VALUE } } },
		{ 3, { { &head_step, KVR_REDIS_MARK }, { &payload_step, KVR_REDIS_VALUE },
		         { &orphan_step, KVR_REDIS_MARK } } }
	};
	if (store->rules.format == KVR_FORMAT_BARE)
		return &bare;
	if (store->rules.format == KVR_FORMAT_SEALED)
		return &sealed;
	return &lmcache[store->kind->drops_orphans];
}
