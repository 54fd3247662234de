/* SPDX-License-Identifier: Apache-2.0 */
/* A build without TLS never takes rediss:// for redis://, and says what is missing. */
#include "kvr_check.h"
#include "kvr_connectors.h"

#include <string.h>

START_TEST(rediss_says_what_is_missing)
{
	struct kvr_store_opts opts = { .tier = "t", .url = "rediss://localhost",
		.format = KVR_FORMAT_BARE, .n_groups = 1 };
	struct kvr_store *store = NULL;
	char why[256] = "";

	ck_assert(!kvr_connector_has_tls());
	const struct kvr_connector_ops *ops = kvr_connector_find(opts.url);
	ck_assert_ptr_nonnull(ops);
	ck_assert_int_eq(ops->open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(why, "libssl-dev") != NULL && strstr(why, "-DKVR_TLS=ON") != NULL,
	    "%s", why);
}
END_TEST

START_TEST(plain_urls_work_as_ever)
{
	struct kvr_store_opts opts = { .tier = "t", .url = "redis://localhost",
		.format = KVR_FORMAT_BARE, .n_groups = 1 };
	struct kvr_store *store = NULL;
	char why[256] = "";

	const struct kvr_connector_ops *ops = kvr_connector_find(opts.url);
	ck_assert_int_eq(ops->open(&opts, &store, why, sizeof(why)), KVR_OK);
	ops->close(store);
	opts.tls.ca = "/ca.pem";
	ck_assert_int_eq(ops->open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_msg(strstr(why, "rediss://") != NULL, "%s", why);
}
END_TEST

KVR_CHECK_MAIN("connectors.tls_none", rediss_says_what_is_missing, plain_urls_work_as_ever)
