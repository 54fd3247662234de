/* SPDX-License-Identifier: Apache-2.0 */
/* One store with one lane for the tests of servers, and items over memory of their own. */
#ifndef KVR_REDIS_BED_H
#define KVR_REDIS_BED_H

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvr_check.h"
#include "kvr_connector.h"

extern const struct kvr_connector_ops kvr_redis_ops, kvr_valkey_ops, kvr_resp_ops, kvr_lm_ops,
    kvr_hyperpod_ops, kvr_eic_ops;

struct bed {
	const struct kvr_connector_ops *ops; /* by the scheme of the URL */
	struct kvr_store     *store;
	struct kvr_connector *lane;
	struct kvr_kick       kick;
	char                  why[256];
};

static inline uint64_t
bed_in(uint64_t ns)
{
	return kvr_now_ns() + ns;
}

#define BED_LONG KVR_SEC(60)

static inline struct kvr_store_opts
bed_opts(const char *url, uint32_t format)
{
	return (
	    struct kvr_store_opts){ .tier = "test", .url = url, .format = format, .n_groups = 1 };
}

static inline enum kvr_err
bed_try(struct bed *b, const struct kvr_store_opts *opts, uint64_t until_ns)
{
	memset(b, 0, sizeof(*b));
	b->ops = opts->faults != NULL ? kvr_connector_rehearse() : kvr_connector_find(opts->url);
	ck_assert_ptr_nonnull(b->ops);
	b->kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->kick.current = 1;
	enum kvr_err err = b->ops->open(opts, &b->store, b->why, sizeof(b->why));
	if (err != KVR_OK)
		return err;
	return b->ops->dial(b->store, until_ns, &b->kick, &b->lane, b->why, sizeof(b->why));
}

static inline void
bed_up(struct bed *b, const struct kvr_store_opts *opts)
{
	enum kvr_err err = bed_try(b, opts, bed_in(BED_LONG));
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), b->why);
}

static inline void
bed_down(struct bed *b)
{
	b->ops->hang_up(b->lane);
	b->ops->close(b->store);
	close(b->kick.fd);
}

/* From another thread, while the lane works. */
static inline void
bed_kick(struct bed *b)
{
	const uint64_t one = 1;

	atomic_store(&b->kick.target, b->kick.current);
	ck_assert_int_eq(write(b->kick.fd, &one, sizeof(one)), sizeof(one));
}

static inline enum kvr_err
bed_run(struct bed *b, enum kvr_verb verb, struct kvr_item *items, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		atomic_store(&items[i].status, KVR_PENDING);
	return b->ops->run(b->lane, verb, items, n, bed_in(BED_LONG));
}

#define bed_ok(b, verb, items, n) \
	do { \
		enum kvr_err bed_err = bed_run(b, verb, items, n); \
		ck_assert_msg(bed_err == KVR_OK, "%s: %s", kvr_err_name(bed_err), \
		    (b)->ops->why((b)->lane)); \
	} while (0)

#define bed_status(item, want)                                                                     \
	ck_assert_msg(kvr_item_status(item) == (want), "%s is %s, not %s", (item)->key,            \
	    kvr_item_status(item) == KVR_PENDING ? "pending"                                       \
	                                         : kvr_err_name(kvr_item_status(item)),            \
	    kvr_err_name(want))

/* n items of len bytes each, filled with bytes that differ from item to item. */
struct load {
	uint32_t         n;
	size_t           len;
	struct kvr_item *items;
	struct kvr_meta *metas;
	char           (*keys)[32];
	uint8_t         *bytes;
};

/* By words: a byte at a time would take longer than the server does. No two words are alike. */
static inline uint64_t
load_word(uint32_t i, size_t at)
{
	uint64_t x = ((uint64_t)(i + 1) << 40 ^ at) * UINT64_C(0x9e3779b97f4a7c15);
	return x ^ x >> 29;
}

static inline void
load_fill(struct load *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		uint8_t *to = l->items[i].span.at;
		for (size_t at = 0; at < l->len; at += sizeof(uint64_t)) {
			uint64_t word = load_word(i, at);
			memcpy(to + at, &word, KVR_MIN(sizeof(word), l->len - at));
		}
	}
}

static inline void
load_wipe(struct load *l)
{
	memset(l->bytes, 0xee, l->n * l->len);
}

static inline struct load
load_new(uint32_t n, size_t len)
{
	struct load l = { .n = n, .len = len };
	l.items = calloc(n, sizeof(*l.items));
	l.metas = calloc(n, sizeof(*l.metas));
	l.keys = calloc(n, sizeof(*l.keys));
	l.bytes = malloc(n * len + 1);
	ck_assert(l.items != NULL && l.metas != NULL && l.keys != NULL && l.bytes != NULL);
	for (uint32_t i = 0; i < n; i++) {
		l.items[i].key_len =
		    (uint32_t)snprintf(l.keys[i], sizeof(l.keys[i]), "m@1@0@%x@half", i);
		l.items[i].key = l.keys[i];
		l.items[i].span = (struct kvr_span){ l.bytes + i * len, len };
		l.items[i].raw_len = len;
		l.items[i].meta = &l.metas[i];
	}
	load_fill(&l);
	return l;
}

static inline bool
load_same(const struct load *l, uint32_t i)
{
	const uint8_t *got = l->items[i].span.at;
	for (size_t at = 0; at < l->len; at += sizeof(uint64_t)) {
		uint64_t word = load_word(i, at);
		if (memcmp(got + at, &word, KVR_MIN(sizeof(word), l->len - at)) != 0)
			return false;
	}
	return true;
}

static inline void
load_free(struct load *l)
{
	free(l->items);
	free(l->metas);
	free(l->keys);
	free(l->bytes);
}

/* Every value is a hit and its own. */
static inline void
load_get(struct bed *b, struct load *l)
{
	load_wipe(l);
	bed_ok(b, KVR_VERB_GET, l->items, l->n);
	for (uint32_t i = 0; i < l->n; i++) {
		bed_status(&l->items[i], KVR_OK);
		ck_assert_uint_eq(l->items[i].len, l->len);
		ck_assert_msg(load_same(l, i), "%s has another's bytes", l->items[i].key);
	}
}

#endif
