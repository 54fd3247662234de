/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fit.h"
#include "kvr_check.h"

#include <string.h>

START_TEST(what_fits_is_whole)
{
	char at[16];

	kvr_fit(at, sizeof(at), "");
	ck_assert_str_eq(at, "");
	kvr_fit(at, sizeof(at), "exactly 15 long");
	ck_assert_str_eq(at, "exactly 15 long");
}
END_TEST

START_TEST(an_address_loses_its_middle)
{
	const char *text = "tier far: redis://a.very-long-name.of-a.cloud.example:6379: refused";
	char at[52];

	kvr_fit(at, sizeof(at), text);
	ck_assert_str_eq(at, "tier far: redis://a.very-...d.example:6379: refused");
	kvr_fit(at, 44, text); /* no more of it, or nobody would know it again */
	ck_assert_str_eq(at, "tier far: redis://a.ve...xample:6379: re...");
	kvr_fit(at, 40, "redis://a.very-long-name.of-a.cloud.example:6379,b.example:6379");
	ck_assert_str_eq(at, "redis://a.very-lon...379,b.example:6379");
}
END_TEST

START_TEST(what_has_none_or_does_not_fit_without_its_middle_loses_its_end)
{
	char at[24];

	kvr_fit(at, 16, "sixteen letters.");
	ck_assert_str_eq(at, "sixteen lett...");
	kvr_fit(at, 16, "redis://far.example: refused");
	ck_assert_str_eq(at, "redis://far....");
}
END_TEST

START_TEST(no_place_is_too_small)
{
	const char *text = "redis://far.example: refused";
	char at[40];

	for (size_t cap = 0; cap < sizeof(at); cap++) {
		memset(at, '#', sizeof(at));
		kvr_fit(at, cap, text);
		if (cap > 0)
			ck_assert_uint_eq(strlen(at), cap - 1 < strlen(text) ? cap - 1 : strlen(text));
		ck_assert_int_eq(at[cap], '#');
	}
}
END_TEST

KVR_CHECK_MAIN("base.fit", what_fits_is_whole, an_address_loses_its_middle,
    what_has_none_or_does_not_fit_without_its_middle_loses_its_end, no_place_is_too_small)
