/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's keys and what becomes of them; flat_table.c has the rows. */
#ifndef KVR_FLAT_H
#define KVR_FLAT_H

#include "kvr_base.h"

enum kvr_flat_kind {
	KVR_FLAT_TEXT,
	KVR_FLAT_BOOL, /* "true" and "1"; all else is false */
	KVR_FLAT_COUNT,
	KVR_FLAT_SECONDS,
	KVR_FLAT_MILLIS,
	KVR_FLAT_GIB,
	KVR_FLAT_TTL,     /* two keys that make one value */
	KVR_FLAT_ENGINE,  /* the engine's own, nothing to do with remote stores */
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

#endif
