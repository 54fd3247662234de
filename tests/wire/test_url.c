/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_url.h"
#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

static struct kvr_url
good(const char *text)
{
	struct kvr_url u;
	char why[256] = "";
	enum kvr_err err = kvr_url_parse(text, &u, why, sizeof(why));
	ck_assert_msg(err == KVR_OK, "%s: %s", text, why);
	return u;
}

START_TEST(every_part_is_found)
{
	struct kvr_url u = good("redis://us%40er:p%2Fa%25ss@cache.example:6380/2?db=2&protocol=2");
	ck_assert_str_eq(u.scheme, "redis");
	ck_assert(u.has_user && u.has_password);
	ck_assert_str_eq(u.user, "us@er");
	ck_assert_str_eq(u.password, "p/a%ss");
	ck_assert_uint_eq(u.n_hosts, 1);
	ck_assert_str_eq(u.host[0].name, "cache.example");
	ck_assert_uint_eq(u.host[0].port, 6380);
	ck_assert_str_eq(u.path, "/2");
	ck_assert_str_eq(u.query, "db=2&protocol=2");
}
END_TEST

START_TEST(what_is_left_out_is_empty)
{
	struct kvr_url u = good("redis://");
	ck_assert_uint_eq(u.n_hosts, 0);
	ck_assert(!u.has_user && !u.has_password);
	ck_assert_str_eq(u.path, "");
	u = good("redis://:pw@h");
	ck_assert(!u.has_user && u.has_password);
	ck_assert_str_eq(u.password, "pw");
	ck_assert_uint_eq(u.host[0].port, 0);
	u = good("redis://user@h/");
	ck_assert(u.has_user && !u.has_password);
	ck_assert_str_eq(u.path, "/");
	u = good("redis://user:@h");
	ck_assert(u.has_password);
	ck_assert_str_eq(u.password, "");
	u = good("redis://a:b@c@host");
	ck_assert_str_eq(u.password, "b@c");
	ck_assert_str_eq(u.host[0].name, "host");
}
END_TEST

START_TEST(hosts_may_be_many_and_of_both_families)
{
	struct kvr_url u =
	    good("redis-cluster://[2001:db8::1]:7000,10.0.0.2,[fe80::1%eth0],n-3_x.y:7001");
	ck_assert_uint_eq(u.n_hosts, 4);
	ck_assert_str_eq(u.host[0].name, "2001:db8::1");
	ck_assert_uint_eq(u.host[0].port, 7000);
	ck_assert_str_eq(u.host[1].name, "10.0.0.2");
	ck_assert_uint_eq(u.host[1].port, 0);
	ck_assert_str_eq(u.host[2].name, "fe80::1%eth0");
	ck_assert_str_eq(u.host[3].name, "n-3_x.y");
	ck_assert_uint_eq(u.host[3].port, 7001);
}
END_TEST

START_TEST(a_unix_socket_has_a_path_and_no_host)
{
	struct kvr_url u = good("unix://kv:pw@/run/my%20redis/s.sock?db=3");
	ck_assert_uint_eq(u.n_hosts, 0);
	ck_assert_str_eq(u.user, "kv");
	ck_assert_str_eq(u.path, "/run/my redis/s.sock");
	ck_assert_str_eq(u.query, "db=3");
}
END_TEST

