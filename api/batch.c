/* SPDX-License-Identifier: Apache-2.0 */
/* Fills a caller's batch into ledger, rows and sides, key by key; and returns its objects. */
#include "kvr_batch.h"

#include "kvr_cache.h"
#include "kvr_call.h"
#include "kvr_instance.h"
#include "kvr_keys.h"
#include "kvr_layout.h"
#include "kvr_ledger.h"
#include "kvr_pool.h"
#include "kvr_user_log.h"

#include <string.h>

enum { KVR_FIRST_SLOT = 1048576 }; /* a new object, before any length is known */

/* ---- checks that need no resources ---- */

static enum kvr_err
check_shape(struct kvr *k, const struct kvr_batch *b)
{
	bool moves = b->kind == KVR_GET || b->kind == KVR_PUT;
	int places = (b->at != NULL) + (b->obj != NULL) + (b->tokens != NULL);

	if (b->kind > KVR_PREFETCH)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: %u is no kind", b->kind);
	if (b->per_chunk > UINT16_MAX)
		return kvr_bad(
		    k, KVR_E_TOO_BIG, "kvr_submit: per_chunk %u is more than 65535", b->per_chunk);
	if (b->n == 0)
		return KVR_OK;
	if ((b->key == NULL) == (b->keys == NULL))
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: give key or keys, one of them");
	if (moves && places != 1)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: give at, obj or tokens, one of them");
	if (moves && b->obj == NULL && b->len == NULL)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: at or tokens without len");
	if (moves && b->obj != NULL && k->pool == NULL)
		return kvr_bad(k, KVR_E_UNSUPPORTED,
		    "kvr_submit: there is no pool for objects: give at or tokens, or open without "
		    "KVR_SCHEDULER and with memory.objects above 0B");
	return KVR_OK;
}

static enum kvr_err
check_place(struct kvr *k, const struct kvr_batch *b, uint32_t i)
{
	if (b->len[i] > UINT32_MAX)
		return kvr_bad(k, KVR_E_TOO_BIG,
		    "kvr_submit: key %u has %llu bytes: split it below 4 GiB", i,
		    (unsigned long long)b->len[i]);
	if (b->at[i] == NULL && b->len[i] > 0)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: key %u has no memory", i);
	return KVR_OK;
}

enum kvr_err
kvr_batch_check(struct kvr *k, const struct kvr_batch *b, uint64_t *ret_text)
{
	bool places = (b->kind == KVR_GET || b->kind == KVR_PUT) && b->at != NULL;
	const char *at = b->keys;
	enum kvr_err err = check_shape(k, b);

	*ret_text = 0;
	/* Before n texts are read: a batch that long is refused whatever it contains. */
	if (err == KVR_OK && b->n > KVR_KEYS_MAX)
		err = kvr_bad(k, KVR_E_TOO_BIG,
		    "kvr_submit: %u keys, and %u is the most: split the batch", b->n,
		    (unsigned)KVR_KEYS_MAX);
	for (uint32_t i = 0; i < b->n && err == KVR_OK; i++) {
		const char *text = b->key != NULL ? b->key[i] : at;
		size_t len = text == NULL ? 0 : strnlen(text, KVR_KEY_MAX + 1);

		if (len == 0)
			err = kvr_bad(k, KVR_E_INVALID, "kvr_submit: key %u is empty", i);
		else if (len > KVR_KEY_MAX)
			err = kvr_bad(k, KVR_E_TOO_BIG, "kvr_submit: key %u has more than %u bytes",
			    i, KVR_KEY_MAX);
		else if (places)
			err = check_place(k, b, i);
		if (b->keys != NULL)
			at += len + 1;
		*ret_text += len + 1;
	}
	return err;
}

/* ---- objects ---- */

void
kvr_note_length(struct kvr *k, uint64_t len)
{
	uint64_t seen = atomic_load_explicit(&k->seen, memory_order_relaxed);

	while (len > seen && !atomic_compare_exchange_weak(&k->seen, &seen, len))
		;
}

/* The size of a new object for a get. */
static uint64_t
object_size(struct kvr *k)
{
	uint64_t seen = atomic_load_explicit(&k->seen, memory_order_relaxed);
	uint64_t size = KVR_FIRST_SLOT;

	if (atomic_load_explicit(&k->has_layout, memory_order_acquire))
		return k->layout_bytes;
	if (k->config->memory.slot_bytes != 0)
		return k->config->memory.slot_bytes;
	if (seen == 0)
		return size;
	/* In powers of two, so that slightly different values do not each make a new size. */
	for (size = KVR_PAGE; size < seen; size *= 2)
		;
	return size;
}

