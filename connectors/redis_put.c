/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUT. One SET per chunk, or LMCache's two: first the payload, then, only after the server has
 * accepted it, the header that makes it visible. If both were sent without waiting, a refused
 * payload (out of memory) would leave a new header with an old payload. If the header is refused,
 * both keys are deleted for the same reason.
 */
#include "kvr_redis.h"

#include <stdio.h>
#include <string.h>

enum { PUT_IN_FLIGHT = 64 };
enum { NOTHING, PAYLOAD_IN, HEADER_REFUSED }; /* note.go */

/*
 * A server that sees a length beyond its proto-max-bulk-len hangs up, so its limit is learnt from
 * the first value that exceeded it. This is remembered only for a while, because the limit may be
 * raised at any time.
 */
static const uint64_t refused_ns = KVR_SEC(60);

static void
too_long(struct kvr_connector *c, uint64_t len)
{
	struct kvr_store *store = c->store;
	atomic_store(&store->refused_until_ns, kvr_now_ns() + refused_ns);
	atomic_store(&store->refused_len, len);
	c->hung_up = true;
	snprintf(c->why, sizeof(c->why),
	    "SET: a value of %llu bytes is beyond the server's proto-max-bulk-len: raise that, or use "
	    "smaller chunks",
	    (unsigned long long)len);
}

static enum kvr_err
check_length(struct kvr_connector *c, uint64_t len)
{
	uint64_t refused = atomic_load_explicit(&c->store->refused_len, memory_order_relaxed);
	if (len > KVR_REDIS_VALUE_MAX) {
		snprintf(c->why, sizeof(c->why),
		    "SET: a value of %llu bytes; a Redis server takes at most "
		    "%llu (512 MiB): use smaller chunks",
		    (unsigned long long)len, (unsigned long long)KVR_REDIS_VALUE_MAX);
		return KVR_E_TOO_BIG;
	}
	if (refused == 0 || len < refused || kvr_now_ns() >= atomic_load(&c->store->refused_until_ns))
		return KVR_OK;
	snprintf(c->why, sizeof(c->why),
	    "SET: a value of %llu bytes; one of %llu was beyond the server's proto-max-bulk-len: raise "
	    "that, or use smaller chunks",
	    (unsigned long long)len, (unsigned long long)refused);
	return KVR_E_TOO_BIG;
}

static uint32_t
plan_put(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	note->go = NOTHING;
	if (kvr_item_status(item) != KVR_PENDING)
		return 0;
	enum kvr_err err = kvr_frame_out_begin(&c->frame, &c->store->rules, item, c->scratch);
	if (err == KVR_OK) {
		note->total = kvr_frame_out_len(&c->frame);
		err = check_length(c, note->total);
	}
	if (err != KVR_OK)
		kvr_item_done(item, err);
	return err == KVR_OK ? 1 : 0;
}

static enum kvr_err
put_set_end(struct kvr_connector *c)
{
	enum kvr_err err = kvr_stream_copy(&c->s, "\r\n", 2);
	if (err != KVR_OK || c->store->ttl_ms == 0)
		return err;
	bool in_seconds = c->store->kind->in_seconds;
	uint64_t ttl = in_seconds ? (c->store->ttl_ms + 999) / 1000 : c->store->ttl_ms;
	err = kvr_resp_put(&c->s, in_seconds ? "EX" : "PX", 2);
	return err == KVR_OK ? kvr_resp_put_number(&c->s, ttl) : err;
}

/*
 * Payload does not change until run() returns, so it need not be copied; heads and tails are
 * scratch.
 */
static bool
is_payload(const struct kvr_item *item, struct kvr_const_span span)
{
	uintptr_t at = (uintptr_t)span.at, from = (uintptr_t)item->span.at;
	return at >= from && at - from < item->span.len;
}

static enum kvr_err
put_spans(struct kvr_connector *c, const struct kvr_item *item, uint64_t len)
{
	enum kvr_err err = KVR_OK;
	while (len > 0 && err == KVR_OK) {
		struct kvr_const_span span =
		    kvr_frame_out_next(&c->frame, (size_t)KVR_MIN(len, KVR_STREAM_SLICE));
		KVR_CHECK(span.len > 0 && span.len <= len);
		len -= span.len;
		err = is_payload(item, span) ? kvr_stream_lend(&c->s, span.at, span.len)
		                             : kvr_stream_copy(&c->s, span.at, span.len);
	}
	return err;
}

/* SET, with the next len bytes of the frame as its value. */
static enum kvr_err
put_set(
    struct kvr_connector *c, const struct kvr_item *item, enum kvr_redis_name which, uint64_t len)
{
	bool ttl = c->store->ttl_ms > 0;
	enum kvr_err err =
	    kvr_redis_put_verb(c, ttl ? &kvr_redis_say.set_ttl : &kvr_redis_say.set, item, which);
	if (err == KVR_OK)
		err = kvr_resp_put_head(&c->s, len);
	if (err == KVR_OK)
		err = put_spans(c, item, len);
	return err == KVR_OK ? put_set_end(c) : err;
}

/* Cannot fail: plan_put has begun the same frame before. */
static uint64_t
begin(struct kvr_connector *c, struct kvr_item *item)
{
	enum kvr_err err = kvr_frame_out_begin(&c->frame, &c->store->rules, item, c->scratch);
	KVR_CHECK(err == KVR_OK);
	return kvr_frame_out_len(&c->frame);
}

