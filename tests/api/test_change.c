/* SPDX-License-Identifier: Apache-2.0 */
/* Options that are changed while an instance runs, and what LMCache's policy says to the engine. */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static struct kvr *
open_text(const char *format, const char *url)
{
	const struct kvr_identity who = { .size = sizeof(who), .keys = KVR_KEYS_OPAQUE };
	char json[600];

	snprintf(json, sizeof(json), format, url);
	return bed_open(json, &who, NULL, NULL);
}

static int32_t
change(struct kvr *k, const char *one, char *why)
{
	return kvr_change(k, &one, 1, why, 256);
}

static uint64_t
took_ms(struct kvr *k)
{
	uint64_t start_ns = bed_now_ns();

	ERR(kvr_contains(k, "m@1@0@a@half", false, 0), KVR_E_TIMEOUT);
	return (bed_now_ns() - start_ns) / 1000000;
}

START_TEST(what_is_changed_counts_at_once)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	/* A dial may take so long that no silence ends the lane or the tier meanwhile. */
	struct kvr *k = open_text("{\"remote_url\":\"%s\",\"trace\":{\"dir\":\"none\"},"
	                          "\"timeouts\":{\"connect\":\"60s\"},"
	                          "\"blocking_timeout_secs\":600,\"lookup_timeout_ms\":600000}",
	    s->url);
	char why[256] = "";

	ERR(kvr_contains(k, "m@1@0@a@half", false, 0), KVR_E_MISS);
	kvr_redis_server_pause(s);
	/* By LMCache's name and by ours; the next call has the new limit, down and up again. */
	OK(change(k, "lookup_timeout_ms=300", why));
	uint64_t ms = took_ms(k);

	ck_assert_msg(ms >= 300 && ms < 20000, "%llu", (unsigned long long)ms);
	OK(change(k, "timeouts.lookup=700ms", why));
	ms = took_ms(k);
	ck_assert_msg(ms >= 700 && ms < 20000, "%llu", (unsigned long long)ms);
	kvr_redis_server_resume(s);
	/* Nothing to see from here, but deciders take them, and the trace has them. */
	const char *const health[] = { "ping_timeout=1.5", "ping_interval=5",
		"get_blocking_failed_threshold=3", "waiting_time_for_recovery=20",
		"blocking_timeout_secs=2", "tiers.remote.timeout=2s",
		"tiers.remote.breaker.faults=9", "tiers.remote.breaker.backoff_min=10s" };

	OK(kvr_change(k, health, 8, why, sizeof(why)));
	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	ERR(change(k, "timeouts.lookup=1s", why), KVR_E_SHUTDOWN);
	kvr_free(k);
	kvr_redis_server_stop(s);
}
END_TEST

