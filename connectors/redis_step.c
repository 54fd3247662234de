/* SPDX-License-Identifier: Apache-2.0 */
/* The window of one step, and what all verbs need for writing requests and reading replies. */
#include "kvr_limits.h"
#include "kvr_redis.h"
#include "kvr_resp3.h"

#include <stdio.h>
#include <string.h>

struct cursor {
	uint32_t i, part;
};

struct window {
	struct cursor to_send, to_read;
	uint32_t left_to_send, left_to_read;
	uint64_t bytes; /* payload in flight */
	uint64_t bytes_max, refill;
	uint64_t asked_ns; /* when the first request of the step was sent; 0: its reply has arrived */
};

/*
 * The product of delay and bandwidth. The delay is the shortest that this connection has shown,
 * because others include work that a server had to do first. The bandwidth, 4 GB/s, is more than
 * any connection to Redis has reached: too small a window costs speed, too large a one only costs
 * the server memory. That is never more than a part has: KVR_LONG_BYTES for each lane.
 */
enum { BYTES_A_NS = 4 };

static uint64_t
window_bytes(const struct kvr_connector *c, const struct kvr_redis_step *step)
{
	if (c->store->window_bytes > 0)
		return c->store->window_bytes;
	uint64_t far = KVR_MIN(c->trip_ns, UINT64_MAX / BYTES_A_NS) * BYTES_A_NS;
	return KVR_MAX(step->window_bytes, KVR_MIN(far, (uint64_t)KVR_LONG_BYTES));
}

void
kvr_redis_trip(struct kvr_connector *c, uint64_t asked_ns)
{
	uint64_t trip_ns = kvr_now_ns() - asked_ns;
	if (c->trip_ns == 0 || trip_ns < c->trip_ns)
		c->trip_ns = trip_ns;
}

uint32_t
kvr_redis_requests(const struct kvr_redis_step *step, struct kvr_connector *c,
    struct kvr_item *item, struct kvr_redis_note *note)
{
	if (step->plan != NULL)
		return step->plan(c, item, note);
	return step->go != 0 ? note->go == step->go : kvr_item_status(item) == KVR_PENDING;
}

uint64_t
kvr_redis_payload(const struct kvr_item *item, uint32_t part)
{
	(void)part;
	return item->span.len;
}

static uint64_t
weight(const struct kvr_redis_step *step, const struct kvr_item *item, uint32_t part)
{
	return step->weight != NULL ? step->weight(item, part) : 0;
}

static void
settle(const struct kvr_connector *c, struct cursor *at, uint32_t n)
{
	while (at->i < n && at->part >= c->note[at->i].parts) {
		at->i++;
		at->part = 0;
	}
}

static bool
room(const struct kvr_redis_step *step, const struct window *w, const struct kvr_item *items)
{
	uint32_t in_flight = w->left_to_read - w->left_to_send;
	if (w->left_to_send == 0 || in_flight >= step->in_flight_max)
		return false;
	/* With only one in flight, the server would wait for us between two values. */
	if (in_flight < 2)
		return true;
	uint64_t next = weight(step, &items[w->to_send.i], w->to_send.part);
	return w->bytes + next <= w->bytes_max;
}

/*
 * ASKING makes a node accept one command for a slot that is being moved to it; it applies to that
 * command only.
 */
static enum kvr_err
ask_first(struct kvr_connector *c)
{
	enum kvr_err err = kvr_resp_put_array(&c->s, 1);
	return err == KVR_OK ? kvr_resp_put(&c->s, "ASKING", 6) : err;
}

static enum kvr_err
read_asking(struct kvr_connector *c)
{
	struct kvr_resp reply;
	enum kvr_err err = kvr_resp_read(&c->s, &reply);
	if (err != KVR_OK || reply.kind == KVR_RESP_STATUS || reply.kind == KVR_RESP_ERROR)
		return err; /* after an error, the command itself fails and says why */
	return kvr_stream_fail(&c->s, KVR_E_PROTO, "a reply of the wrong kind to ASKING");
}

