/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mock://: a store that only takes time. It knows which keys it has and how long their values are,
 * evicts the least recently used ones, and makes a batch take as long as the latency and throughput
 * of the URL say. Payloads are thrown away: a get delivers zeros, because what was in the caller's
 * memory before must not come back as a value.
 */
#include "kvr_connectors.h"
#include "kvr_index.h"
#include "kvr_mock.h"
#include "kvr_pause.h"
#include "kvr_settings.h"
#include "kvr_stop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('M', 'O', 'C', 'S')
#define LANE_MAGIC  KVR_MAGIC('M', 'O', 'C', 'L')

struct value {
	struct kvr_index_node node; /* first: the index knows only this */
	uint64_t raw_len;
	uint32_t serde;
	struct kvr_meta meta;
	char key[];
};

struct kvr_store {
	uint32_t magic;
	struct kvr_mock_pace pace;
	pthread_mutex_t lock; /* of everything below */
	struct kvr_index index;
	uint64_t read_free_ns, write_free_ns; /* when the wire is free again */
};

struct kvr_connector {
	uint32_t magic;
	struct kvr_store *store;
	struct kvr_kick *kick;
	char why[128];
};

/* ---- the store ---- */

static enum kvr_err
open_store(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	struct kvr_mock_pace pace;
	enum kvr_err err = kvr_settings_only(opts, 0, NULL, &w);

	if (err == KVR_OK && opts->prefix != NULL && opts->prefix[0] != '\0')
		err = kvr_refuse(&w, "prefix: a mock store has one user");
	if (err == KVR_OK)
		err = kvr_mock_pace_of(opts->url, &pace, why, why_cap);
	if (err != KVR_OK)
		return err;
	struct kvr_store *s = calloc(1, sizeof(*s));

	if (s == NULL || kvr_index_open(&s->index) != KVR_OK) {
		free(s);
		snprintf(why, why_cap, "no memory for the table of a mock store");
		return KVR_E_NOMEM;
	}
	KVR_CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
	s->magic = STORE_MAGIC;
	s->pace = pace;
	*ret = s;
	return KVR_OK;
}

static void
drop(struct kvr_store *s, struct value *take)
{
	kvr_index_drop(&s->index, &take->node);
	free(take);
}

static void
close_store(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == STORE_MAGIC);
	while (take->index.oldest != NULL)
		drop(take, (struct value *)take->index.oldest);
	kvr_index_close(&take->index);
	pthread_mutex_destroy(&take->lock);
	take->magic = 0;
	free(take);
}

static enum kvr_err
dial(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	enum kvr_err err = kvr_stop(kick, until_ns);
	struct kvr_connector *c = err == KVR_OK ? calloc(1, sizeof(*c)) : NULL;

	KVR_CHECK(s->magic == STORE_MAGIC);
	if (c == NULL) {
		err = err == KVR_OK ? KVR_E_NOMEM : err;
		snprintf(why, why_cap, "%s", kvr_err_text(err));
		return err;
	}
	c->magic = LANE_MAGIC;
	c->store = s;
	c->kick = kick;
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
	free(take);
}

/* ---- time ---- */

/*
 * All lanes share one wire in each direction: bytes queue behind those that came before. Returns
 * when the last of these bytes has passed.
 */
static uint64_t
pass(struct kvr_store *s, uint64_t *free_ns, uint64_t bytes, uint64_t per_s)
{
	uint64_t takes_ns =
	    bytes / per_s * KVR_SEC(1) + bytes % per_s * 1000 / (per_s / 1000000 + 1);

	pthread_mutex_lock(&s->lock);
	*free_ns = KVR_MAX(*free_ns, kvr_now_ns()) + takes_ns;
	uint64_t at_ns = *free_ns;

	pthread_mutex_unlock(&s->lock);
	return at_ns;
}

/* ---- keys ---- */

/* Called with the lock held. Counts as a use. */
static struct value *
find(struct kvr_store *s, const struct kvr_item *item)
{
	struct kvr_index_node *node = kvr_index_find(&s->index, item->key, item->key_len);

	if (node != NULL)
		kvr_index_touch(&s->index, node);
	return (struct value *)node;
}

/* Fills in what is known of the key; takes no simulated time. */
static int32_t
look(struct kvr_connector *c, struct kvr_item *item, bool into_span)
{
	struct kvr_store *s = c->store;
	int32_t status = KVR_OK;

	pthread_mutex_lock(&s->lock);
	const struct value *v = find(s, item);

	if (v == NULL) {
		status = KVR_E_MISS;
	} else if (!kvr_meta_fits(item->meta, &v->meta)) {
		status = KVR_E_IDENTITY;
	} else {
		item->len = v->node.bytes;
		item->raw_len = v->raw_len;
		item->serde = v->serde;
		*item->meta = v->meta;
		bool fits = item->flags & KVR_ITEM_AT_MOST ? item->len <= item->span.len
		                                           : item->len == item->span.len;

		if (into_span && !fits)
			status = KVR_E_LENGTH;
	}
	pthread_mutex_unlock(&s->lock);
	return status;
}

