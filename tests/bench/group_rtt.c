/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round trips that take longer: everything through a relay that delays what the server sends.
 * Without delay it shows what the relay itself costs: only rows of one delay can be compared.
 */
#include "delay_net.h"
#include "kvr_measure.h"

enum { N_RAW = 4, CLIENTS = N_RAW + 4, LOOKS_MAX = 100 };
enum { SET, GET };

static const struct raw_setting settings[N_RAW] = { { 1, 2, BENCH_KIB(64) },
	{ 1, RAW_ALL, BENCH_KIB(256) }, { 4, 4, BENCH_KIB(256) }, { 4, RAW_ALL, BENCH_KIB(256) } };
static const struct {
	const char *name;
	uint32_t n;
	uint64_t len;
} shapes[] = { { "64x64KiB", 64, BENCH_KIB(64) }, { "16x1MiB", 16, BENCH_MIB(1) } };

struct rtt {
	struct bench *bench;
	struct bench_work *work;
	struct bench_client client[CLIENTS];
	char raw_name[N_RAW][48];
	uint32_t delay_ms;
	uint64_t seed;
};

static void
turn(struct rtt *me, size_t shape, uint32_t k, uint32_t round)
{
	const struct bench_client *c = &me->client[k];
	double gb = (double)shapes[shape].n * (double)shapes[shape].len / 1e9;

	if (k < N_RAW)
		raw_choose(c, settings[k]);
	bench_work_fill(me->work, ++me->seed);
	for (int verb = SET; verb <= GET; verb++) {
		char what[64];

		if (verb == GET)
			bench_work_wipe(me->work);
		uint64_t ns = bench_now_ns();

		(verb == GET ? c->get : c->put)(c->self, me->work);
		ns = bench_now_ns() - ns;
		snprintf(what, sizeof(what), "%s %s, +%u ms", verb == GET ? "GET" : "SET",
		    shapes[shape].name, me->delay_ms);
		if (round > 0)
			bench_tell(me->bench, "rtt", what, "GB/s", c->name, round,
			    gb / ((double)ns / 1e9));
	}
	bench_work_compare(me->work, me->seed, c->name);
}

static void
look(struct rtt *me, uint32_t k, uint32_t round)
{
	static const uint32_t n_of[] = { 3, 20, LOOKS_MAX };
	static uint64_t ns[LOOKS_MAX];
	const struct bench_client *c = &me->client[k];
	char what[64];

	/* There the settings make no difference. */
	if (k > 0 && k < N_RAW)
		return;
	for (uint32_t i = 0; i < n_of[me->bench->size]; i++) {
		uint64_t from_ns = bench_now_ns();

		c->look(c->self, me->work);
		ns[i] = bench_now_ns() - from_ns;
	}
	snprintf(what, sizeof(what), "lookup of 64, +%u ms", me->delay_ms);
	if (round > 0)
		bench_tell_times(me->bench, "rtt", what, c->name, round, ns, n_of[me->bench->size]);
}

static void
with_delay(struct bench *b, struct bench_work *w, uint32_t delay_ms)
{
	struct delay_net *net = delay_net_start(b->server->port, delay_ms * UINT64_C(1000000));
	uint16_t port = delay_net_port(net);
	static struct rtt me;
	char url[64];

	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", port);
	me = (struct rtt){ .bench = b, .work = w, .delay_ms = delay_ms };
	for (uint32_t i = 0; i < N_RAW; i++) {
		me.client[i] = i == 0 ? raw_open(port) : me.client[0];
		raw_name(me.raw_name[i], sizeof(me.raw_name[i]), settings[i]);
		me.client[i].name = me.raw_name[i];
	}
	me.client[N_RAW] = hiredis_open(port);
	me.client[N_RAW + 1] = kvrelay_open_redis("kvrelay 1", url, "bare", 1);
	me.client[N_RAW + 2] = kvrelay_open_redis("kvrelay 2", url, "bare", 2);
	me.client[N_RAW + 3] = kvrelay_open_redis("kvrelay 4", url, "bare", 4);
	for (size_t s = 0; s < (b->size == BENCH_TINY ? 1 : BENCH_LEN(shapes)); s++) {
		bench_work_set(w, "rtt", shapes[s].n, shapes[s].len);
		for (uint32_t round = 0; round <= b->rounds; round++)
			for (uint32_t i = 0; i < CLIENTS; i++) {
				turn(&me, s, (i + round) % CLIENTS, round);
				if (s == 0)
					look(&me, (i + round) % CLIENTS, round);
			}
	}
	for (uint32_t i = 0; i < CLIENTS; i++)
		if (i == 0 || i >= N_RAW)
			me.client[i].close(me.client[i].self);
	delay_net_stop(net);
}

void
bench_rtt(struct bench *b)
{
	static const uint32_t delays_ms[] = { 0, 1, 10 };
	static const size_t from[] = { 1, 0, 0 }, to[] = { 2, 2, BENCH_LEN(delays_ms) };
	struct bench_work *w = bench_work_new();

	for (size_t i = from[b->size]; i < to[b->size]; i++)
		with_delay(b, w, delays_ms[i]);
	bench_work_free(w);
}
