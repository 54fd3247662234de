/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operation costs with few keys stored and with very many, in turns: two stores of each
 * kind, one that stays small and one that grows. Everything on one CPU.
 */
#include "kvr_measure.h"

#include <hiredis/hiredis.h>

enum { FEW, MANY, STORES };
enum { RAW, OURS, CLIENTS };
enum { GETS = 64, FILL = 100000 };

struct kind {
	const char *name;
	struct bench *bench;
	struct bench_work *work;
	struct bench_client of[STORES][CLIENTS];
	void (*fill)(struct kind *, uint32_t until);
	redisContext *filler; /* redis only */
	uint32_t filled;
};

/* The server does it alone: a million commands through a socket would take ten times as long. */
static void
fill_redis(struct kind *k, uint32_t until)
{
	while (k->filled < until) {
		uint32_t n = until - k->filled < FILL ? until - k->filled : FILL;
		redisReply *r = redisCommand(k->filler, "EVAL %s 0 %u %u",
		    "for i = ARGV[1], ARGV[1] + ARGV[2] - 1 do redis.call('SET', 'fill@' .. i, "
		    "'v') end",
		    k->filled, n);

		if (r == NULL || r->type == REDIS_REPLY_ERROR)
			bench_give_up("keys", r == NULL ? "the server is gone" : r->str);
		freeReplyObject(r);
		k->filled += n;
	}
}

static void
fill_files(struct kind *k, uint32_t until)
{
	const struct bench_client *c = &k->of[MANY][OURS];

	while (k->filled < until) {
		char name[24];
		uint32_t n =
		    until - k->filled < BENCH_KEYS_MAX ? until - k->filled : BENCH_KEYS_MAX;

		snprintf(name, sizeof(name), "fill-%u", k->filled);
		bench_work_set(k->work, name, n, 8);
		c->put(c->self, k->work);
		k->filled += n;
	}
}

static double
us_of(const struct bench_client *c, const struct bench_work *w, bool gets, uint32_t times)
{
	uint64_t from_ns = bench_now_ns();

	for (uint32_t i = 0; i < times; i++)
		(gets ? c->get : c->look)(c->self, w);
	return (double)(bench_now_ns() - from_ns) / 1e3 / times;
}

static void
turn(struct kind *k, bool gets, uint32_t keys, uint32_t round)
{
	static const char *const who[CLIENTS] = { "raw", "kvrelay" };
	static const uint32_t times[2][3] = { { 10, 100, 400 }, { 1, 5, 20 } };
	double us[STORES][CLIENTS];
	char what[64];

	for (uint32_t i = 0; i < STORES * CLIENTS; i++) {
		uint32_t at = (i + round) % (STORES * CLIENTS), store = at / CLIENTS,
		         client = at % CLIENTS;

		us[store][client] =
		    us_of(&k->of[store][client], k->work, gets, times[gets][k->bench->size]);
	}
	snprintf(
	    what, sizeof(what), "%s, %s of %u keys", gets ? "get of 64" : "lookup", k->name, keys);
	for (int i = RAW; round > 0 && i < CLIENTS; i++) {
		bench_tell(k->bench, "keys", what, "us", who[i], round, us[MANY][i]);
		bench_tell(k->bench, "keys", what, "of 1 key's time", who[i], round,
		    us[MANY][i] / us[FEW][i]);
	}
}

static void
measure(struct kind *k)
{
	static const uint32_t keys[] = { 1000, 100000, 1000000 };
	uint32_t steps = k->bench->size == BENCH_TINY ? 1 : k->bench->size == BENCH_QUICK ? 2 : 3;

	/* A directory of a million files takes a minute to make and to remove. */
	if (k->filler == NULL && steps > 2)
		steps = 2;
	for (uint32_t s = 0; s < steps; s++) {
		k->fill(k, keys[s]);
		for (int gets = 0; gets < 2; gets++) {
			bench_work_set(k->work, "keys", gets ? GETS : 1, BENCH_KIB(64));
			for (int i = 0; i < STORES * CLIENTS; i++) {
				const struct bench_client *c = &k->of[i / CLIENTS][i % CLIENTS];

				c->put(c->self, k->work);
			}
			for (uint32_t round = 0; round <= k->bench->rounds; round++)
				turn(k, gets, keys[s], round);
		}
	}
	for (int i = 0; i < STORES * CLIENTS; i++)
		k->of[i / CLIENTS][i % CLIENTS].close(k->of[i / CLIENTS][i % CLIENTS].self);
}

static void
in_redis(struct bench *b, struct bench_work *w)
{
	struct kvr_redis_server *few = kvr_redis_server_start(NULL, NULL), *many = b->server;
	struct kind k = { .name = "redis",
		.bench = b,
		.work = w,
		.of = { { raw_open(few->port), kvrelay_open_redis("kvrelay", few->url, "bare", 1) },
		    { raw_open(many->port), kvrelay_open_redis("kvrelay", many->url, "bare", 1) } },
		.fill = fill_redis,
		.filler = redisConnect("127.0.0.1", many->port) };

	if (k.filler == NULL || k.filler->err != 0)
		bench_give_up("keys", "connect failed");
	bench_pin(few->pid, 0);
	bench_pin(many->pid, 0);
	bench_pin(0, 0);
	measure(&k);
	bench_pin(0, -1);
	redisFree(k.filler);
	kvr_redis_server_stop(few);
}

static void
in_files(struct bench *b, struct bench_work *w)
{
	char few[BENCH_PATH], many[BENCH_PATH];

	bench_dir_make(few, b->tmpfs, "few");
	bench_dir_make(many, b->tmpfs, "many");
	struct kind k = { .name = "tmpfs",
		.bench = b,
		.work = w,
		.of = { { files_open("raw", few, 1, false),
		            kvrelay_open_files("kvrelay", few, false, "bare", 1) },
		    { files_open("raw", many, 1, false),
		        kvrelay_open_files("kvrelay", many, false, "bare", 1) } },
		.fill = fill_files };

	bench_pin(0, 0);
	measure(&k);
	bench_pin(0, -1);
}

void
bench_keys(struct bench *b)
{
	struct bench_work *w = bench_work_new();

	in_redis(b, w);
	in_files(b, w);
	bench_work_free(w);
}
