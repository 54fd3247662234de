/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance has to say has its line in the log, once, whatever others have to say. */
#include "kvr_api_bed.h"

#include <fcntl.h>
#include <unistd.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

START_TEST(a_directory_that_is_read_as_a_host_has_one_line)
{
	static const char text[] = "{ \"tiers\": [ { \"name\": \"disk\", \"url\": \"fs://kv%s\" } ] }";
	struct bed_log log = BED_LOG;
	char dir[] = "/tmp/kvr-open-XXXXXX", json[128], said[128];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(json, sizeof(json), text, dir);
	snprintf(said, sizeof(said), "files go to %s, for \"kv\" is read as a host", dir);
	bed_close(bed_open(json, NULL, NULL, &log));
	bed_log_has(&log, said);
	ck_assert_ptr_null(strstr(strstr(log.text, said) + 1, said));
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* Ten lines of one kind a second are enough of a loop, but not of a configuration. */
START_TEST(every_warning_of_a_configuration_has_a_line)
{
	struct bed_log log = BED_LOG;
	char json[512] = "{\"remote_url\":\"memory://\"", key[32];

	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), ",\"nobody_knows_%d\":1", i);
		strcat(json, key);
	}
	strcat(json, "}");
	bed_close(bed_open(json, NULL, NULL, &log));
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "nobody_knows_%d\"", i);
		bed_log_has(&log, key);
	}
}
END_TEST

/* Somebody else's loop of wrong calls takes no line away. */
START_TEST(each_instance_has_its_own_lines)
{
	struct bed_log loop = BED_LOG, log = BED_LOG;
	struct kvr *wrong = bed_open(MEMORY, NULL, NULL, &loop), *k = bed_open(MEMORY, NULL, NULL, &log);

	for (int i = 0; i < 1000; i++)
		ERR(kvr_contains(wrong, "", false, 0), KVR_E_INVALID);
	ck_assert_int_lt(bed_log_lines(&loop), 100);
	ERR(kvr_contains(k, "", false, 0), KVR_E_INVALID);
	bed_log_has(&log, "kvr_submit: key 0 is empty");
	bed_close(k);
	bed_close(wrong);
}
END_TEST

/* A network that fails takes away all stores at once, of all instances. */
START_TEST(each_tier_that_goes_down_has_a_line)
{
	enum { INSTANCES = 3, TIERS = 8 };
	struct bed_log log[INSTANCES];
	struct kvr *k[INSTANCES];
	char json[1024] = "{\"tiers\":[", text[80];

	/* Nobody listens at this port. */
	for (int t = 0; t < TIERS; t++) {
		snprintf(text, sizeof(text), "%s{\"name\":\"away%d\",\"url\":\"redis://127.0.0.1:1\"}",
		    t == 0 ? "" : ",", t);
		strcat(json, text);
	}
	strcat(json, "]}");
	for (int i = 0; i < INSTANCES; i++) {
		log[i] = (struct bed_log)BED_LOG;
		k[i] = bed_open(json, NULL, NULL, &log[i]);
	}
	for (int i = 0; i < INSTANCES * TIERS; i++) {
		snprintf(text, sizeof(text), "tier away%d is COOLING, its keys are answered DOWN: redis:",
		    i % TIERS);
		bed_log_wait(&log[i / TIERS], text);
	}
	for (int i = 0; i < INSTANCES; i++)
		bed_close(k[i]);
}
END_TEST

START_TEST(a_trace_without_a_file_is_said)
{
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open("{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}],"
	                         "\"trace\":{\"dir\":\"/nowhere/at/all\"}}",
	    NULL, NULL, &log);

	bed_log_has(&log, "the trace is in memory only, and ends with the process: /nowhere/at/all: No such");
	bed_close(k);
}
END_TEST

/* From then on its number is that of some file, which a line would be written into. */
START_TEST(with_standard_error_closed_lines_go_nowhere)
{
	const struct kvr_options none = { .size = sizeof(none) };
	int ends[2], before = dup(STDERR_FILENO);
	struct kvr *k = NULL;
	char text[64];

	ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
	close(STDERR_FILENO);
	ERR(kvr_open(&none, 0, &k, NULL, 0), KVR_E_INVALID);
	dup2(ends[1], STDERR_FILENO);
	k = bed_open(MEMORY, NULL, NULL, NULL);
	ERR(kvr_contains(k, NULL, false, 0), KVR_E_INVALID); /* there is a line for each such call */
	bed_close(k);
	ck_assert_int_eq(read(ends[0], text, sizeof(text)), -1);
	dup2(before, STDERR_FILENO);
}
END_TEST

KVR_CHECK_MAIN("api.lines", a_directory_that_is_read_as_a_host_has_one_line,
    every_warning_of_a_configuration_has_a_line, each_instance_has_its_own_lines,
    each_tier_that_goes_down_has_a_line, a_trace_without_a_file_is_said,
    with_standard_error_closed_lines_go_nowhere)
