/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 callers over four tiers (memory, files, a server that stands still, dies and comes back, and a
 * store that is slow), with deadlines of a few milliseconds to a second, and cancels: every call is
 * answered by its deadline, no byte is wrong, and afterwards nothing is in flight, nothing is kept,
 * and the process is no larger than after the first half.
 */
#include "kvr_system_bed.h"

#include "kvr_redis_server.h"

#include <pthread.h>
#include <stdlib.h>

KVR_NEEDS_REDIS

enum { CALLERS = 64, CALLS = 24, KEYS = 6, EACH = 4096, NAMES = 12, LATE_MS = 3000 };
/* Some 5,000 keys pass in each half: who loses a payload of each loses 20 MiB. */
enum { HEAP_KIB = 1024 };

struct caller {
	struct kvr *kvr;
	pthread_t id;
	uint32_t number;
	uint64_t draw, late_ns;
	uint32_t n_ok, n_cancelled;
};

static uint64_t
draw(struct caller *c, uint64_t below)
{
	c->draw = c->draw * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (c->draw >> 33) % below;
}

/* Submits, cancels, and waits for what became of it. */
static void
cancel_one(struct caller *c, struct bed_batch *b)
{
	struct kvr_batch batch;
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(1000) };
	kvr_op op;

	bed_describe(b, KVR_LOOKUP, &batch);
	if (kvr_submit(c->kvr, &batch, &o, &op) != KVR_OK)
		return;
	(void)kvr_cancel(c->kvr, op);
	c->n_cancelled += kvr_wait(c->kvr, op, 0, NULL, NULL) == KVR_E_CANCELLED;
}

static void *
call(void *arg)
{
	static const uint32_t kinds[] = { KVR_PUT, KVR_GET, KVR_GET, KVR_LOOKUP, KVR_PREFETCH,
		KVR_REMOVE };
	struct caller *c = arg;

	for (uint32_t i = 0; i < CALLS; i++) {
		char name[32];
		uint64_t which = draw(c, NAMES), kind = draw(c, sizeof(kinds) / sizeof(kinds[0]));

		/* The same few names for all of them: they meet. */
		snprintf(name, sizeof(name), "stress-%u", (unsigned)which);
		struct bed_batch *b = bed_batch_new(name, 1 + (uint32_t)draw(c, KEYS), EACH);
		uint64_t until_ns = bed_in_ms(1 + draw(c, draw(c, 4) == 0 ? 5 : 1000));
		int32_t err = bed_run(c->kvr, b, kinds[kind], 0, until_ns);
		uint64_t now_ns = bed_now_ns();

		c->n_ok += err == KVR_OK;
		if (now_ns > until_ns && now_ns - until_ns > c->late_ns)
			c->late_ns = now_ns - until_ns;
		if (draw(c, 8) == 0)
			cancel_one(c, b);
		bed_batch_free(b);
	}
	return NULL;
}

static uint32_t
half(struct kvr *kvr, struct kvr_redis_server *s, uint32_t seed)
{
	static struct caller callers[CALLERS];
	uint32_t n_ok = 0, tier;

	for (uint32_t i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){ .kvr = kvr, .number = i, .draw = seed * 1000 + i };
		MUST(pthread_create(&callers[i].id, NULL, call, &callers[i]) == 0, "a thread");
	}
	/* While they run: what a server does on a bad day. Each step waits for the callers' traffic. */
	for (uint32_t i = 0; i < 3; i++) {
		kvr_redis_server_pause(s);
		(void)bed_get1(kvr, "while it stands still", EACH, &tier);
		kvr_redis_server_resume(s);
		kvr_redis_server_kill(s);
		(void)bed_get1(kvr, "while it is dead", EACH, &tier);
		kvr_redis_server_restart(s);
	}
	for (uint32_t i = 0; i < CALLERS; i++) {
		MUST(pthread_join(callers[i].id, NULL) == 0, "join");
		n_ok += callers[i].n_ok;
		MUST(callers[i].late_ns < bed_slowness() * LATE_MS * UINT64_C(1000000),
		    "%u us late", (unsigned)(callers[i].late_ns / 1000));
	}
	return n_ok;
}

START_TEST(sixty_four_callers_over_four_tiers)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct bed_usage first, second;
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t left = 1;
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{'memory':{'staging':'4MiB','slot_size':'64KiB'},'trace':{'dir':'none'},"
	             "'timeouts':{'connect':'300ms','blocking':'500ms'},'tiers':["
	             "{'name':'ram','url':'memory://','capacity':'256KiB'},"
	             "{'name':'disk','url':'fs://%s','capacity':'1MiB','serde':'zstd'},"
	             "{'name':'far','url':'%s','write':'back','timeout':'200ms',"
	             "'breaker':{'faults':2,'backoff_min':'20ms','backoff_max':'100ms'}},"
	             "{'name':'slow','url':'mock://1/?peeking_latency=3','write':'never'}]}",
	        dir, s->url);

	MUST(half(kvr, s, 1) > 0, "nothing went well");
	OK(kvr_quiet(kvr, bed_in_ms(60000), &left));
	bed_usage(&first);
	MUST(half(kvr, s, 2) > 0, "nothing went well");
	OK(kvr_quiet(kvr, bed_in_ms(60000), &left));
	MUST(left == 0, "%u are left", (unsigned)left);
	bed_usage(&second);
	MUST(second.threads == first.threads && second.fds <= first.fds + 4,
	    "%zu threads, %zu files", second.threads, second.fds);
	MUST(second.mapped_kib <= first.mapped_kib + 65536, "%zu KiB and then %zu",
	    first.mapped_kib, second.mapped_kib);
	MUST(second.heap_kib <= first.heap_kib + HEAP_KIB, "%zu KiB of the heap and then %zu",
	    first.heap_kib, second.heap_kib);
	OK(kvr_health(kvr, &h));
	MUST(h.in_flight == 0 && h.not_quiet == 0, "%u in flight", (unsigned)h.in_flight);
	bed_close(kvr);
	kvr_redis_server_stop(s);
}
END_TEST

KVR_CHECK_MAIN("system.stress", sixty_four_callers_over_four_tiers)
