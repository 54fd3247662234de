/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All is well, and one call at a time is made: a model of the stores knows which keys are hits and
 * in which tier, what is in which store afterwards, and what was counted.
 */
#include "kvr_swarm.h"

#include "kvr_metrics_state.h"

#include <string.h>

enum { CALM_KEYS = 12 };

struct call {
	struct kvr_sim_ask ask;
	uint64_t names[CALM_KEYS];
	bool has[KVR_TIERS_MAX][CALM_KEYS]; /* before the call */
	int8_t err[CALM_KEYS];
	uint16_t where[CALM_KEYS];
	struct kvr_metrics_state before;
};

static uint64_t
draw(struct swarm *s, uint64_t min, uint64_t max)
{
	return min + kvr_sim_rand(s->in.sim, max - min + 1);
}

static uint32_t
tiers_with(const struct swarm *s, enum kvr_write_policy policy)
{
	uint32_t mask = 0;

	for (uint32_t t = 0; t < s->in.router.n_tiers; t++)
		mask |= s->in.router.tier[t].write == policy ? 1U << t : 0;
	return mask;
}

static uint32_t
promoting(const struct swarm *s)
{
	uint32_t mask = 0;

	for (uint32_t t = 0; t < s->in.router.n_tiers; t++)
		mask |= s->in.router.tier[t].promote ? 1U << t : 0;
	return mask;
}

/* The first of these tiers that has it; KVR_NOWHERE: none. */
static uint16_t
found_in(const struct swarm *s, const struct call *c, uint32_t key, uint32_t tiers)
{
	for (uint16_t t = 0; t < s->in.router.n_tiers; t++) {
		if (tiers >> t & 1 && c->has[t][key])
			return t;
	}
	return KVR_NOWHERE;
}

/* The first key of the call with this name: of a put the one that is written. */
static uint32_t
first_of(const struct call *c, uint32_t key)
{
	uint32_t i = 0;

	while (c->names[i] != c->names[key])
		i++;
	return i;
}

static bool
seen_before(const struct call *c, uint32_t key)
{
	return first_of(c, key) != key;
}

static int32_t
expect_put(const struct swarm *s, const struct call *c, uint32_t key)
{
	uint32_t through = tiers_with(s, KVR_WRITE_THROUGH), back = tiers_with(s, KVR_WRITE_BACK);
	uint32_t asked = through != 0 ? through : UINT32_MAX;

	if ((through | back) == 0)
		return KVR_E_UNSUPPORTED;
	if (c->ask.flags & KVR_OPF_DUP_ERROR && seen_before(c, key))
		return KVR_E_DUPLICATE;
	if (c->ask.flags & KVR_OPF_IF_ABSENT && found_in(s, c, key, asked) != KVR_NOWHERE)
		return KVR_E_EXISTS;
	return KVR_OK;
}

static void
expect(const struct swarm *s, struct call *c)
{
	for (uint32_t i = 0; i < c->ask.n; i++) {
		uint32_t first = c->ask.kind == KVR_OP_PREFETCH ? promoting(s) : 0;

		c->where[i] = found_in(s, c, i, first);
		if (c->where[i] == KVR_NOWHERE)
			c->where[i] = found_in(s, c, i, UINT32_MAX);
		c->err[i] = c->where[i] == KVR_NOWHERE ? KVR_E_MISS : KVR_OK;
		if (c->ask.kind == KVR_OP_PUT)
			c->err[i] = (int8_t)expect_put(s, c, i);
	}
}

/* Behind the first chunk that is not whole, when only the leading run was asked for. */
static bool
is_cut(const struct call *c, uint32_t key)
{
	for (uint32_t i = 0; i < key && c->ask.flags & KVR_OPF_PREFIX; i++) {
		if (c->err[i] != KVR_OK)
			return key / c->ask.per_chunk > i / c->ask.per_chunk;
	}
	return false;
}

/* ---- a call and what became of it ---- */

static void
look(struct swarm *s, struct call *c, bool has[KVR_TIERS_MAX][CALM_KEYS])
{
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		for (uint32_t i = 0; i < c->ask.n; i++)
			has[t][i] = kvr_sim_has(s->in.sim, t, c->names[i]) >= 0;
	}
}

