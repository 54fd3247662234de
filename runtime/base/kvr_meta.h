/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a payload is: memory format and, per group of equal layers, dtype and shape. Groups lie
 * back to back in the payload. A payload of plain bytes has no group.
 *
 * Codes are LMCache's where it has one; those from 64 on are ours and never written in its format.
 */
#ifndef KVR_META_H
#define KVR_META_H

#include "kvr_err.h"

#define KVR_GROUPS_MAX 8U
#define KVR_DIMS 4U

/*        name         code bytes name in a key      code in an LMCache header, -1: none */
#define KVR_DTYPE_TABLE(X) \
	X(NONE,         0, 0, "none",          0) \
	X(HALF,         1, 2, "half",          2) \
	X(FLOAT16,      2, 2, "half",          2) \
	X(BFLOAT16,     3, 2, "bfloat16",      3) \
	X(FLOAT32,      4, 4, "float",         4) \
	X(FLOAT64,      5, 8, "double",        5) \
	X(UINT8,        6, 1, "uint8",         6) \
	X(FP8_E4M3FN,   7, 1, "fp8_e4m3fn",    7) \
	X(FP8_E5M2,     8, 1, "fp8_e5m2",      8) \
	X(FP8_E4M3FNUZ, 64, 1, "fp8_e4m3fnuz", -1) \
	X(FP8_E5M2FNUZ, 65, 1, "fp8_e5m2fnuz", -1) \
	X(INT8,         66, 1, "int8",         -1) \
	X(INT16,        67, 2, "int16",        -1) \
	X(INT32,        68, 4, "int32",        -1) \
	X(INT64,        69, 8, "int64",        -1) \
	X(BOOL,         70, 1, "bool",         -1)

enum kvr_dtype_code {
#define X(name, code, bytes, text, lm) KVR_DTYPE_##name = (code),
	KVR_DTYPE_TABLE(X)
#undef X
};

/*        name           code name for people */
#define KVR_MEMFMT_TABLE(X) \
	X(UNDEFINED,     0, "UNDEFINED") \
	X(KV_2LTD,       1, "KV_2LTD") \
	X(KV_T2D,        2, "KV_T2D") \
	X(KV_2TD,        3, "KV_2TD") \
	X(BINARY,        4, "BINARY") \
	X(BINARY_BUFFER, 5, "BINARY_BUFFER") \
	X(KV_MLA,        6, "KV_MLA_FMT") \
	X(EC_TD,         7, "EC_TD") \
	X(HS_TD,         8, "HS_TD")

enum kvr_memfmt_code {
#define X(name, code, text) KVR_MEMFMT_##name = (code),
	KVR_MEMFMT_TABLE(X)
#undef X
};

struct kvr_shape {
	uint32_t dtype;  /* enum kvr_dtype_code */
	uint32_t n_dims; /* 1 to KVR_DIMS; the rest of dim is zero */
	uint64_t dim[KVR_DIMS];
};

struct kvr_meta {
	uint32_t         memfmt;   /* enum kvr_memfmt_code */
	uint32_t         n_groups; /* 0: plain bytes */
	struct kvr_shape group[KVR_GROUPS_MAX];
};

/* Bytes of one element; 0 for NONE and for a code that is not in the table. */
uint32_t    kvr_dtype_size(uint32_t code);
/* The name used in keys; NULL for a code that is not in the table. */
const char *kvr_dtype_name(uint32_t code);
/* -1 when no dtype has that name. "half" is FLOAT16. */
int         kvr_dtype_find(const char *name, size_t len);
const char *kvr_memfmt_name(uint32_t code); /* NULL when unknown */

/*
 * Bytes of the payload that meta describes. KVR_E_INVALID: a dim of zero, no or too many dims, an
 * unknown dtype; KVR_E_TOO_BIG: the product does not fit into 63 bits.
 */
KVR_MUST_USE enum kvr_err kvr_meta_bytes(const struct kvr_meta *, uint64_t *ret_bytes);

/*
 * The index of the dimension that counts tokens: 2 for KV_2LTD and KV_MLA, 1 for KV_2TD, 0 for
 * KV_T2D, EC_TD and HS_TD; -1: none. One layer of KV_MLA has no dimension for layers, so there it
 * is 1.
 */
int kvr_shape_token_dim(const struct kvr_shape *, uint32_t memfmt);

bool kvr_meta_same(const struct kvr_meta *, const struct kvr_meta *);

/*
 * Whether what was found can stand for what was wanted: same memory format, number of groups,
 * dtypes (HALF equals FLOAT16) and dims. The dim that counts tokens may differ, because the last
 * chunk of a prompt is short. A want without groups fits anything.
 */
bool kvr_meta_fits(const struct kvr_meta *want, const struct kvr_meta *found);

#endif
