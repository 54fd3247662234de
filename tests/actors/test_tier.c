/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_check.h"
#include "kvr_rig.h"

static struct kvr_rig rig;

START_TEST(opens_and_answers)
{
	kvr_rig_defaults(&rig);
	kvr_rig_open(&rig, &(struct kvr_sim_options){ .seed = 1 });
	uint32_t a = kvr_rig_get(&rig, KVR_SEC(1));

	kvr_sim_run(rig.sim, KVR_MS(10));
	ck_assert_uint_eq(rig.part[a].answers, 1);
	ck_assert_int_eq(rig.part[a].err, KVR_OK);
	kvr_rig_stop(&rig);
	kvr_sim_run(rig.sim, KVR_SEC(10));
	kvr_rig_settled(&rig);
	kvr_rig_close(&rig);
}
END_TEST

KVR_CHECK_MAIN("actors.tier", opens_and_answers)
