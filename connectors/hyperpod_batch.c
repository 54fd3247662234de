/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: one request per key, many of them under way, answers in any order. GET, STAT and EXISTS
 * ask for a lease. The lease is handed on to be given back (hyperpod_owed.c) once its bytes are
 * copied, or when it turns out that nobody wants them any more.
 *
 * A request for a lease says how long the daemon may wait for a key that it does not have: as long
 * as the tier allows, but so much less than the caller's deadline that its "no" still arrives as a
 * miss.
 */
#include "kvr_hyperpod.h"
#include "kvr_lmmeta.h"
#include "kvr_stop.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { STORED = 200, STORED_ALREADY = 409, NOT_THERE = 404, DID_NOT_COME = 504 };

#define MARGIN_MAX_NS KVR_MS(250)
#define LEASE_SLACK_NS KVR_MS(500) /* how much later than agreed the answer may come */

/* Hands a lease on to be given back; waits while the queue is full. */
static enum kvr_err
give_back(struct kvr_connector *c, const char *id, const struct kvr_hp_term *term)
{
	while (!kvr_hp_owe(c->store->owed, id, term)) {
		struct pollfd p = { .fd = c->kick != NULL ? c->kick->fd : -1, .events = POLLIN };
		enum kvr_err err = kvr_stop(c->kick, c->until_ns);
		if (err != KVR_OK)
			return kvr_hp_fail(c, err, "leases wait to be given back");
		(void)poll(&p, 1, 1);
	}
	return KVR_OK;
}

/* ---- requests ---- */

static uint64_t
wait_ms(const struct kvr_connector *c, uint64_t now_ns)
{
	uint64_t left = c->until_ns > now_ns ? c->until_ns - now_ns : 0;
	left -= KVR_MIN(left / 4, MARGIN_MAX_NS);
	return KVR_MAX(KVR_MIN(c->store->wait_ms, left / KVR_MS(1)), UINT64_C(1));
}

static int32_t
ask_lease(struct kvr_connector *c, char *path)
{
	uint64_t now_ns = kvr_now_ns(), wait = wait_ms(c, now_ns);
	kvr_hp_lease_path(path, wait, c->store->ttl_ms);
	const struct kvr_httpc_ask ask = { .method = KVR_HTTPC_POST, .path = path,
		.type = KVR_HP_TYPE, .limit_ns = KVR_MS(wait) + LEASE_SLACK_NS };
	int32_t i = kvr_httpc_start(c->line->http, &ask);
	if (i >= 0) {
		c->line->note[i].lease = true;
		c->line->note[i].term = (struct kvr_hp_term){
			now_ns + KVR_MS(c->store->ttl_ms), c->segment.file };
	}
	return i;
}

static int32_t
ask_put(struct kvr_connector *c, const struct kvr_item *item, char *path)
{
	struct kvr_httpc_ask ask = { .method = KVR_HTTPC_PUT, .path = path, .type = KVR_HP_TYPE,
		.limit_ns = c->store->timeout_ns };
	int32_t i = kvr_httpc_idle(c->line->http);
	size_t len = 0;
	if (i < 0)
		return -1;
	struct kvr_hp_note *note = &c->line->note[i];
	if (c->store->rules.format == KVR_FORMAT_LMCACHE) {
		KVR_CHECK(kvr_lmmeta_encode(item->meta, item->span.len, 1, note->head,
		              sizeof(note->head), &len) == KVR_OK);
		ask.body[0] = (struct kvr_const_span){ note->head, len };
	}
	ask.body[1] = (struct kvr_const_span){ item->span.at, item->span.len };
	return kvr_httpc_start(c->line->http, &ask);
}

