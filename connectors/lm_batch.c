/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch on lm://: requests are sent ahead of their answers, a bounded number of them.
 *
 * PUT   has no answer, so an EXIST of the same key follows each. The server handles a connection
 *       in order: its yes says that it has read the whole payload and keeps it. Without that, a put
 *       into a socket whose server is dying would count as stored. It costs 222 bytes per chunk and
 *       no waiting, because the next chunk is on its way meanwhile.
 *       When the stream ends inside a payload, LMCache's server keeps a value without bytes: it
 *       tells everybody that the key exists, and closes the connection of whoever gets it. Only a
 *       reset prevents that, because then its receive fails instead of ending. So while a put is
 *       under way the socket is set to reset when it is closed, by us or by the process's death.
 * GET   of such a value, left by somebody else, announces a length and then ends the connection.
 *       The key is blamed, otherwise it would be requested again and again. The same for STAT.
 * STAT  The protocol has no request for it, so a GET is sent and its payload read and dropped.
 *
 * LMCache's server writes head and payload separately and leaves its socket's options alone: its
 * kernel holds a small write back until the one before is acknowledged, and our kernel would delay
 * that for 40 ms. So we make it acknowledge before each wait; two lookups then take 0.05 ms instead
 * of 42.
 */
#include "kvr_lm.h"
#include "kvr_lmmeta.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * The answers to what is in flight fit into the read buffer while we still write: see kvr_stream.h.
 */
enum { EXISTS_IN_FLIGHT = 512, PUT_IN_FLIGHT = 64, GET_IN_FLIGHT = 8, STAT_IN_FLIGHT = 4 };
_Static_assert(EXISTS_IN_FLIGHT *KVR_LM_TELL_LEN <= KVR_STREAM_IN, "answers fit the buffer");

struct way {
	enum kvr_err (*send)(struct kvr_connector *, struct kvr_item *);
	enum kvr_err (*answered)(
	    struct kvr_connector *, struct kvr_item *, const struct kvr_lm_tell *);
	uint32_t in_flight_max;
	bool moves_payload;
	size_t ahead; /* for reading an answer: see kvr_stream_read */
};

struct window {
	uint32_t to_send, to_read, in_flight;
	uint64_t bytes;
};

static enum kvr_err
send_ask(struct kvr_connector *c, enum kvr_lm_command command, const uint8_t *head,
    const struct kvr_item *item)
{
	uint8_t ask[KVR_LM_ASK_LEN];
	const struct kvr_const_span prefix = { c->store->prefix, c->store->prefix_len };
	kvr_lm_ask(ask, command, head, prefix, (struct kvr_const_span){ item->key, item->key_len });
	return kvr_stream_copy(&c->s, ask, sizeof(ask));
}

