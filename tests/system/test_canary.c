/* SPDX-License-Identifier: Apache-2.0 */
/* Whether "healthy" means that a byte made the round trip: in every tier that is written, alone. */
#include "kvr_system_bed.h"

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static const char *const config =
    "{'memory':{'staging':'16MiB','objects':'4MiB','slot_size':'64KiB'},'trace':{'dir':'none'},"
    "'metrics':{'canary':'50ms'},'tiers':[{'name':'host','url':'memory://'},"
    "{'name':'far','url':'%s','format':'%s'%s},"
    "{'name':'kept','url':'memory://','write':'never'}]}";

static void
wait_metric(struct kvr *kvr, const char *family, const char *labels, uint64_t at_least)
{
	for (uint64_t until_ns = bed_in_ms(30000); bed_metric(kvr, family, labels) < at_least;)
		MUST(bed_now_ns() < until_ns, "%s{%s} never comes", family, labels);
}

static void
wait_health(struct kvr *kvr, uint32_t ok, const char *why)
{
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t until_ns = bed_in_ms(30000);

	do {
		MUST(bed_now_ns() < until_ns, "health is %u: %s", h.ok, h.why);
		OK(kvr_health(kvr, &h));
	} while (h.ok != ok || strstr(h.why, why) == NULL);
	MUST(bed_metric(kvr, "healthy", "") == ok || h.ok == ok, "no verdict");
}

/* Keys that the server has now; a canary may be at it, so it is asked until there are none. */
static void
wait_empty(struct kvr_raw *raw)
{
	uint64_t until_ns = bed_in_ms(30000);

	while (kvr_raw(raw, "DBSIZE").n != 0)
		MUST(bed_now_ns() < until_ns, "the canary stays in the store");
}

static void
each_tier_alone(const char *format, const char *more)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr *kvr = bed_open(config, server->url, format, more);

	wait_metric(kvr, "canary_runs_total", "tier=\"host\",result=\"ok\"", 3);
	wait_metric(kvr, "canary_runs_total", "tier=\"far\",result=\"ok\"", 3);
	wait_health(kvr, 1, "");
	MUST(bed_metric(kvr, "canary_runs_total", "tier=\"kept\"") == 0 &&
	             bed_metric(kvr, "tier_keys_total", "tier=\"kept\",verb=\"put\"") == 0 &&
	             bed_metric(kvr, "tier_keys_total", "tier=\"kept\",verb=\"get\"") == 0,
	    "what is never written has no canary");
	MUST(bed_metric(kvr, "canary_runs_total", "tier=\"host\",result=\"failed\"") == 0, "it failed");
	MUST(bed_metric(kvr, "promote_ok_total", "") + bed_metric(kvr, "promote_dropped_total", "") == 0,
	    "a canary is no hit to move up");
	wait_empty(raw);
	bed_close(kvr);
	MUST(kvr_raw(raw, "DBSIZE").n == 0, "the end leaves one behind");
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}

START_TEST(every_tier_that_is_written_has_its_own)
{
	each_tier_alone("sealed", "");
}
END_TEST

START_TEST(in_the_layout_of_lmcache_too)
{
	each_tier_alone("lmcache", "");
}
END_TEST

START_TEST(through_a_serde_and_written_back_too)
{
	each_tier_alone("sealed", ",'serde':'zstd','write':'back'");
}
END_TEST

/* Connections live, reads work, pings are answered: only a write tells. */
START_TEST(a_store_that_refuses_all_writes_is_not_healthy)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr *kvr = bed_open(config, server->url, "sealed", "");

	wait_metric(kvr, "canary_runs_total", "tier=\"far\",result=\"ok\"", 1);
	wait_health(kvr, 1, "");
	kvr_raw(raw, "CONFIG SET maxmemory-policy noeviction");
	kvr_raw(raw, "CONFIG SET maxmemory 1");
	uint64_t runs = bed_metric(kvr, "canary_runs_total", "tier=\"far\",result=\"ok\"");

	wait_health(kvr, 0, "tier far: canary, put: NOSPACE");
	/* At most the run that was under way came back well after that. */
	MUST(bed_metric(kvr, "canary_runs_total", "tier=\"far\",result=\"ok\"") <= runs + 1,
	    "it took more than one period");
	MUST(bed_metric(kvr, "canary_ok", "tier=\"far\"") == 0 &&
	             bed_metric(kvr, "canary_ok", "tier=\"host\"") == 1 &&
	             bed_metric(kvr, "healthy", "") == 0,
	    "the verdict is not in the metrics");
	kvr_raw(raw, "CONFIG SET maxmemory 0");
	wait_health(kvr, 1, "");
	kvr_raw_close(raw);
	bed_close(kvr);
	kvr_redis_server_stop(server);
}
END_TEST

/* Another value fails after it, and its words are not those of the canary. */
START_TEST(a_canary_that_failed_keeps_its_words)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr *kvr = bed_open(config, server->url, "sealed", "");

	kvr_raw_set(raw, "hurt@kvr%1", server->url, 8);
	kvr_raw(raw, "CONFIG SET maxmemory-policy noeviction");
	kvr_raw(raw, "CONFIG SET maxmemory 1");
	for (int i = 0; i < 20; i++) {
		wait_health(kvr, 0, "tier far: canary, put: NOSPACE: SET: OOM command not allowed");
		ERR(bed_get1(kvr, "hurt", 1000, NULL), KVR_E_CORRUPT);
	}
	kvr_raw_close(raw);
	bed_close(kvr);
	kvr_redis_server_stop(server);
}
END_TEST

/* Nobody asked for one: nothing is written, and there is no thread for it. */
START_TEST(without_a_word_there_is_none)
{
	struct bed_usage with, without;
	struct kvr *kvr = bed_open("{'trace':{'dir':'none'},'tiers':[{'name':'host','url':'memory://'}]}");

	bed_usage(&without);
	bed_close(kvr);
	kvr = bed_open("{'trace':{'dir':'none'},'metrics':{'canary':'1h'},"
	    "'tiers':[{'name':'host','url':'memory://'}]}");
	bed_usage(&with);
	MUST(with.threads == without.threads + 1, "%zu threads, %zu without", with.threads, without.threads);
	bed_close(kvr);
}
END_TEST

KVR_CHECK_MAIN("system.canary", every_tier_that_is_written_has_its_own,
    in_the_layout_of_lmcache_too, through_a_serde_and_written_back_too,
    a_store_that_refuses_all_writes_is_not_healthy, a_canary_that_failed_keeps_its_words,
    without_a_word_there_is_none)
