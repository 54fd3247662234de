/* SPDX-License-Identifier: Apache-2.0 */
/* A sick store heals by itself, is not waited for, and slows down nobody else. */
#include "kvr_system_bed.h"

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

#include <stdlib.h>
#include <string.h>

KVR_NEEDS_REDIS

enum { EACH = 65536, SAMPLES = 300 };

static const char *const one_tier =
    "{'memory':{'staging':'16MiB','objects':'4MiB','slot_size':'64KiB'},'timeouts':{'connect':'"
    "20s'},"
    "'trace':{'dir':'none'},'tiers':[{'name':'far','url':'%s',"
    "'breaker':{'faults':2,'backoff_min':'20ms','backoff_max':'100ms'}}]}";

/* Clients of the server, ourselves not counted; it is asked until there are n. */
static void
wait_clients(struct kvr_redis_server *server, int n)
{
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	uint64_t until_ns = bed_in_ms(30000);

	for (;;) {
		struct kvr_raw_reply r = kvr_raw(raw, "CLIENT LIST");
		int lines = 0;

		for (size_t i = 0; i < r.len; i++)
			lines += r.bytes[i] == '\n';
		if (lines - 1 >= n)
			break;
		MUST(bed_now_ns() < until_ns, "%d clients", lines - 1);
	}
	kvr_raw_close(raw);
}

START_TEST(service_comes_back_without_a_call)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(one_tier, server->url);

	struct bed_batch *many = bed_batch_new("many", 64, EACH);
	struct kvr_health h = { .size = sizeof(h), .n_up = 1 };

	OK(bed_put1(kvr, "a", 1000));
	kvr_redis_server_kill(server);
	/* Until the tier has learnt of it. A lane that nobody uses meanwhile has not. */
	for (uint64_t until_ns = bed_in_ms(30000); h.n_up > 0;) {
		MUST(bed_now_ns() < until_ns, "it is never down");
		MUST(bed_find1(kvr, "a", NULL) != KVR_OK, "a dead server has it");
		MUST(bed_run(kvr, many, KVR_PUT, 0, bed_in_ms(1000)) != KVR_OK,
		    "a dead server takes it");
		OK(kvr_health(kvr, &h));
	}
	kvr_redis_server_restart(server);
	/* Nobody calls: the library itself dials. */
	for (uint64_t until_ns = bed_in_ms(30000); h.n_up == 0;) {
		MUST(bed_now_ns() < until_ns, "it does not come back");
		OK(kvr_health(kvr, &h));
	}
	wait_clients(server, 1);
	OK(bed_put1(kvr, "a", 1000));
	OK(bed_get1(kvr, "a", 1000, NULL));
	bed_close(kvr);
	bed_batch_free(many);
	kvr_redis_server_stop(server);
}
END_TEST

/* Connections that the server has taken so far. */
static long
taken(struct kvr_raw *raw)
{
	static const char name[] = "total_connections_received:";
	struct kvr_raw_reply r = kvr_raw(raw, "INFO stats");
	const char *at = memmem(r.bytes, r.len, name, strlen(name));

	MUST(at != NULL, "no %s", name);
	return strtol(at + strlen(name), NULL, 10);
}

/*
 * One that dies is made anew, and it alone: the other keeps the connections that it has. A dial has
 * long enough, for one that is given up would count twice.
 */
START_TEST(a_tier_that_is_dialled_again_leaves_the_others_connections)
{
	struct kvr_redis_server *steady = kvr_redis_server_start(NULL, NULL),
	                        *dies = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr =
	    bed_open("{'timeouts':{'connect':'20s'},'trace':{'dir':'none'},'tiers':["
	             "{'name':'steady','url':'%s'},{'name':'dies','url':'%s','breaker':"
	             "{'faults':2,'backoff_min':'20ms','backoff_max':'100ms'}}]}",
	        steady->url, dies->url);
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t until_ns = bed_in_ms(30000);

	wait_clients(steady, 3);
	wait_clients(dies, 3);
	OK(bed_put1(kvr, "a", EACH));
	struct kvr_raw *raw = kvr_raw_open(steady->port, NULL);
	long before = taken(raw);

	kvr_redis_server_kill(dies);
	do {
		MUST(bed_now_ns() < until_ns, "it is never down");
		MUST(bed_put1(kvr, "b", EACH) != KVR_OK, "a dead server takes it");
		OK(kvr_health(kvr, &h));
	} while (h.n_up != 1);
	kvr_redis_server_restart(dies);
	wait_clients(dies, 3);
	until_ns = bed_in_ms(30000);
	while (bed_put1(kvr, "c", EACH) != KVR_OK)
		MUST(bed_now_ns() < until_ns, "it never takes anything again");
	MUST(taken(raw) == before, "%ld connections, and then %ld", before, taken(raw));
	bed_close(kvr);
	kvr_raw_close(raw);
	kvr_redis_server_stop(steady);
	kvr_redis_server_stop(dies);
}
END_TEST

