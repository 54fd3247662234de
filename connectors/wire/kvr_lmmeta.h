/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header that LMCache stores with a chunk (RemoteMetadata). Signed 32-bit little-endian numbers
 * without gaps:
 *
 *   at 0           payload bytes
 *   at 4           memory format
 *   at 8 + 20 g    group g: dtype, then four dims, unused ones zero
 *
 * 28 bytes for one group. The header does not contain the number of groups; both sides have to know
 * it. It has no key, no version and no checksum.
 */
#ifndef KVR_LMMETA_H
#define KVR_LMMETA_H

#include "kvr_meta.h"

#define KVR_LMMETA_BYTES(n_groups) (8U + 20U * (size_t)(n_groups))
#define KVR_LMMETA_BYTES_MAX       KVR_LMMETA_BYTES(KVR_GROUPS_MAX)
#define KVR_LMMETA_GROUP_BYTES     20U

/*
 * len is the payload's. Plain bytes (meta->n_groups 0) become [len, 0, 0, 0] without dtype, format
 * BINARY_BUFFER (or BINARY if meta says so); they need a header of one group. KVR_E_INVALID:
 * another number of groups than n_groups, a dtype or format for which the header has no number, no
 * dims or too many. KVR_E_TOO_BIG: len or a dim over 2^31 - 1. KVR_E_TOO_SMALL: cap.
 */
KVR_MUST_USE enum kvr_err kvr_lmmeta_encode(const struct kvr_meta *, uint64_t len,
    uint32_t n_groups, uint8_t *ret, size_t cap, size_t *ret_len);

/*
 * Bytes after the header are not looked at. Zeros at the end of a shape are not dims, except in the
 * two binary formats. Plain bytes are returned with n_groups 0. len is not compared with the
 * product of the dims: a compressed payload is shorter than its shape. KVR_E_LENGTH: fewer bytes
 * than a header has. KVR_E_CORRUPT: a number that no writer writes (an unknown dtype or format,
 * anything negative). KVR_E_INVALID: n_groups is not 1 to 8.
 */
KVR_MUST_USE enum kvr_err kvr_lmmeta_decode(
    const uint8_t *at, size_t len, uint32_t n_groups, struct kvr_meta *ret, uint64_t *ret_len);

/*
 * A single group, as in the messages of lm://: dtype and four dims. Errors as for encode and
 * decode.
 */
KVR_MUST_USE enum kvr_err kvr_lmmeta_put_group(
    const struct kvr_shape *, uint8_t ret[KVR_LMMETA_GROUP_BYTES]);
KVR_MUST_USE enum kvr_err kvr_lmmeta_get_group(
    const uint8_t at[KVR_LMMETA_GROUP_BYTES], uint32_t memfmt, struct kvr_shape *ret);

#endif
