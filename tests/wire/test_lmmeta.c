/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lmmeta.h"
#include "kvr_check.h"
#include "kvr_golden.h"

#include <string.h>

/* Golden dtypes are names or null; shapes are lists that may have more dims than we can hold. */
static bool
shape_of(const struct kvr_golden *dims, const struct kvr_golden *dtype, struct kvr_shape *ret)
{
	*ret = (struct kvr_shape){ 0 };
	if (!kvr_golden_is_null(dtype)) {
		const char *name = kvr_golden_text(dtype);
		int code = kvr_dtype_find(name, strlen(name));
		ck_assert_int_ge(code, 0);
		ret->dtype = (uint32_t)code;
	}
	KVR_GOLDEN_EACH(dim, dims)
	{
		if (ret->n_dims < KVR_DIMS)
			ret->dim[ret->n_dims] = (uint64_t)kvr_golden_int(dim);
		ret->n_dims++;
	}
	return ret->n_dims <= KVR_DIMS;
}

/* False for what struct kvr_meta cannot even say: lists of different length. */
static bool
meta_of(const struct kvr_golden *c, uint32_t memfmt, struct kvr_meta *ret)
{
	const struct kvr_golden *shapes = kvr_golden_get(c, "shapes");
	const struct kvr_golden *dtype = kvr_golden_first(kvr_golden_get(c, "dtypes"));

	*ret = (struct kvr_meta){ .memfmt = memfmt };
	KVR_GOLDEN_EACH(shape, shapes)
	{
		if (dtype == NULL)
			return false;
		(void)shape_of(shape, dtype, &ret->group[ret->n_groups++]);
		dtype = kvr_golden_next(dtype);
	}
	return dtype == NULL;
}

static uint32_t
memfmt_of(const char *name)
{
	for (uint32_t code = 0; kvr_memfmt_name(code) != NULL; code++) {
		if (strcmp(kvr_memfmt_name(code), name) == 0)
			return code;
	}
	ck_abort_msg("no memory format %s", name);
}

/* Plain bytes have no group with us and one without dtype in the header. */
static void
plain_as_group(struct kvr_meta *meta, uint64_t len)
{
	if (meta->n_groups > 0)
		return;
	meta->n_groups = 1;
	meta->group[0] = (struct kvr_shape){ .n_dims = KVR_DIMS, .dim = { len } };
}

static void
check_written(
    const struct kvr_meta *meta, uint64_t len, uint32_t n_groups, const struct kvr_golden *c)
{
	uint8_t head[KVR_LMMETA_BYTES_MAX];
	size_t want_len = 0, head_len = 0;
	uint8_t *want = kvr_golden_hex_of(c, "hex", &want_len);

	ck_assert_int_eq(
	    kvr_lmmeta_encode(meta, len, n_groups, head, want_len - 1, &head_len), KVR_E_TOO_SMALL);
	ck_assert_int_eq(kvr_lmmeta_encode(meta, len, n_groups, head, want_len, &head_len), KVR_OK);
	ck_assert_uint_eq(head_len, want_len);
	ck_assert_mem_eq(head, want, want_len);
	free(want);
}

static void
check_read(const uint8_t *at, size_t len, uint32_t n_groups, const struct kvr_golden *want)
{
	struct kvr_meta meta, expected;
	uint64_t payload_len = 0;

	enum kvr_err err = kvr_lmmeta_decode(at, len, n_groups, &meta, &payload_len);
	ck_assert_msg(err == KVR_OK, "%s", kvr_err_name(err));
	ck_assert_uint_eq(payload_len, (uint64_t)kvr_golden_int_of(want, "length"));
	ck_assert(meta_of(want, memfmt_of(kvr_golden_text_of(want, "fmt")), &expected));
	plain_as_group(&meta, payload_len);
	ck_assert(kvr_meta_same(&meta, &expected));
}

/* Early 2026 refuses shapes below four dims, what came later writes them: so do we. */
static void
check_refusal(const struct kvr_golden *c, uint32_t n_groups, int64_t len)
{
	size_t n_dims = kvr_golden_count(kvr_golden_first(kvr_golden_get(c, "shapes"))), n = 0;
	uint8_t head[KVR_LMMETA_BYTES_MAX];
	struct kvr_meta meta;

	if (!meta_of(c, (uint32_t)kvr_golden_int_of(c, "fmt_value"), &meta))
		return;
	enum kvr_err err =
	    kvr_lmmeta_encode(&meta, (uint64_t)len, n_groups, head, sizeof(head), &n);
	if (n_dims < KVR_DIMS)
		ck_assert_int_eq(err, KVR_OK);
	else
		ck_assert_int_eq(err, len > INT32_MAX ? KVR_E_TOO_BIG : KVR_E_INVALID);
}

