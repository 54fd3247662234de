/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_check.h"
#include "kvr_config.h"
#include "kvr_sim.h"
#include "kvr_stats.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static struct kvr_sim *sim;
static struct kvr_config config;
static struct kvr_stats stats;
static char text[1 << 20];

static void
outside(void *arg, struct kvr_sim *s, const struct kvr_msg *msg)
{
	(void)arg;
	(void)s;
	ck_assert_uint_eq(msg->type, KVR_MSG_STOPPED);
}

static void
open_sim(void)
{
	struct kvr_metrics_config metrics = {
		.version = 1, .size = sizeof(metrics), .n_tiers = 2
	};

	config = (struct kvr_config){ .n_tiers = 2 };
	config.tier[0].name = "host";
	config.tier[1].name = "a \"far\"\\ one\n";
	metrics.n_bounds = kvr_config_bounds(&config, metrics.bound_us);
	sim = kvr_sim_new(&(struct kvr_sim_options){ .verify_every = 1, .outside = outside });
	kvr_sim_add(sim, KVR_ID_METRICS, &kvr_metrics_spec);
	kvr_sim_start(sim, KVR_ID_METRICS, &metrics, sizeof(metrics), 0);
	memset(&stats, 0, sizeof(stats));
	stats.tier[0].n_lanes = stats.tier[1].n_lanes = 2;
}

static void
tell(const struct kvr_msg *msg)
{
	kvr_sim_post(sim, KVR_ID_METRICS, msg);
	kvr_sim_run(sim, 0);
}

static size_t
text_of(enum kvr_stats_form form, char *ret, size_t cap)
{
	struct kvr_stats_more more = { .role = "worker", .why = "", .ready = 1 };

	more.refused[KVR_OP_PUT][-KVR_E_BUSY] = 17;
	memcpy(&stats.metrics, kvr_sim_actor(sim, KVR_ID_METRICS)->self, sizeof(stats.metrics));
	return kvr_stats_text(&stats, &config, &more, form, ret, cap);
}

static size_t
render(enum kvr_stats_form form)
{
	size_t n = text_of(form, text, sizeof(text));

	ck_assert_uint_eq(n, strlen(text) + 1);
	return n;
}

static void
has_line(const char *line)
{
	const char *at = strstr(text, line);

	ck_assert_msg(at != NULL && at[strlen(line)] == '\n' && (at == text || at[-1] == '\n'),
	    "no line %s", line);
}

/* What is no count and is not zero here. */
static bool
is_one(const char *line)
{
	static const char *const one[] = { "kvrelay_build_info", "kvrelay_ready",
		"kvrelay_canary_ok", "kvrelay_tier_unverified",
		"kvrelay_operations_refused_total{kind=\"put\",reason=\"BUSY\"} 17" };

	for (size_t i = 0; i < KVR_LEN(one); i++) {
		if (strncmp(line, one[i], strlen(one[i])) == 0)
			return true;
	}
	return false;
}

START_TEST(every_series_is_there_from_the_start_at_zero)
{
	uint32_t lines = 0, before;

	open_sim();
	render(KVR_STATS_PROMETHEUS);
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		const char *value = strrchr(line, ' ') + 1;

		if (line[0] == '#')
			continue;
		ck_assert(strncmp(line, "kvrelay_", 8) == 0 || strncmp(line, "lmcache:", 8) == 0);
		lines++;
		if (strstr(line, "_state{") != NULL && strstr(value, "1") == value)
			ck_assert_msg(strstr(line, "\"opening\"") != NULL ||
			                  strstr(line, "\"down\"") != NULL, "%s", line);
		else if (!is_one(line))
			ck_assert_msg(strspn(value, "0.") == strlen(value), "%s", line);
	}
	before = lines;
	for (uint8_t v = 0; v < KVR_VERB_PING; v++)
		tell(&(struct kvr_msg){ .type = KVR_MSG_PART_STAT,
		    .PART_STAT = { .tier = 1, .verb = v, .err = KVR_E_PROTO, .n = 1 } });
	render(KVR_STATS_PROMETHEUS);
	lines = 0;
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		lines += line[0] != '#';
	ck_assert_uint_eq(lines, before); /* nothing appears later */
	kvr_sim_free(sim);
}
END_TEST