static enum kvr_err
get(struct kvr_connector *c, struct kvr_item *item, uint64_t until_ns)
{
	int32_t status = look(c, item, true);
	enum kvr_err err = KVR_OK;

	if (status == KVR_OK)
		err = kvr_pause(c->kick,
		    pass(c->store, &c->store->read_free_ns, item->len, c->store->pace.read_per_s),
		    until_ns);
	for (size_t at = 0; err == KVR_OK && status == KVR_OK && at < item->len;
	     at += KVR_STOP_SLICE) {
		err = kvr_stop(c->kick, until_ns);
		if (err == KVR_OK)
			memset(
			    (char *)item->span.at + at, 0, KVR_MIN(KVR_STOP_SLICE, item->len - at));
	}
	if (err == KVR_OK)
		kvr_item_done(item, status);
	return err;
}

/* An existing key is only marked as used, as in LMCache's mock. */
static int32_t
keep(struct kvr_store *s, const struct kvr_item *item)
{
	struct value *v = malloc(sizeof(*v) + item->key_len);

	if (v == NULL)
		return KVR_E_NOMEM;
	memset(v, 0, sizeof(*v));
	memcpy(v->key, item->key, item->key_len);
	v->node.key = v->key;
	v->node.key_len = item->key_len;
	v->node.bytes = item->span.len;
	v->raw_len = item->raw_len;
	v->serde = item->serde;
	v->meta = *item->meta;
	pthread_mutex_lock(&s->lock);
	if (find(s, item) != NULL) {
		free(v);
	} else {
		while (s->index.bytes + item->span.len > s->pace.capacity)
			drop(s, (struct value *)s->index.oldest);
		kvr_index_add(&s->index, &v->node);
	}
	pthread_mutex_unlock(&s->lock);
	return KVR_OK;
}

static enum kvr_err
put(struct kvr_connector *c, struct kvr_item *item, uint64_t until_ns)
{
	struct kvr_store *s = c->store;

	if (item->span.len > s->pace.capacity) {
		snprintf(c->why, sizeof(c->why),
		    "a value of %zu bytes is beyond the capacity of %llu", item->span.len,
		    (unsigned long long)s->pace.capacity);
		kvr_item_done(item, KVR_E_TOO_BIG);
		return KVR_OK;
	}
	enum kvr_err err = kvr_pause(
	    c->kick, pass(s, &s->write_free_ns, item->span.len, s->pace.write_per_s), until_ns);

	if (err != KVR_OK)
		return err;
	item->len = item->span.len;
	kvr_item_done(item, keep(s, item));
	return KVR_OK;
}

static bool
forget(struct kvr_store *s, const struct kvr_item *item)
{
	pthread_mutex_lock(&s->lock);
	struct value *v = find(s, item);

	if (v != NULL)
		drop(s, v);
	pthread_mutex_unlock(&s->lock);
	return v != NULL;
}

static enum kvr_err
one(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item, uint64_t until_ns)
{
	int32_t status;

	if (verb == KVR_VERB_GET)
		return get(c, item, until_ns);
	if (verb == KVR_VERB_PUT)
		return put(c, item, until_ns);
	if (verb == KVR_VERB_DEL) {
		status = forget(c->store, item) ? KVR_OK : KVR_E_MISS;
	} else {
		status = look(c, item, false);
		/* A value with another layout exists; the layout only matters to a reader. */
		if (verb == KVR_VERB_EXISTS && status == KVR_E_IDENTITY)
			status = KVR_OK;
	}
	kvr_item_done(item, status);
	return KVR_OK;
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	bool peeks = n > 0 && (verb == KVR_VERB_EXISTS || verb == KVR_VERB_STAT);
	enum kvr_err err;

	KVR_CHECK(c->magic == LANE_MAGIC);
	c->why[0] = '\0';
	/* A batch of lookups is one round trip. */
	err = kvr_pause(c->kick, kvr_now_ns() + (peeks ? c->store->pace.peek_ns : 0), until_ns);
	for (uint32_t i = 0; err == KVR_OK && i < n; i++) {
		if (kvr_item_status(&items[i]) == KVR_PENDING)
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

static const char *const schemes[] = { "mock", NULL };

const struct kvr_connector_ops kvr_mock_ops = {
	.name = "mock",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(GIVE_UP) | KVR_CAP(CAPACITY),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_BARE),
	.format_tier = KVR_FORMAT_BARE,
	.format_url = KVR_FORMAT_BARE,
	.open = open_store,
	.close = close_store,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why_of,
};
