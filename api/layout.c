/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shapes of payloads: converts the caller's structs, and computes the shape of a part of a chunk.
 */
#include "kvr_layout.h"

#include "kvr_entry.h"
#include "kvr_ledger.h"

#include <string.h>

_Static_assert(sizeof(struct kvr_group) == sizeof(struct kvr_shape) &&
                   offsetof(struct kvr_group, dim) == offsetof(struct kvr_shape, dim) &&
                   offsetof(struct kvr_group, n_dims) == offsetof(struct kvr_shape, n_dims),
    "kvr_obj_info.group points at shapes");
_Static_assert(KVR_DIMS == KVR_DIMS_MAX, "one number of dimensions");
#define X(name, code, bytes, text, lm)                                                             \
	_Static_assert((int)KVR_DTYPE_##name == (int)KVR_DT_##name, "one code for " text);
KVR_DTYPE_TABLE(X)
#undef X
#define X(name, code, text)                                                                        \
	_Static_assert((int)KVR_MEMFMT_##name == (int)KVR_FMT_##name, "one code for " text);
KVR_MEMFMT_TABLE(X)
#undef X

enum kvr_err
kvr_layout_read(const struct kvr_layout *from, struct kvr_meta *ret, uint64_t *ret_bytes)
{
	struct kvr_layout l;

	memset(ret, 0, sizeof(*ret));
	*ret_bytes = 0;
	if (from == NULL)
		return KVR_OK;
	if (!kvr_read_struct(&l, sizeof(l), sizeof(l), from) || l.spare != 0 || l.n_groups == 0 ||
	    l.n_groups > KVR_GROUPS_MAX || l.group == NULL || kvr_memfmt_name(l.format) == NULL)
		return KVR_E_INVALID;
	ret->memfmt = l.format;
	ret->n_groups = l.n_groups;
	memcpy(ret->group, l.group, l.n_groups * sizeof(ret->group[0]));
	for (uint32_t g = 0; g < l.n_groups; g++) {
		for (uint32_t d = ret->group[g].n_dims; d < KVR_DIMS; d++) {
			if (ret->group[g].dim[d] != 0)
				return KVR_E_INVALID;
		}
	}
	return kvr_meta_bytes(ret, ret_bytes);
}

bool
kvr_layout_cut(const struct kvr_meta *full, uint64_t full_bytes, uint64_t len, struct kvr_meta *ret)
{
	/* The ledger knows how a chunk is cut, and workers ask it: there must be only one answer. */
	struct kvr_ledger_op op = { .meta = *full, .meta_bytes = full_bytes };
	struct kvr_key key = { .op = 0 };
	struct kvr_ledger one = { .keys = &key, .ops = &op };

	return kvr_ledger_meta(&one, 0, len, ret);
}