static void
prepare(struct swarm *s, struct call *c)
{
	static const uint32_t flags[KVR_OP_N] = { [KVR_OP_LOOKUP] = KVR_OPF_PREFIX,
		[KVR_OP_GET] = KVR_OPF_PREFIX | KVR_OPF_AT_MOST | KVR_OPF_PAGED |
			KVR_OPF_RECORD | KVR_OPF_LAYERS,
		[KVR_OP_PUT] = KVR_OPF_IF_ABSENT | KVR_OPF_DUP_ERROR | KVR_OPF_PAGED |
			KVR_OPF_RECORD | KVR_OPF_LAYERS };
	uint64_t kind = draw(s, 0, KVR_OP_N - 1), n = draw(s, 1, CALM_KEYS);
	uint64_t per_chunk = draw(s, 1, 3), some = draw(s, 0, 2047),
	         name = draw(s, 0, SWARM_CALM_NAMES - 1), layers = draw(s, 1, 6),
	         layers_ms = draw(s, 0, 3) * 5;

	memset(c, 0, sizeof(*c));
	c->ask = (struct kvr_sim_ask){ .kind = (uint32_t)kind,
		.flags = (uint32_t)some & (flags[kind] | KVR_OPF_EARLY),
		.n = (uint32_t)n,
		.len = s->plan.len[0],
		.per_chunk = (uint32_t)per_chunk,
		.deadline_ns = kvr_sim_now(s->in.sim) + KVR_SEC(20),
		.layers = (uint32_t)layers,
		.layers_ns = KVR_MS(layers_ms),
		.names = c->names };
	if ((c->ask.flags & KVR_OPF_PAGED) == 0)
		c->ask.flags &= ~(uint32_t)KVR_OPF_LAYERS;
	for (uint32_t i = 0; i < n; i++) {
		c->names[i] = SWARM_CALM_NAME + (name + i) % SWARM_CALM_NAMES;
		if (kind == KVR_OP_PUT && i > 0 && draw(s, 0, 3) == 0)
			c->names[i] = c->names[i - 1];
	}
	look(s, c, c->has);
	memcpy(&c->before, kvr_sim_actor(s->in.sim, KVR_ID_METRICS)->self, sizeof(c->before));
	expect(s, c);
}

static void
check_rows(const struct swarm *s, const struct call *c, const struct kvr_sim_answer *a)
{
	uint32_t through = tiers_with(s, KVR_WRITE_THROUGH);

	for (uint32_t i = 0; i < a->n; i++) {
		const struct kvr_row *row = &a->rows[i];
		int32_t want = is_cut(c, i) ? KVR_E_UNASKED : c->err[i];
		bool hit = want == KVR_OK && c->ask.kind != KVR_OP_PUT;

		if (row->err != want)
			swarm_broken(s, "all is well; %s: key %u is %s, must be %s", swarm_name(a),
			    i, kvr_err_name(row->err), kvr_err_name(want));
		if (hit && c->ask.kind != KVR_OP_REMOVE && row->where != c->where[i])
			swarm_broken(s,
			    "all is well; %s: key %u is said to be in tier %u, is in %u",
			    swarm_name(a), i, row->where, c->where[i]);
		if (hit && (c->ask.kind == KVR_OP_GET || c->ask.kind == KVR_OP_SIZE) &&
		    row->len != c->ask.len)
			swarm_broken(
			    s, "all is well; %s: key %u has length %u", swarm_name(a), i, row->len);
		if (c->ask.kind == KVR_OP_PUT && want == KVR_OK && through != 0 &&
		    (row->where >= KVR_TIERS_MAX || (through >> row->where & 1) == 0))
			swarm_broken(s, "all is well; %s: key %u is said to be in tier %u",
			    swarm_name(a), i, row->where);
		if (c->ask.kind == KVR_OP_PUT && want != KVR_E_UNSUPPORTED &&
		    ((row->flags & KVR_ROW_DUP) != 0) != seen_before(c, i))
			swarm_broken(
			    s, "all is well; %s: key %u: a duplicate or not?", swarm_name(a), i);
	}
	if (a->done_bits & KVR_DONEB_DEGRADED)
		swarm_broken(s, "all is well, and an answer is degraded");
}

