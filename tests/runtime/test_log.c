/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_log.h"
#include "kvr_thread.h"
#include "kvr_check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct sink {
	_Atomic uint32_t n;
	enum kvr_log_level level;
	char last[KVR_LOG_LINE + 64];
};

static void
keep(void *arg, enum kvr_log_level level, const char *line)
{
	struct sink *s = arg;

	s->level = level;
	snprintf(s->last, sizeof(s->last), "%s", line);
	atomic_fetch_add(&s->n, 1);
}

START_TEST(a_line_has_level_operation_and_text)
{
	struct sink s = { .n = 0 };
	struct kvr_log log = { KVR_LOG_INFO, keep, &s };

	kvr_log(&log, WARN, 7 | UINT64_C(3) << 32, "dial %s failed: %d", "redis://a", 5);
	ck_assert_str_eq(s.last, "kvrelay: warn: op 7.3: dial redis://a failed: 5");
	ck_assert_int_eq(s.level, KVR_LOG_WARN);
	kvr_log(&log, INFO, 0, "up");
	ck_assert_str_eq(s.last, "kvrelay: info: up");
	kvr_log(&log, DEBUG, 0, "not at this level");
	ck_assert_uint_eq(s.n, 2);
	log.level = KVR_LOG_NONE;
	kvr_log(&log, ERROR, 0, "not at all");
	ck_assert_uint_eq(s.n, 2);
}
END_TEST

START_TEST(a_place_that_repeats_itself_is_counted)
{
	struct sink s = { .n = 0 };
	struct kvr_log log = { KVR_LOG_DEBUG, keep, &s };
	struct kvr_log_site site = { 0 };
	uint64_t now_ns = KVR_SEC(100);

	for (int i = 0; i < 100; i++)
		kvr_log_write(&log, &site, KVR_LOG_ERROR, 0, now_ns + (uint64_t)i, "again");
	ck_assert_uint_eq(s.n, KVR_LOG_BURST);
	ck_assert_str_eq(s.last, "kvrelay: error: again");
	kvr_log_write(&log, &site, KVR_LOG_ERROR, 0, now_ns + KVR_SEC(1), "again");
	ck_assert_uint_eq(s.n, KVR_LOG_BURST + 1);
	ck_assert_str_eq(s.last, "kvrelay: error: again (90 lines like it not shown)");
	kvr_log_write(&log, &site, KVR_LOG_ERROR, 0, now_ns + KVR_SEC(1) + 1, "again");
	ck_assert_str_eq(s.last, "kvrelay: error: again");
}
END_TEST

START_TEST(what_has_no_place_has_no_limit)
{
	struct sink s = { .n = 0 };
	struct kvr_log log = { KVR_LOG_INFO, keep, &s };

	for (uint32_t i = 1; i <= 10 * KVR_LOG_BURST; i++) {
		kvr_log_at(&log, NULL, INFO, 0, "seldom");
		ck_assert_uint_eq(s.n, i);
	}
	ck_assert_str_eq(s.last, "kvrelay: info: seldom");
	kvr_log_at(&log, NULL, DEBUG, 0, "not at this level");
	ck_assert_str_eq(s.last, "kvrelay: info: seldom");
}
END_TEST

START_TEST(one_line_stays_one_line)
{
	struct sink s = { .n = 0 };
	struct kvr_log log = { KVR_LOG_DEBUG, keep, &s };
	struct kvr_log_site site = { .suppressed = 4000000000U };
	static char longer[3 * KVR_LOG_LINE];

	kvr_log(&log, ERROR, 0, "the server says: %s", "-ERR a\r\nb\tc\x1b[31m");
	ck_assert_str_eq(s.last, "kvrelay: error: the server says: -ERR a  b c [31m");
	memset(longer, 'x', sizeof(longer) - 1);
	kvr_log_write(&log, &site, KVR_LOG_ERROR, UINT64_MAX, 1, "%s", longer);
	ck_assert_uint_lt(strlen(s.last), KVR_LOG_LINE);
	ck_assert_ptr_nonnull(strstr(s.last, "xx (4000000000 lines like it not shown)"));
}
END_TEST