/* The object of key i; made if there is none. NOMEM is the key's outcome, not the call's. */
static enum kvr_err
fill_object(struct kvr *k, const struct kvr_batch *b, uint32_t i, struct kvr_side *side,
    struct kvr_pool_span *ret_span)
{
	static const struct kvr_meta bytes;
	kvr_obj obj = b->obj[i];
	bool made = obj == 0;
	enum kvr_err err = KVR_OK;

	if (obj == 0 && b->kind == KVR_PUT)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: key %u has no object", i);
	if (obj == 0)
		err = kvr_pool_make(k->pool, &bytes, 0, object_size(k), 0, &obj);
	if (err == KVR_E_TOO_BIG)
		err = KVR_E_NOMEM;
	if (err == KVR_OK)
		err = kvr_pool_use(k->pool, obj, ret_span);
	if (err == KVR_E_STALE)
		return kvr_bad(k, err, "kvr_submit: the object of key %u is gone", i);
	if (err != KVR_OK)
		return err;
	ret_span->room = KVR_MIN(ret_span->room, (uint64_t)UINT32_MAX);
	side->obj = obj;
	side->made = made;
	return err;
}

void
kvr_batch_unfill(struct kvr *k, struct kvr_call *c, const struct kvr_batch *b, uint32_t n)
{
	for (uint32_t i = 0; i < n && c->objects; i++) {
		struct kvr_side *side = &k->sides[c->first + i];

		if (side->obj == 0)
			continue;
		kvr_pool_unuse(k->pool, side->obj);
		if (side->made == 0)
			continue;
		b->obj[i] = 0;
		KVR_CHECK(kvr_pool_change(k->pool, side->obj, KVR_POOL_UNREF, 0) == KVR_OK);
	}
}

void
kvr_batch_objects(struct kvr *k, struct kvr_call *c, bool quiet, bool first)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct kvr_row *row = &k->ledger->rows[c->first + i];
		kvr_obj obj = k->sides[c->first + i].obj;

		if (obj == 0)
			continue;
		if (first && c->kind == KVR_GET && row->err == KVR_OK) {
			kvr_pool_found(k->pool, obj, &k->ledger->ops[c->slot].meta,
			    k->ledger->ops[c->slot].meta_bytes, row->len);
			kvr_note_length(k, row->len);
		}
		if (quiet)
			kvr_pool_unuse(k->pool, obj);
	}
}

/* ---- filling ---- */

/*
 * What the payloads are: what the caller says, otherwise the instance's layout, otherwise (for a
 * put) the shape of its largest object, of which the others may be parts.
 */
static enum kvr_err
fill_meta(struct kvr *k, struct kvr_call *c, const struct kvr_batch *b)
{
	struct kvr_ledger_op *op = &k->ledger->ops[c->slot];
	struct kvr_meta meta;
	uint64_t bytes;

	memset(op, 0, sizeof(*op));
	op->ready = b->ready;
	op->recorded = b->recorded;
	if (b->tokens != NULL) {
		kvr_tokens_meta(b, &op->meta, &op->meta_bytes);
		return kvr_tokens_fill(k, c, b);
	}
	if (b->layout != NULL && (b->kind == KVR_GET || b->kind == KVR_PUT)) {
		enum kvr_err err = kvr_layout_read(b->layout, &op->meta, &op->meta_bytes);

		return err == KVR_OK
		           ? err
		           : kvr_bad(k, err, "kvr_submit: layout is no shape: see kvr_layout");
	}
	if (atomic_load_explicit(&k->has_layout, memory_order_acquire)) {
		op->meta = k->layout;
		op->meta_bytes = k->layout_bytes;
		return KVR_OK;
	}
	for (uint32_t i = 0; i < b->n && b->kind == KVR_PUT && b->obj != NULL; i++) {
		kvr_pool_meta(k->pool, b->obj[i], &meta, &bytes);
		if (bytes > op->meta_bytes) {
			op->meta = meta;
			op->meta_bytes = bytes;
		}
	}
	return KVR_OK;
}

/*
 * A prefetch names no memory, so the length of its values is unknown: it gets room for a full
 * chunk. If that is a guess, several of them must fit into the staging arena.
 */
static uint32_t
prefetch_room(struct kvr *k)
{
	uint64_t room = object_size(k);
	bool known = k->config->memory.slot_bytes != 0 ||
	             atomic_load_explicit(&k->has_layout, memory_order_acquire);

	if (!known)
		room = KVR_MIN(room, k->ledger->staging_bytes / 4);
	return (uint32_t)KVR_MIN(room, (uint64_t)UINT32_MAX);
}

