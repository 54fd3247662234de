/* SPDX-License-Identifier: Apache-2.0 */
/* kvr_close in the middle of a canary: it deletes its value, and nobody else is let in. */
#include "kvr_api_bed.h"
#include "kvr_canary.h"
#include "kvr_fake_system.h"
#include "kvr_msg.h"

#include <sched.h>

#define WITH_CANARY                                                                                \
	"{\"metrics\":{\"canary\":\"1h\"},\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

static struct kvr_close_report report = { .size = sizeof(report) };

static void *
close_it(void *arg)
{
	static enum kvr_err err;

	err = kvr_close(arg, bed_in_ms(20000), KVR_ABORT, &report);
	return &err;
}

START_TEST(it_goes_on_where_nobody_else_begins)
{
	struct kvr *k = bed_open(WITH_CANARY, NULL, NULL, NULL);
	struct kvr_msg wish = { .type = KVR_MSG_CANARY };
	uint64_t until_ns = bed_in_ms(20000);
	pthread_t id;
	void *err;

	kvr_fake_hold(true);
	kvr_canary_wish(k, &wish);
	kvr_fake_wait_held(1); /* its put */
	ck_assert_int_eq(pthread_create(&id, NULL, close_it, k), 0);
	while (kvr_cancel_request(k, "nobody's") != KVR_E_SHUTDOWN) {
		ck_assert_uint_lt(bed_now_ns(), until_ns);
		sched_yield();
	}
	kvr_fake_hold(false);
	pthread_join(id, &err);
	OK(*(enum kvr_err *)err);
	ck_assert_uint_eq(kvr_fake_submits(), 3); /* and its get, and its removal */
	/* It is nobody's operation. */
	ck_assert_uint_eq(report.finished + report.dropped, 0);
	kvr_free(k);
}
END_TEST

KVR_CHECK_MAIN("api.canary_end", it_goes_on_where_nobody_else_begins)
