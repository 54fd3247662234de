/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the store that fails on purpose share.
 *
 *   fault.c       lanes: what happens to a dial and to a batch
 *   fault_open.c  the script, the wrapped store, and the random draws
 */
#ifndef KVR_FAULT_H
#define KVR_FAULT_H

#include "kvr_connector.h"
#include "kvr_fault_script.h"

#define KVR_FAULT_STORE_MAGIC KVR_MAGIC('F', 'L', 'T', 'S')
#define KVR_FAULT_LANE_MAGIC  KVR_MAGIC('F', 'L', 'T', 'L')

struct kvr_store {
	struct kvr_spoil spoil; /* first: draw() finds the store through it */
	uint32_t magic;
	uint32_t spare;
	const struct kvr_connector_ops *ops; /* of the wrapped store */
	struct kvr_store *store;
	uint64_t opened_ns, connect_ns;
	_Atomic uint64_t draws;
	char path[256];
	struct kvr_fault_script script;
};

struct kvr_connector {
	uint32_t magic;
	uint32_t spare;
	struct kvr_store *store;
	struct kvr_connector *lane;
	struct kvr_kick *kick;
	char why[256]; /* "": what the wrapped lane says counts */
};

/* The faults that apply to one batch, at most one of each kind. */
struct kvr_fault_met {
	const struct kvr_fault *by[KVR_FAULT_N];
};

/* fault_open.c. NULL is fine for close. */
enum kvr_err kvr_fault_open(
    const struct kvr_store_opts *, struct kvr_store **ret, char *why, size_t why_cap);
void kvr_fault_close(struct kvr_store *take);

uint64_t kvr_fault_draw(struct kvr_store *);
/* Whether the fault happens this time; false for NULL. */
bool kvr_fault_hits(struct kvr_store *, const struct kvr_fault *);
/* What applies now. verbs 0: a dial or a ping, to which only faults on all verbs apply. */
struct kvr_fault_met kvr_fault_meet(const struct kvr_store *, uint32_t verbs);

#endif