static enum kvr_err
send_value(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	uint64_t len = begin(c, item);
	(void)note;
	(void)part;
	return put_set(c, item, KVR_REDIS_VALUE, len);
}

static enum kvr_err
reply_set(struct kvr_connector *c, const struct kvr_redis_note *note, const struct kvr_resp *r,
    int32_t *ret_end)
{
	static const char words[] = "ERR Protocol error: invalid bulk length";
	*ret_end = KVR_OK;
	if (r->kind == KVR_RESP_STATUS)
		return KVR_OK;
	if (r->kind != KVR_RESP_ERROR || r->text_len < sizeof(words) - 1 ||
	    memcmp(r->text, words, sizeof(words) - 1) != 0)
		return kvr_redis_odd_reply(c, "SET", r, ret_end);
	too_long(c, note->total);
	*ret_end = KVR_E_TOO_BIG;
	return KVR_OK;
}

static enum kvr_err
reply_value(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end;
	enum kvr_err err = reply_set(c, note, r, &end);
	(void)part;
	if (err == KVR_OK)
		kvr_item_done(item, end);
	return err;
}

/* LMCache's payload. The frame's header belongs to the other key. */

static enum kvr_err
send_payload(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	uint64_t len = begin(c, item) - c->store->lm_head_len;
	(void)note;
	(void)part;
	for (size_t left = c->store->lm_head_len; left > 0;)
		left -= kvr_frame_out_next(&c->frame, left).len;
	return put_set(c, item, KVR_REDIS_VALUE, len);
}

static enum kvr_err
reply_payload(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end;
	enum kvr_err err = reply_set(c, note, r, &end);
	(void)part;
	if (err == KVR_OK && end == KVR_OK)
		note->go = PAYLOAD_IN;
	else if (err == KVR_OK)
		kvr_item_done(item, end);
	return err;
}

static enum kvr_err
send_head(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)begin(c, item);
	(void)note;
	(void)part;
	return put_set(c, item, KVR_REDIS_MARK, c->store->lm_head_len);
}

static enum kvr_err
reply_head(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	enum kvr_err err = reply_set(c, note, r, &note->err);
	(void)part;
	if (err == KVR_OK && note->err == KVR_OK)
		kvr_item_done(item, KVR_OK);
	else
		note->go = HEADER_REFUSED;
	return err;
}

static enum kvr_err
send_undo(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)note;
	(void)part;
	enum kvr_err err = kvr_redis_put_verb(c, &kvr_redis_say.del_two, item, KVR_REDIS_MARK);
	return err == KVR_OK ? kvr_redis_put_name(c, item, KVR_REDIS_VALUE) : err;
}

static enum kvr_err
reply_undo(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	enum kvr_err err = kvr_redis_cleaned(c, item, note, part, r);
	if (err == KVR_OK)
		kvr_item_done(item, note->err);
	return err;
}

/*
 * Enough that the server finds the next value when it is done with one, and no more: with small
 * values, a window of 2 MiB leaves the caches on its way through the socket, and 256 values of 64
 * KiB took a fifth longer. Refilling half of it at a time needs one write for several values.
 */
#define PUT_WINDOW .window_bytes = KVR_KIB(512), .refill_bytes = KVR_KIB(256)
#define PUT_MANY   .in_flight_max = PUT_IN_FLIGHT, .fill_max = KVR_STREAM_IN

static const struct kvr_redis_step value_step = { .name = KVR_REDIS_VALUE, .plan = plan_put,
	.send = send_value, .reply = reply_value, .weight = kvr_redis_payload, PUT_MANY, PUT_WINDOW };
static const struct kvr_redis_step payload_step = { .name = KVR_REDIS_VALUE, .plan = plan_put,
	.send = send_payload, .reply = reply_payload, .weight = kvr_redis_payload, PUT_MANY,
	PUT_WINDOW };
static const struct kvr_redis_step head_step = { .name = KVR_REDIS_MARK, .go = PAYLOAD_IN,
	.send = send_head, .reply = reply_head, PUT_MANY };
static const struct kvr_redis_step undo_step = { .name = KVR_REDIS_MARK, .go = HEADER_REFUSED,
	.send = send_undo, .reply = reply_undo, PUT_MANY };
static const struct kvr_redis_step undo_value_step = { .name = KVR_REDIS_VALUE,
	.go = HEADER_REFUSED, .verb = &kvr_redis_say.del, .reply = kvr_redis_cleaned, PUT_MANY };
static const struct kvr_redis_step undo_head_step = { .name = KVR_REDIS_MARK,
	.go = HEADER_REFUSED, .verb = &kvr_redis_say.del, .reply = reply_undo, PUT_MANY };

const struct kvr_redis_plan *
kvr_redis_put(const struct kvr_store *store)
{
	static const struct kvr_redis_plan whole = { 1, { &value_step } };
	static const struct kvr_redis_plan two = { 3,
		{ &payload_step, &head_step, &undo_step } };
	/*
	 * The payload is deleted first: its node has just answered. If the node of the header is
	 * the failing one, a header without payload is left, which is a miss.
	 */
	static const struct kvr_redis_plan apart = { 4,
		{ &payload_step, &head_step, &undo_value_step, &undo_head_step } };
	if (store->rules.format != KVR_FORMAT_LMCACHE)
		return &whole;
	return store->map == NULL ? &two : &apart;
}
