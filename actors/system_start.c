/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of each decider, as plain data in the rows of its START: so the trace has all
 * that a decider knows of the deployment.
 */
#include "kvr_system_own.h"

#include <string.h>
#include <sys/random.h>

enum { FAULTS_DEFAULT = 5 };
static const uint64_t background_ns = KVR_SEC(60), grace_ns = KVR_MS(2), stuck_ns = KVR_SEC(2);

/* One random number per instance; from it deciders get their seeds, in the order of START. */
static uint64_t
entropy(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = kvr_now_ns();
	return seed;
}

enum kvr_err
kvr_system_add_deciders(struct kvr_system *sys)
{
	enum kvr_err err = kvr_domain_add(sys->domain, KVR_ID_ROUTER, &kvr_router_spec);

	if (err == KVR_OK)
		err = kvr_domain_add(sys->domain, KVR_ID_TRANSFER, &kvr_transfer_spec);
	if (err == KVR_OK)
		err = kvr_domain_add_at(
		    sys->domain, KVR_ID_METRICS, &kvr_metrics_spec, &sys->stats->metrics);
	for (uint32_t t = 0; t < sys->n_tiers && err == KVR_OK; t++) {
		err = kvr_domain_add(sys->domain, KVR_ID_TIER_OF(t), &kvr_tier_spec);
		for (uint32_t l = 0; l < sys->tier[t].n_lanes && err == KVR_OK; l++)
			err = kvr_domain_add(sys->domain, KVR_ID_LINK_OF(t, l), &kvr_link_spec);
	}
	return err;
}

/* Rows for START: every actor gets its own, because it is not known when the last ones are read. */
struct starter {
	struct kvr_system *sys;
	uint32_t           row;
	uint64_t           seed;
};

static enum kvr_err
start(struct starter *s, uint16_t to, const void *config, size_t len, uint16_t n_rows)
{
	struct kvr_row *rows = &s->sys->opt.ledger->rows[s->row];
	struct kvr_msg m = { .type = KVR_MSG_START, .to = to, .n_rows = n_rows, .rows = s->row };

	KVR_CHECK(s->row + n_rows <= KVR_ROWS_MAX);
	memset(rows, 0, n_rows * sizeof(*rows));
	memcpy(rows, config, len);
	s->row += n_rows;
	m.START.seed = kvr_rand(&s->seed);
	return kvr_domain_post(s->sys->domain, &m);
}

static enum kvr_err
start_link(struct starter *s, uint32_t tier, uint32_t lane)
{
	const struct kvr_link_config c = { .version = 1, .size = sizeof(c), .tier = tier, .lane = lane,
		.places = KVR_LANE_PLACES, .connect_ns = s->sys->opt.config->timeouts.connect_ns,
		.stuck_ns = stuck_ns };

	return start(s, KVR_ID_LINK_OF(tier, lane), &c, sizeof(c), KVR_CONFIG_ROWS(c));
}

static uint64_t
long_bytes_of(const struct system_tier *t)
{
	return kvr_store_caps(t->ops, t->store) & KVR_CAP(WINDOW) ? KVR_LONG_BYTES : 0;
}

static enum kvr_err
start_tier(struct starter *s, uint32_t tier)
{
	const struct kvr_config *all = s->sys->opt.config;
	const struct system_tier *t = &s->sys->tier[tier];
	/* A long part must wait in its class, where a more urgent one may pass it, not in a lane. */
	uint64_t lane_bytes = KVR_MAX((uint64_t)KVR_LANE_PLACES * KVR_PART_BYTES, long_bytes_of(t));
	struct kvr_tier_config c = { .version = 1, .size = sizeof(c), .tier = tier,
		.n_links = t->n_lanes, .n_control = t->n_control, .places = KVR_LANE_PLACES,
		.budget_bytes = t->n_lanes * lane_bytes,
		.faults = t->config->breaker.faults, .backoff_min_ns = t->config->breaker.backoff_min_ns,
		.backoff_max_ns = t->config->breaker.backoff_max_ns,
		.connect_ns = all->timeouts.connect_ns };

	if (c.faults == 0)
		c.faults = FAULTS_DEFAULT;
	if (all->flat) {
		c.ping_ns = c.health_ns = all->lmcache.ping_interval_ns;
		c.health_ping_ns = all->lmcache.ping_timeout_ns;
		c.health_wait_ns = all->lmcache.waiting_time_for_recovery_ns;
		c.health_failed = KVR_MAX(all->lmcache.get_blocking_failed_threshold, 1U);
	}
	/* If they are equal, that is LMCache's rule: attempts at a fixed interval, 10 s there. */
	c.fixed_backoff = c.backoff_min_ns == c.backoff_max_ns;
	c.seed = kvr_rand(&s->seed);
	return start(s, KVR_ID_TIER_OF(tier), &c, sizeof(c), KVR_CONFIG_ROWS(c));
}

