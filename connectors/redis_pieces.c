/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET of a long value in pieces: STRLEN, then GETRANGE. The server builds each larger reply in fresh
 * memory, with a page fault for every page: 16 MiB come 2.4 times as fast in pieces. In between
 * somebody may write the value:
 *
 *   sealed    Then a length or the seal does not fit: the result is the old value, the new one or
 *             an error.
 *   others    Nothing in the bytes would tell. WATCH comes before the first piece and an empty
 *             transaction behind the last one: EXEC's answer is nil if the value was written or
 *             deleted in between, or was evicted or has expired. What it was then, or whatever else
 *             is unusual, is for the whole GET that follows: it finds an intact value, or the words
 *             for what is wrong. So nothing here refuses an item.
 *
 * Not every user may WATCH, and not every proxy can: pieces would be read in vain then, so the
 * store remembers it for a while. Some proxies hang up at what they do not know, which counts as a
 * refusal until a connection has had its first answer.
 */
#include "kvr_redis_get.h"
#include "kvr_resp3.h"

/* For how long values come whole after a refusal: somebody may allow it meanwhile. */
#define REFUSED_NS KVR_SEC(60)
/* jemalloc gives memory of 8 MiB and more, its next class above 7, back to the system at once. */
#define WATCHED_FROM KVR_MIB(7)

/* Part 0 asks for the length, which may show that fewer are needed. */
static uint32_t
parts_of(uint64_t len_max)
{
	return 1 + (uint32_t)((len_max + KVR_REDIS_PIECE - 1) / KVR_REDIS_PIECE);
}

static uint64_t
from_of(uint32_t part)
{
	return (part - 1) * KVR_REDIS_PIECE;
}

static uint64_t
weight(const struct kvr_item *item, uint32_t part)
{
	(void)item;
	return part == 0 ? 0 : KVR_REDIS_PIECE;
}

static enum kvr_err
send_length(struct kvr_connector *c, const struct kvr_item *item)
{
	return kvr_redis_put_verb(c, &kvr_redis_say.strlen, item, KVR_REDIS_VALUE);
}

static enum kvr_err
send_piece(struct kvr_connector *c, const struct kvr_item *item, uint32_t part)
{
	uint64_t from = from_of(part);
	enum kvr_err err = kvr_redis_put_verb(c, &kvr_redis_say.getrange, item, KVR_REDIS_VALUE);
	if (err == KVR_OK)
		err = kvr_resp_put_number(&c->s, from);
	return err == KVR_OK ? kvr_resp_put_number(&c->s, from + KVR_REDIS_PIECE - 1) : err;
}

/* A piece as it was to be expected goes into the frame; any other sets note->err. */
static enum kvr_err
take_piece(struct kvr_connector *c, struct kvr_redis_note *note, uint32_t part, uint64_t len)
{
	uint64_t from = from_of(part);
	uint64_t left = c->frame_total > from ? c->frame_total - from : 0;
	/* Since its STRLEN the value was replaced (another length) or deleted (no bytes). */
	if (note->err == KVR_OK && len != KVR_MIN(left, KVR_REDIS_PIECE))
		note->err = len == 0 ? KVR_E_MISS : KVR_E_CORRUPT;
	if (note->err != KVR_OK)
		return kvr_redis_bulk_skip(c, len);
	return kvr_redis_bulk_to_frame(c, len);
}

/* Sealed. */

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

static uint32_t
plan_sealed(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	note->err = KVR_OK;
	return item->span.len > KVR_REDIS_PIECE && kvr_redis_get_wanted(c, item, note)
	           ? parts_of(sealed_max(item))
	           : 0;
}

static enum kvr_err
send_sealed(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	(void)note;
	return part == 0 ? send_length(c, item) : send_piece(c, item, part);
}

static enum kvr_err
begin_sealed(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    const struct kvr_resp *r)
{
	c->frame_total = 0;
	note->need = parts_of(0);
	if (r->kind != KVR_RESP_INTEGER || r->n < 0)
		return kvr_redis_odd_reply(c, "STRLEN", r, &note->err);
	c->frame_total = (uint64_t)r->n;
	if (c->frame_total == 0)
		note->err = KVR_E_MISS;
	else if (c->frame_total > sealed_max(item))
		note->err = KVR_E_LENGTH;
	else
		kvr_redis_get_begin(c, item, note, c->frame_total);
	if (note->err == KVR_OK)
		note->need = parts_of(c->frame_total);
	return KVR_OK;
}

static enum kvr_err
piece_of_sealed(
    struct kvr_connector *c, struct kvr_redis_note *note, uint32_t part, const struct kvr_resp *r)
{
	int32_t odd = KVR_OK;
	if (r->kind == KVR_RESP_BULK)
		return take_piece(c, note, part, (uint64_t)r->n);
	enum kvr_err err = kvr_redis_odd_reply(c, "GETRANGE", r, &odd);
	if (note->err == KVR_OK)
		note->err = odd;
	return err;
}

static enum kvr_err
reply_sealed(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	if (part == 0)
		return begin_sealed(c, item, note, r);
	enum kvr_err err = piece_of_sealed(c, note, part, r);
	if (err == KVR_OK && part + 1 == note->parts)
		kvr_item_done(item, note->err == KVR_OK ? kvr_redis_get_end(c) : note->err);
	return err;
}