START_TEST(what_cannot_be_changed_is_said_and_changes_nothing)
{
	struct kvr *k =
	    open_text("{\"tiers\":[{\"name\":\"m\",\"url\":\"%s\"}],\"trace\":{\"dir\":\"none\"}}",
	        "memory://");
	char why[256];
	const char *const two[] = { "timeouts.put=1s", "timeouts.put=soon" };

	ERR(change(k, "serde.threads=5", why), KVR_E_CONFIG);
	ck_assert_msg(strstr(why, "running instance") != NULL, "%s", why);
	ERR(change(k, "timeouts.putt=1s", why), KVR_E_CONFIG); /* nor one that there is nowhere */
	ck_assert_msg(strstr(why, "running instance") != NULL, "%s", why);
	ERR(change(k, "tiers.m.url=memory://", why), KVR_E_CONFIG);
	ERR(change(k, "tiers.nobody.timeout=1s", why), KVR_E_CONFIG);
	ERR(change(k, "ping_timeout=3", why), KVR_E_CONFIG); /* not LMCache's form */
	ERR(kvr_change(k, two, 2, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_msg(strstr(why, "soon") != NULL, "%s", why);
	ERR(kvr_change(k, NULL, 1, why, sizeof(why)), KVR_E_INVALID);
	ERR(kvr_change(k, &(const char *const){ NULL }, 1, why, sizeof(why)), KVR_E_INVALID);
	OK(kvr_change(k, NULL, 0, NULL, 0));
	OK(change(k, "tiers.m.timeout=1s", NULL));
	/* All together are a configuration or are none, whatever those before some of them are. */
	const char *const range[] = { "tiers.m.breaker.backoff_min=20s",
		"tiers.m.breaker.backoff_max=30s" };

	ERR(change(k, range[0], why), KVR_E_CONFIG);
	ck_assert_msg(strncmp(why, "set: ", 5) == 0, "%s", why);
	ERR(kvr_change(k, range, 2, why, sizeof(why)), KVR_OK);
	ck_assert_str_eq(why, "");
	bed_close(k);
}
END_TEST

static int32_t
put(struct kvr *k, const char *key, uint64_t len, kvr_op *ret)
{
	static char memory[1 << 20];
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = 1,
		.keys = key,
		.at = &(void *const){ memory },
		.len = &len };

	return kvr_submit(k, &b, NULL, ret);
}

START_TEST(puts_are_bounded_by_bytes)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct kvr *k =
	    open_text("{\"tiers\":[{\"name\":\"far\",\"url\":\"%s\"}],\"trace\":{\"dir\":\"none\"},"
	              "\"limits\":{\"put_bytes\":\"1MiB\"}}",
	        s->url);
	static char text[1 << 20];
	kvr_op op[3] = { 0 }, none;

	ERR(kvr_contains(k, "a", false, 0), KVR_E_MISS);
	kvr_redis_server_pause(s);
	OK(put(k, "a", 700000, &op[0]));
	OK(put(k, "b", 300000, &op[1]));
	ERR(put(k, "c", 100000, &none), KVR_E_BUSY);
	/* Reads find room all the same, and the limit can be raised. */
	ERR(kvr_contains(k, "a", false, bed_in_ms(50)), KVR_E_TIMEOUT);
	OK(change(k, "limits.put_bytes=2MiB", NULL));
	OK(put(k, "c", 100000, &op[2]));
	kvr_redis_server_resume(s);
	for (int i = 0; i < 3; i++)
		OK(kvr_wait(k, op[i], 0, NULL, NULL));
	OK(kvr_quiet(k, 0, NULL));
	/* A put that is alone always fits. */
	OK(change(k, "limits.put_bytes=1B", NULL));
	uint64_t until_ns = bed_in_ms(20000);

	while (put(k, "d", 100000, &op[0]) == KVR_E_BUSY) /* until the last one's slots are back */
		ck_assert_uint_lt(bed_now_ns(), until_ns);
	OK(kvr_wait(k, op[0], 0, NULL, NULL));
	ck_assert_uint_lt(kvr_metrics_snapshot(k, KVR_METRICS_PROMETHEUS, text, sizeof(text)), sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "refused_total{kind=\"put\",reason=\"BUSY\"} "));
	ck_assert_ptr_null(strstr(text, "refused_total{kind=\"put\",reason=\"BUSY\"} 0\n"));
	bed_close(k);
	kvr_redis_server_stop(s);
}
END_TEST

START_TEST(the_policy_says_what_the_engine_does)
{
	static const char *const policy[] = { "recompute", "local_cpu" };

	for (uint32_t i = 0; i < 2; i++) {
		struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
		struct kvr_health h = { .size = sizeof(h) };
		char format[300];

		snprintf(format, sizeof(format),
		    "{\"remote_url\":\"%%s\",\"trace\":{\"dir\":\"none\"},"
		    "\"extra_config\":{\"fallback_policy\":\"%s\"}}",
		    policy[i]);
		struct kvr *k = open_text(format, s->url);

		ERR(kvr_contains(k, "m@1@0@a@half", false, 0), KVR_E_MISS);
		OK(kvr_health(k, &h));
		ck_assert(h.ok == 1 && h.recompute == 0);
		kvr_redis_server_kill(s);
		uint64_t until_ns = bed_in_ms(20000);

		/* The first DOWN is a connection that ended; then the tier cools. */
		do {
			ck_assert_uint_lt(bed_now_ns(), until_ns);
			ERR(kvr_contains(k, "m@1@0@a@half", false, 0), KVR_E_DOWN);
			OK(kvr_health(k, &h));
		} while (h.ok != 0);
		ck_assert(h.recompute == (i == 0));
		/* An engine that was compiled before there was such a member gets what it knows. */
		h.size = offsetof(struct kvr_health, recompute);
		h.recompute = 77;
		OK(kvr_health(k, &h));
		ck_assert_uint_eq(h.recompute, 77);
		bed_close(k);
		kvr_redis_server_stop(s);
	}
}
END_TEST

KVR_CHECK_MAIN("api.change", what_is_changed_counts_at_once,
    what_cannot_be_changed_is_said_and_changes_nothing, puts_are_bounded_by_bytes,
    the_policy_says_what_the_engine_does)
