/* SPDX-License-Identifier: Apache-2.0 */
/* What is true of every decider's table. */
#include "kvr_check.h"
#include "kvr_actors.h"

#include <string.h>

static void
check_table(uint16_t id)
{
	const struct kvr_spec *spec = kvr_spec_of(id);

	ck_assert_ptr_nonnull(spec);
	ck_assert_ptr_nonnull((void *)(uintptr_t)spec->check);
	ck_assert_uint_gt(spec->n_states, 0);
	ck_assert_uint_lt(spec->n_states, KVR_STAY);
	ck_assert_uint_eq(spec->self_size % 64, 0);
	/* START comes in the first state, for that is what zero bytes are. */
	ck_assert_ptr_nonnull((void *)(uintptr_t)spec->table[0][KVR_MSG_START].fn);
	for (unsigned s = 0; s < spec->n_states; s++) {
		ck_assert_str_ne(spec->state_name[s], "");
		for (unsigned m = 0; m < KVR_MSG_N; m++) {
			const struct kvr_cell *cell = &spec->table[s][m];
			uint64_t known = KVR_TO(KVR_STAY) | (KVR_TO(spec->n_states) - 1);

			ck_assert_msg((cell->fn == NULL) == (cell->to == 0), "%s: %s in %s",
			    spec->name, kvr_msg_info[m].name, spec->state_name[s]);
			ck_assert_uint_eq(cell->to & ~known, 0);
		}
	}
}

START_TEST(every_cell_says_where_it_may_go)
{
	check_table(KVR_ID_ROUTER);
	check_table(KVR_ID_TRANSFER);
	check_table(KVR_ID_METRICS);
	check_table(KVR_ID_TIER_OF(0));
	check_table(KVR_ID_LINK_OF(0, 0));
}
END_TEST

START_TEST(an_id_has_the_decider_of_its_range)
{
	for (uint16_t id = 0; id < KVR_ID_N + 10; id++) {
		const struct kvr_spec *spec = kvr_spec_of(id);
		char name[24];

		kvr_id_name(id, name, sizeof(name));
		if (spec != NULL)
			ck_assert_int_eq(strncmp(name, spec->name, strlen(spec->name)), 0);
		else
			ck_assert_msg(
			    strncmp(name, "tier", 4) != 0 && strncmp(name, "link", 4) != 0,
			    "%s has no decider", name);
	}
}
END_TEST

KVR_CHECK_MAIN("actors.specs", every_cell_says_where_it_may_go, an_id_has_the_decider_of_its_range)
