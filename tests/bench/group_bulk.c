/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of values, written and read. First the raw client tries its settings; the fastest go on
 * and take turns with all others, round after round, beginning with another one each time; the
 * first round is a warm-up. What the last read of a turn has brought is compared, every byte.
 *
 * Then those whom the goals compare go on alone (group pairs): raw in the two settings that were
 * best in the race, kvrelay, and kvrelay with sealed values. One batch of each beside one of the
 * others, many times, for what the machine does besides changes within a second; in the race, where
 * twenty take turns, ten seconds lie between a client's turn and its next, and a ratio scatters by
 * a tenth.
 */
#include "kvr_measure.h"
#include "kvr_median.h"

#include <stdlib.h>
#include <string.h>

enum { FINAL_MAX = 4, RACERS_MAX = 20, SETTINGS_MAX = 64 };
/* How many batches of a turn count in the race: one of 64 MiB takes 20 ms. */
enum { BATCHES = 2 };
enum { SET, GET, VERBS };
enum { PAIRED_RAWS = 2 };
enum { BARE = 0, SEALED = 3 }; /* one lane each */

static const char *const verb_name[VERBS] = { "SET", "GET" };

struct shape {
	const char *name;
	uint32_t n;
	uint64_t len;
};

/* A quick bench takes the first three. */
static const struct shape shapes[] = { { "256x64KiB", 256, BENCH_KIB(64) },
	{ "64x1MiB", 64, BENCH_MIB(1) }, { "16x4MiB", 16, BENCH_MIB(4) },
	{ "4x16MiB", 4, BENCH_MIB(16) }, { "1x64MiB", 1, BENCH_MIB(64) } };
static const struct shape tiny_shape = { "8x64KiB", 8, BENCH_KIB(64) };

struct racer {
	char name[48];
	const struct bench_client *client;
	bool takes[VERBS], is_raw;
	struct raw_setting setting;
	double gbps[VERBS][BENCH_PAIRS_MAX]; /* of each round */
};

struct stage {
	const char *group;
	uint32_t batches, rounds;
};

struct bulk {
	struct bench *bench;
	struct bench_work *work;
	struct bench_client raw, hiredis, kvrelay[5];
	struct racer racer[RACERS_MAX];
	uint32_t n_racers;
	uint64_t seed;
};

/* ---- which settings of the raw client go on ---- */

struct trial {
	struct raw_setting setting;
	double gbps[VERBS];
};

static uint32_t
list_settings(const struct bench *b, struct trial *trials)
{
	static const uint64_t slices[] = { BENCH_KIB(64), BENCH_MIB(1), BENCH_KIB(256),
		BENCH_BYTES_MAX };
	static const uint32_t flights[] = { 2, 4, 1, RAW_ALL }, connections[] = { 1, 2, 4 };
	uint32_t n = 0, some = b->size == BENCH_FULL ? 4 : b->size == BENCH_QUICK ? 2 : 1;

	for (uint32_t c = 0; c < (some < 3 ? some : 3); c++)
		for (uint32_t f = 0; f < some; f++)
			for (uint32_t s = 0; s < some; s++)
				trials[n++].setting =
				    (struct raw_setting){ connections[c], flights[f], slices[s] };
	return n;
}

static double
gbps_of(struct bulk *me, const struct bench_client *c, int verb)
{
	double gb = (double)me->work->n * (double)me->work->len[0] / 1e9;
	uint64_t from_ns = bench_now_ns();

	if (verb == GET)
		c->get(c->self, me->work);
	else
		c->put(c->self, me->work);
	return gb / ((double)(bench_now_ns() - from_ns) / 1e9);
}

static void
add_raw(struct bulk *me, int verb, struct raw_setting s)
{
	struct racer *r = &me->racer[me->n_racers];

	for (uint32_t i = 0; i < me->n_racers; i++) {
		if (me->racer[i].is_raw && memcmp(&me->racer[i].setting, &s, sizeof(s)) == 0) {
			me->racer[i].takes[verb] = true;
			return;
		}
	}
	*r = (struct racer){ .client = &me->raw, .is_raw = true, .setting = s };
	r->takes[verb] = true;
	raw_name(r->name, sizeof(r->name), s);
	me->n_racers++;
}

