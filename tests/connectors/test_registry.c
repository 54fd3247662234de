/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_connectors.h"
#include "kvr_check.h"

#include <stdio.h>

START_TEST(a_url_finds_the_store_that_serves_its_scheme)
{
	ck_assert_ptr_eq(kvr_connector_find("memory://"), &kvr_memory_ops);
	ck_assert_ptr_eq(kvr_connector_find("fs:///x"), &kvr_fs_ops);
	ck_assert_ptr_eq(kvr_connector_find("FS://host:1/x"), &kvr_fs_ops);
	ck_assert_ptr_eq(kvr_connector_find("redis://h:1"), &kvr_redis_ops);
	ck_assert_ptr_null(kvr_connector_find("redi://h:1"));
	ck_assert_ptr_null(kvr_connector_find("fsx:///x"));
	ck_assert_ptr_null(kvr_connector_find("://x"));
	ck_assert_ptr_null(kvr_connector_find("fs:/x"));
	ck_assert_ptr_null(kvr_connector_find(""));
}
END_TEST

START_TEST(every_scheme_of_the_list_is_served_and_stands_there_once)
{
	const char *const *names = kvr_connector_schemes();
	char               url[64];
	size_t             n = 0;

	for (; names[n] != NULL; n++) {
		ck_assert_int_lt(snprintf(url, sizeof(url), "%s://x", names[n]), sizeof(url));
		const struct kvr_connector_ops *ops = kvr_connector_find(url);
		ck_assert_ptr_nonnull(ops);
		for (size_t i = 0; i < n; i++)
			ck_assert_str_ne(names[i], names[n]);
	}
	ck_assert_uint_ge(n, 3);
	ck_assert_ptr_eq(kvr_connector_schemes(), names);
}
END_TEST

KVR_CHECK_MAIN("connectors.registry", a_url_finds_the_store_that_serves_its_scheme,
    every_scheme_of_the_list_is_served_and_stands_there_once)