/* Items that cannot be requested are answered before a byte is sent; for reads they are a miss. */
static void
refuse(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item)
{
	char path[KVR_HTTPC_URL_MAX];
	uint8_t head[KVR_HP_HEAD_LEN];
	size_t len = 0;
	bool put = verb == KVR_VERB_PUT, lmcache = c->store->rules.format == KVR_FORMAT_LMCACHE;
	const char *why = NULL;
	enum kvr_err err = KVR_E_INVALID;
	if (item->key_len > 0 && item->key_len <= KVR_KEY_LEN_MAX)
		err = kvr_hp_object_path(c->store, item->key, item->key_len, path, &why);
	if (err == KVR_E_UNSUPPORTED && !put)
		err = KVR_E_MISS;
	if (err == KVR_OK && put && lmcache &&
	    (err = kvr_lmmeta_encode(item->meta, item->span.len, 1, head, sizeof(head), &len)) !=
	        KVR_OK)
		why = "PUT: LMCache's header cannot describe this shape, dtype or length; "
		      "bare has none";
	if (err == KVR_OK && put && !lmcache && item->span.len == 0) {
		err = KVR_E_UNSUPPORTED;
		why = "PUT: a HyperPod daemon gives no lease on an object of no bytes";
	}
	if (why != NULL)
		snprintf(c->why, sizeof(c->why), "%s", why);
	if (err != KVR_OK)
		kvr_item_done(item, err);
}

/* ---- answers ---- */

static enum kvr_err
put_answered(struct kvr_connector *c, struct kvr_item *item, const struct kvr_httpc_answer *a)
{
	enum kvr_err err = KVR_OK;
	if (a->status != STORED && a->status != STORED_ALREADY)
		err = kvr_hp_odd(c, "PUT", a);
	if (err == KVR_E_AUTH)
		return err;
	item->len = item->span.len + kvr_frame_head_len(&c->store->rules);
	kvr_item_done(item, err);
	return KVR_OK;
}

static enum kvr_err
granted(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item,
    const struct kvr_httpc_answer *a, const struct kvr_hp_term *term)
{
	static const char json[] = "application/json";
	struct kvr_hp_lease lease;
	const char *why = NULL;
	enum kvr_err err = kvr_hp_lease_read(a->body, &lease, &why), end = KVR_OK;
	if (err != KVR_OK)
		err = kvr_hp_fail(c, KVR_E_PROTO, "an answer that is no lease: %s", why);
	else if (strncmp(a->type, json, sizeof(json) - 1) != 0)
		err = kvr_hp_fail(c, KVR_E_PROTO, "a lease as \"%.40s\", not %s", a->type, json);
	else if (verb == KVR_VERB_EXISTS)
		kvr_item_done(item, lease.n > 0 ? KVR_OK : KVR_E_MISS);
	else
		err = kvr_hp_read(c, verb, item, &lease, term->end_ns);
	if (lease.id[0] != '\0')
		end = give_back(c, lease.id, term);
	return err != KVR_OK ? err : end;
}

static enum kvr_err
lease_answered(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item,
    const struct kvr_httpc_answer *a, const struct kvr_hp_term *term)
{
	if (a->status == 200)
		return granted(c, verb, item, a, term);
	enum kvr_err err = KVR_E_MISS;
	if (a->status != NOT_THERE && a->status != DID_NOT_COME)
		err = kvr_hp_odd(c, "lease", a);
	if (err == KVR_E_AUTH)
		return err;
	kvr_item_done(item, err);
	return KVR_OK;
}

/* ---- the window ---- */

/* Each lane may always have one request under way, so that no lane waits for another. */
static bool
may_send(struct kvr_connector *c)
{
	_Atomic uint32_t *n = &c->store->in_flight[c->gate];
	if (c->in_flight >= c->line->at_once)
		return false;
	uint32_t others = atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
	if (c->in_flight == 0 || others < c->store->at_once)
		return true;
	atomic_fetch_sub_explicit(n, 1, memory_order_relaxed);
	return false;
}

static void
came_back(struct kvr_connector *c)
{
	atomic_fetch_sub_explicit(&c->store->in_flight[c->gate], 1, memory_order_relaxed);
	c->in_flight--;
}