static void
check_both_ways(const struct kvr_golden *c, const struct kvr_golden *back, uint32_t n_groups)
{
	uint32_t memfmt = (uint32_t)kvr_golden_int_of(c, "fmt_value");
	int64_t len = kvr_golden_int_of(c, "length");
	struct kvr_meta meta;
	uint64_t ignored = 0;
	size_t n = 0;
	uint8_t *bytes = kvr_golden_hex_of(c, "hex", &n);

	ck_assert_uint_eq(memfmt, memfmt_of(kvr_golden_text_of(c, "fmt")));
	ck_assert_uint_eq(n, (uint64_t)kvr_golden_int_of(c, "bytes"));
	ck_assert_uint_eq(n, KVR_LMMETA_BYTES(n_groups));
	if (len < 0) {
		/* Python writes and reads -1 bytes; a length of ours is never negative. */
		ck_assert_int_eq(
		    kvr_lmmeta_decode(bytes, n, n_groups, &meta, &ignored), KVR_E_CORRUPT);
	} else {
		ck_assert(meta_of(c, memfmt, &meta));
		check_written(&meta, (uint64_t)len, n_groups, c);
		check_read(bytes, n, n_groups, back);
	}
	free(bytes);
}

/* The later rule says how a shape reads; one case, all dims zero, is in both lists and differs. */
static const struct kvr_golden *
read_as(const struct kvr_golden *c, const struct kvr_golden *later)
{
	KVR_GOLDEN_EACH(l, later)
	{
		const struct kvr_golden *hex = kvr_golden_find(l, "hex");

		if (hex != NULL && strcmp(kvr_golden_text(hex), kvr_golden_text_of(c, "hex")) == 0)
			return kvr_golden_get(l, "deserialized");
	}
	return kvr_golden_get(c, "deserialized");
}

static void
check_case(const struct kvr_golden *c, const struct kvr_golden *later)
{
	uint32_t n_groups = (uint32_t)kvr_golden_int_of(c, "groups");

	if (kvr_golden_find(c, "serialize") != NULL)
		check_refusal(c, n_groups, kvr_golden_int_of(c, "length"));
	else
		check_both_ways(c, read_as(c, later), n_groups);
}

START_TEST(every_golden_header_both_ways)
{
	struct kvr_golden *file = kvr_golden_open("remote_metadata.json");
	const struct kvr_golden *later = kvr_golden_get(file, "later_version_shapes_below_4d");

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "cases"))
	check_case(c, later);
	KVR_GOLDEN_EACH(c, later)
	check_case(c, later);
	ck_assert_uint_ge(kvr_golden_count(kvr_golden_get(file, "cases")), 50);
	ck_assert_uint_ge(kvr_golden_count(later), 11);
	kvr_golden_close(file);
}
END_TEST

START_TEST(odd_bytes_are_read_or_refused)
{
	struct kvr_golden *file = kvr_golden_open("remote_metadata.json");

	KVR_GOLDEN_EACH(c, kvr_golden_get(file, "deserialize_of_odd_bytes"))
	{
		const struct kvr_golden *result = kvr_golden_get(c, "result");
		const char *what = kvr_golden_text_of(c, "what");
		struct kvr_meta meta;
		uint64_t payload_len = 0;
		size_t n = 0;
		uint8_t *bytes = kvr_golden_hex_of(c, "hex", &n);
		enum kvr_err err = kvr_lmmeta_decode(bytes, n, 1, &meta, &payload_len);

		if (strcmp(what, "unknown format 7") == 0)
			ck_assert_int_eq(err, KVR_OK); /* it became EC_TD in 2026 */
		else if (strcmp(what, "negative shape") == 0)
			ck_assert_int_eq(err, KVR_E_CORRUPT); /* Python hands it on */
		else if (kvr_golden_find(result, "error") != NULL)
			ck_assert_int_eq(err, n < 28 ? KVR_E_LENGTH : KVR_E_CORRUPT);
		else
			check_read(bytes, n, 1, result);
		free(bytes);
	}
	kvr_golden_close(file);
}
END_TEST

