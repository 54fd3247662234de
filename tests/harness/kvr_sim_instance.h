/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All deciders of an instance in one simulated world: router, transfer, metrics, tiers with their
 * links, and callers. Change what defaults wrote, then open, then start.
 */
#ifndef KVR_HARNESS_SIM_INSTANCE_H
#define KVR_HARNESS_SIM_INSTANCE_H

#include "kvr_sim.h"

struct kvr_sim_instance {
	struct kvr_sim            *sim;
	struct kvr_sim_hands      *hands;
	struct kvr_router_config   router;
	struct kvr_transfer_config transfer;
	struct kvr_tier_config     tier[KVR_TIERS_MAX];
	struct kvr_link_config     link[KVR_TIERS_MAX]; /* of each of the tier's lanes */
	uint32_t                   n_stopped; /* STOPPED that reached the facade */
};

/* n tiers that are written through, each with one lane for lookups and two for payloads. */
void kvr_sim_instance_defaults(struct kvr_sim_instance *, uint32_t n_tiers);
void kvr_sim_instance_open(struct kvr_sim_instance *, const struct kvr_sim_options *);
/* START of all, in the order of kvr_actors.h. */
void kvr_sim_instance_start(struct kvr_sim_instance *);
void kvr_sim_instance_stop(struct kvr_sim_instance *, bool drain);
void kvr_sim_instance_close(struct kvr_sim_instance *);

/* Every lane of every tier is connected, as far as their tiers know. */
bool kvr_sim_instance_is_up(const struct kvr_sim_instance *);

#endif