static enum kvr_err
send_window(struct kvr_connector *c, const struct kvr_redis_step *step, struct window *w,
    struct kvr_item *items, uint32_t n)
{
	while (room(step, w, items)) {
		uint32_t i = w->to_send.i, part = w->to_send.part;
		w->bytes += weight(step, &items[i], part);
		enum kvr_err err = KVR_OK;
		if (c->note[i].asking)
			err = ask_first(c);
		if (err == KVR_OK)
			err = step->send != NULL
			    ? step->send(c, &items[i], &c->note[i], part)
			    : kvr_redis_put_verb(c, step->verb, &items[i], step->name);
		if (err != KVR_OK)
			return err;
		w->left_to_send--;
		w->to_send.part++;
		settle(c, &w->to_send, n);
	}
	return kvr_stream_flush(&c->s);
}

enum kvr_err
kvr_redis_read_reply(struct kvr_connector *c, char *room, struct kvr_resp *ret)
{
	return c->store->resp3 ? kvr_resp3_read(&c->s, room, ret) : kvr_resp_read(&c->s, ret);
}

/*
 * What a reply has shown to be needless is not sent. One request is, whatever was shown: the last
 * one of an item may bring what belongs to all.
 */
static void
shorten(struct kvr_connector *c, struct window *w, uint32_t i, uint32_t n)
{
	struct kvr_redis_note *note = &c->note[i];
	uint32_t keep = KVR_MAX(note->need, w->to_send.part + 1);
	if (w->to_send.i != i || keep >= note->parts)
		return;
	uint32_t less = note->parts - keep;
	note->parts -= less;
	note->left -= less;
	w->left_to_send -= less;
	w->left_to_read -= less;
	settle(c, &w->to_send, n);
}

static enum kvr_err
read_one(struct kvr_connector *c, const struct kvr_redis_step *step, struct window *w,
    struct kvr_item *items, uint32_t n)
{
	struct kvr_resp reply;
	uint32_t i = w->to_read.i, part = w->to_read.part;
	struct kvr_redis_note *note = &c->note[i];
	char room[KVR_RESP3_TEXT];
	enum kvr_err err = note->asking ? read_asking(c) : KVR_OK;
	if (err == KVR_OK)
		err = kvr_redis_read_reply(c, room, &reply);
	if (err == KVR_OK && w->asked_ns != 0)
		kvr_redis_trip(c, w->asked_ns);
	w->asked_ns = 0;
	c->redirect = KVR_REDIS_STAYS;
	if (err == KVR_OK)
		err = step->reply(c, &items[i], note, part, &reply);
	if (err != KVR_OK)
		return err;
	if (c->redirect != KVR_REDIS_STAYS) {
		note->redirect = c->redirect;
		note->to = c->redirect_to;
	}
	if (note->need != 0)
		shorten(c, w, i, n);
	note->left--;
	w->bytes -= weight(step, &items[i], part);
	w->left_to_read--;
	w->to_read.part++;
	settle(c, &w->to_read, n);
	return c->hung_up ? kvr_stream_fail(&c->s, KVR_E_DOWN, "%s", c->why) : KVR_OK;
}

/*
 * The server hung up while requests were being sent. What it had said before is read: the results
 * of earlier values, and often the reason. Then the stream ends with its error. Only after a send:
 * a reply that ended the stream was already read, and the bytes after it would be taken for the
 * next reply.
 */
static void
hear_out(struct kvr_connector *c, const struct kvr_redis_step *step, struct window *w,
    struct kvr_item *items, uint32_t n)
{
	char why[sizeof(c->s.why)];
	memcpy(why, c->s.why, sizeof(why));
	if (!kvr_stream_hear_out(&c->s))
		return;
	while (w->left_to_read > 0 && kvr_stream_held(&c->s) > 0 &&
	    read_one(c, step, w, items, n) == KVR_OK)
		;
	(void)kvr_stream_fail(&c->s, KVR_E_DOWN, "%s", why);
}

static enum kvr_err
send_more(struct kvr_connector *c, const struct kvr_redis_step *step, struct window *w,
    struct kvr_item *items, uint32_t n)
{
	enum kvr_err err = send_window(c, step, w, items, n);
	if (err == KVR_E_DOWN)
		hear_out(c, step, w, items, n);
	return err;
}

