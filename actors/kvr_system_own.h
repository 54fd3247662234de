/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance's parts, and what the files that put it together share.
 *
 *   system.c         open and close
 *   system_tier.c    a tier of the configuration: its store, its lanes
 *   system_start.c   the configuration of each decider, as START's rows
 *   system_tell.c    states, words, log lines
 *   system_stats.c   the page of statistics
 */
#ifndef KVR_SYSTEM_OWN_H
#define KVR_SYSTEM_OWN_H

#include "kvr_actors.h"
#include "kvr_page.h"
#include "kvr_stats.h"
#include "kvr_system.h"
#include "kvr_workers.h"

struct system_tier {
	const struct kvr_config_tier   *config;
	const struct kvr_connector_ops *ops;
	struct kvr_store *store;
	struct kvr_words  words;
	struct kvr_log_site told; /* lines about changes of its state */
	uint32_t          n_control, n_lanes;
	uint32_t          format; /* enum kvr_store_format */
	struct kvr_lane  *lane[KVR_LANES_MAX]; /* NULL: joined, or never started */
	uint32_t          hang; /* a bit per lane that is known to hang */
};

struct kvr_system {
	struct kvr_system_options opt;
	char               instance[32];
	struct kvr_work    work;
	struct kvr_domain *domain;
	struct kvr_trace  *trace;
	struct kvr_page    page;
	struct kvr_stats  *stats; /* in the page */
	struct kvr_hand   *serde[KVR_SERDE_MAX];
	struct kvr_copy_worker *copy;
	bool copy_stuck; /* its driver hangs: it was told to end and has not */
	struct kvr_words   device_words;
	uint32_t           n_tiers;
	bool               left;    /* kvr_system_leave was called */
	bool               started; /* the deciders run: stop them before their threads end */
	struct system_tier tier[KVR_TIERS_MAX];
};

enum { KVR_LANE_PLACES = 2 }; /* parts that one lane holds: one runs, one waits */

/* system_tier.c */
KVR_MUST_USE enum kvr_err kvr_system_tier_open(
    struct kvr_system *, uint32_t tier, char *why, size_t why_cap);
KVR_MUST_USE enum kvr_err kvr_system_tier_lanes(struct kvr_system *, uint32_t tier);
/* Returns how many lanes still run at until_ns. */
uint32_t kvr_system_tier_join(struct kvr_system *, uint32_t tier, uint64_t until_ns);
void     kvr_system_tier_close(struct kvr_system *, uint32_t tier);

/* system_start.c */
KVR_MUST_USE enum kvr_err kvr_system_add_deciders(struct kvr_system *);
KVR_MUST_USE enum kvr_err kvr_system_start_deciders(struct kvr_system *);

/* system_tell.c */
void kvr_system_watch(
    void *arg, const struct kvr_actor *, uint32_t before, const struct kvr_event *);

/* Another number of the tier's lanes hangs than before. */
void kvr_system_hang(struct kvr_system *, uint32_t tier);

/* system_stats.c */
KVR_MUST_USE enum kvr_err kvr_system_stats_open(struct kvr_system *);
void kvr_system_after(void *arg, const struct kvr_actor *);

#endif
