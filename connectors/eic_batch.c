/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch in groups, a group in one or two calls of the SDK: the headers first, then the payloads
 * of those that are as expected, straight into their places. A put writes both in one call.
 * Deadline and kick are checked between calls, because a call cannot be interrupted.
 */
#include "kvr_eic.h"
#include "kvr_le.h"
#include "kvr_stop.h"

#include <stdio.h>
#include <string.h>

static size_t
head_len(const struct kvr_connector *c)
{
	return KVR_LMMETA_BYTES(c->store->n_groups);
}

static enum kvr_err
down(struct kvr_connector *c, const char *call, int rc)
{
	snprintf(c->why, sizeof(c->why), "%s: the SDK answers %d", call, rc);
	return KVR_E_DOWN;
}

static enum kvr_err
err_of(struct kvr_connector *c, const char *call, int32_t code)
{
	static const enum kvr_err errs[] = { [KVR_EIC_OK] = KVR_OK,
		[KVR_EIC_NOT_EXIST] = KVR_E_MISS, [KVR_EIC_NO_SPACE] = KVR_E_NOSPACE,
		[KVR_EIC_TIMEOUT] = KVR_E_BUSY, [KVR_EIC_FAILED] = KVR_E_REFUSED,
		[KVR_EIC_NO_KEY] = KVR_E_MISS };
	bool known = code >= 0 && (size_t)code < KVR_LEN(errs);
	if (code > KVR_EIC_NOT_EXIST || !known)
		snprintf(c->why, sizeof(c->why), "%s: the SDK answers %d for a key", call, code);
	return known ? errs[code] : KVR_E_REFUSED;
}

/*
 * Whether the SDK may move it without a copy of its own. Never true for headers and caller memory.
 */
static bool
is_registered(const struct kvr_store *s, const void *at, uint64_t len)
{
	uintptr_t from = (uintptr_t)at, base = (uintptr_t)s->staging.at;
	return s->registered && from >= base && from - base <= s->staging.len &&
	       len <= s->staging.len - (from - base);
}

static void
add(struct kvr_connector *c, const struct kvr_item *item, const char *tail, void *at, uint64_t len)
{
	uint32_t i = c->n++;
	snprintf(c->name[i], sizeof(c->name[i]), "%s%.*s%s", c->store->prefix,
	    (int)item->key_len, item->key, tail);
	c->key[i] = c->name[i];
	c->buffer[i] = (struct kvr_eic_buffer){
		.at = at, .len = len, .registered = is_registered(c->store, at, len)
	};
	c->code[i] = KVR_EIC_FAILED;
}

/* ---- exists and del ---- */

static enum kvr_err
exists(struct kvr_connector *c, uint32_t n)
{
	const struct kvr_store *s = c->store;
	for (uint32_t i = 0; i < n; i++)
		add(c, c->item[i], "", NULL, 0);
	int rc = s->sdk->mexist(s->client, s->ns, c->n, c->key, c->code);
	if (rc != 0)
		return down(c, "mexist", rc);
	for (uint32_t i = 0; i < n; i++)
		kvr_item_done(c->item[i], err_of(c, "mexist", c->code[i]));
	return KVR_OK;
}

/* The payload decides whether the chunk existed; a header alone is not a chunk. */
static enum kvr_err
del(struct kvr_connector *c, uint32_t n)
{
	const struct kvr_store *s = c->store;
	for (uint32_t i = 0; i < n; i++)
		add(c, c->item[i], KVR_EIC_META, NULL, 0);
	for (uint32_t i = 0; i < n; i++)
		add(c, c->item[i], "", NULL, 0);
	int rc = s->sdk->mdel(s->client, s->ns, c->n, c->key, c->code);
	if (rc != 0)
		return down(c, "mdel", rc);
	for (uint32_t i = 0; i < n; i++) {
		enum kvr_err head = err_of(c, "mdel", c->code[i]);
		enum kvr_err err = err_of(c, "mdel", c->code[n + i]);
		kvr_item_done(c->item[i], head != KVR_OK && head != KVR_E_MISS ? head : err);
	}
	return KVR_OK;
}

/* ---- put ---- */

