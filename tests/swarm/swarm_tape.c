/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run is recorded as an instance records itself, and replayed from nothing but that: what the
 * trace says must be the whole input of the deciders, whatever they went through.
 */
#include "kvr_swarm.h"

#include "kvr_replay.h"
#include "kvr_sim_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A ring that did not come round is as good with its unwritten end cut off, and sooner copied. */
static struct kvr_trace_view *
view_of(const struct swarm *s)
{
	uint64_t len = 0;
	const struct kvr_trace_head *head = kvr_trace_bytes(s->tape.trace, &len);
	struct kvr_trace_view *view = NULL;
	char why[256] = "";
	uint64_t used = KVR_MAX((head->written + 63) / 64 * 64, (uint64_t)KVR_PAGE);
	struct kvr_trace_head *cut = NULL;

	if (used < head->ring_bytes) {
		len = head->head_bytes + used;
		cut = malloc(len);
		KVR_CHECK(cut != NULL);
		memcpy(cut, head, len);
		cut->ring_bytes = used;
	}
	enum kvr_err err =
	    kvr_trace_view_copy(cut == NULL ? head : cut, len, &view, why, sizeof(why));

	free(cut);
	if (err != KVR_OK)
		swarm_broken(s, "trace: %s", why);
	return view;
}

void
swarm_tape_replay(struct swarm *s)
{
	struct kvr_trace_view *view = view_of(s);
	struct kvr_replay *replay = NULL;
	struct kvr_replay_diff diff = { .text = "" };
	char why[256] = "";
	uint64_t n = 0;

	if (kvr_trace_view_tail(view)[0] != '\0')
		swarm_broken(s, "trace: %s", kvr_trace_view_tail(view));
	if (kvr_replay_open(view, kvr_spec_of, false, &replay, why, sizeof(why)) != KVR_OK)
		swarm_broken(s, "trace: %s", why);
	const struct kvr_trace_head *head = kvr_trace_view_head(view);
	enum kvr_err err = kvr_replay_all(replay, &n, &diff);
	/* A ring whose half is too small for the states has lost its beginning for good; also when
	 * they were small enough for a snapshot once, which has been written over since. */
	bool lost = head->written > head->ring_bytes &&
	            (head->snapshot == UINT64_MAX || head->snapshot < head->oldest);

	if (err != KVR_OK && !(err == KVR_E_MISS && lost))
		swarm_broken(s, "replay: %s: %s", kvr_err_name(err), diff.text);
	if (head->written <= head->ring_bytes && n != kvr_sim_steps(s->in.sim))
		swarm_broken(s, "the trace lacks steps");
	kvr_replay_free(replay);
	kvr_trace_view_free(view);
}

bool
swarm_tape_keep(struct swarm *s, const char *path, const char *why)
{
	struct kvr_tape *t = &s->tape;

	if (t->trace == NULL)
		return false;
	if (s->in_step) {
		const struct kvr_actor *a = &s->in.sim->decider[t->running.msg.to].actor;

		kvr_trace_broken(t->trace, a, &t->running, a->state, s->in.sim->steps, why);
	}
	return kvr_trace_save(t->trace, path);
}

void
swarm_tape_close(struct swarm *s)
{
	kvr_trace_close(s->tape.trace);
	s->tape.trace = NULL;
}
