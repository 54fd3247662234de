/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_sim_instance.h"

#include "kvr_tier_own.h"

#include <string.h>

void
kvr_sim_instance_defaults(struct kvr_sim_instance *in, uint32_t n_tiers)
{
	memset(in, 0, sizeof(*in));
	in->router = (struct kvr_router_config){ .version = 1,
		.size = sizeof(in->router),
		.n_tiers = n_tiers,
		.staging_pages = 256,
		.slot_pages = 1,
		.background_ns = KVR_SEC(60),
		.grace_ns = KVR_MS(2) };
	in->transfer = (struct kvr_transfer_config){
		.version = 1, .size = sizeof(in->transfer), .places = 2, .n_serde = 2,
		.budget_bytes = KVR_MIB(16)
	};
	for (uint32_t t = 0; t < n_tiers; t++) {
		in->router.tier[t] = (struct kvr_router_tier){
			.write = KVR_WRITE_THROUGH, .give_up = 1, .bulk_lanes = 2
		};
		in->tier[t] = (struct kvr_tier_config){ .version = 1,
			.size = sizeof(in->tier[t]),
			.tier = t,
			.n_links = 3,
			.n_control = 1,
			.places = 2,
			.faults = 5,
			.backoff_min_ns = KVR_MS(100),
			.backoff_max_ns = KVR_SEC(10),
			.connect_ns = KVR_SEC(1),
			.seed = t + 1 };
		in->link[t] = (struct kvr_link_config){ .version = 1,
			.size = sizeof(in->link[t]),
			.tier = t,
			.connect_ns = KVR_SEC(1),
			.stuck_ns = KVR_SEC(2) };
	}
}

static void
outside(void *arg, struct kvr_sim *sim, const struct kvr_msg *msg)
{
	struct kvr_sim_instance *in = arg;

	(void)sim;
	KVR_CHECK(msg->to == KVR_ID_API && msg->type == KVR_MSG_STOPPED && in->n_stopped == 0);
	in->n_stopped++;
}

void
kvr_sim_instance_open(struct kvr_sim_instance *in, const struct kvr_sim_options *options)
{
	struct kvr_sim_options o = *options;

	o.outside = outside;
	o.arg = in;
	in->sim = kvr_sim_new(&o);
	in->hands = kvr_sim_callers(in->sim);
	kvr_sim_add(in->sim, KVR_ID_ROUTER, &kvr_router_spec);
	kvr_sim_add(in->sim, KVR_ID_TRANSFER, &kvr_transfer_spec);
	kvr_sim_add(in->sim, KVR_ID_METRICS, &kvr_metrics_spec);
	for (uint32_t t = 0; t < in->router.n_tiers; t++) {
		kvr_sim_add(in->sim, KVR_ID_TIER_OF(t), &kvr_tier_spec);
		for (uint32_t l = 0; l < in->tier[t].n_links; l++)
			kvr_sim_add(in->sim, KVR_ID_LINK_OF(t, l), &kvr_link_spec);
	}
}

void
kvr_sim_instance_start(struct kvr_sim_instance *in)
{
	const struct kvr_metrics_config metrics = {
		.version = 1, .size = sizeof(metrics), .n_tiers = in->router.n_tiers
	};
	struct kvr_sim *sim = in->sim;

	kvr_sim_start(sim, KVR_ID_METRICS, &metrics, sizeof(metrics), 1);
	kvr_sim_start(sim, KVR_ID_TRANSFER, &in->transfer, sizeof(in->transfer), 2);
	kvr_sim_start(sim, KVR_ID_ROUTER, &in->router, sizeof(in->router), 3);
	for (uint32_t t = 0; t < in->router.n_tiers; t++) {
		in->link[t].places = in->tier[t].places;
		for (uint32_t l = 0; l < in->tier[t].n_links; l++) {
			in->link[t].lane = l;
			kvr_sim_start(
			    sim, KVR_ID_LINK_OF(t, l), &in->link[t], sizeof(in->link[t]), l);
		}
		kvr_sim_start(sim, KVR_ID_TIER_OF(t), &in->tier[t], sizeof(in->tier[t]), t);
	}
}

void
kvr_sim_instance_stop(struct kvr_sim_instance *in, bool drain)
{
	struct kvr_msg msg = { .type = KVR_MSG_STOP, .from = KVR_ID_API };

	msg.STOP.drain = drain;
	kvr_sim_post(in->sim, KVR_ID_ROUTER, &msg);
}

void
kvr_sim_instance_close(struct kvr_sim_instance *in)
{
	kvr_sim_verify(in->sim);
	kvr_sim_free(in->sim);
	in->sim = NULL;
}

bool
kvr_sim_instance_is_up(const struct kvr_sim_instance *in)
{
	for (uint32_t t = 0; t < in->router.n_tiers; t++) {
		const struct tier *tier = kvr_sim_actor(in->sim, KVR_ID_TIER_OF(t))->self;

		if (tier->state != KVR_TIER_UP || tier->links_up != tier->config.n_links ||
		    tier->health.shut)
			return false;
	}
	return true;
}
