/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's keys and what becomes of them; flat_table.c has the rows. */
#ifndef KVR_FLAT_H
#define KVR_FLAT_H

#include "kvr_base.h"
#include "kvr_tree.h"

enum kvr_flat_kind {
	KVR_FLAT_TEXT,
	KVR_FLAT_BOOL, /* "true" and "1"; all else is false */
	KVR_FLAT_COUNT,
	KVR_FLAT_SECONDS,
	KVR_FLAT_TTL_S, /* seconds, below zero: none */
	KVR_FLAT_MILLIS,
	KVR_FLAT_GIB,
	KVR_FLAT_POLICY,  /* recompute or local_cpu; another one is a warning */
	KVR_FLAT_MIB,
	KVR_FLAT_BYTES,
	KVR_FLAT_TTL,     /* two keys that make one value */
	KVR_FLAT_PLUGIN,  /* of remote_storage_plugins */
	KVR_FLAT_AUDIT,   /* of audit://, which is made of several */
	KVR_FLAT_SCHEME,  /* what the scheme of the URL says here */
	KVR_FLAT_ENGINE,  /* the engine's own, nothing to do with remote stores */
	KVR_FLAT_BUCKETS, /* bounds of a histogram: a list */
	KVR_FLAT_IGNORED, /* of remote stores, without effect here: a warning says `why` */
	KVR_FLAT_REFUSED  /* an error when it is set: ignoring it would be wrong */
};

struct kvr_flat_key {
	const char *name; /* a '*' at the end stands for the rest */
	bool extra;       /* in extra_config; otherwise at the top */
	bool in_tier;     /* of `option` */
	enum kvr_flat_kind kind;
	const char *option; /* "memory.objects", or NULL: a member of struct lmcache */
	size_t offset;      /* of that member */
	const char *scheme; /* only for stores of this scheme; NULL: for all */
	const char *def;    /* LMCache's default where it is not the option's own */
	const char *why;    /* IGNORED, REFUSED: the reason; else help for the schema */
};

extern const struct kvr_flat_key kvr_flat_table[];
extern const uint32_t kvr_flat_count;

const struct kvr_flat_key *kvr_flat_find(bool extra, const char *name);

/* What a flat configuration is read from; a key of the variables beats that of the file. */
struct kvr_flat_source {
	const struct kvr_node *root, *env; /* env NULL: variables were not asked for */
	const struct kvr_node *extra;      /* NULL: there is none */
};
/* NULL: nobody has it. */
const struct kvr_node *kvr_flat_child(const struct kvr_flat_source *, const char *key);

/* flat_assign.c. LMCache's rule of truth, whatever the value looks like. */
bool kvr_flat_is_true(const struct kvr_node *);
/* What cannot be converted is an error; of a variable a warning, and nothing changes. */
void kvr_flat_assign(struct kvr_load *, const struct kvr_flat_key *, const struct kvr_node *);
/* One of LMCache's keys, wherever it stands there, in a configuration of its form. False: none. */
bool kvr_flat_set(struct kvr_load *, const char *name, const char *text);
/* flat_plugins.c: the stores in their order; none: an error was noted. ret has KVR_TIERS_MAX places. */
struct kvr_flat_url {
	const char *name;
	struct kvr_node node; /* with the URL */
};
uint32_t kvr_flat_urls(struct kvr_load *, const struct kvr_flat_source *, struct kvr_flat_url *ret);
/* All but the first, like the first in what is not the store's own. */
void kvr_flat_more_tiers(struct kvr_load *, const struct kvr_flat_source *,
    const struct kvr_flat_url *, uint32_t n);

/* flat_buckets.c */
#define KVR_FLAT_BUCKET "histogram_bucket_"
void kvr_flat_buckets(struct kvr_load *, const struct kvr_node *);

bool kvr_flat_is_audit(const struct kvr_node *url);
/*
 * flat_audit.c: the node with the URL of the real store: url itself, or what stands behind audit://.
 * NULL: an error was noted.
 */
const struct kvr_node *kvr_flat_real_url(
    struct kvr_load *, const struct kvr_flat_source *, const struct kvr_node *url);
/* What audit:// asks of the tier. */
void kvr_flat_audit(struct kvr_load *, const struct kvr_flat_source *, const struct kvr_node *url,
    uint32_t tier);

#endif