/* Does not last: the kernel returns to delaying with the next request that is sent. */
static void
acknowledge(struct kvr_connector *c)
{
	const int on = 1;
	/* If this is refused, answers come late but are the same. */
	if (kvr_stream_held(&c->s) == 0)
		(void)setsockopt(c->s.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static enum kvr_err
send_exist(struct kvr_connector *c, struct kvr_item *item)
{
	return send_ask(c, KVR_LM_EXIST, NULL, item);
}

static enum kvr_err
exist_answered(struct kvr_connector *c, struct kvr_item *item, const struct kvr_lm_tell *tell)
{
	(void)c;
	kvr_item_done(item, tell->yes ? KVR_OK : KVR_E_MISS);
	return KVR_OK;
}

static enum kvr_err
send_get(struct kvr_connector *c, struct kvr_item *item)
{
	return send_ask(c, KVR_LM_GET, NULL, item);
}

static enum kvr_err
payload_in(struct kvr_connector *c, uint64_t len)
{
	while (len > 0) {
		struct kvr_span span =
		    kvr_frame_in_next(&c->frame, (size_t)KVR_MIN(len, KVR_STREAM_RECV));
		size_t ahead = span.len == len ? KVR_LM_TELL_LEN : 0;
		size_t n = 0;
		KVR_CHECK(span.len > 0 && span.len <= len);
		enum kvr_err err = kvr_stream_read(&c->s, span.at, span.len, ahead, &n);
		if (err != KVR_OK)
			return err;
		kvr_frame_in_got(&c->frame, n);
		len -= n;
	}
	return KVR_OK;
}

/* Reads the payload with take. If the end comes before its first byte, the key is to blame. */
static enum kvr_err
after_head(struct kvr_connector *c, struct kvr_item *item, uint64_t len,
    enum kvr_err (*take)(struct kvr_connector *, uint64_t len))
{
	acknowledge(c);
	uint64_t before = c->s.moved;
	bool held = kvr_stream_held(&c->s) > 0;
	enum kvr_err err = take(c, len);
	if (err == KVR_E_DOWN && c->s.moved == before && !held)
		kvr_item_done(item, KVR_E_CORRUPT);
	return err;
}

static enum kvr_err
get_answered(struct kvr_connector *c, struct kvr_item *item, const struct kvr_lm_tell *tell)
{
	if (!tell->yes) {
		kvr_item_done(item, KVR_E_MISS);
		return KVR_OK;
	}
	kvr_frame_in_begin(
	    &c->frame, &c->store->rules, item, c->scratch, KVR_LM_HEAD_LEN + tell->len);
	kvr_frame_in_copy(&c->frame, tell->head, KVR_LM_HEAD_LEN);
	enum kvr_err err = after_head(c, item, tell->len, payload_in);
	if (err != KVR_OK)
		return err;
	int32_t end = kvr_frame_in_end(&c->frame);
	if (end != KVR_OK)
		snprintf(c->why, sizeof(c->why), "GET: %s", kvr_frame_why(&c->frame));
	kvr_item_done(item, end);
	return KVR_OK;
}

static enum kvr_err
drop_payload(struct kvr_connector *c, uint64_t len)
{
	return kvr_stream_skip(&c->s, len);
}

static enum kvr_err
stat_answered(struct kvr_connector *c, struct kvr_item *item, const struct kvr_lm_tell *tell)
{
	int32_t end = KVR_E_MISS;
	if (tell->yes) {
		end = kvr_frame_stat(&c->store->rules, item, tell->head, KVR_LM_HEAD_LEN,
		    KVR_LM_HEAD_LEN + tell->len, c->why, sizeof(c->why));
		enum kvr_err err = after_head(c, item, tell->len, drop_payload);
		if (err != KVR_OK)
			return err;
	}
	kvr_item_done(item, end);
	return KVR_OK;
}

static enum kvr_err
encode(const struct kvr_item *item, uint8_t ret_head[KVR_LM_HEAD_LEN])
{
	size_t len = 0;
	return kvr_lmmeta_encode(item->meta, item->span.len, 1, ret_head, KVR_LM_HEAD_LEN, &len);
}

static enum kvr_err
send_put(struct kvr_connector *c, struct kvr_item *item)
{
	uint8_t head[KVR_LM_HEAD_LEN];
	enum kvr_err err = encode(item, head);
	KVR_CHECK(err == KVR_OK); /* refuse() has checked it */
	err = send_ask(c, KVR_LM_PUT, head, item);
	if (err == KVR_OK)
		err = kvr_stream_lend(&c->s, item->span.at, item->span.len);
	return err == KVR_OK ? send_exist(c, item) : err;
}

static enum kvr_err
put_answered(struct kvr_connector *c, struct kvr_item *item, const struct kvr_lm_tell *tell)
{
	if (!tell->yes)
		snprintf(c->why, sizeof(c->why),
		    "PUT: the server does not have what it has just been given");
	item->len = KVR_LM_ASK_LEN + item->span.len;
	kvr_item_done(item, tell->yes ? KVR_OK : KVR_E_REFUSED);
	return KVR_OK;
}

/* Items that cannot be requested are answered before a byte is sent; for reads they are a miss. */
static void
refuse(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item)
{
	const char *why = NULL;
	uint8_t head[KVR_LM_HEAD_LEN];
	enum kvr_err err = KVR_E_INVALID;
	if (item->key_len > 0 && item->key_len <= KVR_KEY_LEN_MAX) {
		err = kvr_lm_key(c->store, item->key, item->key_len, &why);
		if (err != KVR_OK && verb != KVR_VERB_PUT)
			err = KVR_E_MISS;
	}
	if (why != NULL)
		snprintf(c->why, sizeof(c->why), "%s", why);
	if (err == KVR_OK && verb == KVR_VERB_PUT && (err = encode(item, head)) != KVR_OK)
		snprintf(c->why, sizeof(c->why),
		    "PUT: an lm message cannot describe this shape, dtype or length");
	if (err != KVR_OK)
		kvr_item_done(item, err);
}

static uint64_t
weight(const struct way *way, const struct kvr_item *item)
{
	return way->moves_payload ? item->span.len : 0;
}

static void
settle(const struct kvr_item *items, uint32_t n, uint32_t *at)
{
	while (*at < n && kvr_item_status(&items[*at]) != KVR_PENDING)
		++*at;
}

static enum kvr_err
send_more(struct kvr_connector *c, const struct way *way, struct window *w, struct kvr_item *items,
    uint32_t n)
{
	settle(items, n, &w->to_send);
	while (w->to_send < n && w->in_flight < way->in_flight_max) {
		uint64_t next = weight(way, &items[w->to_send]);
		/* With only one in flight, the server would wait for us between two values. */
		if (w->in_flight >= 2 && w->bytes + next > c->store->window_bytes)
			break;
		enum kvr_err err = way->send(c, &items[w->to_send]);
		if (err != KVR_OK)
			return err;
		w->bytes += next;
		w->in_flight++;
		w->to_send++;
		settle(items, n, &w->to_send);
	}
	return kvr_stream_flush(&c->s);
}

static enum kvr_err
read_one(struct kvr_connector *c, const struct way *way, struct window *w, struct kvr_item *items,
    uint32_t n)
{
	struct kvr_lm_tell tell;
	settle(items, n, &w->to_read);
	struct kvr_item *item = &items[w->to_read];
	acknowledge(c);
	enum kvr_err err = kvr_lm_read_tell(&c->s, way->ahead, &tell);
	if (err == KVR_OK)
		err = way->answered(c, item, &tell);
	w->bytes -= weight(way, item);
	w->in_flight--;
	return err;
}

static enum kvr_err
go(struct kvr_connector *c, const struct way *way, struct kvr_item *items, uint32_t n)
{
	struct window w = { 0 };
	for (;;) {
		/* Refilled when half empty: one write per answer would cost a system call per key. */
		bool low =
		    w.in_flight <= way->in_flight_max / 2 && w.bytes <= c->store->window_bytes / 2;
		enum kvr_err err = KVR_OK;
		if (low || w.in_flight < 2)
			err = send_more(c, way, &w, items, n);
		if (err == KVR_OK && w.in_flight == 0)
			return KVR_OK;
		if (err == KVR_OK)
			err = read_one(c, way, &w, items, n);
		if (err != KVR_OK)
			return err;
	}
}

static const struct way exists_way = { send_exist, exist_answered, EXISTS_IN_FLIGHT, false,
	KVR_STREAM_IN };
static const struct way get_way = { send_get, get_answered, GET_IN_FLIGHT, true, 0 };
static const struct way stat_way = { send_get, stat_answered, STAT_IN_FLIGHT, false, 0 };
static const struct way put_way = { send_put, put_answered, PUT_IN_FLIGHT, true, KVR_STREAM_IN };

static void
reset_on_close(struct kvr_connector *c, bool on)
{
	const struct linger l = { .l_onoff = on, .l_linger = 0 };
	/* Cannot fail on an open socket. If it did, a broken put would leave a value without bytes. */
	(void)setsockopt(c->s.fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static enum kvr_err
put(struct kvr_connector *c, struct kvr_item *items, uint32_t n)
{
	reset_on_close(c, true);
	enum kvr_err err = go(c, &put_way, items, n);
	if (err == KVR_OK)
		reset_on_close(c, false);
	return err;
}

static enum kvr_err
nothing_deletes(struct kvr_connector *c, struct kvr_item *items, uint32_t n)
{
	snprintf(c->why, sizeof(c->why), "DEL: an LMCache server cannot delete");
	for (uint32_t i = 0; i < n; i++)
		if (kvr_item_status(&items[i]) == KVR_PENDING)
			kvr_item_done(&items[i], KVR_E_UNSUPPORTED);
	return KVR_OK;
}

enum kvr_err
kvr_lm_run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n)
{
	for (uint32_t i = 0; i < n && verb != KVR_VERB_DEL; i++)
		if (kvr_item_status(&items[i]) == KVR_PENDING)
			refuse(c, verb, &items[i]);
	switch (verb) {
	case KVR_VERB_EXISTS:
		return go(c, &exists_way, items, n);
	case KVR_VERB_GET:
		return go(c, &get_way, items, n);
	case KVR_VERB_STAT:
		return go(c, &stat_way, items, n);
	case KVR_VERB_PUT:
		return put(c, items, n);
	case KVR_VERB_DEL:
		return nothing_deletes(c, items, n);
	case KVR_VERB_PING:
	case KVR_VERB_N:
	default:
		KVR_WRONG("a verb without items");
	}
}
