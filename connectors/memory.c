/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory://: a tier in this process's own memory. memory_map.c does values, eviction and locking;
 * this file does what a lane does with them.
 *
 * No other store has a place for the shape of a bare value. Here the shape is kept beside the
 * value, so that reading it with another layout is IDENTITY and not a wrong tensor.
 */
#include "kvr_connectors.h"
#include "kvr_frame.h"
#include "kvr_memory_map.h"
#include "kvr_settings.h"
#include "kvr_stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('M', 'E', 'M', 'S')
#define LANE_MAGIC  KVR_MAGIC('M', 'E', 'M', 'L')

enum {
	PREFIX_LEN_MAX = 256,
	NAME_LEN_MAX = PREFIX_LEN_MAX + KVR_KEY_LEN_MAX,
	LOOK_EVERY = 16, /* keys of a batch that moves no payload, between two checks of the clock */
};

/* Copied and hashed in one go: small enough to be still in the second-level cache for the hash. */
#define COPY_SLICE ((size_t)KVR_KIB(256))

struct kvr_store {
	uint32_t magic;
	uint32_t prefix_len;
	char prefix[PREFIX_LEN_MAX];
	struct kvr_frame_rules rules;
	struct kvr_memory_map map;
};

struct kvr_connector {
	uint32_t magic;
	struct kvr_store *store;
	struct kvr_kick *kick;
	uint8_t *scratch;
	char name[NAME_LEN_MAX]; /* the store's prefix, then the item's key */
	char why[128];
};

static enum kvr_err
check_opts(const struct kvr_store_opts *opts, const struct kvr_why *w)
{
	static const char *const no[KVR_SETTING_N] = {
		[KVR_SETTING_LOGIN] = "memory has no login",
		[KVR_SETTING_TTL] = "a memory tier evicts at capacity",
	};
	const char *rest = strstr(opts->url, "://");
	enum kvr_err err = kvr_settings_only(opts, KVR_TAKES(CAPACITY), no, w);

	if (err != KVR_OK)
		return err;
	if (rest == NULL || rest[3] != '\0')
		return kvr_refuse(
		    w, "the url is \"memory://\" and no more; the size is the tier's capacity");
	if (opts->format != KVR_FORMAT_BARE && opts->format != KVR_FORMAT_SEALED)
		return kvr_refuse(w, "format: memory holds \"bare\" and \"sealed\"");
	if (opts->no_chunk_meta)
		return kvr_refuse(w, "save_chunk_meta: is for file tiers");
	if (opts->prefix != NULL && strlen(opts->prefix) > PREFIX_LEN_MAX)
		return kvr_refuse(w, "prefix: longer than %u bytes", PREFIX_LEN_MAX);
	return KVR_OK;
}

static enum kvr_err
open_store(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	enum kvr_err err = check_opts(opts, &w);
	struct kvr_store *s;

	if (err != KVR_OK)
		return err;
	if ((s = calloc(1, sizeof(*s))) == NULL ||
	    kvr_memory_map_open(&s->map, opts->capacity) != KVR_OK) {
		free(s);
		snprintf(why, why_cap, "no memory for the tables of a memory tier");
		return KVR_E_NOMEM;
	}
	s->magic = STORE_MAGIC;
	s->rules = (struct kvr_frame_rules){ .format = opts->format,
		.seal_head = KVR_SEAL_HEAD,
		.fingerprint = opts->fingerprint,
		.spoil = opts->spoil };
	s->prefix_len = opts->prefix == NULL ? 0 : (uint32_t)strlen(opts->prefix);
	if (s->prefix_len > 0)
		memcpy(s->prefix, opts->prefix, s->prefix_len);
	*ret = s;
	return KVR_OK;
}

static void
close_store(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == STORE_MAGIC);
	kvr_memory_map_close(&take->map);
	take->magic = 0;
	free(take);
}

static enum kvr_err
dial(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	KVR_CHECK(s->magic == STORE_MAGIC);
	enum kvr_err err = kvr_stop(kick, until_ns);
	if (err != KVR_OK) {
		snprintf(why, why_cap, "%s", kvr_err_text(err));
		return err;
	}
	struct kvr_connector *c = calloc(1, sizeof(*c));
	uint8_t *scratch = c == NULL ? NULL : aligned_alloc(64, KVR_FRAME_SCRATCH);
	if (scratch == NULL) {
		free(c);
		snprintf(why, why_cap, "no memory for a lane of a memory tier");
		return KVR_E_NOMEM;
	}
	c->magic = LANE_MAGIC;
	c->store = s;
	c->kick = kick;
	c->scratch = scratch;
	memcpy(c->name, s->prefix, s->prefix_len);
	*ret = c;
	return KVR_OK;
}

