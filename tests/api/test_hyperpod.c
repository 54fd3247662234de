/* SPDX-License-Identifier: Apache-2.0 */
/* A HyperPod daemon as an embedder sees it: by a tier, by LMCache's keys, and when it dies. */
#include "kvr_api_bed.h"
#include "kvr_hyperpod_server.h"

#include <unistd.h>

enum { N = 40, LEN = 1 << 18 };

struct chunks {
	char        text[N][32];
	const char *key[N];
	void       *in[N], *out[N];
	uint64_t    len[N];
	uint8_t    *bytes;
};

static struct chunks *
chunks_new(void)
{
	struct chunks *c = calloc(1, sizeof(*c));
	c->bytes = calloc(2 * N, LEN);
	ck_assert_ptr_nonnull(c->bytes);
	for (uint32_t i = 0; i < N; i++) {
		snprintf(c->text[i], sizeof(c->text[i]), "m@1@0@%x@bfloat16", 4096 + i);
		c->key[i] = c->text[i];
		c->in[i] = c->bytes + (size_t)i * LEN;
		c->out[i] = c->bytes + (size_t)(N + i) * LEN;
		c->len[i] = LEN;
		bed_fill(c->in[i], LEN, i);
	}
	return c;
}

static void
chunks_free(struct chunks *take)
{
	free(take->bytes);
	free(take);
}

static enum kvr_err
run(struct kvr *k, struct chunks *c, uint32_t kind, struct kvr_done *done)
{
	const struct kvr_batch b = { .size = sizeof(b), .kind = kind, .n = N, .key = c->key,
		.at = kind == KVR_PUT ? c->in : c->out, .len = c->len };
	*done = (struct kvr_done){ .size = sizeof(*done) };
	return kvr_run(k, &b, NULL, done, NULL);
}

static void
round_trip(struct kvr *k, struct chunks *c)
{
	struct kvr_done done;
	memset(c->out[0], 0, (size_t)N * LEN);
	enum kvr_err err = run(k, c, KVR_PUT, &done);
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), done.why);
	err = run(k, c, KVR_LOOKUP, &done);
	ck_assert_msg(err == KVR_OK && done.n_ok == N, "%s: %s", kvr_err_name(err), done.why);
	err = run(k, c, KVR_GET, &done);
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), done.why);
	ck_assert_mem_eq(c->in[0], c->out[0], (size_t)N * LEN);
}

static void
end(struct kvr *k, struct kvr_hyperpod_server *server)
{
	const struct kvr_hyperpod_page *page = kvr_hyperpod_server_page(server);
	bed_close(k);
	ck_assert_msg(atomic_load(&page->deviations) == 0, "%s", page->first_deviation);
	ck_assert(kvr_hyperpod_server_wait_no_lease(server));
	kvr_hyperpod_server_stop(server);
}

START_TEST(a_tier_of_a_configuration)
{
	struct kvr_hyperpod_server *server = kvr_hyperpod_server_start();
	struct bed_log log = BED_LOG;
	struct chunks *c = chunks_new();
	char json[512];
	ck_assert(kvr_has("sagemaker-hyperpod") && kvr_has("http"));
	snprintf(json, sizeof(json),
	    "{ \"log\": { \"level\": \"warn\" }, \"tiers\": [ { \"name\": \"node\","
	    "  \"url\": \"%s\", \"format\": \"bare\","
	    "  \"hyperpod\": { \"shared_memory_name\": \"%s\", \"lease_wait\": \"20ms\" } } ] }",
	    kvr_hyperpod_server_url(server), kvr_hyperpod_server_segment(server));
	struct kvr *k = bed_open(json, NULL, NULL, &log);
	round_trip(k, c);
	ck_assert_msg(bed_log_lines(&log) == 0, "%s", log.text);
	end(k, server);
	chunks_free(c);
}
END_TEST

