/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key that a tier was asked for is counted once, with a reason. The law itself is held by
 * bed_close, in all tests of whole instances; here is that each side of it is the right one.
 */
#include "kvr_system_bed.h"

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

enum { EACH = 65536 };

static const char *const far =
    "{'memory':{'staging':'16MiB','objects':'4MiB','slot_size':'64KiB'},'timeouts':{'connect':'"
    "20s'},'trace':{'dir':'none'},'limits':{'ops':4,'keys':64},'tiers':[{'name':'far','url':'%s',"
    "'breaker':{'faults':2,'backoff_min':'200ms','backoff_max':'10s'}}]}";

static void
is(struct kvr *kvr, const char *family, const char *labels, uint64_t want)
{
	uint64_t n, until_ns = bed_in_ms(30000);

	do /* a dial that nobody needed may still be on its way */
		n = bed_metric(kvr, family, labels);
	while (n != want && bed_now_ns() < until_ns);
	MUST(n == want, "%s{%s} is %llu, not %llu", family, labels, (unsigned long long)n,
	    (unsigned long long)want);
}

START_TEST(hits_and_misses)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(far, server->url);
	struct bed_batch *b = bed_batch_new("key", 8, EACH);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	b->key[3] = "nobody-has-this";
	ERR(bed_run(kvr, b, KVR_GET, 0, 0), KVR_E_MISS);
	is(kvr, "tier_keys_total", "tier=\"far\",verb=\"get\"", 16);
	is(kvr, "tier_keys_ok_total", "tier=\"far\",verb=\"get\"", 15);
	is(kvr, "tier_keys_miss_total", "tier=\"far\",verb=\"get\"", 1);
	is(kvr, "tier_bytes_total", "tier=\"far\",verb=\"get\"", 15 * EACH);
	is(kvr, "tier_bytes_total", "tier=\"far\",verb=\"put\"", 8 * EACH);
	is(kvr, "operations_total", "kind=\"get\",result=\"MISS\"", 1);
	is(kvr, "operation_seconds_count", "kind=\"get\"", 2);
	is(kvr, "dial_seconds_count", "tier=\"far\"", 3);
	bed_batch_free(b);
	bed_close(kvr);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_store_that_refuses_all_writes)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr *kvr = bed_open(far, server->url);
	struct bed_batch *b = bed_batch_new("key", 4, EACH);

	kvr_raw(raw, "CONFIG SET maxmemory-policy noeviction");
	kvr_raw(raw, "CONFIG SET maxmemory 1");
	ERR(bed_run(kvr, b, KVR_PUT, 0, 0), KVR_E_NOSPACE);
	MUST(bed_logged("tier far: a put was refused (NOSPACE): SET: OOM") == 1, "no line, or one for each key");
	is(kvr, "tier_keys_error_total", "tier=\"far\",verb=\"put\",reason=\"NOSPACE\"", 4);
	is(kvr, "tier_keys_error_total", "", 4);
	is(kvr, "tier_keys_dropped_total", "", 0);
	is(kvr, "operations_total", "kind=\"put\",result=\"NOSPACE\"", 1);
	kvr_raw_close(raw);
	bed_batch_free(b);
	bed_close(kvr);
	kvr_redis_server_stop(server);
}
END_TEST

/* Nobody was asked: these are dropped, not failed. And what was never accepted is counted too. */
START_TEST(a_store_that_is_down)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(far, server->url);
	struct bed_batch *b = bed_batch_new("key", 4, EACH);
	struct bed_batch *many = bed_batch_new("many", 65, 16);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	kvr_redis_server_kill(server);
	for (uint64_t until_ns = bed_in_ms(30000); bed_metric(kvr, "breaker_opened_total", "") == 0;) {
		MUST(bed_now_ns() < until_ns, "the breaker never opens");
		(void)bed_run(kvr, b, KVR_PUT, 0, bed_in_ms(1000));
	}
	for (uint64_t until_ns = bed_in_ms(30000);
	     bed_metric(kvr, "tier_keys_dropped_total", "tier=\"far\",verb=\"put\",reason=\"DOWN\"") == 0;) {
		MUST(bed_now_ns() < until_ns, "nothing is dropped");
		ERR(bed_run(kvr, b, KVR_PUT, 0, 0), KVR_E_DOWN);
	}
	ERR(bed_run(kvr, many, KVR_LOOKUP, 0, 0), KVR_E_TOO_BIG);
	is(kvr, "operations_refused_total", "kind=\"lookup\",reason=\"TOO_BIG\"", 1);
	is(kvr, "operations_refused_total", "", 1);
	bed_batch_free(b);
	bed_batch_free(many);
	bed_close(kvr);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("system.conservation", hits_and_misses, a_store_that_refuses_all_writes,
    a_store_that_is_down)