enum kvr_err
kvr_redis_step(
    struct kvr_connector *c, const struct kvr_redis_step *step, struct kvr_item *items, uint32_t n)
{
	struct window w = { 0 };
	KVR_CHECK(n <= KVR_REDIS_GROUP);
	for (uint32_t i = 0; i < n; i++) {
		c->note[i].need = 0;
		c->note[i].parts = c->note[i].left =
		    kvr_redis_requests(step, c, &items[i], &c->note[i]);
		w.left_to_send += c->note[i].parts;
	}
	w.left_to_read = w.left_to_send;
	if (w.left_to_read == 0)
		return KVR_OK;
	settle(c, &w.to_send, n);
	settle(c, &w.to_read, n);
	enum kvr_err err = kvr_stream_begin(&c->s, c->s.until_ns, step->fill_max);
	c->s.brisk = step->weight == NULL;
	w.bytes_max = window_bytes(c, step);
	w.refill = KVR_MIN(step->refill_bytes, w.bytes_max / 2);
	/*
	 * Taken before sending: a reply may arrive while the rest of a long window is still being
	 * sent.
	 */
	w.asked_ns = kvr_now_ns();
	if (err == KVR_OK)
		err = send_more(c, step, &w, items, n);
	while (err == KVR_OK && w.left_to_read > 0) {
		uint32_t in_flight = w.left_to_read - w.left_to_send;
		/* Not for every reply: a write for each would cost a system call per key. */
		bool low =
		    in_flight <= step->in_flight_max / 2 && w.bytes + w.refill <= w.bytes_max;
		if (w.left_to_send > 0 && (low || in_flight < 2))
			err = send_more(c, step, &w, items, n);
		if (err == KVR_OK)
			err = read_one(c, step, &w, items, n);
	}
	return err;
}

enum kvr_err
kvr_redis_odd_reply(
    struct kvr_connector *c, const char *verb, const struct kvr_resp *r, int32_t *ret_err)
{
	if (r->kind != KVR_RESP_ERROR)
		return kvr_stream_fail(&c->s, KVR_E_PROTO, "a reply of the wrong kind to %s", verb);
	/*
	 * The server is no longer a master. The next dial finds the new one, which is asked for
	 * everything that has no reply yet; this server has nothing useful to say any more.
	 */
	if (c->store->sentinels != NULL && kvr_resp_is_code(r, "READONLY"))
		return kvr_stream_fail(
		    &c->s, KVR_E_DOWN, "%s: %.*s", verb, (int)KVR_MIN(r->text_len, 120U), r->text);
	*ret_err = kvr_resp_error(r->text, r->text_len);
	if (c->store->map != NULL)
		kvr_redis_redirected(c, r);
	if (kvr_resp_is_code(r, "NOAUTH"))
		c->signed_out = true;
	snprintf(
	    c->why, sizeof(c->why), "%s: %.*s", verb, (int)KVR_MIN(r->text_len, 200U), r->text);
	return KVR_OK;
}

enum kvr_err
kvr_redis_cleaned(struct kvr_connector *c, struct kvr_item *item, struct kvr_redis_note *note,
    uint32_t part, const struct kvr_resp *r)
{
	int32_t ignored;
	(void)item;
	(void)note;
	(void)part;
	return r->kind == KVR_RESP_INTEGER ? KVR_OK : kvr_redis_odd_reply(c, "DEL", r, &ignored);
}

enum kvr_err
kvr_redis_bulk_to_frame(struct kvr_connector *c, uint64_t len)
{
	while (len > 0) {
		struct kvr_span span =
		    kvr_frame_in_next(&c->frame, (size_t)KVR_MIN(len, KVR_STREAM_RECV));
		uint64_t behind = len - span.len;
		/* Read a trailer together with the end of its payload: a separate receive costs 2 us. */
		size_t ahead = behind <= KVR_REDIS_BEHIND ? (size_t)behind + c->s.fill_max : 0;
		size_t n = 0;
		KVR_CHECK(span.len > 0 && span.len <= len);
		enum kvr_err err = kvr_stream_read(&c->s, span.at, span.len, ahead, &n);
		if (err != KVR_OK)
			return err;
		kvr_frame_in_got(&c->frame, n);
		len -= n;
	}
	return kvr_resp_bulk_end(&c->s);
}

enum kvr_err
kvr_redis_bulk_skip(struct kvr_connector *c, uint64_t len)
{
	enum kvr_err err = kvr_stream_skip(&c->s, len);
	return err == KVR_OK ? kvr_resp_bulk_end(&c->s) : err;
}
