/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lmmeta.h"
#include "kvr_le.h"

#include <string.h>

static const struct {
	uint32_t code;
	int lm;
} dtype[] = {
#define X(name, code, bytes, text, lm) { code, lm },
	KVR_DTYPE_TABLE(X)
#undef X
};

static int
number_of(uint32_t code)
{
	for (size_t i = 0; i < KVR_LEN(dtype); i++) {
		if (dtype[i].code == code)
			return dtype[i].lm;
	}
	return -1;
}

static bool
dtype_of(uint32_t number, uint32_t *ret)
{
	/* An old name for 2: accepted when reading, never written. */
	if (number == 1)
		number = 2;
	/* From the end: HALF and FLOAT16 share a number, and readers should see FLOAT16. */
	for (size_t i = KVR_LEN(dtype); i-- > 0;) {
		if (dtype[i].lm >= 0 && (uint32_t)dtype[i].lm == number) {
			*ret = dtype[i].code;
			return true;
		}
	}
	return false;
}

static bool
is_binary(uint32_t memfmt)
{
	return memfmt == KVR_MEMFMT_BINARY || memfmt == KVR_MEMFMT_BINARY_BUFFER;
}

enum kvr_err
kvr_lmmeta_put_group(const struct kvr_shape *shape, uint8_t ret[KVR_LMMETA_GROUP_BYTES])
{
	int number = number_of(shape->dtype);

	if (number < 0 || shape->n_dims == 0 || shape->n_dims > KVR_DIMS)
		return KVR_E_INVALID;
	for (uint32_t d = 0; d < shape->n_dims; d++) {
		if (shape->dim[d] > INT32_MAX)
			return KVR_E_TOO_BIG;
	}
	memset(ret, 0, KVR_LMMETA_GROUP_BYTES);
	kvr_le32_put(ret, (uint32_t)number);
	for (uint32_t d = 0; d < shape->n_dims; d++)
		kvr_le32_put(ret + 4 + 4 * (size_t)d, (uint32_t)shape->dim[d]);
	return KVR_OK;
}

enum kvr_err
kvr_lmmeta_get_group(
    const uint8_t at[KVR_LMMETA_GROUP_BYTES], uint32_t memfmt, struct kvr_shape *ret)
{
	struct kvr_shape shape = { .n_dims = KVR_DIMS };

	if (!dtype_of(kvr_le32(at), &shape.dtype))
		return KVR_E_CORRUPT;
	for (uint32_t d = 0; d < KVR_DIMS; d++) {
		shape.dim[d] = kvr_le32(at + 4 + 4 * (size_t)d);
		if (shape.dim[d] > INT32_MAX)
			return KVR_E_CORRUPT;
	}
	while (!is_binary(memfmt) && shape.n_dims > 1 && shape.dim[shape.n_dims - 1] == 0)
		shape.n_dims--;
	*ret = shape;
	return KVR_OK;
}

/* The groups that the header holds for meta: plain bytes have a shape there too. */
static enum kvr_err
as_groups(const struct kvr_meta *meta, uint64_t len, uint32_t n_groups, struct kvr_meta *ret)
{
	if (n_groups == 0 || n_groups > KVR_GROUPS_MAX || kvr_memfmt_name(meta->memfmt) == NULL)
		return KVR_E_INVALID;
	*ret = *meta;
	if (meta->n_groups == 0) {
		ret->n_groups = 1;
		ret->group[0] = (struct kvr_shape){ .dtype = KVR_DTYPE_NONE, .n_dims = KVR_DIMS };
		ret->group[0].dim[0] = len;
		if (meta->memfmt != KVR_MEMFMT_BINARY)
			ret->memfmt = KVR_MEMFMT_BINARY_BUFFER;
	}
	return ret->n_groups == n_groups ? KVR_OK : KVR_E_INVALID;
}

enum kvr_err
kvr_lmmeta_encode(const struct kvr_meta *meta, uint64_t len, uint32_t n_groups, uint8_t *ret,
    size_t cap, size_t *ret_len)
{
	uint8_t head[KVR_LMMETA_BYTES_MAX];
	struct kvr_meta groups;
	enum kvr_err err = as_groups(meta, len, n_groups, &groups);

	if (err != KVR_OK)
		return err;
	if (len > INT32_MAX)
		return KVR_E_TOO_BIG;
	if (cap < KVR_LMMETA_BYTES(n_groups))
		return KVR_E_TOO_SMALL;
	kvr_le32_put(head, (uint32_t)len);
	kvr_le32_put(head + 4, groups.memfmt);
	for (uint32_t g = 0; g < n_groups; g++) {
		err = kvr_lmmeta_put_group(&groups.group[g], head + KVR_LMMETA_BYTES(g));
		if (err != KVR_OK)
			return err;
	}
	memcpy(ret, head, KVR_LMMETA_BYTES(n_groups));
	*ret_len = KVR_LMMETA_BYTES(n_groups);
	return KVR_OK;
}

static bool
is_plain(const struct kvr_meta *meta, uint64_t len)
{
	const struct kvr_shape *s = &meta->group[0];

	return meta->n_groups == 1 && is_binary(meta->memfmt) && s->dtype == KVR_DTYPE_NONE &&
	       s->dim[0] == len && (s->dim[1] | s->dim[2] | s->dim[3]) == 0;
}

enum kvr_err
kvr_lmmeta_decode(
    const uint8_t *at, size_t len, uint32_t n_groups, struct kvr_meta *ret, uint64_t *ret_len)
{
	struct kvr_meta meta = { .n_groups = n_groups };

	if (n_groups == 0 || n_groups > KVR_GROUPS_MAX)
		return KVR_E_INVALID;
	if (len < KVR_LMMETA_BYTES(n_groups))
		return KVR_E_LENGTH;
	uint32_t payload_len = kvr_le32(at);
	meta.memfmt = kvr_le32(at + 4);
	if (payload_len > INT32_MAX || kvr_memfmt_name(meta.memfmt) == NULL)
		return KVR_E_CORRUPT;
	for (uint32_t g = 0; g < n_groups; g++) {
		enum kvr_err err =
		    kvr_lmmeta_get_group(at + KVR_LMMETA_BYTES(g), meta.memfmt, &meta.group[g]);
		if (err != KVR_OK)
			return err;
	}
	if (is_plain(&meta, payload_len)) {
		meta.n_groups = 0;
		meta.group[0] = (struct kvr_shape){ 0 };
	}
	*ret = meta;
	*ret_len = payload_len;
	return KVR_OK;
}
