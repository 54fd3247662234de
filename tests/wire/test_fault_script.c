/* SPDX-License-Identifier: Apache-2.0 */
/* Time lines of rehearsed outages, and what is said about those that cannot be meant. */
#include "kvr_fault_script.h"
#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

static struct kvr_fault_script script;

static void
parse(const char *text)
{
	struct kvr_fault_wrong wrong = { 0 };

	ck_assert_msg(kvr_fault_script_parse(text, strlen(text), &script, &wrong), "%u:%u: %s",
	    wrong.line, wrong.column, wrong.what);
}

START_TEST(every_fault_is_read)
{
	static const char *const names[KVR_FAULT_N] = { "pass", "down", "hang", "delay", "drip",
		"drop", "reset", "error", "truncate", "flip" };

	parse("# an outage\n"
	      "seed 77\n"
	      "\n"
	      "0s\tpass # well\r\n"
	      "10ms  down\n"
	      "1.5s  hang on get,put\n"
	      "2s    delay 5ms to 20ms on size\n"
	      "2s    delay 3us\n"
	      "1min  drip 64KiB/s on get\n"
	      "2min  drop 0.1%\n"
	      "2min  reset 5% on lookup,remove\n"
	      "2min  error OOM 50% on put\n"
	      "2min  truncate 2%\n"
	      "2min  flip#at once\n"
	      "3min  repeat");
	ck_assert_uint_eq(script.n, 11);
	ck_assert_uint_eq(script.seed, 77);
	ck_assert_uint_eq(script.period_ns, KVR_SEC(180));
	const struct kvr_fault *f = script.fault;
	ck_assert_uint_eq(f[0].line, 4);
	ck_assert_uint_eq(f[1].at_ns, KVR_MS(10));
	ck_assert_uint_eq(f[2].at_ns, KVR_MS(1500));
	ck_assert_uint_eq(f[2].verbs, KVR_FAULT_ON_GET | KVR_FAULT_ON_PUT);
	ck_assert_uint_eq(f[3].least, KVR_MS(5));
	ck_assert_uint_eq(f[3].most, KVR_MS(20));
	ck_assert_uint_eq(f[4].most, 3000);
	ck_assert_uint_eq(f[5].least, 65536);
	ck_assert_uint_eq(f[6].ppm, 1000);
	ck_assert_uint_eq(f[7].verbs, KVR_FAULT_ON_LOOKUP | KVR_FAULT_ON_REMOVE);
	ck_assert_str_eq(f[8].code, "OOM");
	ck_assert_uint_eq(f[8].ppm, 500000);
	ck_assert_uint_eq(f[10].ppm, KVR_FAULT_PPM);
	ck_assert_uint_eq(f[10].verbs, KVR_FAULT_ON_ALL);
	for (uint32_t k = 0; k < KVR_FAULT_N; k++)
		ck_assert_str_eq(kvr_fault_name(k), names[k]);
}
END_TEST

START_TEST(lines_hold_until_the_next_instant_and_those_of_one_together)
{
	static const struct {
		uint64_t at_ms;
		uint32_t n, kind;
	} want[] = { { 0, 0, 0 }, { 9, 0, 0 }, { 10, 1, KVR_FAULT_DOWN }, { 19, 1, KVR_FAULT_DOWN },
		{ 20, 2, KVR_FAULT_FLIP }, { 49, 2, KVR_FAULT_FLIP }, { 50, 1, KVR_FAULT_PASS },
		{ 99, 1, KVR_FAULT_PASS }, { 100, 0, 0 }, { 110, 1, KVR_FAULT_DOWN },
		{ 100020, 2, KVR_FAULT_FLIP } };

	parse("10ms down\n20ms flip 1%\n20ms delay 1ms\n50ms pass\n100ms repeat\n");
	for (size_t i = 0; i < KVR_LEN(want); i++) {
		const struct kvr_fault *first = NULL;
		uint32_t n = kvr_fault_script_now(&script, KVR_MS(want[i].at_ms), &first);

		ck_assert_uint_eq(n, want[i].n);
		ck_assert(n == 0 || first->kind == want[i].kind);
	}
	parse("10ms down\n");
	const struct kvr_fault *first = NULL;
	ck_assert_uint_eq(kvr_fault_script_now(&script, KVR_SEC(100000), &first), 1);
}
END_TEST