static void
hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == LANE_MAGIC);
	take->magic = 0;
	free(take->scratch);
	free(take);
}

static uint32_t
name_item(struct kvr_connector *c, const struct kvr_item *item)
{
	KVR_CHECK(item->key_len >= 1 && item->key_len <= KVR_KEY_LEN_MAX);
	memcpy(c->name + c->store->prefix_len, item->key, item->key_len);
	return c->store->prefix_len + item->key_len;
}

/* Returns what is kept beside a bare value; a sealed value has it inside. */
static int32_t
tell_bare(const struct kvr_memory_value *value, struct kvr_item *item)
{
	if (!kvr_meta_fits(item->meta, &value->meta))
		return KVR_E_IDENTITY;
	item->raw_len = value->raw_len;
	item->serde = value->serde;
	*item->meta = value->meta;
	return KVR_OK;
}

/* KVR_OK: ret_status is the item's. Otherwise the batch ends here. */
static enum kvr_err
read_value(struct kvr_connector *c, const struct kvr_memory_value *value, struct kvr_item *item,
    uint64_t until_ns, int32_t *ret_status)
{
	const uint8_t *from = value->block.at;
	struct kvr_frame frame;
	struct kvr_span span;
	size_t looked = 0;

	kvr_frame_in_begin(&frame, &c->store->rules, item, c->scratch, value->len);
	while (frame.err == KVR_OK && (span = kvr_frame_in_next(&frame, COPY_SLICE)).len > 0) {
		memcpy(span.at, from, span.len);
		from += span.len;
		kvr_frame_in_got(&frame, span.len);
		if ((looked += span.len) >= KVR_STOP_SLICE) {
			enum kvr_err err = kvr_stop(c->kick, until_ns);
			if (err != KVR_OK)
				return err;
			looked = 0;
		}
	}
	*ret_status = kvr_frame_in_end(&frame);
	if (*ret_status != KVR_OK)
		snprintf(c->why, sizeof(c->why), "%s", kvr_frame_why(&frame));
	return KVR_OK;
}

static enum kvr_err
get(struct kvr_connector *c, struct kvr_item *item, uint64_t until_ns)
{
	struct kvr_memory_map *map = &c->store->map;
	bool bare = c->store->rules.format == KVR_FORMAT_BARE;
	struct kvr_memory_value *value = kvr_memory_hold(map, c->name, name_item(c, item));
	int32_t status = KVR_OK;
	enum kvr_err err = KVR_OK;

	if (value == NULL) {
		kvr_item_done(item, KVR_E_MISS);
		return KVR_OK;
	}
	if (bare && !kvr_meta_fits(item->meta, &value->meta)) {
		snprintf(c->why, sizeof(c->why), "the value was put with another dtype or layout");
		status = KVR_E_IDENTITY;
	}
	if (status == KVR_OK)
		err = read_value(c, value, item, until_ns, &status);
	if (err == KVR_OK && status == KVR_OK && bare)
		status = tell_bare(value, item);
	kvr_memory_release(map, value);
	if (err == KVR_OK)
		kvr_item_done(item, status);
	return err;
}

static enum kvr_err
write_value(struct kvr_connector *c, struct kvr_frame *frame, struct kvr_memory_value *value,
    uint64_t until_ns)
{
	uint8_t *to = value->block.at;
	struct kvr_const_span span;
	size_t looked = 0;

	while ((span = kvr_frame_out_next(frame, COPY_SLICE)).len > 0) {
		memcpy(to, span.at, span.len);
		to += span.len;
		if ((looked += span.len) >= KVR_STOP_SLICE) {
			enum kvr_err err = kvr_stop(c->kick, until_ns);
			if (err != KVR_OK)
				return err;
			looked = 0;
		}
	}
	return KVR_OK;
}

static void
explain_put(struct kvr_connector *c, enum kvr_err err, uint64_t len)
{
	if (err == KVR_E_TOO_BIG)
		snprintf(c->why, sizeof(c->why),
		    "a value of %llu bytes is beyond the capacity of %llu", (unsigned long long)len,
		    (unsigned long long)c->store->map.capacity);
	else if (err == KVR_E_BUSY)
		snprintf(c->why, sizeof(c->why),
		    "all %llu bytes are being read or written just now: try again, or raise the "
		    "tier's capacity",
		    (unsigned long long)c->store->map.capacity);
	else
		snprintf(c->why, sizeof(c->why),
		    "the system has no %llu bytes of memory left: lower the tier's capacity",
		    (unsigned long long)len);
}

