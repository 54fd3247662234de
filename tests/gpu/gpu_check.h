/* SPDX-License-Identifier: Apache-2.0 */
/* main() of a program whose tests share a device. */
#ifndef KVR_GPU_CHECK_H
#define KVR_GPU_CHECK_H

#include <check.h>
#include <stdlib.h>

/* All in this process: a context does not survive a fork. Returns what main returns. */
static inline int
gpu_run(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);

	for (size_t i = 0; i < n; i++) {
		TCase *tc = tcase_create(name);

		tcase_set_timeout(tc, 240);
		tcase_add_test(tc, tests[i]);
		suite_add_tcase(suite, tc);
	}
	SRunner *runner = srunner_create(suite);

	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
