/* SPDX-License-Identifier: Apache-2.0 */
/* kvrelay's gauges: what is now. A state is one series per value; the current one is 1. */
#include "kvr_stats_own.h"

static const char *const tier_state_name[KVR_TIER_STATES] = { "opening", "up", "cooling", "probing",
	"closed" };
static const char *const link_state_name[KVR_LINK_STATES] = { "down", "dialing", "half_open", "up",
	"closed" };
static const char *const lane_name[KVR_LANES_MAX] = { "0", "1", "2", "3", "4", "5", "6", "7", "8",
	"9", "10", "11", "12", "13", "14", "15" };

static void
gauge(struct kvr_stats_walk *x, const char *name, const char *help, uint64_t n)
{
	kvr_family(&x->w, name, "gauge", help);
	kvr_put_u64(&x->w, NULL, n);
}

static void
instance(struct kvr_stats_walk *x)
{
	const struct kvr_stats_head *h = &x->s->head;

	kvr_family(&x->w, "build_info", "gauge", "What runs here; always 1");
	kvr_put_u64(&x->w,
	    L({ "version", h->version_text }, { "instance", h->instance },
	        { "model", h->model }, { "role", x->more->role }),
	    1);
	kvr_family(&x->w, "start_time_seconds", "gauge", "When it was opened, since the epoch");
	kvr_put_micros(&x->w, NULL, h->opened_real_ns / 1000);
	gauge(x, "healthy",
	    "1: operations are taken, every tier is up, no lane hangs, every canary came back "
	    "whole",
	    x->more->healthy);
	gauge(x, "ready", "1: operations are taken, whatever the state of tiers", x->more->ready);
	gauge(x, "operations_in_flight", "Operations that are not complete", x->more->n_flying);
	gauge(x, "operations_unfinished",
	    "Operations that are not complete, or still write to a tier", x->s->router.n_ops);
	gauge(x, "puts_in_flight", "Keys that are being put", x->more->n_puts);
	gauge(x, "keys_not_quiet", "Keys whose memory is in use", x->more->not_quiet);
	gauge(x, "parts_in_flight", "Parts of operations on their way", x->s->router.n_parts);
}

static void
pools(struct kvr_stats_walk *x)
{
	const struct kvr_stats_router *r = &x->s->router;
	uint64_t slot = (uint64_t)r->slot_pages * KVR_PAGE;

	gauge(x, "staging_limit_bytes", "Most that values in transit may take",
	    x->more->staging_limit);
	gauge(x, "staging_used_bytes", "Slots that hold a value in transit",
	    (r->n_slots - r->n_slots_free) * slot);
	gauge(x, "staging_kept_bytes", "Of these, for what is written after the answer",
	    r->n_slots_back * slot);
	gauge(x, "objects_limit_bytes", "Most that objects of callers may take",
	    x->more->objects_limit);
	gauge(x, "objects_used_bytes", "Slots that they have", x->more->objects_bytes);
	gauge(x, "objects", "Objects that live", x->more->n_objects);
}

static void
queues(struct kvr_stats_walk *x)
{
	kvr_family(&x->w, "tier_queued_parts", "gauge", "Parts that wait for a lane");
	EACH_TIER(t)
	kvr_put_u64(&x->w, L(OF_TIER(t)), x->s->tier[t].n_queued);
	kvr_family(&x->w, "tier_queue_age_seconds", "gauge", "How long the oldest of them waits");
	EACH_TIER(t)
	{
		uint64_t at_ns = x->s->tier[t].oldest_ns, now_ns = x->more->now_ns;

		kvr_put_micros(&x->w, L(OF_TIER(t)),
		    at_ns == 0 || at_ns > now_ns ? 0 : (now_ns - at_ns) / 1000);
	}
	kvr_family(&x->w, "tier_parts_in_lanes", "gauge", "Parts that lanes hold");
	EACH_TIER(t)
	kvr_put_u64(&x->w, L(OF_TIER(t)), x->s->tier[t].n_in_lanes);
	kvr_family(&x->w, "tier_lane_bytes", "gauge", "Payload bytes of these");
	EACH_TIER(t)
	kvr_put_u64(&x->w, L(OF_TIER(t)), x->s->tier[t].bytes);
}