/* The pause is long, so every call in it is answered at once and not at its deadline. */
START_TEST(a_tier_that_cools_down_fails_fast)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(
	    "{'timeouts':{'connect':'20s'},'trace':{'dir':'none'},'tiers':[{'name':'far',"
	    "'url':'%s','breaker':{'faults':1,'backoff_min':'60s','backoff_max':'60s'}}]}",
	    server->url);
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t worst_ns = 0;

	OK(bed_put1(kvr, "a", 1000));
	kvr_redis_server_kill(server);
	for (uint64_t until_ns = bed_in_ms(30000); bed_find1(kvr, "a", NULL) != KVR_E_DOWN;)
		MUST(bed_now_ns() < until_ns, "it is never DOWN");
	for (int i = 0; i < 100; i++) {
		uint64_t start_ns = bed_now_ns();

		ERR(bed_get1(kvr, "a", 1000, NULL), KVR_E_DOWN);
		ERR(bed_put1(kvr, "a", 1000), KVR_E_DOWN);
		uint64_t took_ns = bed_now_ns() - start_ns;

		worst_ns = took_ns > worst_ns ? took_ns : worst_ns;
	}
	printf("cooling: a get and a put are DOWN after %.3f ms at most\n", (double)worst_ns / 1e6);
	MUST(worst_ns < UINT64_C(5000000000), "%llu ns", (unsigned long long)worst_ns);
	OK(kvr_health(kvr, &h));
	MUST(h.ok == 0 && h.n_up == 0 && h.why[0] != '\0', "health says ok %u, %u up, \"%s\"", h.ok,
	    h.n_up, h.why);
	bed_close(kvr);
	kvr_redis_server_stop(server);
}
END_TEST

/* It has become a replica, and says so to puts only; a caller has eight of them for each get. */
START_TEST(a_store_that_refuses_puts_is_read_all_the_time)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(one_tier, server->url);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t until_ns = bed_in_ms(30000);

	OK(bed_put1(kvr, "a", 1000));
	MUST(kvr_raw(raw, "REPLICAOF 127.0.0.1 1").kind == '+', "it is no replica");
	for (int i = 0; i < 200; i++) {
		for (int j = 0; j < 8; j++)
			MUST(bed_put1(kvr, "b", 1000) != KVR_OK, "a replica takes it");
		OK(bed_get1(kvr, "a", 1000, NULL));
	}
	MUST(bed_logged("COOLING") == 0, "it was left alone");
	OK(kvr_health(kvr, &h));
	MUST(h.ok == 0 && h.n_up == 1 && strstr(h.why, "refuses puts: SET: READONLY") != NULL,
	    "ok %u, %u up, \"%s\"", h.ok, h.n_up, h.why);
	MUST(kvr_raw(raw, "REPLICAOF NO ONE").kind == '+', "it is a replica");
	while (bed_put1(kvr, "b", 1000) != KVR_OK)
		MUST(bed_now_ns() < until_ns, "it never takes anything again");
	OK(kvr_health(kvr, &h));
	MUST(h.ok == 1, "%s", h.why);
	bed_close(kvr);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