START_TEST(numbers_of_formats_and_dtypes_are_lmcaches)
{
	struct kvr_golden *file = kvr_golden_open("remote_metadata.json");

	KVR_GOLDEN_EACH(fmt, kvr_golden_get(file, "memory_format_values"))
	ck_assert_uint_eq(memfmt_of(kvr_golden_name(fmt)), (uint64_t)kvr_golden_int(fmt));
	KVR_GOLDEN_EACH(dtype, kvr_golden_get(file, "dtype_codes_written"))
	{
		const char *name = kvr_golden_name(dtype);
		int code =
		    strcmp(name, "none") == 0 ? KVR_DTYPE_NONE : kvr_dtype_find(name, strlen(name));
		struct kvr_shape shape = { .dtype = (uint32_t)code, .n_dims = 1, .dim = { 7 } };
		uint8_t group[KVR_LMMETA_GROUP_BYTES];

		ck_assert_int_eq(kvr_lmmeta_put_group(&shape, group), KVR_OK);
		ck_assert_int_eq(group[0], kvr_golden_int(dtype));
	}
	KVR_GOLDEN_EACH(dtype, kvr_golden_get(file, "dtype_codes_read"))
	{
		uint8_t group[KVR_LMMETA_GROUP_BYTES] = { (uint8_t)atoi(kvr_golden_name(dtype)), 0,
			0, 0, 7 };
		struct kvr_shape shape;

		ck_assert_int_eq(kvr_lmmeta_get_group(group, KVR_MEMFMT_KV_2LTD, &shape), KVR_OK);
		ck_assert_str_eq(kvr_dtype_name(shape.dtype), kvr_golden_text(dtype));
		ck_assert_uint_ne(shape.dtype, KVR_DTYPE_HALF);
		ck_assert_uint_eq(shape.n_dims, 1);
	}
	kvr_golden_close(file);
}
END_TEST

START_TEST(limits_of_what_a_header_can_say)
{
	struct kvr_meta meta = { .memfmt = KVR_MEMFMT_KV_2LTD, .n_groups = 8 }, back;
	uint8_t head[KVR_LMMETA_BYTES_MAX];
	uint64_t len = 0;
	size_t n = 0;

	for (uint32_t g = 0; g < 8; g++)
		meta.group[g] =
		    (struct kvr_shape){ KVR_DTYPE_BFLOAT16, 4, { g + 1, INT32_MAX, 3, 4 } };
	ck_assert_int_eq(kvr_lmmeta_encode(&meta, INT32_MAX, 8, head, sizeof(head), &n), KVR_OK);
	ck_assert_uint_eq(n, 168);
	ck_assert_int_eq(kvr_lmmeta_decode(head, n, 8, &back, &len), KVR_OK);
	ck_assert(kvr_meta_same(&meta, &back));
	ck_assert_uint_eq(len, INT32_MAX);
	for (size_t cut = 0; cut < n; cut++)
		ck_assert_int_eq(kvr_lmmeta_decode(head, cut, 8, &back, &len), KVR_E_LENGTH);

	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 1, 7, head, sizeof(head), &n), KVR_E_INVALID);
	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 1, 0, head, sizeof(head), &n), KVR_E_INVALID);
	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 1, 9, head, sizeof(head), &n), KVR_E_INVALID);
	ck_assert_int_eq(kvr_lmmeta_decode(head, n, 9, &back, &len), KVR_E_INVALID);
	ck_assert_int_eq(kvr_lmmeta_decode(head, n, 0, &back, &len), KVR_E_INVALID);
	meta.group[7].dim[1]++;
	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 1, 8, head, sizeof(head), &n), KVR_E_TOO_BIG);
	meta.group[7].dim[1]--;
	meta.group[7].n_dims = 0;
	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 1, 8, head, sizeof(head), &n), KVR_E_INVALID);
	meta.group[7].n_dims = 4;
	meta.memfmt = 9;
	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 1, 8, head, sizeof(head), &n), KVR_E_INVALID);
}
END_TEST

START_TEST(plain_bytes_come_back_as_plain_bytes)
{
	static const uint8_t want[28] = { 0x39, 0x30, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0x39, 0x30 };
	struct kvr_meta meta = { 0 }, back;
	uint8_t head[28];
	uint64_t len = 0;
	size_t n = 0;

	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 12345, 1, head, sizeof(head), &n), KVR_OK);
	ck_assert_mem_eq(head, want, sizeof(want));
	ck_assert_int_eq(kvr_lmmeta_decode(head, n, 1, &back, &len), KVR_OK);
	ck_assert_uint_eq(back.n_groups, 0);
	ck_assert_uint_eq(back.memfmt, KVR_MEMFMT_BINARY_BUFFER);
	ck_assert_uint_eq(len, 12345);
	ck_assert_int_eq(kvr_lmmeta_encode(&meta, 12345, 2, head, sizeof(head), &n), KVR_E_INVALID);
}
END_TEST

KVR_CHECK_MAIN("wire.lmmeta", every_golden_header_both_ways, odd_bytes_are_read_or_refused,
    numbers_of_formats_and_dtypes_are_lmcaches, limits_of_what_a_header_can_say,
    plain_bytes_come_back_as_plain_bytes)
