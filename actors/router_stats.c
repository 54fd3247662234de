/* SPDX-License-Identifier: Apache-2.0 */
/* What statistics show of the router, copied after each of its steps. */
#include "kvr_router_state.h"
#include "kvr_stats.h"

void
kvr_router_stats(const void *self, struct kvr_stats_router *ret)
{
	const struct router *me = self;

	if (me->magic != ROUTER_MAGIC)
		return;
	*ret = (struct kvr_stats_router){ .n_ops = me->n_ops,
		.n_parts = me->n_parts,
		.slot_pages = me->slot_pages,
		.n_slots = me->n_slots,
		.n_slots_free = me->n_slots_free,
		.n_slots_back = me->n_slots_back };
}
