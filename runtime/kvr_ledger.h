/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deciders may not see of an operation: key text, the caller's memory, the payload's shape.
 * Written by the facade before SUBMIT, constant until RELEASE, read by workers. A key slot of a
 * message or row is an index into keys.
 */
#ifndef KVR_LEDGER_H
#define KVR_LEDGER_H

#include "kvr_msg.h"
#include "kvr_pages.h"

struct kvr_key {
	void    *at;   /* the caller's memory or an object's; NULL where there is none */
	uint64_t room; /* bytes of it */
	uint32_t text; /* offset of the key text in texts, NUL after it */
	uint16_t len;  /* of the text */
	uint16_t op;   /* index into ops */
};

struct kvr_ledger_op {
	struct kvr_meta meta;       /* of a full chunk; n_groups 0: plain bytes */
	uint64_t        meta_bytes; /* bytes of that full chunk */
	char            request[64]; /* start of the request id, when the trace has texts; else "" */
	/* Where the payload lies when it is tokens of a paged cache; NULL: at kvr_key.at. */
	const struct kvr_pages *pages;
	void                   *ready; /* event of its device that copies wait for; NULL: none */
	void                   *recorded; /* event that is recorded behind them; NULL: none */
};

/* Which tokens a key is. */
struct kvr_place {
	uint32_t run;    /* the first of its runs */
	uint32_t tokens; /* in its runs */
	uint32_t layer;  /* of a chunk that has only one */
	/*
	 * A get by layers: its leading layers that are in the cache. Written by the copy worker with
	 * release order, and then the operation's bell is rung.
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
	/* KVR_OPS_MAX of KVR_PAGES_PLACES_MAX: a put by layers; the event that a layer waits for, or NULL. */
	void                **events;
	/* KVR_OPS_MAX: moves when layers of the operation have landed or it is complete; a futex. */
	_Atomic uint32_t     *bells;
	_Atomic uint32_t      lookups; /* how many are under way: whoever moves payload makes room for them */
	uint8_t              *staging; /* base of the staging arena; row.buf - 1 is a page of it */
	uint64_t              staging_bytes;
};

/*
 * The shape of a payload of len bytes: the operation's, with fewer tokens when len is less than a
 * full chunk. False when len is no whole number of tokens; meta is then plain bytes.
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

/* Whoever waits for layers of that operation looks again. */
void kvr_ledger_ring(const struct kvr_ledger *, uint32_t op);

/* All tables are mapped and cost memory only where they are touched. NULL: out of address space. */
struct kvr_ledger *kvr_ledger_new(uint64_t staging_bytes);
void               kvr_ledger_free(struct kvr_ledger *take);

#endif