/*
 * Each is tried twice where they are few, and its better time counts: one that was disturbed is not
 * thrown out. Where they are many, others like it go on in its place.
 */
static void
choose_raw(struct bulk *me)
{
	static struct trial trials[SETTINGS_MAX];
	uint32_t n = list_settings(me->bench, trials);
	uint32_t finals = me->bench->size == BENCH_FULL ? FINAL_MAX : 2;

	memset(me->racer, 0, sizeof(me->racer));
	me->n_racers = 0;
	bench_work_fill(me->work, 0);
	for (uint32_t i = 0; i < (n >= 8 ? n : 2 * n); i++) {
		struct trial *t = &trials[i % n];

		raw_choose(&me->raw, t->setting);
		for (int verb = SET; verb < VERBS; verb++) {
			double gbps = gbps_of(me, &me->raw, verb);

			if (i < n || gbps > t->gbps[verb])
				t->gbps[verb] = gbps;
		}
	}
	for (int verb = SET; verb < VERBS; verb++) {
		for (uint32_t k = 0; k < finals && k < n; k++) {
			struct trial *best = &trials[0];

			for (uint32_t i = 1; i < n; i++)
				if (trials[i].gbps[verb] > best->gbps[verb])
					best = &trials[i];
			add_raw(me, verb, best->setting);
			best->gbps[verb] = 0;
		}
	}
}

static void
add(struct bulk *me, const char *name, const struct bench_client *c)
{
	struct racer *r = &me->racer[me->n_racers++];

	*r = (struct racer){ .client = c, .takes = { true, true } };
	snprintf(r->name, sizeof(r->name), "%s", name);
}

/* ---- the rounds ---- */

static void
tell(struct bulk *me, const struct stage *stage, const struct shape *s, int verb, struct racer *r,
    uint32_t round, const struct bench_use *u)
{
	uint32_t ops = s->n * stage->batches;
	double gb = (double)ops * (double)s->len / 1e9, gbps = gb / ((double)u->ns / 1e9);
	char what[64];

	snprintf(what, sizeof(what), "%s %s", verb_name[verb], s->name);
	const struct {
		const char *unit;
		double value;
	} all[] = { { "GB/s", gbps }, { "client s/GB", u->cpu_s / gb },
		{ "server s/GB", u->server_s / gb },
		{ "sleeps/batch", (double)u->sleeps / stage->batches },
		{ "switches/op", (double)u->switches / ops },
		{ "faults/op", (double)u->faults / ops } };

	for (size_t i = 0; i < BENCH_LEN(all); i++)
		bench_tell(
		    me->bench, stage->group, what, all[i].unit, r->name, round, all[i].value);
	r->gbps[verb][round - 1] = gbps;
}

static void
turn(struct bulk *me, const struct stage *stage, const struct shape *s, struct racer *r,
    uint32_t round)
{
	const struct bench_client *c = r->client;

	if (r->is_raw || c == &me->raw)
		raw_choose(c, r->setting);
	bench_work_fill(me->work, ++me->seed);
	for (int verb = SET; verb < VERBS; verb++) {
		struct bench_use from, used;

		/*
		 * One before that does not count: raw runs on the thread that has run all along,
		 * and where the scheduler puts a lane that slept through the others' turns takes it
		 * a batch to mend. Who only reads has written what he reads.
		 */
		if (r->takes[verb] || verb == SET)
			(void)gbps_of(me, c, verb);
		if (!r->takes[verb])
			continue;
		if (verb == GET)
			bench_work_wipe(me->work);
		bench_use_now(me->bench, &from);
		for (uint32_t k = stage->batches; k > 0; k--)
			(void)gbps_of(me, c, verb);
		used = bench_use_since(me->bench, &from);
		if (round > 0)
			tell(me, stage, s, verb, r, round, &used);
	}
	bench_work_compare(me->work, me->seed, r->name);
}