/* A hit in a slower tier; a prefetch is content with any of those that keys are promoted to. */
static bool
is_promoted(const struct swarm *s, const struct call *c, uint32_t t, uint32_t i)
{
	bool get = c->ask.kind == KVR_OP_GET, prefetch = c->ask.kind == KVR_OP_PREFETCH;

	return s->in.router.tier[t].promote && c->err[i] == KVR_OK && t < c->where[i] &&
	       (get || (prefetch && (promoting(s) >> c->where[i] & 1) == 0));
}

/* What the stores must have now of this key. -1: either. */
static int
must_have(const struct swarm *s, const struct call *c, uint32_t t, uint32_t i)
{
	const struct kvr_router_tier *tier = &s->in.router.tier[t];
	uint32_t kind = c->ask.kind;

	if (kind == KVR_OP_REMOVE)
		return 0;
	if (kind == KVR_OP_PUT)
		return c->has[t][i] ||
		       (c->err[first_of(c, i)] == KVR_OK && tier->write != KVR_WRITE_NEVER);
	bool promoted = is_promoted(s, c, t, i);

	if (promoted && !c->has[t][i])
		return tier->promote_after > 1 ? -1 : 1;
	return c->has[t][i];
}

static void
check_stores(struct swarm *s, struct call *c, const struct kvr_sim_answer *a)
{
	bool has[KVR_TIERS_MAX][CALM_KEYS];

	look(s, c, has);
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		for (uint32_t i = 0; i < c->ask.n; i++) {
			int want = must_have(s, c, t, i);

			if (want >= 0 && has[t][i] != (want != 0))
				swarm_broken(s, "all is well; %s: tier %u %s key %u afterwards",
				    swarm_name(a), t, want ? "lacks" : "has", i);
		}
	}
}

/* Tiers are asked in order, only for keys that are still open: each tier counts exactly those. */
static void
check_counts(const struct swarm *s, const struct call *c, const struct kvr_sim_answer *answer)
{
	const struct kvr_metrics_state *now = kvr_sim_actor(s->in.sim, KVR_ID_METRICS)->self;
	enum kvr_verb verb = c->ask.kind == KVR_OP_LOOKUP ? KVR_VERB_EXISTS
	                     : c->ask.kind == KVR_OP_SIZE ? KVR_VERB_STAT
	                                                  : KVR_VERB_GET;

	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		const struct kvr_metrics_verb *a = &c->before.tier[t].verb[verb];
		const struct kvr_metrics_verb *b = &now->tier[t].verb[verb];
		uint64_t ok = 0, miss = 0;

		for (uint32_t i = 0; i < c->ask.n; i++) {
			ok += c->where[i] == t;
			miss += c->where[i] > t;
		}
		if (b->ok - a->ok != ok || b->miss - a->miss != miss ||
		    b->keys - a->keys != ok + miss)
			swarm_broken(s,
			    "all is well; %s: tier %u counts other keys than it was asked",
			    swarm_name(answer), t);
	}
}

static uint64_t
counted(const struct swarm *s, const struct call *c, uint32_t t, enum kvr_count what)
{
	const struct kvr_metrics_state *now = kvr_sim_actor(s->in.sim, KVR_ID_METRICS)->self;

	return now->tier[t].count[what] - c->before.tier[t].count[what];
}