static enum kvr_err
put(struct kvr_connector *c, uint32_t n)
{
	const struct kvr_store *s = c->store;
	for (uint32_t i = 0; i < n; i++) {
		struct kvr_item *item = c->item[i];
		add(c, item, KVR_EIC_META, c->head[i], head_len(c));
		add(c, item, "", item->span.at, item->span.len);
	}
	int rc = s->sdk->mset(s->client, s->ns, s->ttl_s, c->n, c->key, c->buffer, c->code);
	if (rc != 0)
		return down(c, "mset", rc);
	for (uint32_t i = 0; i < n; i++) {
		struct kvr_item *item = c->item[i];
		int32_t head = c->code[2 * i], body = c->code[2 * i + 1];
		int32_t code = head != KVR_EIC_OK ? head : body;
		enum kvr_err err = err_of(c, "mset", code);
		/* A put cannot be a miss. */
		if (err == KVR_E_MISS)
			err = code == KVR_EIC_NO_KEY ? KVR_E_UNSUPPORTED : KVR_E_REFUSED;
		item->len = item->span.len + head_len(c);
		kvr_item_done(item, err);
	}
	return KVR_OK;
}

/* ---- get and stat ---- */

/*
 * Payload bytes that a header describes. Its length field does not tell: it holds the header's
 * length.
 */
static enum kvr_err
payload_len(struct kvr_connector *c, const uint8_t *head, uint64_t *ret)
{
	struct kvr_meta meta;
	uint64_t own = 0;
	uint32_t memfmt = kvr_le32(head + 4), dtype = kvr_le32(head + 8);
	if (kvr_le32(head) != head_len(c))
		return KVR_E_CORRUPT;
	if ((memfmt == KVR_MEMFMT_BINARY || memfmt == KVR_MEMFMT_BINARY_BUFFER) && dtype == 0) {
		*ret = kvr_le32(head + 12); /* plain bytes: their first dim */
		return KVR_OK;
	}
	enum kvr_err err = kvr_lmmeta_decode(head, head_len(c), c->store->n_groups, &meta, &own);
	return err == KVR_OK ? kvr_meta_bytes(&meta, ret) : err;
}

/* Puts the payload's length where all other stores have it, and where the frame expects it. */
static enum kvr_err
make_usual(struct kvr_connector *c, uint32_t i, uint64_t *ret_len)
{
	enum kvr_err err = err_of(c, "mget", c->code[i]);
	if (err == KVR_OK && c->buffer[i].len != head_len(c))
		err = KVR_E_LENGTH;
	if (err == KVR_OK)
		err = payload_len(c, c->head[i], ret_len);
	if (err == KVR_OK && *ret_len > INT32_MAX)
		err = KVR_E_TOO_BIG;
	if (err == KVR_OK)
		kvr_le32_put(c->head[i], (uint32_t)*ret_len);
	else if (err != KVR_E_MISS && c->why[0] == '\0')
		snprintf(c->why, sizeof(c->why), "mget: a \"_meta\" that is no header of EIC's");
	return err;
}

static enum kvr_err
heads(struct kvr_connector *c, uint32_t n)
{
	const struct kvr_store *s = c->store;
	for (uint32_t i = 0; i < n; i++)
		add(c, c->item[i], KVR_EIC_META, c->head[i], head_len(c));
	int rc = s->sdk->mget(s->client, s->ns, c->n, c->key, c->buffer, c->code);
	return rc != 0 ? down(c, "mget", rc) : KVR_OK;
}

static enum kvr_err
stat(struct kvr_connector *c, uint32_t n)
{
	enum kvr_err err = heads(c, n);
	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		uint64_t len = 0;
		int32_t status = make_usual(c, i, &len);
		if (status == KVR_OK)
			status = kvr_frame_stat(&c->store->rules, c->item[i], c->head[i],
			    head_len(c), head_len(c) + len, c->why, sizeof(c->why));
		kvr_item_done(c->item[i], status);
	}
	return err;
}

/*
 * Passes a payload through its frame. The SDK has already written it into its place, which is one
 * span.
 */
