/* SPDX-License-Identifier: Apache-2.0 */
/* What the EIC tests have beyond kvr_redis_bed.h: the fake of the SDK, and one key at a time. */
#ifndef KVR_EIC_BED_H
#define KVR_EIC_BED_H

#include "kvr_eic_fake.h"
#include "kvr_eic_sdk.h"
#include "kvr_redis_bed.h"

#include <dlfcn.h>

enum { LEN = 2 * 12 * 4 * 16 * 2, HEAD = 28 };

static const struct kvr_meta chunk = { .memfmt = KVR_MEMFMT_KV_2LTD, .n_groups = 1,
	.group = { { .dtype = KVR_DTYPE_BFLOAT16, .n_dims = 4, .dim = { 2, 12, 4, 16 } } } };

static struct kvr_eic_fake      *fake;
static const struct kvr_eic_sdk *sdk;

/* The same object that the store loads, so its knobs are these. */
static inline void
look(void)
{
	void *library = dlopen(KVR_EIC_FAKE, RTLD_NOW), *found;
	kvr_eic_sdk_fn *get;
	ck_assert_msg(library != NULL, "%s", dlerror());
	fake = dlsym(library, "kvr_eic_fake");
	found = dlsym(library, "kvr_eic_sdk");
	memcpy(&get, &found, sizeof(get));
	sdk = get();
}

static inline struct kvr_store_opts
eic_opts(void)
{
	struct kvr_store_opts opts =
	    bed_opts("eic://10.0.0.1:12500;10.0.0.2:12500/", KVR_FORMAT_LMCACHE);
	opts.eic.library = KVR_EIC_FAKE;
	opts.eic.ns = "team";
	return opts;
}

static inline void
up(struct bed *b)
{
	struct kvr_store_opts opts = eic_opts();
	look();
	bed_up(b, &opts);
}

static inline void
down(struct bed *b)
{
	bed_down(b);
	ck_assert_uint_eq(atomic_load(&fake->clients), 0);
	ck_assert_msg(atomic_load(&fake->deviations) == 0, "%s", fake->first_deviation);
}

static inline int32_t
one(struct bed *b, enum kvr_verb verb, const char *key, void *at, size_t len)
{
	struct kvr_meta meta = verb == KVR_VERB_PUT ? chunk : (struct kvr_meta){ 0 };
	struct kvr_item item = { .key = key, .key_len = (uint32_t)strlen(key),
		.span = { at, len }, .raw_len = len, .meta = &meta };
	bed_ok(b, verb, &item, 1);
	return kvr_item_status(&item);
}

#endif
