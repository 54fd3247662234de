/* SPDX-License-Identifier: Apache-2.0 */
/* Opens an instance from its configuration, in order of dependence, and closes it in reverse. */
#include "kvr_system_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns how many do not end by then; only a driver can hang. */
static uint32_t
stop_threads(struct kvr_system *sys, uint64_t until_ns)
{
	uint32_t stuck = 0;

	if (sys->domain != NULL)
		kvr_domain_stop(sys->domain);
	/* All are told before any is joined: on a busy machine each must wait for a processor. */
	for (uint32_t i = 0; i < KVR_SERDE_MAX; i++) {
		if (sys->serde[i] != NULL)
			kvr_hand_end(sys->serde[i]);
	}
	for (uint32_t i = 0; i < KVR_SERDE_MAX; i++) {
		if (sys->serde[i] != NULL)
			kvr_hand_join(sys->serde[i]);
		sys->serde[i] = NULL;
	}
	if (sys->copy != NULL) {
		sys->copy_stuck = kvr_copy_join(sys->copy, until_ns) != KVR_OK;
		if (!sys->copy_stuck)
			sys->copy = NULL;
		else
			stuck++;
	}
	return stuck;
}

/* Without a file for its trace the instance runs; this line tells people why there is none. */
static enum kvr_err
open_trace(struct kvr_system *sys)
{
	const struct kvr_config *c = sys->opt.config;
	char why[400] = "";
	const struct kvr_trace_options opt = { .dir = c->trace.dir,
		.size = c->trace.size_bytes,
		.keep = c->trace.keep,
		.instance = sys->instance,
		.build = sys->opt.build,
		.config = sys->opt.config_text,
		.config_len = sys->opt.config_text == NULL ? 0 : strlen(sys->opt.config_text) };

	enum kvr_err err = kvr_trace_open(&opt, &sys->trace, why, sizeof(why));

	if (err == KVR_OK && why[0] != '\0')
		kvr_log_at(sys->opt.log, NULL, WARN, 0, "the trace is %s: %s",
		    kvr_trace_path(sys->trace)[0] == '\0' ? "in memory only, and ends with the process"
		                                          : "shorter than trace.size",
		    why);
	return err;
}

static enum kvr_err
open_domain(struct kvr_system *sys)
{
	const struct kvr_domain_options opt = { .name = sys->instance,
		.ledger = sys->opt.ledger,
		.trace = sys->trace,
		.texts = sys->opt.config->trace.keys,
		.outside = sys->opt.outside,
		.watch = kvr_system_watch,
		.after = kvr_system_after,
		.arg = sys->opt.arg,
		.watch_arg = sys,
		.poison = sys->opt.config->on_panic == KVR_CONFIG_PANIC_POISON };
	enum kvr_err err = kvr_domain_open(&opt, &sys->domain);

	if (err != KVR_OK)
		return err;
	sys->work = (struct kvr_work){ .instance = sys->instance,
		.ledger = sys->opt.ledger,
		.domain = sys->domain,
		.log = sys->opt.log,
		.device = sys->opt.device,
		.device_number = sys->opt.device_number };
	return kvr_system_add_deciders(sys);
}

static enum kvr_err
start_workers(struct kvr_system *sys)
{
	enum kvr_err err = kvr_copy_start(&sys->work, &sys->device_words, &sys->copy);
	uint32_t n_serde = kvr_config_serde_threads(sys->opt.config);

	for (uint32_t i = 0; i < n_serde && err == KVR_OK; i++)
		err = kvr_serde_start(&sys->work, i, &sys->serde[i]);
	for (uint32_t t = 0; t < sys->n_tiers && err == KVR_OK; t++)
		err = kvr_system_tier_lanes(sys, t);
	return err;
}

/* Lanes end when they are told to hang up. The deciders do that; without deciders we must. */
static void
hang_up_lanes(struct kvr_system *sys)
{
	for (uint32_t t = 0; t < sys->n_tiers; t++) {
		for (uint32_t l = 0; l < KVR_LANES_MAX; l++) {
			if (sys->tier[t].lane[l] != NULL)
				kvr_lane_end(sys->tier[t].lane[l]);
		}
	}
}

