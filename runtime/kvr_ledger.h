/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deciders may not see of an operation: key text, the caller's memory, the payload's shape.
 * The facade writes it before SUBMIT, it is constant until RELEASE, and workers read it. The key
 * slot in a message or row is an index into keys.
 */
#ifndef KVR_LEDGER_H
#define KVR_LEDGER_H

#include "kvr_msg.h"
#include "kvr_pages.h"

struct kvr_key {
	void    *at;   /* memory of the caller or of an object; NULL: none */
	uint64_t room; /* its bytes */
	uint32_t text; /* offset of the key text in texts; a NUL follows it */
	uint16_t len;  /* of the text */
	uint16_t op;   /* index into ops */
};

struct kvr_ledger_op {
	struct kvr_meta meta;       /* of a full chunk; n_groups 0: plain bytes */
	uint64_t        meta_bytes; /* bytes of that full chunk */
	char            request[64]; /* start of the request id if the trace has texts, else "" */
	/* Set if the payload is tokens of a paged cache; NULL: it is at kvr_key.at. */
	const struct kvr_pages *pages;
	void                   *ready; /* event that copies wait for on the device; NULL: none */
	void                   *recorded; /* event that is recorded behind the copies; NULL: none */
};

/* Which tokens of a cache belong to a key. */
struct kvr_place {
	uint32_t run;    /* the first of its runs */
	uint32_t tokens; /* in its runs */
	uint32_t layer;  /* of a chunk that has only one */
	/*
	 * A get by layers: how many leading layers are in the cache. The copy worker writes it with
	 * release order, and then rings the operation's bell.
	 */
	_Atomic uint32_t landed;
};

struct kvr_ledger {
	struct kvr_key       *keys;  /* KVR_KEYS_MAX */
	struct kvr_ledger_op *ops;   /* KVR_OPS_MAX */
	struct kvr_place     *places; /* KVR_KEYS_MAX */
	struct kvr_run       *runs;  /* KVR_RUNS_MAX */
	char                 *texts; /* KVR_TEXT_MAX */
	struct kvr_row       *rows;  /* KVR_ROWS_MAX: the row table of kvr_msg.h */
	/* KVR_OPS_MAX times KVR_PAGES_PLACES_MAX: a put by layers; event of each layer, or NULL. */
	void                **events;
	/* KVR_OPS_MAX: a futex that changes when layers have landed or the operation is complete. */
	_Atomic uint32_t     *bells;
	_Atomic uint32_t      lookups; /* under way; lanes that move payload make room for them */
	uint8_t              *staging; /* base of the staging arena; row.buf - 1 is a page of it */
	uint64_t              staging_bytes;
};

/*
 * The shape of a payload of len bytes: the operation's, with fewer tokens if len is less than a
 * full chunk. False: len is not a whole number of tokens; ret is then plain bytes.
 */
bool kvr_ledger_meta(const struct kvr_ledger *, uint32_t key, uint64_t len, struct kvr_meta *ret);

static inline void *
kvr_ledger_staging(const struct kvr_ledger *l, uint32_t buf)
{
	return buf == 0 ? NULL : l->staging + (uint64_t)(buf - 1) * KVR_PAGE;
}

static inline void **
kvr_ledger_events(const struct kvr_ledger *l, uint32_t op)
{
	return &l->events[(size_t)op * KVR_PAGES_PLACES_MAX];
}

/* Wakes all who wait for layers of that operation. */
void kvr_ledger_ring(const struct kvr_ledger *, uint32_t op);

/* All tables are mapped, and cost memory only where touched. NULL: out of memory or addresses. */
struct kvr_ledger *kvr_ledger_new(uint64_t staging_bytes);
void               kvr_ledger_free(struct kvr_ledger *take);

#endif
