/* SPDX-License-Identifier: Apache-2.0 */
/* Which decider an actor id stands for. */
#include "kvr_actors.h"

const struct kvr_spec *
kvr_spec_of(uint16_t id)
{
	if (id == KVR_ID_ROUTER)
		return &kvr_router_spec;
	if (id == KVR_ID_TRANSFER)
		return &kvr_transfer_spec;
	if (id == KVR_ID_METRICS)
		return &kvr_metrics_spec;
	if (id >= KVR_ID_TIER && id < KVR_ID_LINK)
		return &kvr_tier_spec;
	if (id >= KVR_ID_LINK && id < KVR_ID_WORKER)
		return &kvr_link_spec;
	return NULL;
}