START_TEST(parts_and_operations_are_counted)
{
	open_sim();
	tell(&(struct kvr_msg){ .type = KVR_MSG_PART_STAT,
	    .PART_STAT = { .tier = 1,
	        .verb = KVR_VERB_GET,
	        .err = KVR_E_TIMEOUT,
	        .n = 16,
	        .n_ok = 9,
	        .n_miss = 3,
	        .waited_us = kvr_short_us(70001),
	        .took_us = 1000,
	        .bytes = 12345678901 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_PART_STAT,
	    .PART_STAT = {
	        .tier = 1, .verb = KVR_VERB_GET, .err = KVR_E_DOWN, .dropped = 1, .n = 5 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_OP_STAT,
	    .OP_STAT = { .kind = KVR_OP_PUT,
	        .err = KVR_E_PARTIAL,
	        .n = 7,
	        .n_ok = 6,
	        .took_us = 1500001,
	        .bytes = 99 } });
	tell(&(struct kvr_msg){
	    .type = KVR_MSG_COUNT, .COUNT = { .what = KVR_COUNT_RETRIED, .tier = 0, .n = 3 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_COUNT,
	    .COUNT = { .what = KVR_COUNT_DEADLINE, .tier = KVR_NOWHERE, .n = 2 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_TIER_STATE,
	    .TIER_STATE = { .tier = 0, .state = KVR_TIER_UP, .links_up = 3 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_STAGE_STAT,
	    .STAGE_STAT = { .stage = KVR_STAGE_PING, .tier = 1, .err = KVR_E_TIMEOUT, .took_us = 2500 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_STAGE_STAT,
	    .STAGE_STAT = { .stage = KVR_STAGE_ENCODE, .tier = KVR_TIERS_MAX, .took_us = 400 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_STOP });
	render(KVR_STATS_PROMETHEUS);
#define FAR "tier=\"a \\\"far\\\"\\\\ one\\n\",verb=\"get\""
	has_line("kvrelay_tier_keys_total{" FAR "} 21");
	has_line("kvrelay_tier_keys_ok_total{" FAR "} 9");
	has_line("kvrelay_tier_keys_miss_total{" FAR "} 3");
	has_line("kvrelay_tier_keys_error_total{" FAR ",reason=\"TIMEOUT\"} 4");
	has_line("kvrelay_tier_keys_dropped_total{" FAR ",reason=\"DOWN\"} 5");
	has_line("kvrelay_tier_bytes_total{" FAR "} 12345678901");
	has_line("kvrelay_tier_part_seconds_bucket{" FAR ",le=\"0.0005\"} 0");
	has_line("kvrelay_tier_part_seconds_bucket{" FAR ",le=\"0.001\"} 1");
	has_line("kvrelay_tier_part_seconds_bucket{" FAR ",le=\"+Inf\"} 1");
	has_line("kvrelay_tier_part_seconds_sum{" FAR "} 0.001000");
	/* 70,001 microseconds went through 12 bits: 69,984. */
	has_line("kvrelay_tier_wait_seconds_sum{tier=\"a \\\"far\\\"\\\\ one\\n\"} 0.069984");
	has_line("kvrelay_ping_failed_total{tier=\"a \\\"far\\\"\\\\ one\\n\"} 1");
	has_line("kvrelay_stage_seconds_bucket{stage=\"encode\",le=\"0.00025\"} 0");
	has_line("kvrelay_stage_seconds_bucket{stage=\"encode\",le=\"0.0005\"} 1");
	has_line("kvrelay_operations_refused_total{kind=\"put\",reason=\"BUSY\"} 17");
	has_line("kvrelay_operations_total{kind=\"put\",result=\"PARTIAL\"} 1");
	has_line("kvrelay_operation_keys_ok_total{kind=\"put\"} 6");
	has_line("kvrelay_operation_seconds_sum{kind=\"put\"} 1.500001");
	has_line("kvrelay_operation_seconds_count{kind=\"put\"} 1");
	has_line("kvrelay_retried_total{tier=\"host\"} 3");
	has_line("kvrelay_deadline_total{tier=\"\"} 2");
	has_line("kvrelay_tier_state{tier=\"host\",state=\"up\"} 1");
	has_line("kvrelay_tier_state{tier=\"host\",state=\"opening\"} 0");
	has_line("kvrelay_tier_state_entered_total{tier=\"host\",state=\"up\"} 1");
	has_line("kvrelay_tier_links_up{tier=\"host\"} 3");
	kvr_sim_free(sim);
}
END_TEST

#define LM "{model_name=\"\",worker_id=\"0\",role=\"worker\",served_model_name=\"\""

/* Names, labels, units and buckets that a dashboard made for LMCache asks for. */
START_TEST(lmcache_finds_its_names)
{
	static const char *const ms[] = { "1", "5", "10", "20", "40", "60", "80", "100", "250",
		"500", "750", "1000", "2500", "5000", "7500", "10000", "+Inf" };
	static const char *const s[] = { "0.00001", "0.00002", "0.00004", "0.00008", "0.00016",
		"0.00032", "0.00064", "0.00128", "0.00256", "0.00512", "0.01024", "0.02048",
		"0.04096", "0.08192", "0.16384", "0.32768", "0.65536", "1.31072", "2.62144",
		"5.24288", "+Inf" };
	char line[256];

	open_sim();
	tell(&(struct kvr_msg){ .type = KVR_MSG_OP_STAT,
	    .OP_STAT = { .kind = KVR_OP_GET, .n = 4, .n_ok = 3, .err = KVR_E_MISS, .bytes = 300, .took_us = 20480 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_OP_STAT,
	    .OP_STAT = { .kind = KVR_OP_GET, .n = 4, .err = KVR_E_TIMEOUT, .took_us = 750001 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_OP_STAT,
	    .OP_STAT = { .kind = KVR_OP_LOOKUP, .n = 4, .err = KVR_E_MISS } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_STAGE_STAT,
	    .STAGE_STAT = { .stage = KVR_STAGE_PING, .tier = 1, .err = KVR_E_TIMEOUT, .took_us = 2500 } });
	render(KVR_STATS_PROMETHEUS);
	for (size_t i = 0; i < KVR_LEN(ms); i++) {
		snprintf(line, sizeof(line), "lmcache:remote_time_to_get_bucket" LM ",le=\"%s\"} %d",
		    ms[i], i < 4 ? 0 : i < 11 ? 1 : 2);
		has_line(line);
	}
	for (size_t i = 0; i < KVR_LEN(s); i++) {
		snprintf(line, sizeof(line),
		    "lmcache:remote_backend_batched_get_blocking_time_bucket" LM ",le=\"%s\"} %d", s[i],
		    i < 11 ? 0 : i < 17 ? 1 : 2);
		has_line(line);
	}
	has_line("lmcache:remote_time_to_get_sum" LM "} 770.481000");
	has_line("lmcache:remote_time_to_get_count" LM "} 2");
	has_line("lmcache:num_remote_read_requests_total" LM "} 1");
	has_line("lmcache:num_remote_read_bytes_total" LM "} 300");
	has_line("lmcache:get_blocking_failed_count" LM "} 1");
	has_line("lmcache:lookup_0_hit_requests_total" LM "} 1");
	has_line("lmcache:remote_ping_error_code" LM "} -1");
	has_line("lmcache:remote_ping_latency" LM "} 2.500000");
	has_line("lmcache:remote_ping_errors_total" LM "} 1");
	kvr_sim_free(sim);
}
END_TEST

START_TEST(lanes_that_hang_are_named_and_timed)
{
	struct kvr_stats_tier t = { .n_lanes = 4 };
	char said[96] = "";

	ck_assert(!kvr_stats_hang_text(&t, 0, KVR_SEC(20), said, sizeof(said)));
	t.lane[3].stuck = 1;
	t.lane[3].stuck_ns = KVR_SEC(8);
	ck_assert(kvr_stats_hang_text(&t, 0, KVR_SEC(20), said, sizeof(said)));
	ck_assert_str_eq(said, "1 of 4 lanes hangs (thread kvr-lane-0.3) for 12 s");
	t.lane[1].stuck = 1;
	t.lane[1].stuck_ns = KVR_SEC(5);
	ck_assert(kvr_stats_hang_text(&t, 2, KVR_SEC(20), said, sizeof(said)));
	ck_assert_str_eq(said, "2 of 4 lanes hang, one of them (thread kvr-lane-2.1) for 15 s");
	/* A page that was copied while it was written. */
	ck_assert(kvr_stats_hang_text(&t, 2, KVR_SEC(4), said, sizeof(said)));
	ck_assert_str_eq(said, "2 of 4 lanes hang, one of them (thread kvr-lane-2.1) for 0 s");
}
END_TEST

START_TEST(a_ping_has_three_codes)
{
	static const struct {
		int8_t err;
		const char *line;
	} want[] = { { KVR_OK, "lmcache:remote_ping_error_code" LM "} 0" },
		{ KVR_E_TIMEOUT, "lmcache:remote_ping_error_code" LM "} -1" },
		{ KVR_E_DOWN, "lmcache:remote_ping_error_code" LM "} -2" } };

	open_sim();
	for (size_t i = 0; i < KVR_LEN(want); i++) {
		tell(&(struct kvr_msg){ .type = KVR_MSG_STAGE_STAT,
		    .STAGE_STAT = { .stage = KVR_STAGE_PING, .tier = 1, .err = want[i].err } });
		render(KVR_STATS_PROMETHEUS);
		has_line(want[i].line);
	}
	kvr_sim_free(sim);
}
END_TEST

/* The same samples; families of counters lose their suffix, bounds have their point, and an end. */
START_TEST(openmetrics_has_its_own_rules)
{
	open_sim();
	render(KVR_STATS_OPENMETRICS);
	has_line("# TYPE kvrelay_operations counter");
	has_line("kvrelay_operations_total{kind=\"put\",result=\"OK\"} 0");
	has_line("kvrelay_operation_seconds_bucket{kind=\"put\",le=\"1.0\"} 0");
	has_line("lmcache:remote_time_to_put_bucket" LM ",le=\"1000.0\"} 0");
	ck_assert_str_eq(text + strlen(text) - 6, "# EOF\n");
	kvr_sim_free(sim);
}
END_TEST

/* metrics.buckets replaces kvrelay's bounds and leaves LMCache's as they are. */
START_TEST(bounds_of_histograms_may_be_others)
{
	struct kvr_metrics_config metrics = { .version = 1, .size = sizeof(metrics), .n_tiers = 2 };

	open_sim();
	kvr_sim_free(sim);
	config.metrics.n_buckets = 2;
	config.metrics.bucket_us[0] = 333;
	config.metrics.bucket_us[1] = 1000;
	metrics.n_bounds = kvr_config_bounds(&config, metrics.bound_us);
	sim = kvr_sim_new(&(struct kvr_sim_options){ .verify_every = 1, .outside = outside });
	kvr_sim_add(sim, KVR_ID_METRICS, &kvr_metrics_spec);
	kvr_sim_start(sim, KVR_ID_METRICS, &metrics, sizeof(metrics), 0);
	tell(&(struct kvr_msg){ .type = KVR_MSG_OP_STAT, .OP_STAT = { .kind = KVR_OP_PUT, .took_us = 334 } });
	render(KVR_STATS_PROMETHEUS);
	has_line("kvrelay_operation_seconds_bucket{kind=\"put\",le=\"0.000333\"} 0");
	has_line("kvrelay_operation_seconds_bucket{kind=\"put\",le=\"0.001\"} 1");
	has_line("kvrelay_operation_seconds_bucket{kind=\"put\",le=\"+Inf\"} 1");
	ck_assert_ptr_null(strstr(text, "kvrelay_operation_seconds_bucket{kind=\"put\",le=\"0.0005\"}"));
	has_line("lmcache:remote_time_to_put_bucket" LM ",le=\"1\"} 1");
	kvr_sim_free(sim);
}
END_TEST

START_TEST(so_may_those_of_one_of_lmcaches)
{
	struct kvr_metrics_config metrics = { .version = 1, .size = sizeof(metrics), .n_tiers = 2 };

	open_sim();
	kvr_sim_free(sim);
	config.lmcache.histogram[KVR_HISTOGRAM_PUT] =
	    (struct kvr_config_bounds){ .n = 2, .us = { 2500, 77000 } };
	metrics.n_bounds = kvr_config_bounds(&config, metrics.bound_us);
	sim = kvr_sim_new(&(struct kvr_sim_options){ .verify_every = 1, .outside = outside });
	kvr_sim_add(sim, KVR_ID_METRICS, &kvr_metrics_spec);
	kvr_sim_start(sim, KVR_ID_METRICS, &metrics, sizeof(metrics), 0);
	tell(&(struct kvr_msg){ .type = KVR_MSG_OP_STAT, .OP_STAT = { .kind = KVR_OP_PUT, .took_us = 2501 } });
	tell(&(struct kvr_msg){ .type = KVR_MSG_OP_STAT, .OP_STAT = { .kind = KVR_OP_GET, .took_us = 2501 } });
	render(KVR_STATS_PROMETHEUS);
	has_line("lmcache:remote_time_to_put_bucket" LM ",le=\"2.5\"} 0");
	has_line("lmcache:remote_time_to_put_bucket" LM ",le=\"77\"} 1");
	has_line("lmcache:remote_time_to_put_bucket" LM ",le=\"+Inf\"} 1");
	ck_assert_ptr_null(strstr(text, "lmcache:remote_time_to_put_bucket" LM ",le=\"5\"}"));
	/* The others have what they had. */
	has_line("lmcache:remote_time_to_get_bucket" LM ",le=\"1\"} 0");
	has_line("lmcache:remote_time_to_get_bucket" LM ",le=\"5\"} 1");
	ck_assert_ptr_null(strstr(text, "lmcache:remote_time_to_get_bucket" LM ",le=\"2.5\"}"));
	kvr_sim_free(sim);
}
END_TEST

START_TEST(json_says_the_same)
{
	open_sim();
	tell(&(struct kvr_msg){
	    .type = KVR_MSG_COUNT, .COUNT = { .what = KVR_COUNT_RETRIED, .tier = 1, .n = 42 } });
	render(KVR_STATS_JSON);
	cJSON *json = cJSON_Parse(text);

	ck_assert_ptr_nonnull(json);
	const cJSON *family = cJSON_GetObjectItem(json, "retried_total"), *sample;
	bool found = false;

	ck_assert_str_eq(cJSON_GetObjectItem(family, "type")->valuestring, "counter");
	cJSON_ArrayForEach(sample, cJSON_GetObjectItem(family, "samples"))
	{
		if (strcmp(cJSON_GetObjectItem(sample, "tier")->valuestring, config.tier[1].name) != 0)
			continue;
		found = true;
		ck_assert_int_eq(cJSON_GetObjectItem(sample, "value")->valueint, 42);
	}
	ck_assert(found);
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(
	                     cJSON_GetObjectItem(json, "operation_seconds"), "samples")),
	    KVR_OP_N * (17 + 3));
	cJSON_Delete(json);
	kvr_sim_free(sim);
}
END_TEST

/* Whatever the room, the answer is the same, nothing is written beyond it, and it is a prefix. */
START_TEST(too_little_room_is_said_and_kept)
{
	static char whole[1 << 20], some[1 << 20];

	open_sim();
	size_t need = text_of(KVR_STATS_PROMETHEUS, whole, sizeof(whole));
	const size_t caps[] = { 0, 1, 2, 100, need - 1, need };

	for (size_t i = 0; i < KVR_LEN(caps); i++) {
		memset(some, 'x', sizeof(some));
		ck_assert_uint_eq(text_of(KVR_STATS_PROMETHEUS, some, caps[i]), need);
		ck_assert_int_eq(some[caps[i]], 'x');
		if (caps[i] > 0) {
			ck_assert_uint_eq(strlen(some), caps[i] - 1);
			ck_assert_int_eq(memcmp(some, whole, caps[i] - 1), 0);
		}
	}
	kvr_sim_free(sim);
}
END_TEST

KVR_CHECK_MAIN("actors.metrics", every_series_is_there_from_the_start_at_zero,
    parts_and_operations_are_counted, lmcache_finds_its_names, a_ping_has_three_codes,
    openmetrics_has_its_own_rules, bounds_of_histograms_may_be_others,
    lanes_that_hang_are_named_and_timed,
    so_may_those_of_one_of_lmcaches, json_says_the_same, too_little_room_is_said_and_kept)
