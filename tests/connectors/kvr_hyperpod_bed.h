/* SPDX-License-Identifier: Apache-2.0 */
/* What the HyperPod tests have beyond kvr_redis_bed.h: a strict daemon, and one key at a time. */
#ifndef KVR_HYPERPOD_BED_H
#define KVR_HYPERPOD_BED_H

#include "kvr_hyperpod_server.h"
#include "kvr_redis_bed.h"

struct hp {
	struct kvr_hyperpod_server *server;
	struct kvr_hyperpod_page   *page;
	struct kvr_store_opts opts;
	struct bed bed;
};

static inline void
hp_begin(struct hp *h, uint32_t format)
{
	h->server = kvr_hyperpod_server_start();
	h->page = kvr_hyperpod_server_page(h->server);
	h->opts = bed_opts(kvr_hyperpod_server_url(h->server), format);
	h->opts.hyperpod.shared_memory_name = kvr_hyperpod_server_segment(h->server);
}

static inline void
hp_up(struct hp *h, uint32_t format)
{
	hp_begin(h, format);
	bed_up(&h->bed, &h->opts);
}

/* After everything is closed no lease may be left, given back or ended by its time. */
static inline void
hp_end(struct hp *h)
{
	ck_assert_msg(atomic_load(&h->page->deviations) == 0, "%u deviations, the first: %s",
	    atomic_load(&h->page->deviations), h->page->first_deviation);
	ck_assert(kvr_hyperpod_server_wait_no_lease(h->server));
	kvr_hyperpod_server_stop(h->server);
}

static inline void
hp_down(struct hp *h)
{
	bed_down(&h->bed);
	hp_end(h);
}

static inline void
hp_redial(struct hp *h)
{
	h->bed.ops->hang_up(h->bed.lane);
	h->bed.lane = NULL;
	enum kvr_err err = h->bed.ops->dial(h->bed.store, bed_in(BED_LONG), &h->bed.kick,
	    &h->bed.lane, h->bed.why, sizeof(h->bed.why));
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), h->bed.why);
}

static inline struct kvr_item
hp_item(const char *key, void *at, size_t len, struct kvr_meta *meta)
{
	memset(meta, 0, sizeof(*meta));
	struct kvr_item item = { .key = key, .key_len = (uint32_t)strlen(key),
		.span = { at, len }, .raw_len = len, .meta = meta };
	atomic_init(&item.status, KVR_PENDING);
	return item;
}

/* One key; *ret_status: the item's. */
static inline enum kvr_err
hp_run(struct hp *h, enum kvr_verb verb, const char *key, void *at, size_t len, uint64_t until_ns,
    int32_t *ret_status)
{
	struct kvr_meta meta;
	struct kvr_item item = hp_item(key, at, len, &meta);
	enum kvr_err err = h->bed.ops->run(h->bed.lane, verb, &item, 1, until_ns);
	*ret_status = kvr_item_status(&item);
	return err;
}

/* The same where the lane must live. */
static inline int32_t
hp_one(struct hp *h, enum kvr_verb verb, const char *key, void *at, size_t len)
{
	int32_t status;
	enum kvr_err err = hp_run(h, verb, key, at, len, bed_in(BED_LONG), &status);
	ck_assert_msg(
	    err == KVR_OK, "%s: %s", kvr_err_name(err), h->bed.ops->why(h->bed.lane));
	return status;
}

#define hp_says(h, part)                                                                           \
	ck_assert_msg(strstr((h)->bed.ops->why((h)->bed.lane), part) != NULL, "%s",                \
	    (h)->bed.ops->why((h)->bed.lane))

#endif
