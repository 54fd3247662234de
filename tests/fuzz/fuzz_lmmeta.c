/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's header: the first byte says how many groups, the rest is the header. What is read is
 * written back as it was. */
#include "kvr_lmmeta.h"
#include "kvr_fuzz.h"

#include <string.h>

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	const struct kvr_meta meta[] = {
		{ KVR_MEMFMT_KV_2LTD, 1, { { KVR_DTYPE_BFLOAT16, 4, { 2, 32, 256, 1024 } } } },
		{ KVR_MEMFMT_KV_T2D, 1, { { KVR_DTYPE_FLOAT16, 3, { 256, 2, 1024 } } } },
		{ KVR_MEMFMT_KV_MLA, 2,
		    { { KVR_DTYPE_BFLOAT16, 4, { 1, 61, 256, 512 } },
		        { KVR_DTYPE_UINT8, 4, { 1, 61, 256, 132 } } } },
		{ KVR_MEMFMT_BINARY_BUFFER, 0, { { 0 } } },
		{ KVR_MEMFMT_BINARY, 0, { { 0 } } },
	};
	size_t len = 0;

	if (i >= KVR_LEN(meta))
		return 0;
	ret[0] = (uint8_t)KVR_MAX(meta[i].n_groups, 1U);
	KVR_CHECK(kvr_lmmeta_encode(&meta[i], 12345, ret[0], ret + 1, KVR_LMMETA_BYTES_MAX, &len) ==
	          KVR_OK);
	return 1 + len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	uint8_t head[KVR_LMMETA_BYTES_MAX], want[KVR_LMMETA_BYTES_MAX];
	struct kvr_meta meta;
	uint64_t payload_len = 0, bytes = 0;
	size_t head_len = 0;

	if (len == 0)
		return 0;
	uint32_t n_groups = at[0];
	enum kvr_err err = kvr_lmmeta_decode(at + 1, len - 1, n_groups, &meta, &payload_len);
	KVR_CHECK(
	    err == KVR_OK || err == KVR_E_CORRUPT || err == KVR_E_LENGTH || err == KVR_E_INVALID);
	if (err != KVR_OK)
		return 0;
	KVR_CHECK(meta.n_groups == n_groups || meta.n_groups == 0);
	KVR_CHECK(payload_len <= INT32_MAX && kvr_memfmt_name(meta.memfmt) != NULL);
	err = kvr_meta_bytes(&meta, &bytes);
	KVR_CHECK(err == KVR_OK || err == KVR_E_INVALID || err == KVR_E_TOO_BIG);
	KVR_CHECK(kvr_lmmeta_encode(&meta, payload_len, n_groups, head, sizeof(head), &head_len) ==
	          KVR_OK);
	KVR_CHECK(head_len == KVR_LMMETA_BYTES(n_groups));
	memcpy(want, at + 1, head_len);
	for (uint32_t g = 0; g < n_groups; g++) {
		if (want[KVR_LMMETA_BYTES(g)] == 1) /* read like 2, never written */
			want[KVR_LMMETA_BYTES(g)] = 2;
	}
	KVR_CHECK(memcmp(head, want, head_len) == 0);
	return 0;
}
