/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's keys and what they become; flat_table.c has the rows. */
#ifndef KVR_FLAT_H
#define KVR_FLAT_H

#include "kvr_base.h"
#include "kvr_tree.h"

enum kvr_flat_kind {
	KVR_FLAT_TEXT,
	KVR_FLAT_BOOL, /* "true" and "1" are true; everything else is false */
	KVR_FLAT_COUNT,
	KVR_FLAT_SECONDS,
	KVR_FLAT_TTL_S, /* seconds; negative: none */
	KVR_FLAT_MILLIS,
	KVR_FLAT_GIB,
	KVR_FLAT_POLICY,  /* recompute or local_cpu; anything else is a warning */
	KVR_FLAT_MIB,
	KVR_FLAT_BYTES,
	KVR_FLAT_TTL,     /* two keys that make up one value */
	KVR_FLAT_PLUGIN,  /* for remote_storage_plugins */
	KVR_FLAT_AUDIT,   /* for audit://, which is made up of several keys */
	KVR_FLAT_SCHEME,  /* what the URL's scheme says here */
	KVR_FLAT_ENGINE,  /* for the engine itself, nothing to do with remote stores */
	KVR_FLAT_BUCKETS, /* bounds of a histogram: a list */
	KVR_FLAT_IGNORED, /* about remote stores, but without effect here: a warning says `why` */
	KVR_FLAT_REFUSED  /* an error if it is set: ignoring it would be wrong */
};

struct kvr_flat_key {
	const char *name; /* a '*' at the end matches any rest */
	bool extra;       /* in extra_config; otherwise at the top level */
	bool in_tier;     /* `option` belongs to a tier */
	enum kvr_flat_kind kind;
	const char *option; /* "memory.objects"; NULL: a member of struct kvr_config */
	size_t offset;      /* of that member */
	const char *scheme; /* only for stores of this scheme; NULL: for all */
	const char *def;    /* LMCache's default if it differs from the option's */
	const char *why;    /* IGNORED, REFUSED: the reason; otherwise help for the schema */
};

extern const struct kvr_flat_key kvr_flat_table[];
extern const uint32_t kvr_flat_count;

const struct kvr_flat_key *kvr_flat_find(bool extra, const char *name);

/* What a flat configuration is read from; a variable overrides the file's key. */
struct kvr_flat_source {
	const struct kvr_node *root, *env; /* env NULL: variables were not requested */
	const struct kvr_node *extra;      /* NULL: there is none */
};
/* NULL: neither has the key. */
const struct kvr_node *kvr_flat_child(const struct kvr_flat_source *, const char *key);

/* flat_assign.c. LMCache's rule for what is true, whatever kind the value has. */
bool kvr_flat_is_true(const struct kvr_node *);
/*
 * A value that cannot be converted is an error; in a variable it is a warning and changes nothing.
 */
void kvr_flat_assign(struct kvr_load *, const struct kvr_flat_key *, const struct kvr_node *);
/*
 * Sets one of LMCache's keys, at any level, in a configuration of LMCache's form. False: no such
 * key.
 */
bool kvr_flat_set(struct kvr_load *, const char *name, const char *text);
/*
 * flat_plugins.c: the stores in their order; none: an error was noted. ret has room for
 * KVR_TIERS_MAX.
 */
struct kvr_flat_url {
	const char *name;
	struct kvr_node node; /* with the URL */
};
uint32_t kvr_flat_urls(struct kvr_load *, const struct kvr_flat_source *, struct kvr_flat_url *ret);
/* Adds all tiers but the first. What is not specific to a store is copied from the first. */
void kvr_flat_more_tiers(struct kvr_load *, const struct kvr_flat_source *,
    const struct kvr_flat_url *, uint32_t n);

/* flat_buckets.c */
#define KVR_FLAT_BUCKET "histogram_bucket_"
void kvr_flat_buckets(struct kvr_load *, const struct kvr_node *);

bool kvr_flat_is_audit(const struct kvr_node *url);
/*
 * flat_audit.c: the node with the URL of the real store: url itself, or the URL behind audit://.
 * NULL: an error was noted.
 */
const struct kvr_node *kvr_flat_real_url(
    struct kvr_load *, const struct kvr_flat_source *, const struct kvr_node *url);
/* Sets the tier's options as audit:// requests. */
void kvr_flat_audit(struct kvr_load *, const struct kvr_flat_source *, const struct kvr_node *url,
    uint32_t tier);

#endif
