/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_meta.h"
#include "kvr_check.h"

#include <string.h>

START_TEST(bytes_of_a_payload)
{
	struct kvr_meta meta = { KVR_MEMFMT_KV_2LTD, 2,
		{ { KVR_DTYPE_BFLOAT16, 4, { 2, 24, 256, 1024 } },
		    { KVR_DTYPE_UINT8, 4, { 2, 8, 256, 512 } } } };
	uint64_t bytes = 1;

	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_OK);
	ck_assert_uint_eq(bytes, 27262976);
	meta.group[1].dim[3] = 0;
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_E_INVALID);
	meta.group[1].dim[3] = UINT64_MAX;
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_E_TOO_BIG);
	meta.group[1] = (struct kvr_shape){ KVR_DTYPE_UINT8, 1, { INT64_MAX } };
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_E_TOO_BIG);
	meta.group[1] = (struct kvr_shape){ KVR_DTYPE_NONE, 1, { 1 } };
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_E_INVALID);
	meta.group[1] = (struct kvr_shape){ KVR_DTYPE_UINT8, 5, { 1, 1, 1, 1 } };
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_E_INVALID);
	meta.n_groups = 9;
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_E_INVALID);
	ck_assert_uint_eq(bytes, 27262976);
	meta.n_groups = 0;
	ck_assert_int_eq(kvr_meta_bytes(&meta, &bytes), KVR_OK);
	ck_assert_uint_eq(bytes, 0);
}
END_TEST

START_TEST(names_and_sizes_of_dtypes)
{
	static const struct {
		const char *name;
		uint32_t code, size;
	} row[] = {
		{ "half", KVR_DTYPE_FLOAT16, 2 },
		{ "bfloat16", KVR_DTYPE_BFLOAT16, 2 },
		{ "double", KVR_DTYPE_FLOAT64, 8 },
		{ "fp8_e5m2fnuz", KVR_DTYPE_FP8_E5M2FNUZ, 1 },
		{ "bool", KVR_DTYPE_BOOL, 1 },
	};

	for (size_t i = 0; i < KVR_LEN(row); i++) {
		ck_assert_int_eq(
		    kvr_dtype_find(row[i].name, strlen(row[i].name)), (int)row[i].code);
		ck_assert_str_eq(kvr_dtype_name(row[i].code), row[i].name);
		ck_assert_uint_eq(kvr_dtype_size(row[i].code), row[i].size);
	}
	ck_assert_int_eq(kvr_dtype_find("none", 4), -1);
	ck_assert_int_eq(kvr_dtype_find("half", 3), -1);
	ck_assert_ptr_null(kvr_dtype_name(9));
	ck_assert_uint_eq(kvr_dtype_size(KVR_DTYPE_NONE), 0);
	ck_assert_ptr_null(kvr_memfmt_name(9));
}
END_TEST

START_TEST(a_shorter_chunk_fits_and_another_layout_does_not)
{
	const struct kvr_meta want = { .memfmt = KVR_MEMFMT_KV_2LTD,
		.n_groups = 2,
		.group = { { KVR_DTYPE_FLOAT16, 4, { 2, 24, 256, 1024 } },
		    { KVR_DTYPE_UINT8, 4, { 2, 8, 256, 512 } } } };
	const struct kvr_meta mla = { .memfmt = KVR_MEMFMT_KV_MLA,
		.n_groups = 1,
		.group = { { KVR_DTYPE_BFLOAT16, 2, { 256, 576 } } } };
	struct kvr_meta found = want;

	ck_assert(kvr_meta_fits(&want, &found));
	found.group[0].dim[2] = found.group[1].dim[2] = 17;
	found.group[0].dtype = KVR_DTYPE_HALF;
	ck_assert(kvr_meta_fits(&want, &found));
	ck_assert(kvr_meta_fits(&(struct kvr_meta){ 0 }, &found));
	found.group[1].dim[1] = 9;
	ck_assert(!kvr_meta_fits(&want, &found));
	found = want;
	found.group[1].dtype = KVR_DTYPE_INT8;
	ck_assert(!kvr_meta_fits(&want, &found));
	found = want;
	found.n_groups = 1;
	ck_assert(!kvr_meta_fits(&want, &found));
	found = want;
	found.memfmt = KVR_MEMFMT_KV_MLA;
	ck_assert(!kvr_meta_fits(&want, &found));
	found = want;
	found.group[0].n_dims = 3;
	ck_assert(!kvr_meta_fits(&want, &found));

	found = mla;
	found.group[0].dim[0] = 9;
	ck_assert(kvr_meta_fits(&mla, &found));
	found.group[0].dim[1] = 9;
	ck_assert(!kvr_meta_fits(&mla, &found));
}
END_TEST

KVR_CHECK_MAIN("base.meta", bytes_of_a_payload, names_and_sizes_of_dtypes,
    a_shorter_chunk_fits_and_another_layout_does_not)