/* What is written after the answer is counted for the tier that got it, once for each key. */
static void
check_background(const struct swarm *s, const struct call *c, const struct kvr_sim_answer *a)
{
	bool put = c->ask.kind == KVR_OP_PUT;

	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		const struct kvr_router_tier *tier = &s->in.router.tier[t];
		uint64_t back = 0, promoted = 0;

		for (uint32_t i = 0; i < c->ask.n; i++) {
			back += put && tier->write == KVR_WRITE_BACK && c->err[i] == KVR_OK &&
			        first_of(c, i) == i;
			promoted += is_promoted(s, c, t, i);
		}
		if (counted(s, c, t, KVR_COUNT_WRITEBACK_OK) != back)
			swarm_broken(s,
			    "all is well; %s: %u keys are to be written back to tier %u",
			    swarm_name(a), (unsigned)back, t);
		if (tier->promote_after <= 1 && counted(s, c, t, KVR_COUNT_PROMOTE_OK) != promoted)
			swarm_broken(s, "all is well; %s: %u keys are to be promoted to tier %u",
			    swarm_name(a), (unsigned)promoted, t);
		if (counted(s, c, t, KVR_COUNT_WRITEBACK_DROPPED) +
		        counted(s, c, t, KVR_COUNT_PROMOTE_DROPPED) !=
		    0)
			swarm_broken(
			    s, "all is well; %s: tier %u did not get all", swarm_name(a), t);
	}
}

static void
store_some(struct swarm *s)
{
	uint64_t tier = draw(s, 0, s->in.router.n_tiers - 1);
	uint64_t name = SWARM_CALM_NAME + draw(s, 0, SWARM_CALM_NAMES - 1);

	kvr_sim_stored(s->in.sim, (uint32_t)tier, name, s->plan.len[0], kvr_sim_content(name));
}

struct answered {
	const struct swarm *s;
	uint32_t number;
};

static bool
is_answered(void *arg)
{
	const struct answered *a = arg;

	return kvr_sim_answer_to(a->s->in.sim, a->number)->answered_ns != 0;
}

/*
 * Keys are removed as soon as a call that writes them behind its answer has been answered: nowhere
 * may they be there afterwards.
 */
static void
remove_behind(struct swarm *s)
{
	static const uint32_t kinds[] = { KVR_OP_PUT, KVR_OP_GET, KVR_OP_PREFETCH };
	bool has[KVR_TIERS_MAX][CALM_KEYS];
	struct call c;

	store_some(s);
	prepare(s, &c);
	c.ask.kind = kinds[draw(s, 0, KVR_LEN(kinds) - 1)];
	c.ask.flags = 0;
	struct answered first = { .s = s, .number = swarm_ask(s, &c.ask) };

	KVR_CHECK(first.number != UINT32_MAX);
	if (!kvr_sim_run_until(
	        s->in.sim, kvr_sim_now(s->in.sim) + KVR_SEC(21), is_answered, &first))
		swarm_broken(s, "all is well, and a call has no answer");
	c.ask.kind = KVR_OP_REMOVE;
	KVR_CHECK(swarm_ask(s, &c.ask) != UINT32_MAX);
	swarm_calm_wait(s, KVR_SEC(20) + s->in.router.background_ns);
	look(s, &c, has);
	for (uint32_t t = 0; t < s->in.router.n_tiers; t++) {
		for (uint32_t i = 0; i < c.ask.n; i++) {
			if (has[t][i])
				swarm_broken(
				    s, "all is well; tier %u has a key again that is gone", t);
		}
	}
}

void
swarm_model_call(struct swarm *s)
{
	struct call c;

	if (draw(s, 0, 3) == 0) {
		remove_behind(s);
		return;
	}
	if (draw(s, 0, 1) == 0)
		store_some(s);
	prepare(s, &c);
	uint32_t number = swarm_ask(s, &c.ask);

	KVR_CHECK(number != UINT32_MAX);
	swarm_calm_wait(s, KVR_SEC(20) + s->in.router.background_ns);
	kvr_sim_run(s->in.sim, kvr_sim_now(s->in.sim) + KVR_MS(1)); /* counts are on their way */
	const struct kvr_sim_answer *a = kvr_sim_answer_to(s->in.sim, number);

	check_rows(s, &c, a);
	check_stores(s, &c, a);
	check_background(s, &c, a);
	if (c.ask.kind == KVR_OP_LOOKUP || c.ask.kind == KVR_OP_SIZE || c.ask.kind == KVR_OP_GET)
		check_counts(s, &c, a);
}
