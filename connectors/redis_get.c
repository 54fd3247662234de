/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET. Long values come in pieces (redis_pieces.c), all others in one reply. For LMCache's two keys
 * the headers of the whole group are read first, then the payloads; headers whose payload is gone
 * are then deleted, if LMCache does so for this kind of store.
 */
#include "kvr_redis_get.h"

#include <stdio.h>

enum { NOTHING, HAS_HEAD, ORPHAN }; /* note.go */

static uint8_t *
head_of(const struct kvr_connector *c, const struct kvr_redis_note *note)
{
	return c->heads + (size_t)(note - c->note) * c->store->lm_head_len;
}

bool
kvr_redis_get_wanted(
    const struct kvr_connector *c, const struct kvr_item *item, const struct kvr_redis_note *note)
{
	return kvr_item_status(item) == KVR_PENDING &&
	       (c->store->lm_head_len == 0 || note->go == HAS_HEAD);
}

/* The frame reads header and payload as one value, whose first bytes we already have. */
void
kvr_redis_get_begin(struct kvr_connector *c, struct kvr_item *item,
    const struct kvr_redis_note *note, uint64_t len)
{
	uint64_t head_len = c->store->lm_head_len;
	kvr_frame_in_begin(&c->frame, &c->store->rules, item, c->scratch, head_len + len);
	if (head_len > 0)
		kvr_frame_in_copy(&c->frame, head_of(c, note), (size_t)head_len);
}

int32_t
kvr_redis_get_end(struct kvr_connector *c)
{
	int32_t end = kvr_frame_in_end(&c->frame);
	if (end != KVR_OK)
		snprintf(c->why, sizeof(c->why), "GET: %s", kvr_frame_why(&c->frame));
	return end;
}

static uint32_t
plan_value(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	return kvr_redis_get_wanted(c, item, note);
}

static enum kvr_err
reply_value(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t end = KVR_E_MISS;
	enum kvr_err err = KVR_OK;
	(void)part;
	if (r->kind == KVR_RESP_BULK) {
		uint64_t len = (uint64_t)r->n;
		kvr_redis_get_begin(c, item, note, len);
		err = kvr_redis_bulk_to_frame(c, len);
		if (err == KVR_OK)
			end = kvr_redis_get_end(c);
	} else if (r->kind == KVR_RESP_NIL) {
		note->go = ORPHAN; /* if there was a header */
	} else {
		err = kvr_redis_odd_reply(c, "GET", r, &end);
	}
	if (err == KVR_OK)
		kvr_item_done(item, end);
	return err;
}

/* LMCache's header key. */

static uint32_t
plan_head(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	(void)c;
	note->go = NOTHING;
	return kvr_item_status(item) == KVR_PENDING;
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

static uint32_t
plan_orphan(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	(void)item;
	/* A replica may just be behind; the master, which is asked next, knows. */
	return note->go == ORPHAN && !c->from_replica ? 1 : 0;
}

#define VALUE                                                                                      \
	.name = KVR_REDIS_VALUE, .plan = plan_value, .verb = &kvr_redis_say.get, .reply = reply_value, \
	.weight = kvr_redis_payload, KVR_REDIS_GET_WINDOW

static const struct kvr_redis_step value_step = { VALUE, .fill_max = KVR_STREAM_AHEAD };
/* The header arrives together with the line before it. */
static const struct kvr_redis_step sealed_step = { VALUE,
	.fill_max = KVR_STREAM_AHEAD + KVR_SEAL_HEAD };
static const struct kvr_redis_step head_step = { .name = KVR_REDIS_MARK, .plan = plan_head,
	.verb = &kvr_redis_say.get, .reply = reply_head,
	.in_flight_max = KVR_STREAM_IN / (KVR_REDIS_LM_HEAD_MAX + 32), .fill_max = KVR_STREAM_IN };
static const struct kvr_redis_step orphan_step = { .name = KVR_REDIS_MARK, .plan = plan_orphan,
	.verb = &kvr_redis_say.del, .reply = kvr_redis_cleaned, .in_flight_max = KVR_REDIS_GROUP,
	.fill_max = KVR_STREAM_IN };

const struct kvr_redis_plan *
kvr_redis_get(const struct kvr_store *store)
{
	static const struct kvr_redis_plan bare = { 2, { &kvr_redis_watched_step, &value_step } };
	static const struct kvr_redis_plan sealed = { 2, { &kvr_redis_sealed_step, &sealed_step } };
	/* The last step is for stores where orphaned headers are deleted. */
	static const struct kvr_redis_plan lmcache[2] = {
		{ 3, { &head_step, &kvr_redis_watched_step, &value_step } },
		{ 4, { &head_step, &kvr_redis_watched_step, &value_step, &orphan_step } }
	};
	if (store->rules.format == KVR_FORMAT_BARE)
		return &bare;
	if (store->rules.format == KVR_FORMAT_SEALED)
		return &sealed;
	return &lmcache[store->kind->drops_orphans];
}
