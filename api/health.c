/* SPDX-License-Identifier: Apache-2.0 */
/* The state of an instance, and an estimate of how long a get would take. */
#include "kvr_health.h"

#include "kvr_canary.h"
#include "kvr_end.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_system.h"
#include "kvr_user_log.h"

#include "kvr_fit.h"

#include <stdio.h>
#include <string.h>

static bool
is_up(const struct kvr_tier_view *v)
{
	return v->state == KVR_TIER_UP;
}

static const char *
down_because(const struct kvr_tier_view *v)
{
	/* How long they hang is more than the words of a store that says nothing. */
	if (v->all_hang)
		return v->hang;
	return v->why[0] != '\0' ? v->why : "not connected yet";
}

/* A tier may be up and still not do its job. */
static void
ills(const struct kvr_tier_view *v, char *ret, size_t cap)
{
	if (v->refuses_puts)
		snprintf(ret, cap, "tier %s refuses puts: %s", v->name, v->why_puts);
	else if (v->hang[0] != '\0')
		snprintf(ret, cap, "tier %s: %s", v->name, v->hang);
	else if (v->away)
		snprintf(ret, cap, "tier %s, one node: %s", v->name, v->why_away);
	else if (v->canary_err != KVR_OK)
		snprintf(ret, cap, "tier %s: canary, %s: %s: %s", v->name,
		    kvr_canary_step_name(v->canary_step), kvr_err_name(v->canary_err),
		    v->why_canary);
	else if (v->full_len != 0)
		snprintf(ret, cap, "tier %s is full for values of %u bytes: %s", v->name,
		    v->full_len, v->why_full);
}

/* The system exists until kvr_free, but after the end its answers are of no use. */
static uint32_t
look(struct kvr *k, struct kvr_tier_view *ret)
{
	uint32_t n = atomic_load(&k->life) == KVR_LIFE_OPEN && atomic_load(&k->dead) == 0
	                 ? kvr_system_tiers(k->system, ret, KVR_TIERS_MAX)
	                 : 0;

	return KVR_MIN(n, (uint32_t)KVR_TIERS_MAX);
}

bool
kvr_all_down(struct kvr *k)
{
	struct kvr_tier_view view[KVR_TIERS_MAX];
	uint32_t n = look(k, view);

	for (uint32_t t = 0; t < n; t++) {
		if (view[t].state != KVR_TIER_COOLING && view[t].state != KVR_TIER_CLOSED)
			return false;
	}
	return true;
}

enum kvr_err
kvr_health(struct kvr *k, struct kvr_health *ret)
{
	struct kvr_tier_view view[KVR_TIERS_MAX];
	enum kvr_err err = kvr_check_instance(k);

	if (err != KVR_OK)
		return err;
	if (ret == NULL || ret->size < offsetof(struct kvr_health, recompute))
		return kvr_bad(k, KVR_E_INVALID, "kvr_health: size of kvr_health is not set");
	struct kvr_health h = { .size = ret->size,
		.n_tiers = k->config->n_tiers,
		.in_flight = atomic_load(&k->n_flying),
		.not_quiet = kvr_call_not_quiet(k) };
	uint32_t n = look(k, view);
	char why[256] = "";

	for (uint32_t t = 0; t < n; t++) {
		if (is_up(&view[t]))
			h.n_up++;
		else if (why[0] == '\0')
			snprintf(why, sizeof(why), "tier %s: %s", view[t].name,
			    down_because(&view[t]));
	}
	for (uint32_t t = 0; t < n && why[0] == '\0'; t++)
		ills(&view[t], why, sizeof(why));
	kvr_fit(h.why, sizeof(h.why), why);
	if (atomic_load(&k->dead) != 0)
		snprintf(h.why, sizeof(h.why), "%s", kvr_err_text(KVR_E_DEAD));
	else if (atomic_load(&k->life) != KVR_LIFE_OPEN)
		snprintf(h.why, sizeof(h.why), "%s", kvr_err_text(KVR_E_SHUTDOWN));
	h.ok = h.why[0] == '\0' && h.n_up == h.n_tiers;
	h.recompute = k->config->flat && h.n_up < h.n_tiers &&
	              k->config->lmcache.fallback == KVR_CONFIG_RECOMPUTE;
	memcpy(ret, &h, KVR_MIN((size_t)ret->size, sizeof(h)));
	return KVR_OK;
}

/* ---- the pace of gets ---- */

enum { SMALL = 65536, WEIGHT = 8 /* a new sample counts for an eighth */ };

static void
average(_Atomic uint64_t *mean, uint64_t sample)
{
	uint64_t old = atomic_load_explicit(mean, memory_order_relaxed);
	uint64_t new = old == 0 ? sample : old - old / WEIGHT + sample / WEIGHT;

	atomic_store_explicit(mean, KVR_MAX(new, UINT64_C(1)), memory_order_relaxed);
}

/* Small answers measure the round trip, large ones the time per byte. */
void
kvr_pace_note(struct kvr *k, const struct kvr_call *c, const struct kvr_outcome *o)
{
	uint64_t took_ns = o->end_ns - c->since_ns;
	uint64_t rtt_ns = atomic_load_explicit(&k->pace.rtt_ns, memory_order_relaxed);

	if (c->kind == KVR_GET)
		atomic_fetch_sub(&k->pace.ahead, c->bytes);
	if (o->err == KVR_E_TIMEOUT || o->n_ok == 0 ||
	    (c->kind != KVR_GET && c->kind != KVR_LOOKUP && c->kind != KVR_SIZE))
		return;
	if (c->kind != KVR_GET || o->bytes <= SMALL) {
		average(&k->pace.rtt_ns, took_ns);
		return;
	}
	uint64_t move_ns = KVR_MAX(took_ns - KVR_MIN(rtt_ns, took_ns / 2), UINT64_C(1));
	__extension__ typedef unsigned __int128 wide;

	average(&k->pace.bytes_per_s, (uint64_t)((wide)o->bytes * UINT64_C(1000000000) / move_ns));
}

enum kvr_err
kvr_estimate(struct kvr *k, uint32_t n, uint64_t bytes, uint64_t *ret_ns)
{
	enum kvr_err err = kvr_enter(k);
	uint64_t rtt_ns, rate, ahead;

	if (err != KVR_OK)
		return err;
	if (ret_ns == NULL)
		err = kvr_bad(k, KVR_E_INVALID, "kvr_estimate: no place for the answer");
	else if (kvr_all_down(k))
		err = KVR_E_DOWN;
	rtt_ns = atomic_load(&k->pace.rtt_ns);
	rate = atomic_load(&k->pace.bytes_per_s);
	ahead = atomic_load(&k->pace.ahead);
	if (err == KVR_OK && ((rtt_ns == 0 && rate == 0) || (bytes > SMALL && rate == 0)))
		err = KVR_E_UNFINISHED;
	if (err == KVR_OK) {
		double move_ns =
		    rate == 0 ? 0 : ((double)bytes + (double)ahead) / (double)rate * 1e9;

		*ret_ns = n == 0 ? 0 : rtt_ns + (uint64_t)KVR_MIN(move_ns, 9e18);
	}
	kvr_leave(k);
	return err;
}