START_TEST(a_wrong_url_is_refused_with_the_part_and_without_the_password)
{
	static const struct {
		const char *text, *say;
	} bad[] = {
		{ "", "scheme" },
		{ "host:6379", "scheme" },
		{ "://host", "scheme: empty" },
		{ "red is://host", "blank" },
		{ "red_is://host", "scheme" },
		{ "1redis://host", "scheme" },
		{ "averyveryveryveryveryverylongscheme://host", "scheme" },
		{ "redis:/host", "scheme" },
		{ "redis://host:", "port of host \"host\"" },
		{ "redis://host:0", "port" },
		{ "redis://host:65536", "port" },
		{ "redis://host:6379x", "port" },
		{ "redis://host:+379", "port" },
		{ "redis://host:00006379", "port" },
		{ "redis://:6379", "host 1: empty" },
		{ "redis://a,", "last ','" },
		{ "redis://a,,b", "host 2: empty" },
		{ "redis://[::1", "without ']'" },
		{ "redis://[::1]x", "']'" },
		{ "redis://[]", "empty" },
		{ "redis://::1:6379", "brackets" },
		{ "redis://ho\"st", "byte 3" },
		{ "redis://h\tost", "control" },
		{ "redis://h\x80ost", "byte 2" },
		{ "redis://u:secret%2@host", "password" },
		{ "redis://u:secret%@host", "password" },
		{ "redis://u:secret%zz@host", "password" },
		{ "redis://u:secret%00x@host", "password" },
		{ "redis://u:sec/ret@host", "percent-encoded" },
		{ "redis://u%:secret@host", "user" },
		{ "redis://host/%", "path" },
		{ "redis://host/1#x", "%23" },
		{ "redis://host?a=b#x", "%23" },
	};
	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		struct kvr_url u = { .scheme = "untouched" };
		char why[256] = "";
		ck_assert_msg(kvr_url_parse(bad[i].text, &u, why, sizeof(why)) == KVR_E_CONFIG,
		    "%s", bad[i].text);
		ck_assert_msg(strstr(why, bad[i].say) != NULL, "%s: \"%s\" does not say %s",
		    bad[i].text, why, bad[i].say);
		ck_assert_ptr_null(strstr(why, "sec"));
		ck_assert_str_eq(u.scheme, "untouched");
	}
}
END_TEST

/* A part one byte longer than its room is refused, at its room it fits. */
static void
limit(const char *before, char fill, size_t max, const char *after)
{
	static char text[8192];
	for (size_t len = max; len <= max + 1; len++) {
		struct kvr_url u;
		char why[256] = "";
		size_t at = (size_t)snprintf(text, sizeof(text), "%s", before);
		memset(text + at, fill, len);
		snprintf(text + at + len, sizeof(text) - at - len, "%s", after);
		enum kvr_err err = kvr_url_parse(text, &u, why, sizeof(why));
		ck_assert_int_eq(err, len == max ? KVR_OK : KVR_E_CONFIG);
		if (len > max)
			ck_assert_ptr_nonnull(strstr(why, "longer than"));
	}
}

START_TEST(every_part_has_a_limit_and_keeps_it)
{
	limit("redis://", 'u', 255, ":p@h");
	limit("redis://u:", 'p', 2047, "@h");
	limit("redis://", 'h', KVR_URL_HOST_LEN_MAX, "");
	limit("redis://h/", '1', 1022, "");
	limit("redis://h?", 'q', 1023, "");
	char text[4096] = "redis://";
	for (uint32_t i = 0; i < KVR_URL_HOSTS_MAX; i++)
		strcat(text, i == 0 ? "h" : ",h");
	ck_assert_uint_eq(good(text).n_hosts, KVR_URL_HOSTS_MAX);
	strcat(text, ",h");
	struct kvr_url u;
	char why[16] = "";
	ck_assert_int_eq(kvr_url_parse(text, &u, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_int_eq(kvr_url_parse("x", &u, NULL, 0), KVR_E_CONFIG);
}
END_TEST

START_TEST(options_come_one_by_one)
{
	struct kvr_url u = good("redis://h?a=1&&b=x%26y&c=&d=e=f&");
	static const char *const want[][2] = { { "a", "1" }, { "b", "x&y" }, { "c", "" },
		{ "d", "e=f" } };
	struct kvr_url_option o;
	char why[256];
	size_t at = 0;
	for (size_t i = 0; i < KVR_LEN(want); i++) {
		ck_assert_int_eq(kvr_url_option_next(&u, &at, &o, why, sizeof(why)), KVR_OK);
		ck_assert_str_eq(o.name, want[i][0]);
		ck_assert_str_eq(o.value, want[i][1]);
	}
	ck_assert_int_eq(kvr_url_option_next(&u, &at, &o, why, sizeof(why)), KVR_E_MISS);
	u = good("redis://h?alone");
	at = 0;
	ck_assert_int_eq(kvr_url_option_next(&u, &at, &o, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(why, "alone=value"));
	u = good("redis://h?a=%1");
	at = 0;
	ck_assert_int_eq(kvr_url_option_next(&u, &at, &o, why, sizeof(why)), KVR_E_CONFIG);
}
END_TEST

KVR_CHECK_MAIN("wire.url", every_part_is_found, what_is_left_out_is_empty,
    hosts_may_be_many_and_of_both_families, a_unix_socket_has_a_path_and_no_host,
    a_wrong_url_is_refused_with_the_part_and_without_the_password,
    every_part_has_a_limit_and_keeps_it, options_come_one_by_one)
