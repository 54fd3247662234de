/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_subject.h"

int
main(void)
{
	Suite *suite = suite_create("connectors.conformance");
	TCase *tc = tcase_create("promises");
	TCase *hard = tcase_create("promises under load");

	tcase_set_timeout(tc, 60);
	tcase_set_timeout(hard, 200);
	kvr_add_conformance(tc);
	kvr_add_conformance_hard(hard);
	kvr_add_conformance_lanes(hard);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, hard);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
