/* SPDX-License-Identifier: Apache-2.0 */
/* Behind real sentinels, over a master that feeds two replicas. One set for all. */
#include "kvr_subject.h"

#include <stdio.h>
#include <string.h>

#include "kvr_connectors.h"
#include "kvr_redis_raw.h"
#include "kvr_sentinel_set.h"

KVR_NEEDS_REDIS

static struct kvr_sentinel_set *set;
static char url[160];

__attribute__((constructor)) static void
start_set(void)
{
	set = kvr_sentinel_set_start();
}

__attribute__((destructor)) static void
stop_set(void)
{
	kvr_sentinel_set_stop(set);
}

static void
begin(struct kvr_store_opts *opts)
{
	struct kvr_raw *raw = kvr_raw_open(set->data[0]->port, KVR_SENTINEL_DATA_PASSWORD);

	ck_assert_int_eq(kvr_raw(raw, "FLUSHALL").kind, '+');
	kvr_raw_close(raw);
	/* Without its option, for the suite puts others behind it. */
	snprintf(url, sizeof(url), "%.*s", (int)strcspn(set->url, "?"), set->url);
	opts->url = url;
	opts->sentinel.service = KVR_SENTINEL_SERVICE;
	opts->password = KVR_SENTINEL_DATA_PASSWORD;
	opts->sentinel.password = KVR_SENTINEL_PASSWORD;
}

static void
end(void)
{
}

const struct kvr_subject kvr_subjects[] = {
	{ .name = "redis-sentinel sealed", .ops = &kvr_redis_ops, .format = KVR_FORMAT_SEALED,
	    .begin = begin, .end = end, .outlives = true, .any_key = true, .keeps_shape = true,
	    .keeps_raw = true },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
