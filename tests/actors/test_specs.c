/* SPDX-License-Identifier: Apache-2.0 */
/* What is true of every decider's table. */
#include "kvr_check.h"
#include "kvr_actors.h"
#include "kvr_field.h"

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

/* ---- fields ---- */

static void
mark(uint8_t *said, const struct kvr_spec *spec, const struct kvr_field *f, uint32_t dim,
    uint32_t off)
{
	if (dim < KVR_FIELD_DIMS && f->dim[dim].n != 0) {
		for (uint32_t i = 0; i < f->dim[dim].n; i++)
			mark(said, spec, f, dim + 1, off + i * f->dim[dim].stride);
		return;
	}
	/* Of millions of bytes: an assertion of each would be a line in a pipe. */
	for (uint32_t i = 0; i < f->size; i++) {
		if (off + i >= spec->self_size || said[off + i] != 0)
			ck_abort_msg("%s: %s: byte %u is said twice, or is none of its state",
			    spec->name, f->name, off + i);
		said[off + i] = 1;
	}
}

/* So a new member of a state is in `trace step` and in the hash that traces carry, or this fails. */
START_TEST(every_byte_of_a_state_is_described_once)
{
	static const uint16_t id[] = { KVR_ID_ROUTER, KVR_ID_TRANSFER, KVR_ID_METRICS,
		KVR_ID_TIER_OF(0), KVR_ID_LINK_OF(0, 0) };

	for (size_t k = 0; k < KVR_LEN(id); k++) {
		const struct kvr_spec *spec = kvr_spec_of(id[k]);
		uint8_t *said = calloc(1, spec->self_size);
		size_t end = spec->self_size;

		ck_assert_ptr_nonnull(said);
		ck_assert_ptr_nonnull(spec->fields);
		for (size_t i = 0; i < spec->fields->n; i++)
			mark(said, spec, &spec->fields->at[i], 0, spec->fields->at[i].off);
		/* A struct is filled up to whole lines. */
		while (end > 0 && said[end - 1] == 0)
			end--;
		ck_assert_uint_lt(spec->self_size - end, 64);
		for (size_t off = 0; off < end; off++) {
			if (said[off] != 1)
				ck_abort_msg("%s: nobody describes byte %zu: name it in "
				             "actors/%s_fields.c",
				    spec->name, off, spec->name);
		}
		free(said);
	}
}
END_TEST

START_TEST(a_field_is_found_by_place_and_by_name)
{
	const struct kvr_spec *tier = kvr_spec_of(KVR_ID_TIER_OF(0));
	uint8_t *self = calloc(1, tier->self_size);
	struct kvr_place by_name, by_place;
	char value[KVR_FIELD_VALUE];

	ck_assert_ptr_nonnull(self);
	ck_assert(kvr_field_named(tier, "part[17].deadline_ns", &by_name));
	ck_assert(kvr_field_at(tier, by_name.off + 3, &by_place));
	ck_assert_str_eq(by_place.name, "part[17].deadline_ns");
	ck_assert_uint_eq(by_place.off, by_name.off);
	uint64_t opened_ns = KVR_SEC(5000), at_ns = opened_ns + KVR_MS(12);
	memcpy(self + by_name.off, &at_ns, sizeof(at_ns));
	ck_assert_str_eq(
	    kvr_field_value(&by_place, self, opened_ns, value, sizeof(value)), "at 12.000 ms");
	ck_assert(kvr_field_named(tier, "backoff_ns", &by_name));
	uint64_t backoff_ns = KVR_MS(150);
	memcpy(self + by_name.off, &backoff_ns, sizeof(backoff_ns));
	ck_assert_str_eq(
	    kvr_field_value(&by_name, self, opened_ns, value, sizeof(value)), "150.000 ms");
	ck_assert(kvr_field_named(tier, "part[0].reason", &by_name));
	self[by_name.off] = (uint8_t)-20;
	ck_assert_str_eq(
	    kvr_field_value(&by_name, self, opened_ns, value, sizeof(value)), "CANCELLED");
	static const char *const none[] = { "", "part", "part[]", "part[99999].rows",
		"part[1].rowsx", "part[1]", "nothing" };
	for (size_t i = 0; i < KVR_LEN(none); i++)
		ck_assert_msg(!kvr_field_named(tier, none[i], &by_name), "%s", none[i]);
	ck_assert(!kvr_field_at(tier, (uint32_t)tier->self_size, &by_name));
	free(self);
}
END_TEST

KVR_CHECK_MAIN("actors.specs", every_cell_says_where_it_may_go, an_id_has_the_decider_of_its_range,
    every_byte_of_a_state_is_described_once, a_field_is_found_by_place_and_by_name)
