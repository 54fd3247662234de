/* SPDX-License-Identifier: Apache-2.0 */
/* A run from its beginning to its end. */
#include "kvr_swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is_stopped(void *arg)
{
	const struct swarm *s = arg;

	return s->in.n_stopped == 1;
}

static void
begin(struct swarm *s, bool record)
{
	swarm_rules_watch(s);
	kvr_sim_instance_open(&s->in, &(struct kvr_sim_options){ .seed = s->plan.seed,
	                                  .hop_ns = s->plan.hop_ns,
	                                  .verify_every = 2048,
	                                  .transcript = s->show,
	                                  .watch = &s->watch });
	swarm_plan_faults(s);
	if (record && !kvr_tape_open(&s->tape, s->in.sim, s->plan.ring_bytes, "swarm"))
		swarm_broken(s, "no trace");
	kvr_sim_instance_start(&s->in);
	kvr_sim_run(s->in.sim, 1000); /* at 0 nothing is asked: 0 says never */
}

/* Longest time until everything is over: deadlines, write-back, a worker that is stuck. */
static uint64_t
patience(const struct swarm *s)
{
	return s->plan.patience_ns + s->in.router.background_ns + KVR_SEC(10);
}

static void
end(struct swarm *s)
{
	if (!kvr_sim_run_until(s->in.sim, kvr_sim_now(s->in.sim) + patience(s), is_stopped, s))
		swarm_broken(s, "stopped, and it does not come to an end");
	kvr_sim_run(s->in.sim, UINT64_MAX);
	if (kvr_sim_open(s->in.sim) != 0)
		swarm_broken(s, "stopped, and a call is still open");
	swarm_tables_empty(s);
	swarm_rules_end(s);
}

static void
keep_trace(struct swarm *s, const char *dir)
{
	char path[512];

	kvr_trace_mark(s->tape.trace, KVR_MARK_CLOSED, kvr_sim_now(s->in.sim), "");
	snprintf(path, sizeof(path), "%s/swarm-%llu.kvrt", dir, (unsigned long long)s->plan.seed);
	if (!swarm_tape_keep(s, path, ""))
		swarm_broken(s, "%s: cannot be written", path);
}

uint64_t
swarm_run(struct swarm *s, uint64_t seed, bool record, bool show, const char *keep)
{
	memset(s, 0, sizeof(*s));
	s->show = show;
	swarm_plan_draw(s, seed);
	begin(s, record);
	swarm_chaos(s);
	if (s->plan.stop == SWARM_GOES_ON) {
		swarm_plan_well(s);
		swarm_calm(s);
		kvr_sim_instance_stop(&s->in, true);
	}
	end(s);
	uint64_t digest = kvr_sim_digest(s->in.sim);

	if (show)
		fputs(kvr_sim_text(s->in.sim), stdout);
	if (record)
		swarm_tape_replay(s);
	if (record && keep != NULL)
		keep_trace(s, keep);
	swarm_tape_close(s);
	kvr_sim_free(s->in.sim); /* verified by the rules, while there was a trace to show it */
	s->in.sim = NULL;
	free(s->calls);
	s->calls = NULL;
	return digest;
}
