/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_ledger.h"
#include "kvr_check.h"

#include <string.h>
#include <sys/resource.h>

static void
two_groups(struct kvr_ledger *l)
{
	struct kvr_meta *m = &l->ops[3].meta;

	/* 2 x layers x tokens x width, 2 bytes and 1 byte each */
	m->memfmt = KVR_MEMFMT_KV_2LTD;
	m->n_groups = 2;
	m->group[0] = (struct kvr_shape){ KVR_DTYPE_BFLOAT16, 4, { 2, 4, 256, 128 } };
	m->group[1] = (struct kvr_shape){ KVR_DTYPE_UINT8, 4, { 2, 1, 256, 64 } };
	ck_assert_int_eq(kvr_meta_bytes(m, &l->ops[3].meta_bytes), KVR_OK);
	l->keys[17].op = 3;
}

START_TEST(a_shorter_payload_has_fewer_tokens_in_each_group)
{
	struct kvr_ledger *l = kvr_ledger_new(0);
	struct kvr_meta meta;
	uint64_t bytes = 0;

	ck_assert_ptr_nonnull(l);
	two_groups(l);
	const uint64_t full = l->ops[3].meta_bytes, token = full / 256;
	ck_assert(kvr_ledger_meta(l, 17, full, &meta));
	ck_assert(kvr_meta_same(&meta, &l->ops[3].meta));
	ck_assert(kvr_ledger_meta(l, 17, 77 * token, &meta));
	ck_assert_uint_eq(meta.group[0].dim[2], 77);
	ck_assert_uint_eq(meta.group[1].dim[2], 77);
	ck_assert_uint_eq(meta.group[1].dim[3], 64);
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_OK);
	ck_assert_uint_eq(bytes, 77 * token);
	kvr_ledger_free(l);
}
END_TEST

START_TEST(what_is_no_whole_number_of_tokens_is_plain_bytes)
{
	struct kvr_ledger *l = kvr_ledger_new(0);
	struct kvr_meta meta;

	ck_assert_ptr_nonnull(l);
	two_groups(l);
	const uint64_t full = l->ops[3].meta_bytes, token = full / 256;
	const uint64_t wrong[] = { 0, 1, token - 1, token + 1, full - 1, full + token, UINT64_MAX };
	for (size_t i = 0; i < KVR_LEN(wrong); i++) {
		memset(&meta, 0xff, sizeof(meta));
		ck_assert(!kvr_ledger_meta(l, 17, wrong[i], &meta));
		ck_assert_uint_eq(meta.n_groups, 0);
	}
	l->ops[3].meta.group[1].dim[2] = 128; /* groups that do not agree */
	ck_assert(!kvr_ledger_meta(l, 17, token, &meta));
	l->ops[3].meta.memfmt = KVR_MEMFMT_BINARY; /* no dimension counts tokens */
	ck_assert(!kvr_ledger_meta(l, 17, token, &meta));
	memset(&l->ops[3], 0, sizeof(l->ops[3]));
	ck_assert(kvr_ledger_meta(l, 17, 12345, &meta));
	ck_assert_uint_eq(meta.n_groups, 0);
	kvr_ledger_free(l);
}
END_TEST

START_TEST(tables_cost_memory_only_where_they_are_touched)
{
	struct rusage before, after;

	ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
	struct kvr_ledger *l = kvr_ledger_new(UINT64_C(1) << 36);
	ck_assert_ptr_nonnull(l);
	l->keys[KVR_KEYS_MAX - 1].len = 1;
	l->rows[KVR_ROWS_MAX - 1].len = 1;
	l->texts[KVR_TEXT_MAX - 1] = 'x';
	l->ops[KVR_OPS_MAX - 1].meta_bytes = 1;
	uint8_t *last = kvr_ledger_staging(l, (uint32_t)((UINT64_C(1) << 36) / KVR_PAGE));
	ck_assert_ptr_eq(last, l->staging + l->staging_bytes - KVR_PAGE);
	last[KVR_PAGE - 1] = 1;
	ck_assert_uint_eq((uintptr_t)l->staging % KVR_PAGE, 0);
	ck_assert_ptr_null(kvr_ledger_staging(l, 0));
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
	ck_assert_int_lt(
	    after.ru_maxrss - before.ru_maxrss, 8192); /* KiB; the tables have 24 MiB */
	kvr_ledger_free(l);
	kvr_ledger_free(NULL);
}
END_TEST

START_TEST(too_much_is_refused)
{
	ck_assert_ptr_null(kvr_ledger_new(UINT64_MAX));
	ck_assert_ptr_null(kvr_ledger_new(UINT64_C(1) << 60));
}
END_TEST

KVR_CHECK_MAIN("runtime.ledger", a_shorter_payload_has_fewer_tokens_in_each_group,
    what_is_no_whole_number_of_tokens_is_plain_bytes,
    tables_cost_memory_only_where_they_are_touched, too_much_is_refused)
