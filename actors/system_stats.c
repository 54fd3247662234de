/* SPDX-License-Identifier: Apache-2.0 */
/* The page of statistics of an instance: its initial content, and how it is kept up to date. */
#include "kvr_system_own.h"

#include <stdio.h>
#include <unistd.h>

static void
fill_head(const struct kvr_system *sys, struct kvr_stats_head *h)
{
	const struct kvr_config *c = sys->opt.config;

	h->bytes = sizeof(struct kvr_stats);
	h->pid = (uint32_t)getpid();
	h->n_tiers = sys->n_tiers;
	h->opened_mono_ns = kvr_now_ns();
	h->opened_real_ns = kvr_real_now_ns();
	h->rank = c->engine.worker_id;
	const char *build = sys->opt.build == NULL ? "" : sys->opt.build, *blank = strrchr(build, ' ');

	snprintf(h->version_text, sizeof(h->version_text), "%s", blank == NULL ? build : blank + 1);
	snprintf(h->instance, sizeof(h->instance), "%s", sys->instance);
	snprintf(h->model, sizeof(h->model), "%s", c->engine.model == NULL ? "" : c->engine.model);
	snprintf(h->listen, sizeof(h->listen), "%s",
	    c->metrics.listen == NULL ? "" : c->metrics.listen);
	snprintf(h->trace, sizeof(h->trace), "%s", kvr_trace_path(sys->trace));
	for (uint32_t t = 0; t < sys->n_tiers; t++) {
		char url[512];

		kvr_config_redact(c->tier[t].url, url, sizeof(url));
		snprintf(h->tier[t].name, sizeof(h->tier[t].name), "%s", c->tier[t].name);
		snprintf(h->tier[t].url, sizeof(h->tier[t].url), "%.150s", url);
		h->tier[t].format = c->tier[t].format;
		h->tier[t].write = c->tier[t].write;
	}
	h->canary_ns = sys->opt.canary ? c->metrics.canary_ns : 0;
	h->version = KVR_STATS_VERSION;
	/* Last: a reader that sees it sees the rest. */
	atomic_store_explicit((_Atomic uint64_t *)&h->magic, KVR_STATS_MAGIC, memory_order_release);
}

enum kvr_err
kvr_system_stats_open(struct kvr_system *sys)
{
	const char *dir = sys->opt.config->trace.dir;
	char why[400];
	enum kvr_err err =
	    kvr_page_open(dir, sys->instance, sizeof(struct kvr_stats), &sys->page, why, sizeof(why));

	if (err != KVR_OK)
		return err;
	if (why[0] != '\0')
		kvr_log_at(sys->opt.log, NULL, WARN, 0,
		    "kvrelay ps and top will not see this instance: %s", why);
	sys->stats = sys->page.at;
	fill_head(sys, &sys->stats->head);
	for (uint32_t t = 0; t < sys->n_tiers; t++)
		sys->tier[t].words.shown = sys->stats->words[t];
	return KVR_OK;
}

static void
after_tier(struct kvr_system *sys, const struct kvr_actor *a, uint32_t tier)
{
	struct kvr_stats_tier *t = &sys->stats->tier[tier];
	uint32_t n_stuck = t->n_stuck;

	kvr_tier_stats(a->self, t);
	if (t->n_stuck != n_stuck)
		kvr_system_hang(sys, tier);
}

/* Runs after every step, so it does as little as possible. */
void
kvr_system_after(void *arg, const struct kvr_actor *a)
{
	struct kvr_system *sys = arg;

	if (a->id >= KVR_ID_TIER && a->id < KVR_ID_LINK)
		after_tier(sys, a, a->id - (uint32_t)KVR_ID_TIER);
	else if (a->id == KVR_ID_ROUTER)
		kvr_router_stats(a->self, &sys->stats->router);
}

struct copy {
	const struct kvr_stats *from;
	struct kvr_stats *to;
};

/* Only tiers that exist: unused ones have most of the bytes. */
static void
copy_all(void *arg, const struct kvr_actor *metrics)
{
	const struct copy *c = arg;
	uint32_t n = c->from->head.n_tiers;
	const struct kvr_metrics_state *from = metrics->self;

	c->to->router = c->from->router;
	memcpy(c->to->tier, c->from->tier, n * sizeof(c->to->tier[0]));
	memcpy(&c->to->metrics, from, offsetof(struct kvr_metrics_state, tier));
	memcpy(c->to->metrics.tier, from->tier, n * sizeof(from->tier[0]));
}

void
kvr_system_stats(struct kvr_system *sys, struct kvr_stats *ret)
{
	struct copy c = { .from = sys->stats, .to = ret };

	ret->head = sys->stats->head;
	atomic_store(&ret->dead, atomic_load(&sys->stats->dead));
	for (uint32_t t = 0; t < sys->n_tiers; t++)
		for (uint32_t of = 0; of < KVR_WORDS_N; of++)
			kvr_words_kept(&sys->tier[t].words, (enum kvr_words_of)of,
			    ret->words[t][of].text, sizeof(ret->words[t][of].text));
	kvr_domain_look(sys->domain, copy_all, &c, KVR_ID_METRICS);
}

void
kvr_system_show_dead(struct kvr_system *sys)
{
	atomic_store(&sys->stats->dead, 1);
}
