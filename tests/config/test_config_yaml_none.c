/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libyaml: one clear error, and JSON as ever. */
#include "kvr_check.h"
#include "kvr_config_test.h"

START_TEST(it_says_what_to_do)
{
	static const char text[] = "remote_url: redis://h:1\n";
	struct kvr_config *cfg = NULL;
	char why[600] = "";

	ck_assert(kvr_config_parse_yaml(text, sizeof(text) - 1, NULL, &cfg, why, sizeof(why)) ==
	          KVR_E_CONFIG);
	ck_assert_str_eq(why, "text: this build reads no YAML: write it as JSON, or build with "
	                      "libyaml (libyaml-dev) and -DKVR_YAML=ON");
	ck_assert_str_eq(kvr_yaml_library(), "left out");
}
END_TEST

KVR_CHECK_MAIN("config.yaml_none", it_says_what_to_do)
