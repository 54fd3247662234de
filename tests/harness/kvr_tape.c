/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tape.h"

#include "kvr_sim_own.h"

#include <string.h>

static uint32_t
actors_of(const struct kvr_sim *sim, const struct kvr_actor **ret)
{
	uint32_t n = 0;

	for (uint16_t id = 0; id < KVR_ID_N; id++) {
		if (sim->decider[id].present)
			ret[n++] = &sim->decider[id].actor;
	}
	return n;
}

bool
kvr_tape_open(struct kvr_tape *t, struct kvr_sim *sim, uint64_t ring_bytes, const char *instance)
{
	const struct kvr_trace_options options = {
		.dir = "none", .size = ring_bytes, .instance = instance
	};
	const struct kvr_actor *actors[KVR_ID_N];
	char why[256] = "";

	if (kvr_trace_open(&options, &t->trace, why, sizeof(why)) != KVR_OK)
		return false;
	uint32_t n = actors_of(sim, actors);

	kvr_trace_actors(t->trace, actors, n);
	return true;
}

void
kvr_tape_before(struct kvr_tape *t, const struct kvr_event *ev)
{
	t->running = *ev;
	if (t->trace == NULL || !kvr_trace_wants_rows(&ev->msg))
		return;
	KVR_CHECK(ev->msg.n_rows <= KVR_SLICE_KEYS);
	memcpy(t->rows, ev->rows, ev->msg.n_rows * sizeof(t->rows[0]));
	t->running.rows = t->rows;
}

void
kvr_tape_after(struct kvr_tape *t, struct kvr_sim *sim, const struct kvr_actor *a,
    uint32_t state_before, uint64_t digest, const struct kvr_out *out)
{
	const struct kvr_actor *actors[KVR_ID_N];

	if (t->trace == NULL)
		return;
	kvr_trace_step(t->trace, a, &t->running, state_before, digest, out);
	if (kvr_trace_wants_snapshot(t->trace)) {
		uint32_t n = actors_of(sim, actors);

		kvr_trace_snapshot(t->trace, actors, n, kvr_sim_now(sim));
	}
}