static enum kvr_err
fill_place(struct kvr *k, struct kvr_call *c, const struct kvr_batch *b, uint32_t i,
    struct kvr_row *row, struct kvr_key *key)
{
	struct kvr_pool_span span = { .at = NULL };
	bool at_most = (c->flags & KVR_AT_MOST) != 0 && b->kind == KVR_GET;
	enum kvr_err err = KVR_OK;

	if (b->kind == KVR_PREFETCH) {
		row->len = prefetch_room(k);
		row->flags = KVR_ROW_AT_MOST;
	}
	if (b->kind != KVR_GET && b->kind != KVR_PUT)
		return KVR_OK;
	if (b->obj != NULL) {
		err = fill_object(k, b, i, &k->sides[c->first + i], &span);
		if (err == KVR_E_NOMEM && b->kind == KVR_GET) {
			row->err = KVR_E_NOMEM;
			return KVR_OK;
		}
		at_most = at_most || (b->kind == KVR_GET && b->obj[i] == 0);
		span.len = at_most ? span.room : span.len;
	} else {
		span.at = b->tokens != NULL ? NULL : b->at[i];
		span.len = b->len[i];
	}
	if (err == KVR_OK && span.len > UINT32_MAX)
		err = KVR_E_TOO_BIG;
	/*
	 * Nothing is remembered of what is refused, in particular no size in which no object could
	 * be made.
	 */
	if (err == KVR_OK && b->kind == KVR_PUT)
		kvr_note_length(k, span.len);
	key->at = span.at;
	key->room = span.len;
	row->len = (uint32_t)span.len;
	row->flags = at_most ? KVR_ROW_AT_MOST : 0;
	c->bytes += span.len;
	return err;
}

/*
 * Fills one key. room: bytes of text that are left; they were counted before, but the caller may
 * have changed the texts.
 */
static enum kvr_err
fill_key(struct kvr *k, struct kvr_call *c, const struct kvr_batch *b, uint32_t i, const char *text,
    size_t len, uint64_t *text_at, uint64_t room)
{
	uint32_t slot = c->first + i, out;
	struct kvr_key *key = &k->ledger->keys[slot];
	struct kvr_row *row = &k->ledger->rows[slot];
	struct kvr_side *side = &k->sides[slot];
	enum kvr_err err = kvr_key_take(
	    k, text, len, &k->ledger->texts[*text_at], room, &out, &side->digest);

	side->obj = 0;
	side->made = 0;
	if (err != KVR_OK)
		return kvr_bad(k, err, "kvr_submit: key %u is %s", i,
		    k->parse_keys ? "no key of LMCache" : "no key");
	*key = (struct kvr_key){
		.text = (uint32_t)*text_at, .len = (uint16_t)out, .op = (uint16_t)c->slot
	};
	*row = (struct kvr_row){
		.digest = side->digest, .key = slot, .err = KVR_PENDING, .where = KVR_NOWHERE
	};
	*text_at += out + 1;
	if (c->kind == KVR_PUT && k->skip_puts)
		row->err = KVR_E_SKIPPED_MLA;
	return fill_place(k, c, b, i, row, key);
}

enum kvr_err
kvr_batch_fill(struct kvr *k, struct kvr_call *c, const struct kvr_batch *b)
{
	uint64_t text_at = (uint64_t)c->text * KVR_TEXT_UNIT;
	uint64_t end = text_at + (uint64_t)c->n_text * KVR_TEXT_UNIT;
	const char *at = b->keys;
	enum kvr_err err = fill_meta(k, c, b);

	c->objects = b->obj != NULL && (b->kind == KVR_GET || b->kind == KVR_PUT);
	c->bytes = 0;
	for (uint32_t i = 0; i < b->n && err == KVR_OK; i++) {
		const char *text = b->key != NULL ? b->key[i] : at;
		size_t len = strnlen(text, KVR_KEY_MAX + 1);

		err = fill_key(k, c, b, i, text, len, &text_at, end - text_at);
		if (b->keys != NULL)
			at += len + 1;
		if (err != KVR_OK)
			kvr_batch_unfill(
			    k, c, b, i + 1); /* this one may already have its reference */
	}
	for (uint32_t i = 0; i < b->n && err == KVR_OK && c->objects; i++) {
		if (k->sides[c->first + i].made != 0)
			b->obj[i] = k->sides[c->first + i].obj;
	}
	return err;
}