/* Values and keys fail besides, and whoever asks for health must not be sent after those. */
START_TEST(a_refusal_of_puts_keeps_its_words)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(one_tier, server->url);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed_batch *b = bed_batch_new("new", 1, 1000);
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t until_ns = bed_in_ms(30000);

	OK(bed_put1(kvr, "hurt", 1000));
	MUST(kvr_raw(raw, "SETRANGE hurt@kvr%1 600 x").kind == ':', "it is not hurt");
	MUST(kvr_raw(raw, "REPLICAOF 127.0.0.1 1").kind == '+', "it is no replica");
	do {
		ERR(bed_get1(kvr, "hurt", 1000, NULL), KVR_E_CORRUPT);
		MUST(bed_run(kvr, b, KVR_PUT, 0, 0) != KVR_OK, "a replica takes it");
		MUST(bed_now_ns() < until_ns, "puts are never left out");
		MUST(strstr(b->done.why, "READONLY") != NULL, "%s: %s", kvr_err_name(b->done.err),
		    b->done.why);
	} while (b->done.err != KVR_E_DOWN);
	ERR(bed_get1(kvr, "hurt", 1000, NULL), KVR_E_CORRUPT);
	OK(kvr_health(kvr, &h));
	MUST(strstr(h.why, "refuses puts: SET: READONLY") != NULL, "%s", h.why);
	bed_close(kvr);
	bed_batch_free(b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

/* The shortest: of the others it is the machine that decides, which has more to do than this. */
static uint64_t
best_get_ns(struct kvr *kvr, struct bed_batch *b)
{
	uint64_t best_ns = UINT64_MAX;

	for (int i = 0; i < SAMPLES; i++) {
		uint64_t start_ns = bed_now_ns();

		OK(bed_run(kvr, b, KVR_GET, 0, bed_in_ms(60000)));
		uint64_t took_ns = bed_now_ns() - start_ns;

		best_ns = took_ns < best_ns ? took_ns : best_ns;
	}
	return best_ns;
}

/* The tier behind stands still, with requests stuck in it; hits in the tier before it do not notice. */
START_TEST(a_sick_tier_does_not_slow_down_the_other)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr =
	    bed_open("{'timeouts':{'connect':'20s'},'trace':{'dir':'none'},'tiers':["
	             "{'name':'near','url':'memory://'},{'name':'far','url':'%s','timeout':'2s'}]}",
	        server->url);
	struct bed_batch *here = bed_batch_new("here", 4, EACH),
	                 *stuck = bed_batch_new("stuck", 4, EACH);
	struct kvr_batch batch;
	struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };

	OK(bed_run(kvr, here, KVR_PUT, 0, 0));
	uint64_t well_ns = best_get_ns(kvr, here);

	kvr_redis_server_pause(server);
	bed_describe(stuck, KVR_GET, &batch);
	kvr_op op[16];

	for (int i = 0; i < 16; i++)
		OK(kvr_submit(kvr, &batch, &o, &op[i]));
	uint64_t sick_ns = best_get_ns(kvr, here);

	printf("hit in the near tier: %.1f us, with a sick far tier %.1f us\n",
	    (double)well_ns / 1e3, (double)sick_ns / 1e3);
	MUST(sick_ns < 4 * well_ns + 1000000, "%llu ns", (unsigned long long)sick_ns);
	for (int i = 0; i < 16; i++) {
		enum kvr_err err = kvr_cancel(kvr, op[i]);

		/* On a slow machine the tier's timeout has ended it before. */
		MUST(err == KVR_OK || err == KVR_E_STALE, "%s", kvr_err_name(err));
	}
	for (int i = 0; i < 16; i++) {
		enum kvr_err err = kvr_wait(kvr, op[i], 0, NULL, NULL);

		MUST(err == KVR_E_CANCELLED || err == KVR_E_TIMEOUT || err == KVR_E_DOWN, "%s",
		    kvr_err_name(err));
	}
	kvr_redis_server_resume(server);
	bed_close(kvr);
	bed_batch_free(here);
	bed_batch_free(stuck);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("system.recovery", service_comes_back_without_a_call,
    a_tier_that_is_dialled_again_leaves_the_others_connections,
    a_tier_that_cools_down_fails_fast, a_store_that_refuses_puts_is_read_all_the_time,
    a_refusal_of_puts_keeps_its_words, a_sick_tier_does_not_slow_down_the_other)
