/* SPDX-License-Identifier: Apache-2.0 */
/* A build without libcurl knows the scheme and says what is missing. */
#include "kvr_check.h"
#include "kvr_connectors.h"

#include <string.h>

START_TEST(the_store_says_what_is_missing)
{
	struct kvr_store_opts opts = { .tier = "t", .url = "sagemaker-hyperpod://127.0.0.1:9200",
		.format = KVR_FORMAT_LMCACHE, .n_groups = 1 };
	struct kvr_store *store = NULL;
	char why[256] = "";

	ck_assert(!kvr_connector_has_http());
	const struct kvr_connector_ops *ops = kvr_connector_find(opts.url);
	ck_assert_ptr_nonnull(ops);
	ck_assert_int_eq(ops->open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(why, "libcurl4-openssl-dev") != NULL &&
	        strstr(why, "-DKVR_CURL=ON") != NULL, "%s", why);
}
END_TEST

KVR_CHECK_MAIN("connectors.http_none", the_store_says_what_is_missing)
