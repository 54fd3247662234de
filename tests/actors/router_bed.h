/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A router alone in a small world: tiers that keep a set of keys, a serde pool and a copy worker
 * that answer when the test says so, virtual time, and a facade that counts answers.
 */
#ifndef ROUTER_BED_H
#define ROUTER_BED_H

#include "kvr_router_own.h"

enum { BED_QUEUE = 8192, BED_KEYS = 256, BED_OPS = 64 };

struct bed_op {
	uint64_t id;
	uint32_t first, n, rows;
	uint32_t completed, released, ahead;
	enum kvr_op_kind kind;
	struct kvr_msg done; /* the last COMPLETE */
	struct kvr_msg told; /* the one ahead of them */
};

struct bed {
	struct kvr_actor actor;
	void            *memory;
	struct kvr_row  *rows;
	struct kvr_out  *out;
	uint64_t         now_ns, step;
	uint64_t         rand;

	struct kvr_msg to_router[BED_QUEUE]; /* local messages, in order */
	uint32_t       n_to_router;
	struct kvr_msg world[BED_QUEUE];     /* requests that somebody outside has */
	uint32_t       n_world;
	uint64_t       timer_at[BED_OPS];
	struct kvr_msg timer[BED_OPS];

	bool     has[KVR_TIERS_MAX][BED_KEYS]; /* by the digest's low word */
	int32_t  sick[KVR_TIERS_MAX];          /* error that a tier answers with; 0: it works */
	uint32_t errors_per_1000;              /* rows and copies that fail at random */
	bool     interrupts; /* once: a part comes back in front of a CONTINUE */
	int32_t  copies;                       /* error that copies answer with; 0: they work */
	uint32_t len;                          /* what is stored, of every key */
	struct bed_op op[BED_OPS];
	uint32_t n_stopped, n_op_stat;
	uint64_t stat_bytes; /* of all of them */
	uint32_t counted[KVR_COUNT_N];
	uint64_t digest; /* over all steps: two runs that are the same have the same */
};

struct bed *bed_new(const struct kvr_router_config *);
void        bed_free(struct bed *);
/* The usual deployment: n tiers, all written through. */
struct kvr_router_config bed_config(uint32_t n_tiers);

static inline struct bed *
bed_new_of(uint32_t n_tiers)
{
	const struct kvr_router_config c = bed_config(n_tiers);

	return bed_new(&c);
}

/* Rows are filled with digests from keys[i]; returns the slot. deadline as a duration. */
uint32_t bed_submit(struct bed *, enum kvr_op_kind, const uint32_t *keys, uint32_t n, uint32_t flags,
    uint64_t deadline_ns);
void     bed_cancel(struct bed *, uint32_t slot);
void     bed_stop(struct bed *, bool drain);
void     bed_tier_state(struct bed *, uint32_t tier, enum kvr_tier_state);

void bed_post(struct bed *, const struct kvr_msg *); /* to the router */
void bed_local(struct bed *);            /* until no local message is left */
bool bed_answer(struct bed *, uint32_t i); /* the i-th request that is outside; false: none */
void bed_settle(struct bed *);           /* everything is answered, in random order */
void bed_advance(struct bed *, uint64_t ns); /* timers that are due fire */
void bed_check(struct bed *);            /* rules and digest, the slow way */
/* Answered and released, each once, with this outcome. */
void bed_is_over(struct bed *, uint32_t slot, int32_t err, uint32_t n_ok);
/* Nothing is under way and nothing is kept. */
void bed_is_home(struct bed *);

static inline const struct kvr_row *
bed_row(const struct bed *b, uint32_t slot, uint32_t i)
{
	return &b->rows[b->op[slot].first + i];
}

#endif