/* Others. */

static void
refused(struct kvr_connector *c)
{
	atomic_store_explicit(
	    &c->store->no_watch_until_ns, kvr_now_ns() + REFUSED_NS, memory_order_relaxed);
}

static void
answered(struct kvr_connector *c)
{
	if (!c->watches)
		atomic_store_explicit(&c->store->no_watch_until_ns, 0, memory_order_relaxed);
	c->watches = true;
}

static bool
may_watch(const struct kvr_connector *c)
{
	uint64_t until_ns =
	    atomic_load_explicit(&c->store->no_watch_until_ns, memory_order_relaxed);
	return until_ns == 0 || kvr_now_ns() >= until_ns;
}

static uint32_t
plan_watched(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	note->err = KVR_OK;
	return item->span.len > WATCHED_FROM && kvr_redis_get_wanted(c, item, note) && may_watch(c)
	           ? parts_of(item->span.len)
	           : 0;
}

/* MULTI never goes without its EXEC: a part that is not sent any more takes both along. */
static enum kvr_err
send_watched(
    struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note, uint32_t part)
{
	static const char end[] = "*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n";
	enum kvr_err err = KVR_OK;
	if (part == 0) {
		if (!c->watches)
			refused(c); /* until it has answered */
		err = kvr_redis_put_verb(c, &kvr_redis_say.watch, item, KVR_REDIS_VALUE);
		return err == KVR_OK ? send_length(c, item) : err;
	}
	err = send_piece(c, item, part);
	return err == KVR_OK && part + 1 == note->parts
	           ? kvr_stream_copy(&c->s, end, sizeof(end) - 1)
	           : err;
}

static enum kvr_err
begin_watched(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    const struct kvr_resp *watch)
{
	bool watched = watch->kind == KVR_RESP_STATUS;
	struct kvr_resp r;
	char room[KVR_RESP3_TEXT];
	enum kvr_err err = kvr_redis_read_reply(c, room, &r);
	if (err != KVR_OK)
		return err;
	answered(c);
	bool found = r.kind == KVR_RESP_INTEGER && r.n > 0 && (uint64_t)r.n <= item->span.len;
	if (found && !watched)
		refused(c);
	note->err = found && watched ? KVR_OK : KVR_E_REFUSED;
	c->frame_total = found ? (uint64_t)r.n : 0;
	note->need = parts_of(note->err == KVR_OK ? c->frame_total : 0);
	if (note->err == KVR_OK)
		kvr_redis_get_begin(c, item, note, c->frame_total);
	return KVR_OK;
}

/* The item is done if its value was the same from the first piece to the last. */
static enum kvr_err
end_watched(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note)
{
	struct kvr_resp r;
	char room[KVR_RESP3_TEXT];
	enum kvr_err err = kvr_redis_read_reply(c, room, &r); /* MULTI's */
	bool begun = err == KVR_OK && r.kind == KVR_RESP_STATUS;
	if (err == KVR_OK)
		err = kvr_redis_read_reply(c, room, &r);
	if (err != KVR_OK)
		return err;
	if (r.kind == KVR_RESP_ERROR) {
		refused(c);
		/* A transaction that stays open would take all that follows. */
		bool open = begun && !kvr_resp_is_code(&r, "EXECABORT");
		return open ? kvr_stream_fail(&c->s, KVR_E_DOWN, "EXEC: %.*s",
		                  (int)KVR_MIN(r.text_len, 120U), r.text)
		            : KVR_OK;
	}
	if (r.kind == KVR_RESP_NIL)
		return KVR_OK;
	if (r.kind != KVR_RESP_ARRAY || r.n != 0)
		return kvr_stream_fail(&c->s, KVR_E_PROTO, "a reply of the wrong kind to EXEC");
	if (note->err == KVR_OK)
		kvr_item_done(item, kvr_redis_get_end(c));
	return KVR_OK;
}

static enum kvr_err
reply_watched(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	enum kvr_err err = KVR_OK;
	if (part == 0)
		return begin_watched(c, item, note, r);
	if (r->kind == KVR_RESP_BULK)
		err = take_piece(c, note, part, (uint64_t)r->n);
	else if (r->kind == KVR_RESP_ERROR)
		note->err = KVR_E_REFUSED;
	else
		err = kvr_redis_odd_reply(c, "GETRANGE", r, &note->err);
	return err == KVR_OK && part + 1 == note->parts ? end_watched(c, item, note) : err;
}

#define IN_PIECES .name = KVR_REDIS_VALUE, .weight = weight, KVR_REDIS_GET_WINDOW

/* The header arrives together with the line before it. */
const struct kvr_redis_step kvr_redis_sealed_step = { IN_PIECES, .plan = plan_sealed,
	.send = send_sealed, .reply = reply_sealed, .fill_max = KVR_STREAM_AHEAD + KVR_SEAL_HEAD };
const struct kvr_redis_step kvr_redis_watched_step = { IN_PIECES, .plan = plan_watched,
	.send = send_watched, .reply = reply_watched, .fill_max = KVR_STREAM_AHEAD };