static void
take_turns(struct bulk *me, const struct stage *stage, const struct shape *s)
{
	for (uint32_t round = 0; round <= stage->rounds; round++)
		for (uint32_t i = 0; i < me->n_racers; i++)
			turn(me, stage, s, &me->racer[(i + round) % me->n_racers], round);
}

static void
race(struct bulk *me, const struct shape *s)
{
	bool full = me->bench->size == BENCH_FULL;
	const struct stage stage = { "bulk", full ? BATCHES : 1, me->bench->rounds };

	choose_raw(me);
	add(me, "stop-and-wait", &me->raw);
	me->racer[me->n_racers - 1].setting = (struct raw_setting){ 1, 1, BENCH_BYTES_MAX };
	add(me, "hiredis", &me->hiredis);
	for (size_t i = 0; i < BENCH_LEN(me->kvrelay); i++)
		add(me, me->kvrelay[i].name, &me->kvrelay[i]);
	take_turns(me, &stage, s);
}

/* ---- pairs ---- */

/* The k best, for the second may be the first in truth: the other rounds of the pairs say which counts. */
static void
best_raw(struct bulk *me, int verb, struct raw_setting *ret, uint32_t k)
{
	for (; k > 0; k--) {
		struct racer *best = NULL;
		double most = 0;

		for (uint32_t i = 0; i < me->n_racers; i++) {
			struct racer *r = &me->racer[i];

			if (!r->is_raw || !r->takes[verb])
				continue;
			double gbps = kvr_median(r->gbps[verb], (int)me->bench->rounds);
			if (best == NULL || gbps > most) {
				best = r;
				most = gbps;
			}
		}
		*ret++ = best->setting;
		best->takes[verb] = false;
	}
}

static void
pairs(struct bulk *me, const struct shape *s)
{
	const struct stage stage = { "pairs", 1, bench_pair_rounds(me->bench) };
	uint32_t raws = me->bench->size == BENCH_FULL ? PAIRED_RAWS : 1;
	struct raw_setting best[VERBS][PAIRED_RAWS];

	for (int verb = SET; verb < VERBS; verb++)
		best_raw(me, verb, best[verb], raws);
	me->n_racers = 0;
	for (int verb = SET; verb < VERBS; verb++)
		for (uint32_t k = 0; k < raws; k++)
			add_raw(me, verb, best[verb][k]);
	/* One lane: two CPUs are all that it and the server have. */
	add(me, "kvrelay", &me->kvrelay[BARE]);
	add(me, "sealed", &me->kvrelay[SEALED]);
	take_turns(me, &stage, s);
}

void
bench_bulk(struct bench *b)
{
	static struct bulk me;
	bool tiny = b->size == BENCH_TINY;
	size_t n = tiny ? 1 : b->size == BENCH_QUICK ? 3 : BENCH_LEN(shapes);
	const char *url = b->server->url;

	me = (struct bulk){ .bench = b,
		.work = bench_work_new(),
		.raw = raw_open(b->server->port),
		.hiredis = hiredis_open(b->server->port),
		.kvrelay = { kvrelay_open_redis("kvrelay 1", url, "bare", 1),
		    kvrelay_open_redis("kvrelay 2", url, "bare", 2),
		    kvrelay_open_redis("kvrelay 4", url, "bare", 4),
		    kvrelay_open_redis("sealed 1", url, "sealed", 1),
		    kvrelay_open_redis("sealed 2", url, "sealed", 2) } };
	for (size_t i = 0; i < n; i++) {
		const struct shape *s = tiny ? &tiny_shape : &shapes[i];

		bench_work_set(me.work, "bench", s->n, s->len);
		race(&me, s);
		pairs(&me, s);
	}
	for (size_t i = 0; i < BENCH_LEN(me.kvrelay); i++)
		me.kvrelay[i].close(me.kvrelay[i].self);
	me.hiredis.close(me.hiredis.self);
	me.raw.close(me.raw.self);
	bench_work_free(me.work);
}
