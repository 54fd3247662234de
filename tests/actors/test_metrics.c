/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_check.h"
#include "kvr_metrics_state.h"
#include "kvr_sim.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static struct kvr_sim *sim;
static const char *const names[] = { "host", "a \"far\"\\ one\n" };
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
	const struct kvr_metrics_config config = {
		.version = 1, .size = sizeof(config), .n_tiers = 2
	};

	sim = kvr_sim_new(&(struct kvr_sim_options){ .verify_every = 1, .outside = outside });
	kvr_sim_add(sim, KVR_ID_METRICS, &kvr_metrics_spec);
	kvr_sim_start(sim, KVR_ID_METRICS, &config, sizeof(config), 0);
}

static void
tell(const struct kvr_msg *msg)
{
	kvr_sim_post(sim, KVR_ID_METRICS, msg);
	kvr_sim_run(sim, 0);
}

static const struct kvr_metrics_state *
state(void)
{
	return kvr_sim_actor(sim, KVR_ID_METRICS)->self;
}

static size_t
render(bool json)
{
	size_t n = kvr_metrics_text(state(), names, 2, json, text, sizeof(text));

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

START_TEST(every_series_is_there_from_the_start_at_zero)
{
	uint32_t lines = 0, before;

	open_sim();
	render(false);
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		ck_assert_int_eq(
		    strncmp(line, line[0] == '#' ? "# " : "kvrelay_", line[0] == '#' ? 2 : 8), 0);
		if (line[0] == '#')
			continue;
		const char *value = strrchr(line, ' ') + 1;

		lines++;
		if (strstr(line, "tier_state{") != NULL && strstr(line, "\"opening\"") != NULL)
			ck_assert_str_eq(value, "1");
		else
			ck_assert_msg(strspn(value, "0.") == strlen(value), "%s", line);
	}
	before = lines;
	for (uint8_t v = 0; v < KVR_VERB_PING; v++)
		tell(&(struct kvr_msg){ .type = KVR_MSG_PART_STAT,
		    .PART_STAT = { .tier = 1, .verb = v, .err = KVR_E_PROTO, .n = 1 } });
	render(false);
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
	tell(&(struct kvr_msg){ .type = KVR_MSG_STOP });
	render(false);
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

START_TEST(json_says_the_same)
{
	open_sim();
	tell(&(struct kvr_msg){
	    .type = KVR_MSG_COUNT, .COUNT = { .what = KVR_COUNT_RETRIED, .tier = 1, .n = 42 } });
	render(true);
	cJSON *json = cJSON_Parse(text);

	ck_assert_ptr_nonnull(json);
	const cJSON *family = cJSON_GetObjectItem(json, "retried_total"), *sample;
	bool found = false;

	ck_assert_str_eq(cJSON_GetObjectItem(family, "type")->valuestring, "counter");
	cJSON_ArrayForEach(sample, cJSON_GetObjectItem(family, "samples"))
	{
		if (strcmp(cJSON_GetObjectItem(sample, "tier")->valuestring, names[1]) != 0)
			continue;
		found = true;
		ck_assert_int_eq(cJSON_GetObjectItem(sample, "value")->valueint, 42);
	}
	ck_assert(found);
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(
	                     cJSON_GetObjectItem(json, "operation_seconds"), "samples")),
	    KVR_OP_N * (KVR_METRICS_BUCKETS + 2));
	cJSON_Delete(json);
	kvr_sim_free(sim);
}
END_TEST

/* Whatever the room, the answer is the same, nothing is written beyond it, and it is a prefix. */
START_TEST(too_little_room_is_said_and_kept)
{
	static char whole[1 << 20], some[1 << 20];

	open_sim();
	size_t need = kvr_metrics_text(state(), names, 2, false, whole, sizeof(whole));
	const size_t caps[] = { 0, 1, 2, 100, need - 1, need };

	for (size_t i = 0; i < KVR_LEN(caps); i++) {
		memset(some, 'x', sizeof(some));
		ck_assert_uint_eq(kvr_metrics_text(state(), names, 2, false, some, caps[i]), need);
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
    parts_and_operations_are_counted, json_says_the_same, too_little_room_is_said_and_kept)
