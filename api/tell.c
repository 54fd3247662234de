/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller sees of an outcome: the sum, the store's words, and the result of each key. */
#include "kvr_call.h"

#include "kvr_instance.h"
#include "kvr_ledger.h"
#include "kvr_system.h"

#include <string.h>

/* For a miss, and for the caller's own end, a store's last words would be about another key. */
static bool
has_words(int32_t err)
{
	return kvr_err_blame(err) != KVR_BLAME_NONE || err == KVR_E_BUSY ||
	       err == KVR_E_UNSUPPORTED || err == KVR_E_PARTIAL;
}

/*
 * Puts and removes do not say which tier they were not given to, so find those that are not up, and
 * those that take no puts.
 */
static uint32_t
not_up(struct kvr *k, uint32_t kind)
{
	struct kvr_tier_view view[KVR_TIERS_MAX];
	uint32_t n = kvr_system_tiers(k->system, view, KVR_TIERS_MAX), bits = 0;

	for (uint32_t t = 0; t < KVR_MIN(n, (uint32_t)KVR_TIERS_MAX); t++) {
		bool asked = kind != KVR_PUT || k->config->tier[t].write != KVR_CONFIG_WRITE_NEVER;

		bool up = view[t].state == KVR_TIER_UP &&
		          !(kind == KVR_PUT && view[t].refuses_puts);

		bits |= !asked || up ? 0 : 1U << t;
	}
	return bits;
}

/* One of `tiers`; one of `first` if possible. */
static uint32_t
one_of(uint32_t tiers, uint32_t first)
{
	return (uint32_t)__builtin_ctz((tiers & first) != 0 ? tiers & first : tiers);
}

/*
 * tiers: those that were left out (DEGRADED), and those that had the call when its time was over.
 * What closed a tier may be long ago, but other words count only if they are from this operation's
 * time. A put that is a duplicate may have the outcome of an earlier one, so for it any words
 * count.
 */
static void
tell_why(struct kvr *k, const struct kvr_call *c, uint32_t tiers, struct kvr_done *d)
{
	bool left_out = tiers != 0 && (d->flags & KVR_DONE_DEGRADED) != 0;
	bool put = d->kind == KVR_PUT;
	bool partial = d->err == KVR_E_PARTIAL, down = d->err == KVR_E_DOWN;
	uint64_t since_ns = (d->flags & KVR_DONE_DUPLICATE) != 0 ? 0 : c->since_ns;
	uint32_t sick;

	if (d->err == KVR_OK || k->system == NULL)
		return;
	if (d->err == KVR_E_DEVICE) {
		kvr_system_device_why(k->system, d->why, sizeof(d->why));
	} else if (down && k->config->n_tiers == 1) {
		kvr_system_why(k->system, 0, put, d->why, sizeof(d->why));
	} else if (down && left_out) {
		kvr_system_left_out(
		    k->system, one_of(tiers, not_up(k, d->kind)), put, d->why, sizeof(d->why));
	} else if (has_words(d->err) &&
	           kvr_system_why_since(k->system, d->err, since_ns, d->why, sizeof(d->why))) {
		return;
	} else if (tiers != 0 && (partial || d->err == KVR_E_TIMEOUT)) {
		uint32_t first = left_out ? ~not_up(k, d->kind) : UINT32_MAX;

		kvr_system_late(
		    k->system, one_of(tiers, first), d->took_ns, d->why, sizeof(d->why));
	} else if ((partial || down) && (sick = not_up(k, d->kind)) != 0) {
		kvr_system_left_out(
		    k->system, (uint32_t)__builtin_ctz(sick), put, d->why, sizeof(d->why));
	}
}

/* For a get by layers; others have no layers. */
static void
tell_layers(struct kvr *k, const struct kvr_call *c, uint32_t place, struct kvr_results *res)
{
	if (res->size < sizeof(*res) || res->layers == NULL)
		return;
	for (uint32_t i = 0; i < c->n; i++)
		res->layers[place + i] = c->kind != KVR_GET || c->n_layers == 0
		                             ? 0
		                             : atomic_load_explicit(&k->ledger->places[c->first + i].landed,
		                                   memory_order_acquire);
}

static void
tell_keys(const struct kvr_row *row, uint32_t n, uint32_t place, struct kvr_results *res)
{
	for (uint32_t i = 0; i < n; i++) {
		if (res->err != NULL)
			res->err[place + i] = row[i].err;
		if (res->len != NULL)
			res->len[place + i] = row[i].len;
		if (res->tier != NULL)
			res->tier[place + i] =
			    row[i].where == KVR_NOWHERE ? KVR_NOWHERE_TIER : row[i].where;
	}
}

void
kvr_call_tell(struct kvr *k, const struct kvr_call *c, const struct kvr_outcome *o, uint32_t place,
    struct kvr_done *ret, struct kvr_results *res)
{
	const struct kvr_row *row = c->n > 0 ? &k->ledger->rows[o->row] : NULL;

	if (ret != NULL) {
		struct kvr_done d = { .size = sizeof(d),
			.kind = c->kind,
			.flags = o->flags & KVR_DONEB_ALL,
			.err = o->err,
			.op = kvr_call_op(c),
			.tag = c->tag,
			.bytes = o->bytes,
			.took_ns = o->end_ns - c->since_ns,
			.first = place,
			.n = c->n,
			.n_ok = o->n_ok,
			.prefix = o->prefix };

		tell_why(k, c, o->flags >> KVR_DONEB_TIERS, &d);
		d.size = ret->size;
		memcpy(ret, &d, sizeof(d));
	}
	if (res != NULL) {
		tell_keys(row, c->n, place, res);
		tell_layers(k, c, place, res);
	}
}