START_TEST(without_a_function_it_is_standard_error)
{
	struct kvr_log log = { KVR_LOG_INFO, NULL, NULL };
	int ends[2], before = dup(STDERR_FILENO);
	char text[128] = "";

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	kvr_log(&log, INFO, 0, "tier %d is up", 2);
	dup2(before, STDERR_FILENO);
	ck_assert_int_gt(read(ends[0], text, sizeof(text) - 1), 0);
	ck_assert_str_eq(text, "kvrelay: info: tier 2 is up\n");
	close(ends[0]);
	close(ends[1]);
	close(before);
}
END_TEST

/* Whose pipe nobody reads waits for no line, and is told how many there were when somebody does. */
START_TEST(standard_error_that_is_full_holds_up_nobody)
{
	struct kvr_log log = { KVR_LOG_INFO, NULL, NULL };
	int ends[2], before = dup(STDERR_FILENO);
	static char text[1 << 16];
	ssize_t n;

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(ends[1], text, sizeof(text)) > 0)
		;
	ck_assert_int_eq(fcntl(ends[1], F_SETFL, 0), 0);
	dup2(ends[1], STDERR_FILENO);
	kvr_log(&log, INFO, 0, "tier %d is up", 2);
	kvr_log(&log, INFO, 0, "tier %d is up", 3);
	dup2(before, STDERR_FILENO);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	while ((n = read(ends[0], text, sizeof(text))) > 0)
		ck_assert_ptr_null(memchr(text, 'k', (size_t)n));
	dup2(ends[1], STDERR_FILENO);
	kvr_log(&log, INFO, 0, "tier %d is up", 4);
	dup2(before, STDERR_FILENO);
	n = read(ends[0], text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, "kvrelay: warn: 2 lines are lost: standard error did not take them\n"
	                       "kvrelay: info: tier 4 is up\n");
	close(ends[0]);
	close(ends[1]);
	close(before);
}
END_TEST

START_TEST(standard_error_whose_reader_is_gone_ends_nobody)
{
	struct kvr_log log = { KVR_LOG_INFO, NULL, NULL };
	int ends[2], before = dup(STDERR_FILENO);

	signal(SIGPIPE, SIG_DFL);
	ck_assert_int_eq(pipe(ends), 0);
	close(ends[0]);
	dup2(ends[1], STDERR_FILENO);
	kvr_log(&log, INFO, 0, "tier %d is up", 2);
	close(STDERR_FILENO);
	kvr_log(&log, INFO, 0, "tier %d is up", 3);
	dup2(before, STDERR_FILENO);
	close(ends[1]);
	close(before);
}
END_TEST

static void
chatter(void *arg)
{
	static struct kvr_log_site site;

	for (int i = 0; i < 20000; i++)
		kvr_log_write(arg, &site, KVR_LOG_INFO, 0, KVR_SEC(5), "many");
}

static void
only_count(void *arg, enum kvr_log_level level, const char *line)
{
	(void)level;
	(void)line;
	atomic_fetch_add((_Atomic uint32_t *)arg, 1);
}

START_TEST(many_threads_share_a_limit)
{
	_Atomic uint32_t n = 0;
	struct kvr_log log = { KVR_LOG_DEBUG, only_count, (void *)&n };
	struct kvr_thread *t[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(kvr_thread_start("chatter", chatter, &log, &t[i]), KVR_OK);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(kvr_thread_join(t[i], UINT64_MAX), KVR_OK);
	ck_assert_uint_ge(n, KVR_LOG_BURST);
	ck_assert_uint_le(n, 4 * KVR_LOG_BURST);
}
END_TEST

KVR_CHECK_MAIN("runtime.log", a_line_has_level_operation_and_text,
    a_place_that_repeats_itself_is_counted, what_has_no_place_has_no_limit, one_line_stays_one_line,
    without_a_function_it_is_standard_error, standard_error_that_is_full_holds_up_nobody,
    standard_error_whose_reader_is_gone_ends_nobody, many_threads_share_a_limit)