START_TEST(lmcaches_own_keys)
{
	struct kvr_hyperpod_server *server = kvr_hyperpod_server_start();
	struct bed_log log = BED_LOG;
	struct chunks *c = chunks_new();
	/* LEN bytes: 2 * 2 * 64 * 512 elements of 2 bytes. */
	const struct kvr_group group = { .dtype = KVR_DT_BFLOAT16, .n_dims = 4,
		.dim = { 2, 2, 64, 512 } };
	const struct kvr_layout layout = { .size = sizeof(layout), .format = KVR_FMT_KV_2LTD,
		.n_groups = 1, .group = &group };
	char json[512];
	snprintf(json, sizeof(json),
	    "{ \"remote_url\": \"%s\", \"chunk_size\": 64, \"extra_config\": {"
	    "  \"sagemaker_hyperpod_shared_memory_name\": \"%s\" } }",
	    kvr_hyperpod_server_url(server), kvr_hyperpod_server_segment(server));
	atomic_store(&kvr_hyperpod_server_page(server)->first_fragment, 20);
	struct kvr *k = bed_open(json, NULL, &layout, &log);
	round_trip(k, c);
	end(k, server);
	chunks_free(c);
}
END_TEST

START_TEST(a_daemon_that_dies_costs_misses_until_it_is_back)
{
	struct kvr_hyperpod_server *server = kvr_hyperpod_server_start();
	struct bed_log log = BED_LOG;
	struct chunks *c = chunks_new();
	struct kvr_done done;
	char json[512];
	snprintf(json, sizeof(json),
	    "{ \"tiers\": [ { \"name\": \"node\", \"url\": \"%s?shared_memory_name=%s\","
	    "  \"format\": \"bare\", \"hyperpod\": { \"lease_wait\": \"20ms\" },"
	    "  \"breaker\": { \"backoff_max\": \"200ms\" } } ] }",
	    kvr_hyperpod_server_url(server), kvr_hyperpod_server_segment(server));
	struct kvr *k = bed_open(json, NULL, NULL, &log);
	round_trip(k, c);
	kvr_hyperpod_server_kill(server);
	enum kvr_err err = run(k, c, KVR_GET, &done);
	ck_assert_msg(err == KVR_E_DOWN, "%s: %s", kvr_err_name(err), done.why);
	ck_assert_str_ne(done.why, "");
	kvr_hyperpod_server_restart(server);
	/* Dialled again without being asked. */
	for (int i = 0; (err = run(k, c, KVR_PUT, &done)) != KVR_OK; i++) {
		ck_assert_msg(i < 6000, "%s: %s", kvr_err_name(err), done.why);
		usleep(10000);
	}
	round_trip(k, c);
	end(k, server);
	chunks_free(c);
}
END_TEST

static unsigned long
canaries(const char *text, const char *result)
{
	char name[80];
	snprintf(name, sizeof(name), "canary_runs_total{tier=\"node\",result=\"%s\"} ", result);
	const char *at = strstr(text, name);
	return at != NULL ? strtoul(at + strlen(name), NULL, 10) : 0;
}

/* Nothing can be deleted there, and a put of what is there changes nothing. */
START_TEST(a_canary_makes_the_round_trip_again_and_again)
{
	static char text[1 << 20];
	struct kvr_hyperpod_server *server = kvr_hyperpod_server_start();
	struct bed_log log = BED_LOG;
	char json[512];
	unsigned long n = 0;
	snprintf(json, sizeof(json),
	    "{ \"metrics\": { \"canary\": \"50ms\" }, \"tiers\": [ { \"name\": \"node\","
	    "  \"url\": \"%s?shared_memory_name=%s\", \"format\": \"bare\" } ] }",
	    kvr_hyperpod_server_url(server), kvr_hyperpod_server_segment(server));
	struct kvr *k = bed_open(json, NULL, NULL, &log);
	for (uint64_t until_ns = bed_in_ms(60000); n < 3;) {
		ck_assert_msg(bed_now_ns() < until_ns, "%lu canaries", n);
		size_t len = kvr_metrics_snapshot(k, KVR_METRICS_PROMETHEUS, text, sizeof(text));
		ck_assert_uint_lt(len, sizeof(text));
		n = canaries(text, "ok");
		ck_assert_uint_eq(canaries(text, "failed"), 0);
		usleep(1000);
	}
	ck_assert_uint_eq(atomic_load(&kvr_hyperpod_server_page(server)->stored), 1);
	end(k, server);
}
END_TEST

KVR_CHECK_MAIN("api.hyperpod", a_tier_of_a_configuration, lmcaches_own_keys,
    a_daemon_that_dies_costs_misses_until_it_is_back,
    a_canary_makes_the_round_trip_again_and_again)
