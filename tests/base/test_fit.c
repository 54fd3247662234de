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

START_TEST(what_does_not_loses_its_middle)
{
	char at[16];

	kvr_fit(at, sizeof(at), "redis://far.example: refused");
	ck_assert_str_eq(at, "redi... refused");
	kvr_fit(at, sizeof(at), "sixteen letters.");
	ck_assert_str_eq(at, "sixt...letters.");
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

KVR_CHECK_MAIN("base.fit", what_fits_is_whole, what_does_not_loses_its_middle, no_place_is_too_small)