START_TEST(what_cannot_be_meant_is_told_with_its_place)
{
	static const struct {
		const char *text;
		uint32_t line, column;
		const char *say;
	} want[] = {
		{ "", 1, 1, "no fault" },
		{ "# nothing\n", 1, 1, "no fault" },
		{ "0s down\n5 down\n", 2, 1, "something like 200ms" },
		{ "0s down\n  5h down\n", 2, 3, "something like 200ms" },
		{ "0s dwon\n", 1, 4, "\"dwon\" is no fault" },
		{ "0s", 1, 3, "what happens" },
		{ "2s pass\n1s pass\n", 2, 1, "do not go back" },
		{ "0s delay\n", 1, 9, "how long" },
		{ "0s delay 5ms to\n", 1, 16, "a time is missing" },
		{ "0s delay 5ms to 1ms\n", 1, 17, "shorter than the first" },
		{ "0s drip 5MB/s\n", 1, 9, "something like 64KiB/s" },
		{ "0s drip 0B/s\n", 1, 9, "write hang" },
		{ "0s error oom\n", 1, 10, "capital letters" },
		{ "0s error ABCDEFGHIJKLMNOP\n", 1, 10, "at most 15" },
		{ "0s drop 101%\n", 1, 9, "more than 100%" },
		{ "0s drop 5\n", 1, 9, "something like 5%" },
		{ "0s drop 5% on\n", 1, 14, "which is missing" },
		{ "0s drop on get,pot\n", 1, 16, "\"pot\": expected lookup" },
		{ "0s drop on get,\n", 1, 16, "expected lookup" },
		{ "0s down on get\n", 1, 9, "down does not take \"on\"" },
		{ "0s flip 1% on put\n", 1, 12, "something like 5%" },
		{ "0s repeat\n", 1, 4, "behind the last fault" },
		{ "1s pass\n1s repeat\n", 2, 4, "behind the last fault" },
		{ "0s pass\n1s repeat\n2s down\n", 3, 1, "behind repeat" },
		{ "0s pass\nseed 1\n", 2, 1, "before the first" },
		{ "seed\n0s pass\n", 1, 5, "a number" },
		{ "0.0000001s pass\n", 1, 1, "something like" },
		{ "123456789s pass\n", 1, 1, "something like" },
	};

	for (size_t i = 0; i < KVR_LEN(want); i++) {
		struct kvr_fault_wrong wrong = { 0 };
		const char *text = want[i].text;

		ck_assert_msg(
		    !kvr_fault_script_parse(text, strlen(text), &script, &wrong), "%s", text);
		ck_assert_msg(wrong.line == want[i].line && wrong.column == want[i].column,
		    "%s: %u:%u: %s", text, wrong.line, wrong.column, wrong.what);
		ck_assert_msg(strstr(wrong.what, want[i].say) != NULL, "%s: %s", text, wrong.what);
	}
}
END_TEST

START_TEST(a_script_has_its_limit)
{
	char text[KVR_FAULTS_MAX * 16 + 32];
	struct kvr_fault_wrong wrong = { 0 };
	size_t len = 0;

	for (uint32_t i = 0; i < KVR_FAULTS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%us pass\n", i);
	ck_assert(kvr_fault_script_parse(text, len, &script, &wrong));
	len += (size_t)snprintf(text + len, sizeof(text) - len, "99s down\n");
	ck_assert(!kvr_fault_script_parse(text, len, &script, &wrong));
	ck_assert_uint_eq(wrong.line, KVR_FAULTS_MAX + 1);
}
END_TEST

KVR_CHECK_MAIN("wire.fault_script", every_fault_is_read,
    lines_hold_until_the_next_instant_and_those_of_one_together,
    what_cannot_be_meant_is_told_with_its_place, a_script_has_its_limit)
