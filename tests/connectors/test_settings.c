/* SPDX-License-Identifier: Apache-2.0 */
/* What a store cannot do anything with it refuses by name, whichever store it is. */
#include "kvr_check.h"
#include "kvr_settings.h"

#include <string.h>

/* One that each store opens without any setting. */
static const char *const urls[] = { "memory://", "redis://h:1", "valkey://h:1", "resp://h:1",
	"redis-cluster://h:1", "lm://h:1", "eic://h:1", "blackhole://", "mock://1" };

static enum kvr_err
open_with(struct kvr_store_opts *o, const char *url, char *why, size_t why_cap)
{
	const struct kvr_connector_ops *ops = kvr_connector_find(url);
	struct kvr_store *s = NULL;

	o->url = url;
	o->tier = "t";
	o->format = ops->format_url;
	o->n_groups = 1;
	why[0] = '\0';
	enum kvr_err err = ops->open(o, &s, why, why_cap);

	if (err == KVR_OK)
		ops->close(s);
	return err;
}

START_TEST(settings_of_files_are_refused_where_there_are_none)
{
	char why[256];

	for (size_t i = 0; i < KVR_LEN(urls); i++) {
		struct kvr_store_opts plain = { 0 }, wrong[] = { { .direct = true },
			{ .free_floor = 1 }, { .tmp_dir = "tmp" } };

		ck_assert_msg(open_with(&plain, urls[i], why, sizeof(why)) == KVR_OK, "%s: %s",
		    urls[i], why);
		for (size_t k = 0; k < KVR_LEN(wrong); k++) {
			ck_assert_msg(open_with(&wrong[k], urls[i], why, sizeof(why)) == KVR_E_CONFIG,
			    "%s takes number %zu", urls[i], k);
			ck_assert_msg(why[0] != '\0', "%s does not say why", urls[i]);
		}
	}
}
END_TEST

START_TEST(replicas_are_read_from_where_there_are_some)
{
	static const char *const without[] = { "memory://", "redis://h:1", "valkey://h:1", "resp://h:1",
		"lm://h:1", "eic://h:1", "mock://1" };
	static const char *const with[] = { "redis-cluster://h:1", "valkey-cluster://h:1",
		"redis-sentinel://h:1?service=s" };
	char why[256];

	for (size_t i = 0; i < KVR_LEN(without); i++) {
		struct kvr_store_opts o = { .replicas = true };

		ck_assert_int_eq(open_with(&o, without[i], why, sizeof(why)), KVR_E_CONFIG);
		ck_assert_ptr_nonnull(strstr(why, "replicas: only behind sentinels and in a cluster"));
	}
	for (size_t i = 0; i < KVR_LEN(with); i++) {
		struct kvr_store_opts o = { .replicas = true };

		ck_assert_msg(open_with(&o, with[i], why, sizeof(why)) == KVR_OK, "%s: %s", with[i], why);
	}
}
END_TEST

START_TEST(nobody_but_who_asks_sentinels_takes_them)
{
	static const char *const asked[] = { "redis://h:1", "lm://h:1", "eic://h:1", "blackhole://" };
	char why[256];

	for (size_t i = 0; i < KVR_LEN(asked); i++) {
		struct kvr_store_opts o = { .sentinel = { .service = "s" } };

		ck_assert_int_eq(open_with(&o, asked[i], why, sizeof(why)), KVR_E_CONFIG);
		ck_assert_str_eq(why, "sentinel: only a redis-sentinel:// URL asks sentinels");
	}
}
END_TEST

START_TEST(tls_is_refused_where_nobody_speaks_it)
{
	static const char *const plain[] = { "redis://h:1", "lm://h:1", "eic://h:1", "memory://",
		"blackhole://" };
	char why[256];

	for (size_t i = 0; i < KVR_LEN(plain); i++) {
		struct kvr_store_opts o = { .tls = { .no_verify = true } };

		ck_assert_msg(open_with(&o, plain[i], why, sizeof(why)) == KVR_E_CONFIG, "%s", plain[i]);
		ck_assert_msg(strstr(why, "tls") != NULL || strstr(why, "TLS") != NULL, "%s", why);
	}
}
END_TEST

START_TEST(a_stores_own_words_come_first)
{
	const struct kvr_store_opts o = { .user = "u", .capacity = 1 };
	static const char *const no[KVR_SETTING_N] = { [KVR_SETTING_CAPACITY] = "own words" };
	char why[64];
	const struct kvr_why w = { why, sizeof(why) };

	ck_assert_int_eq(kvr_settings_only(&o, 0, no, &w), KVR_E_CONFIG);
	ck_assert_str_eq(why, "user, password: the store has no login");
	ck_assert_int_eq(kvr_settings_only(&o, KVR_TAKES(LOGIN), no, &w), KVR_E_CONFIG);
	ck_assert_str_eq(why, "capacity: own words");
	ck_assert_int_eq(
	    kvr_settings_only(&o, KVR_TAKES(LOGIN) | KVR_TAKES(CAPACITY), no, &w), KVR_OK);
}
END_TEST

KVR_CHECK_MAIN("connectors.settings", settings_of_files_are_refused_where_there_are_none,
    replicas_are_read_from_where_there_are_some,
    nobody_but_who_asks_sentinels_takes_them, tls_is_refused_where_nobody_speaks_it,
    a_stores_own_words_come_first)