static enum kvr_err
send_more(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint32_t *next)
{
	char path[KVR_HTTPC_URL_MAX];
	const char *why;
	for (; *next < n; ++*next) {
		struct kvr_item *item = &items[*next];
		if (kvr_item_status(item) != KVR_PENDING)
			continue;
		if (!may_send(c))
			break;
		c->in_flight++;
		KVR_CHECK(kvr_hp_object_path(c->store, item->key, item->key_len, path, &why) ==
		    KVR_OK);
		int32_t i = verb == KVR_VERB_PUT ? ask_put(c, item, path)
		                                 : ask_lease(c, path);
		if (i < 0) {
			came_back(c);
			return kvr_hp_fail(c, KVR_E_PROTO, "no memory for a request");
		}
		c->line->note[i].item = *next;
	}
	return KVR_OK;
}

static enum kvr_err
read_some(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items)
{
	struct kvr_httpc_answer a;
	enum kvr_err err = kvr_httpc_wait(c->line->http, c->until_ns, c->kick);
	if (err != KVR_OK)
		return kvr_hp_fail(c, err, "%s%u requests were under way",
		    err == KVR_E_PROTO ? "no memory for HTTP: " : "", c->in_flight);
	for (int32_t i; err == KVR_OK && (i = kvr_httpc_next(c->line->http)) >= 0;) {
		const struct kvr_hp_note *note = &c->line->note[i];
		struct kvr_item *item = &items[note->item];
		kvr_httpc_answer(c->line->http, i, &a);
		if (a.err != KVR_OK)
			err = kvr_hp_fail(c, a.err, "%s", a.why);
		else if (verb == KVR_VERB_PUT)
			err = put_answered(c, item, &a);
		else
			err = lease_answered(c, verb, item, &a, &note->term);
		kvr_httpc_end(c->line->http, i);
		c->line->note[i].lease = false;
		came_back(c);
	}
	return err;
}

/* Answers all keys without a request. The lane stays up. */
static enum kvr_err
answer_all(struct kvr_connector *c, struct kvr_item *items, uint32_t n, enum kvr_err err,
    const char *why)
{
	snprintf(c->why, sizeof(c->why), "%s", why);
	for (uint32_t i = 0; i < n; i++)
		if (kvr_item_status(&items[i]) == KVR_PENDING)
			kvr_item_done(&items[i], err);
	return KVR_OK;
}

enum kvr_err
kvr_hp_run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n)
{
	uint32_t next = 0;
	enum kvr_err err = KVR_OK;
	if (verb == KVR_VERB_DEL)
		return answer_all(
		    c, items, n, KVR_E_UNSUPPORTED, "DEL: a HyperPod daemon cannot delete");
	if (verb != KVR_VERB_PUT && !kvr_hp_owed_ready(c->store->owed))
		return answer_all(c, items, n, KVR_E_NOMEM,
		    "no thread can be had that would give leases back, so none is asked for");
	/* Before the first lease is requested: see hyperpod_read.c. */
	if (verb != KVR_VERB_PUT)
		err = kvr_hp_segment_fresh(
		    &c->segment, c->store->segment, c->why, sizeof(c->why));
	for (uint32_t i = 0; i < n && err == KVR_OK; i++)
		if (kvr_item_status(&items[i]) == KVR_PENDING)
			refuse(c, verb, &items[i]);
	c->gate = verb == KVR_VERB_PUT ? KVR_HP_GATE_PUT : KVR_HP_GATE_CONTROL;
	while (err == KVR_OK) {
		err = send_more(c, verb, items, n, &next);
		if (err == KVR_OK && c->in_flight == 0)
			break;
		if (err == KVR_OK)
			err = read_some(c, verb, items);
	}
	return err;
}

void
kvr_hp_let_go(struct kvr_connector *c)
{
	struct kvr_hp_line *line = c->line;
	bool flies = false;
	while (c->in_flight > 0)
		came_back(c);
	for (uint32_t i = 0; i < line->at_once; i++) {
		/* A body points into a caller's memory. */
		if (!line->note[i].lease)
			kvr_httpc_end(line->http, (int32_t)i);
		flies |= line->note[i].lease;
	}
	/* Answers that have come but were not processed are processed there. */
	if (flies)
		kvr_hp_owed_adopt(c->store->owed, line);
	else
		kvr_hp_line_free(line);
	c->line = NULL;
}