/* The number stored in sealed values; kivi stores payloads unencoded. */
static uint32_t
serde_id(uint32_t serde)
{
	switch (serde) {
	case KVR_CONFIG_SERDE_ZSTD:
		return KVR_SERDE_ZSTD;
	case KVR_CONFIG_SERDE_PLANES:
		return KVR_SERDE_PLANES;
	default:
		return KVR_SERDE_NAIVE;
	}
}

static void
router_tier(const struct kvr_system *sys, uint32_t number, struct kvr_router_tier *ret)
{
	const struct system_tier *t = &sys->tier[number];
	const struct kvr_config_tier *c = t->config;

	ret->timeout_ns = c->timeout_ns;
	ret->serde = serde_id(c->serde);
	ret->write = c->write == KVR_CONFIG_WRITE_THROUGH ? KVR_WRITE_THROUGH :
	    c->write == KVR_CONFIG_WRITE_BACK ? KVR_WRITE_BACK : KVR_WRITE_NEVER;
	/* A tier that is never written gets no promotions either. */
	ret->promote = c->promote.on == KVR_CONFIG_PROMOTE_HIT && c->write != KVR_CONFIG_WRITE_NEVER &&
	    number + 1 < sys->n_tiers;
	ret->promote_after = (uint8_t)KVR_MIN(c->promote.after, 255U);
	ret->give_up = kvr_store_caps(t->ops, t->store) & KVR_CAP(GIVE_UP) ? 1 : 0;
	ret->bulk_lanes = c->lanes.bulk;
	ret->long_bytes = long_bytes_of(t);
}

static enum kvr_err
start_router(struct starter *s)
{
	const struct kvr_config *all = s->sys->opt.config;
	uint64_t slot = all->memory.slot_bytes != 0 ? all->memory.slot_bytes : s->sys->opt.slot_bytes;
	struct kvr_router_config c = { .version = 1, .size = sizeof(c), .n_tiers = s->sys->n_tiers,
		.staging_pages = (uint32_t)(s->sys->opt.ledger->staging_bytes / KVR_PAGE),
		.slot_pages = (uint32_t)((slot + KVR_PAGE - 1) / KVR_PAGE), .background_ns = background_ns,
		.grace_ns = grace_ns };

	if (c.slot_pages > c.staging_pages)
		c.slot_pages = c.staging_pages;
	for (uint32_t t = 0; t < s->sys->n_tiers; t++)
		router_tier(s->sys, t, &c.tier[t]);
	return start(s, KVR_ID_ROUTER, &c, sizeof(c), KVR_CONFIG_ROWS(c));
}

/* A tier that starts dials and reports at once, so its links, the router and metrics go first. */
enum kvr_err
kvr_system_start_deciders(struct kvr_system *sys)
{
	struct starter s = { .sys = sys, .row = KVR_ROWS_CONFIG, .seed = entropy() };
	const struct kvr_transfer_config transfer = { .version = 1, .size = sizeof(transfer),
		.places = KVR_COPY_PLACES, .n_serde = sys->opt.config->serde.threads,
		.budget_bytes = KVR_COPY_PLACES * (uint64_t)KVR_PART_BYTES };
	struct kvr_metrics_config metrics = { .version = 1, .size = sizeof(metrics),
		.n_tiers = sys->n_tiers };

	metrics.n_bounds = kvr_config_bounds(sys->opt.config, metrics.bound_us);
	metrics.canary_ns = sys->opt.canary ? sys->opt.config->metrics.canary_ns : 0;
	/* A tier that is never written has no canary: nothing of ours may go there. */
	for (uint32_t t = 0; t < sys->n_tiers; t++) {
		if (sys->opt.config->tier[t].write != KVR_CONFIG_WRITE_NEVER)
			metrics.canary_tiers |= 1U << t;
	}
	enum kvr_err err =
	    start(&s, KVR_ID_METRICS, &metrics, sizeof(metrics), KVR_CONFIG_ROWS(metrics));

	if (err == KVR_OK)
		err = start(&s, KVR_ID_TRANSFER, &transfer, sizeof(transfer), KVR_CONFIG_ROWS(transfer));
	if (err == KVR_OK)
		err = start_router(&s);
	for (uint32_t t = 0; t < sys->n_tiers && err == KVR_OK; t++) {
		for (uint32_t l = 0; l < sys->tier[t].n_lanes && err == KVR_OK; l++)
			err = start_link(&s, t, l);
		if (err == KVR_OK)
			err = start_tier(&s, t);
	}
	return err;
}
