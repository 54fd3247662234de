/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blackhole://: accepts every value and keeps none, so a put is OK and everything else is a miss.
 * For measuring what a deployment costs without a store, and for switching a store off by its URL
 * alone.
 */
#include "kvr_connectors.h"
#include "kvr_settings.h"
#include "kvr_stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('B', 'L', 'H', 'S')
#define LANE_MAGIC  KVR_MAGIC('B', 'L', 'H', 'L')

struct kvr_store {
	uint32_t magic;
};

struct kvr_connector {
	uint32_t magic;
	struct kvr_kick *kick;
};

/* LMCache's URL has a host and a port, which mean nothing; they may be left out. */
static enum kvr_err
open_store(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	const struct kvr_why w = { why, why_cap };
	enum kvr_err err = kvr_settings_only(opts, KVR_TAKES(TTL), NULL, &w);

	if (err != KVR_OK)
		return err;
	struct kvr_store *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		snprintf(why, why_cap, "no memory for a black hole");
		return KVR_E_NOMEM;
	}
	s->magic = STORE_MAGIC;
	*ret = s;
	return KVR_OK;
}

static void
close_store(struct kvr_store *take)
{
	KVR_CHECK(take == NULL || take->magic == STORE_MAGIC);
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

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	enum kvr_err err = kvr_stop(c->kick, until_ns);

	KVR_CHECK(c->magic == LANE_MAGIC);
	for (uint32_t i = 0; err == KVR_OK && i < n; i++) {
		if (kvr_item_status(&items[i]) != KVR_PENDING)
			continue;
		if (verb == KVR_VERB_PUT)
			items[i].len = items[i].span.len;
		kvr_item_done(&items[i], verb == KVR_VERB_PUT ? KVR_OK : KVR_E_MISS);
	}
	return err;
}

static const char *
why_of(const struct kvr_connector *c)
{
	(void)c;
	return "";
}

static const char *const schemes[] = { "blackhole", NULL };

const struct kvr_connector_ops kvr_blackhole_ops = {
	.name = "blackhole",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(GIVE_UP) | KVR_CAP(ANY_THREAD) | KVR_CAP(TTL),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE) | KVR_FORMAT_BIT(KVR_FORMAT_BARE) |
	           KVR_FORMAT_BIT(KVR_FORMAT_SEALED),
	.format_tier = KVR_FORMAT_SEALED,
	.format_url = KVR_FORMAT_LMCACHE,
	.open = open_store,
	.close = close_store,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why_of,
};