static enum kvr_err
open_all(struct kvr_system *sys, char *why, size_t why_cap)
{
	enum kvr_err err = KVR_OK;

	for (uint32_t t = 0; t < sys->n_tiers; t++) {
		err = kvr_system_tier_open(sys, t, why, why_cap);
		if (err != KVR_OK)
			return err;
	}
	err = open_trace(sys);
	if (err == KVR_OK)
		err = kvr_system_stats_open(sys);
	if (err == KVR_OK)
		err = open_domain(sys);
	if (err == KVR_OK)
		err = start_workers(sys);
	if (err == KVR_OK)
		err = kvr_domain_start(sys->domain);
	if (err == KVR_OK)
		err = kvr_system_start_deciders(sys);
	if (err == KVR_OK)
		sys->started = true;
	else if (sys->domain != NULL && kvr_domain_dead(sys->domain))
		snprintf(why, why_cap, "an invariant broke: %s", kvr_domain_why(sys->domain));
	else if (why_cap > 0 && why[0] == '\0')
		snprintf(why, why_cap, "threads, memory or queues: %s", kvr_err_text(err));
	return err;
}

enum kvr_err
kvr_system_open(
    const struct kvr_system_options *opt, struct kvr_system **ret, char *why, size_t why_cap)
{
	struct kvr_system *sys = calloc(1, sizeof(*sys));

	if (why_cap > 0)
		why[0] = '\0';
	if (sys == NULL)
		return KVR_E_NOMEM;
	KVR_CHECK(pthread_mutex_init(&sys->device_words.lock, NULL) == 0);
	sys->opt = *opt;
	sys->n_tiers = opt->config->n_tiers;
	snprintf(sys->instance, sizeof(sys->instance), "%s", opt->instance);
	enum kvr_err err = open_all(sys, why, why_cap);

	if (err != KVR_OK) {
		kvr_system_join(sys, UINT64_MAX);
		kvr_system_free(sys);
		return err;
	}
	*ret = sys;
	return KVR_OK;
}

enum kvr_err
kvr_system_post(struct kvr_system *sys, const struct kvr_msg *msg)
{
	return kvr_domain_post(sys->domain, msg);
}

uint32_t
kvr_system_join(struct kvr_system *sys, uint64_t until_ns)
{
	uint32_t stuck = 0;

	/*
	 * If the wait for STOPPED was given up, deciders may still live. They must not hear of
	 * lanes that end unasked, which breaks an invariant of theirs; after STOPPED this changes
	 * nothing.
	 */
	if (sys->domain != NULL)
		kvr_domain_stop(sys->domain);
	hang_up_lanes(sys);
	/* All are told before any is waited for: one that hangs must not use up the others' time. */
	if (sys->copy != NULL)
		kvr_copy_end(sys->copy);
	for (uint32_t t = 0; t < sys->n_tiers; t++)
		stuck += kvr_system_tier_join(sys, t, until_ns);
	/* A lane that is merely late may still post to the domain. */
	return stuck == 0 ? stop_threads(sys, until_ns) : stuck;
}

void
kvr_system_leave(struct kvr_system *take)
{
	if (take->left)
		return;
	take->left = true;
	for (uint32_t t = 0; t < take->n_tiers; t++) {
		for (uint32_t l = 0; l < KVR_LANES_MAX; l++) {
			if (take->tier[t].lane[l] != NULL)
				kvr_lane_leave(take->tier[t].lane[l]);
		}
	}
	/* It was told to end; nobody joins it any more, whether it hangs or not. */
	if (take->copy != NULL)
		kvr_copy_leave(take->copy);
}

/*
 * If a lane is stuck below its store, or the copy worker below its driver, everything that it may
 * still reach stays: the store, the domain that it answers, the ledger whose rows it writes. The
 * facade keeps the ledger then.
 */
void
kvr_system_free(struct kvr_system *take)
{
	if (take == NULL)
		return;
	for (uint32_t t = 0; t < take->n_tiers; t++) {
		for (uint32_t l = 0; l < KVR_LANES_MAX; l++) {
			if (take->tier[t].lane[l] != NULL)
				return;
		}
	}
	if (take->copy_stuck || stop_threads(take, UINT64_MAX) > 0)
		return;
	for (uint32_t t = 0; t < take->n_tiers; t++)
		kvr_system_tier_close(take, t);
	if (take->domain != NULL)
		kvr_domain_free(take->domain);
	kvr_page_close(&take->page);
	if (take->trace != NULL)
		kvr_trace_close(take->trace);
	pthread_mutex_destroy(&take->device_words.lock);
	free(take);
}
