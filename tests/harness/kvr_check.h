/* SPDX-License-Identifier: Apache-2.0 */
/* main() of a test file: KVR_CHECK_MAIN("base.err", test_one, test_two) runs each as a case. */
#ifndef KVR_HARNESS_CHECK_H
#define KVR_HARNESS_CHECK_H

#include <check.h>
#include <stdlib.h>

/*
 * How often something is tried in the hope of an unlucky moment. A thread sanitizer needs no luck,
 * for it sees what would be a race if the order were another; and it takes its time.
 */
#if defined(__SANITIZE_THREAD__)
#define KVR_ROUNDS(n) (((n) + 7) / 8)
/*
 * Each case is a process, and one whose threads still live sleeps a second before it ends, for
 * races of that moment: more than most cases take. nng's threads live for ever. A tenth shows them,
 * too.
 */
#define KVR_CHECK_SANITIZER \
	const char *__tsan_default_options(void); \
	const char *__tsan_default_options(void) \
	{ \
		return "atexit_sleep_ms=100"; \
	}
#else
#define KVR_ROUNDS(n) (n)
#define KVR_CHECK_SANITIZER
#endif

#define KVR_CHECK_MAIN(name, ...) \
	KVR_CHECK_SANITIZER \
	int main(void) \
	{ \
		const TTest *const tests[] = { __VA_ARGS__ }; \
		Suite *suite = suite_create(name); \
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) { \
			TCase *tc = tcase_create(name); \
			tcase_set_timeout(tc, 240); \
			tcase_add_test(tc, tests[i]); \
			suite_add_tcase(suite, tc); \
		} \
		SRunner *runner = srunner_create(suite); \
		srunner_run_all(runner, CK_ENV); \
		int failed = srunner_ntests_failed(runner); \
		srunner_free(runner); \
		return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE; \
	}

#endif