static void
tier_states(struct kvr_stats_walk *x)
{
	kvr_family(&x->w, "tier_state", "gauge",
	    "1 for the state of the tier's breaker: closed is up, open is cooling, half open is "
	    "probing");
	EACH_TIER(t)
	for (uint32_t i = 0; i < KVR_TIER_STATES; i++)
		kvr_put_u64(&x->w, L(OF_TIER(t), { "state", tier_state_name[i] }),
		    x->s->metrics.tier[t].state == i);
	kvr_family(&x->w, "tier_state_entered", "counter", "Times that state was entered");
	EACH_TIER(t)
	for (uint32_t i = 0; i < KVR_TIER_STATES; i++)
		kvr_put_u64(&x->w, L(OF_TIER(t), { "state", tier_state_name[i] }),
		    x->s->metrics.tier[t].entered[i]);
	kvr_family(&x->w, "tier_links_up", "gauge", "Connections that are up");
	EACH_TIER(t)
	kvr_put_u64(&x->w, L(OF_TIER(t)), x->s->metrics.tier[t].links_up);
	kvr_family(&x->w, "tier_unverified", "gauge",
	    "1: its format has no checksum, so what it gives is not verified");
	EACH_TIER(t)
	kvr_put_u64(&x->w, L(OF_TIER(t)),
	    x->config->tier[t].format != KVR_CONFIG_FORMAT_SEALED);
}

static void
lanes(struct kvr_stats_walk *x)
{
	kvr_family(&x->w, "lane_state", "gauge", "1 for the state of the connection");
	EACH_TIER(t)
	for (uint32_t l = 0; l < x->s->tier[t].n_lanes; l++)
		for (uint32_t i = 0; i < KVR_LINK_STATES; i++)
			kvr_put_u64(&x->w,
			    L(OF_TIER(t), { "lane", lane_name[l] },
			        { "state", link_state_name[i] }),
			    x->s->tier[t].lane[l].state == i);
	kvr_family(&x->w, "lane_parts", "gauge", "Parts that the lane holds");
	EACH_TIER(t)
	for (uint32_t l = 0; l < x->s->tier[t].n_lanes; l++)
		kvr_put_u64(&x->w, L(OF_TIER(t), { "lane", lane_name[l] }),
		    x->s->tier[t].lane[l].n_parts);
	kvr_family(&x->w, "lane_stuck", "gauge", "1: its thread hangs below the library");
	EACH_TIER(t)
	for (uint32_t l = 0; l < x->s->tier[t].n_lanes; l++)
		kvr_put_u64(&x->w, L(OF_TIER(t), { "lane", lane_name[l] }),
		    x->s->tier[t].lane[l].stuck);
}

static void
canaries(struct kvr_stats_walk *x)
{
	kvr_family(&x->w, "canary_ok", "gauge",
	    "1: the tier's last canary came back whole, or there is none");
	EACH_TIER(t)
	kvr_put_u64(&x->w, L(OF_TIER(t)), x->s->metrics.tier[t].canary.err == KVR_OK);
	kvr_family(&x->w, "canary_runs", "counter",
	    "Values that were written, read, compared and deleted to see whether a tier works");
	EACH_TIER(t)
	{
		const struct kvr_metrics_canary *c = &x->s->metrics.tier[t].canary;

		kvr_put_u64(&x->w, L(OF_TIER(t), { "result", "ok" }), c->ok);
		kvr_put_u64(&x->w, L(OF_TIER(t), { "result", "failed" }), c->failed);
	}
	kvr_family(&x->w, "canary_seconds", "gauge", "How long the last one took");
	EACH_TIER(t)
	kvr_put_micros(&x->w, L(OF_TIER(t)), x->s->metrics.tier[t].canary.took_us);
}

void
kvr_stats_now(struct kvr_stats_walk *x)
{
	instance(x);
	pools(x);
	tier_states(x);
	queues(x);
	lanes(x);
	canaries(x);
}
