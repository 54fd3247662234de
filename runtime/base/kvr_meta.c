/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_meta.h"

#include <string.h>

uint32_t
kvr_dtype_size(uint32_t code)
{
	switch (code) {
#define X(name, code_, bytes, text, lm) \
	case code_: \
		return bytes;
		KVR_DTYPE_TABLE(X)
#undef X
	default:
		return 0;
	}
}

const char *
kvr_dtype_name(uint32_t code)
{
	switch (code) {
#define X(name, code_, bytes, text, lm) \
	case code_: \
		return text;
		KVR_DTYPE_TABLE(X)
#undef X
	default:
		return NULL;
	}
}

int
kvr_dtype_find(const char *name, size_t len)
{
	static const struct {
		const char *text;
		int         code;
	} known[] = {
#define X(name, code, bytes, text, lm) { text, code },
		KVR_DTYPE_TABLE(X)
#undef X
	};

	/* Backwards, because HALF and FLOAT16 share a name, and LMCache writes FLOAT16. */
	for (size_t i = KVR_LEN(known); i-- > 1;) {
		if (strlen(known[i].text) == len && memcmp(known[i].text, name, len) == 0)
			return known[i].code;
	}
	return -1;
}

const char *
kvr_memfmt_name(uint32_t code)
{
	switch (code) {
#define X(name, code_, text) \
	case code_: \
		return text;
		KVR_MEMFMT_TABLE(X)
#undef X
	default:
		return NULL;
	}
}

enum kvr_err
kvr_meta_bytes(const struct kvr_meta *meta, uint64_t *ret_bytes)
{
	uint64_t sum = 0;

	if (meta->n_groups > KVR_GROUPS_MAX)
		return KVR_E_INVALID;
	for (uint32_t g = 0; g < meta->n_groups; g++) {
		const struct kvr_shape *s = &meta->group[g];
		uint64_t bytes = kvr_dtype_size(s->dtype);

		if (bytes == 0 || s->n_dims == 0 || s->n_dims > KVR_DIMS)
			return KVR_E_INVALID;
		for (uint32_t d = 0; d < s->n_dims; d++) {
			if (s->dim[d] == 0)
				return KVR_E_INVALID;
			if (__builtin_mul_overflow(bytes, s->dim[d], &bytes))
				return KVR_E_TOO_BIG;
		}
		if (__builtin_add_overflow(sum, bytes, &sum) || sum > INT64_MAX)
			return KVR_E_TOO_BIG;
	}
	*ret_bytes = sum;
	return KVR_OK;
}

static int
token_dim(uint32_t memfmt)
{
	switch (memfmt) {
	case KVR_MEMFMT_KV_2LTD:
	case KVR_MEMFMT_KV_MLA:
		return 2;
	case KVR_MEMFMT_KV_2TD:
		return 1;
	case KVR_MEMFMT_KV_T2D:
	case KVR_MEMFMT_EC_TD:
	case KVR_MEMFMT_HS_TD:
		return 0;
	default:
		return -1;
	}
}

bool
kvr_meta_same(const struct kvr_meta *a, const struct kvr_meta *b)
{
	if (a->memfmt != b->memfmt || a->n_groups != b->n_groups)
		return false;
	return memcmp(a->group, b->group, a->n_groups * sizeof(a->group[0])) == 0;
}

static uint32_t
plain_dtype(uint32_t code)
{
	return code == KVR_DTYPE_HALF ? (uint32_t)KVR_DTYPE_FLOAT16 : code;
}

int
kvr_shape_token_dim(const struct kvr_shape *s, uint32_t memfmt)
{
	int dim = token_dim(memfmt);

	if (dim == 2 && s->n_dims < KVR_DIMS)
		dim = (int)s->n_dims - 2;
	return dim < (int)s->n_dims ? dim : -1;
}

static bool
shape_fits(const struct kvr_shape *want, const struct kvr_shape *found, uint32_t memfmt)
{
	int free_dim = kvr_shape_token_dim(want, memfmt);

	if (plain_dtype(want->dtype) != plain_dtype(found->dtype) || want->n_dims != found->n_dims)
		return false;
	for (uint32_t d = 0; d < KVR_MIN(want->n_dims, KVR_DIMS); d++) {
		if (want->dim[d] != found->dim[d] && (int)d != free_dim)
			return false;
	}
	return true;
}

bool
kvr_meta_fits(const struct kvr_meta *want, const struct kvr_meta *found)
{
	if (want->n_groups == 0)
		return true;
	if (want->memfmt != found->memfmt || want->n_groups != found->n_groups)
		return false;
	for (uint32_t g = 0; g < KVR_MIN(want->n_groups, KVR_GROUPS_MAX); g++) {
		if (!shape_fits(&want->group[g], &found->group[g], want->memfmt))
			return false;
	}
	return true;
}
