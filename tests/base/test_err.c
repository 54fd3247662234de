/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_err.h"
#include "kvr_check.h"

#include <string.h>

START_TEST(every_error_has_a_name_and_a_text)
{
	for (int32_t e = 0; e >= KVR_E_DEVICE; e--) {
		ck_assert_str_ne(kvr_err_name(e), "?");
		ck_assert_str_ne(kvr_err_text(e), "");
	}
	ck_assert_str_eq(kvr_err_name(KVR_E_DEVICE - 1), "?");
	ck_assert_str_eq(kvr_err_name(1), "?");
	ck_assert_str_eq(kvr_err_name(INT32_MIN), "?");
}
END_TEST

START_TEST(a_miss_costs_nothing_and_a_broken_protocol_costs_the_lane)
{
	ck_assert_int_eq(kvr_err_stream(KVR_E_MISS), KVR_STREAM_KEEP);
	ck_assert_int_eq(kvr_err_blame(KVR_E_MISS), KVR_BLAME_NONE);
	ck_assert_int_eq(kvr_err_stream(KVR_E_PROTO), KVR_STREAM_CLOSE);
	ck_assert_int_eq(kvr_err_blame(KVR_E_PROTO), KVR_BLAME_LANE);
	ck_assert_int_eq(kvr_err_stream(KVR_E_LENGTH), KVR_STREAM_KEEP);
	ck_assert(kvr_err_may_pass(KVR_E_BUSY));
	ck_assert(!kvr_err_may_pass(KVR_E_TOO_BIG));
}
END_TEST

KVR_CHECK_MAIN("base.err", every_error_has_a_name_and_a_text,
    a_miss_costs_nothing_and_a_broken_protocol_costs_the_lane)