static void
finish(struct kvr_connector *c, struct kvr_item *item, const uint8_t *head, uint64_t len,
    uint32_t i)
{
	struct kvr_frame *f = &c->frame;
	enum kvr_err err = err_of(c, "mget", c->code[i]);
	if (err == KVR_OK && c->buffer[i].len != len)
		err = KVR_E_LENGTH;
	if (err == KVR_OK) {
		kvr_frame_in_begin(f, &c->store->rules, item, c->scratch, head_len(c) + len);
		kvr_frame_in_copy(f, head, head_len(c));
		while (kvr_frame_why(f)[0] == '\0') {
			struct kvr_span span = kvr_frame_in_next(f, (size_t)len);
			if (span.len == 0)
				break;
			kvr_frame_in_got(f, span.len);
		}
		err = (enum kvr_err)kvr_frame_in_end(f);
		if (err != KVR_OK)
			snprintf(c->why, sizeof(c->why), "GET: %s", kvr_frame_why(f));
	}
	kvr_item_done(item, err);
}

static enum kvr_err
get(struct kvr_connector *c, uint32_t n)
{
	const struct kvr_store *s = c->store;
	uint32_t go[KVR_EIC_GROUP], n_go = 0;
	uint64_t len[KVR_EIC_GROUP];
	enum kvr_err err = heads(c, n);
	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		struct kvr_item *item = c->item[i];
		int32_t status = make_usual(c, i, &len[i]);
		bool fits = status == KVR_OK && (len[i] == item->span.len ||
		    (len[i] < item->span.len && (item->flags & KVR_ITEM_AT_MOST) != 0));
		if (fits)
			go[n_go++] = i;
		else
			kvr_item_done(item, status == KVR_OK ? KVR_E_LENGTH : status);
	}
	if (err == KVR_OK)
		err = kvr_stop(c->kick, c->until_ns);
	if (err != KVR_OK || n_go == 0)
		return err;
	c->n = 0;
	for (uint32_t k = 0; k < n_go; k++)
		add(c, c->item[go[k]], "", c->item[go[k]]->span.at, len[go[k]]);
	int rc = s->sdk->mget(s->client, s->ns, c->n, c->key, c->buffer, c->code);
	if (rc != 0)
		return down(c, "mget", rc);
	for (uint32_t k = 0; k < n_go; k++)
		finish(c, c->item[go[k]], c->head[go[k]], len[go[k]], k);
	return KVR_OK;
}

/* ---- groups ---- */

static enum kvr_err
refuse(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item, uint8_t *head)
{
	size_t len = 0;
	if (item->key_len == 0 || item->key_len > KVR_KEY_LEN_MAX)
		return KVR_E_INVALID;
	if (memchr(item->key, '\0', item->key_len) != NULL) {
		snprintf(c->why, sizeof(c->why), "a key with a NUL byte");
		return verb == KVR_VERB_PUT ? KVR_E_UNSUPPORTED : KVR_E_MISS;
	}
	if (verb != KVR_VERB_PUT)
		return KVR_OK;
	enum kvr_err err = kvr_lmmeta_encode(item->meta, item->span.len, c->store->n_groups, head,
	    KVR_LMMETA_BYTES_MAX, &len);
	if (err == KVR_OK)
		kvr_le32_put(head, (uint32_t)len); /* its own length: see kvr_eic.h */
	else
		snprintf(c->why, sizeof(c->why),
		    "PUT: LMCache's header cannot describe this shape, dtype or length");
	return err;
}

static enum kvr_err
one_group(struct kvr_connector *c, enum kvr_verb verb, uint32_t n)
{
	c->n = 0;
	switch (verb) {
	case KVR_VERB_EXISTS:
		return exists(c, n);
	case KVR_VERB_GET:
		return get(c, n);
	case KVR_VERB_PUT:
		return put(c, n);
	case KVR_VERB_DEL:
		return del(c, n);
	case KVR_VERB_STAT:
		return stat(c, n);
	case KVR_VERB_PING:
	case KVR_VERB_N:
	default:
		KVR_WRONG("a verb without items");
	}
}

enum kvr_err
kvr_eic_run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n)
{
	enum kvr_err err = KVR_OK;
	for (uint32_t at = 0; at < n && err == KVR_OK;) {
		uint32_t have = 0;
		for (; at < n && have < KVR_EIC_GROUP; at++) {
			if (kvr_item_status(&items[at]) != KVR_PENDING)
				continue;
			enum kvr_err no = refuse(c, verb, &items[at], c->head[have]);
			if (no != KVR_OK)
				kvr_item_done(&items[at], no);
			else
				c->item[have++] = &items[at];
		}
		err = kvr_stop(c->kick, c->until_ns);
		if (err == KVR_OK && have > 0)
			err = one_group(c, verb, have);
	}
	return err;
}