static enum kvr_err
put(struct kvr_connector *c, struct kvr_item *item, uint64_t until_ns)
{
	struct kvr_memory_map *map = &c->store->map;
	struct kvr_memory_value *value = NULL;
	struct kvr_frame frame;

	enum kvr_err err = kvr_frame_out_begin(&frame, &c->store->rules, item, c->scratch);
	if (err != KVR_OK) {
		snprintf(c->why, sizeof(c->why), "%s", kvr_err_text(err));
	} else {
		uint64_t len = kvr_frame_out_len(&frame);
		err = kvr_memory_new(map, c->name, name_item(c, item), len, &value);
		if (err != KVR_OK)
			explain_put(c, err, len);
	}
	if (err != KVR_OK) {
		kvr_item_done(item, err);
		return KVR_OK;
	}
	if ((err = write_value(c, &frame, value, until_ns)) != KVR_OK) {
		kvr_memory_discard(map, value);
		return err;
	}
	value->raw_len = item->raw_len;
	value->serde = item->serde;
	value->meta = *item->meta;
	item->len = value->len;
	kvr_memory_publish(map, value);
	kvr_item_done(item, KVR_OK);
	return KVR_OK;
}

static int32_t
stat_key(struct kvr_connector *c, struct kvr_item *item)
{
	struct kvr_memory_map *map = &c->store->map;
	struct kvr_memory_value *value = kvr_memory_hold(map, c->name, name_item(c, item));
	int32_t status;

	if (value == NULL)
		return KVR_E_MISS;
	if (c->store->rules.format == KVR_FORMAT_BARE) {
		item->len = value->len;
		status = tell_bare(value, item);
	} else {
		status = kvr_frame_stat(&c->store->rules, item, value->block.at,
		    KVR_MIN(value->len, KVR_SEAL_HEAD), value->len, c->why, sizeof(c->why));
	}
	kvr_memory_release(map, value);
	return status;
}

static enum kvr_err
one(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item, uint64_t until_ns)
{
	struct kvr_memory_map *map = &c->store->map;
	bool found;

	switch (verb) {
	case KVR_VERB_GET:
		return get(c, item, until_ns);
	case KVR_VERB_PUT:
		return put(c, item, until_ns);
	case KVR_VERB_STAT:
		kvr_item_done(item, stat_key(c, item));
		return KVR_OK;
	case KVR_VERB_EXISTS:
		found = kvr_memory_touch(map, c->name, name_item(c, item));
		break;
	case KVR_VERB_DEL:
		found = kvr_memory_delete(map, c->name, name_item(c, item));
		break;
	case KVR_VERB_PING:
	case KVR_VERB_N:
	default:
		KVR_WRONG("a verb that takes no keys");
	}
	kvr_item_done(item, found ? KVR_OK : KVR_E_MISS);
	return KVR_OK;
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	bool moves = verb == KVR_VERB_GET || verb == KVR_VERB_PUT;
	enum kvr_err err = kvr_stop(c->kick, until_ns);

	KVR_CHECK(c->magic == LANE_MAGIC);
	c->why[0] = '\0';
	for (uint32_t i = 0; err == KVR_OK && i < n; i++) {
		if (i > 0 && (moves || i % LOOK_EVERY == 0))
			err = kvr_stop(c->kick, until_ns);
		if (err == KVR_OK && kvr_item_status(&items[i]) == KVR_PENDING)
			err = one(c, verb, &items[i], until_ns);
	}
	if (err != KVR_OK)
		snprintf(c->why, sizeof(c->why), "%s", kvr_err_text(err));
	return err;
}

static const char *
why_of(const struct kvr_connector *c)
{
	return c->why;
}

static const char *const schemes[] = { "memory", NULL };

const struct kvr_connector_ops kvr_memory_ops = {
	.name = "memory",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(GIVE_UP) | KVR_CAP(ANY_THREAD) | KVR_CAP(CAPACITY),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_BARE) | KVR_FORMAT_BIT(KVR_FORMAT_SEALED),
	.format_tier = KVR_FORMAT_BARE,
	.format_url = KVR_FORMAT_BARE,
	.open = open_store,
	.close = close_store,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why_of,
};
