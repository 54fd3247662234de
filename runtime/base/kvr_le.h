/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian numbers in bytes, for any byte order of the host and any alignment. */
#ifndef KVR_LE_H
#define KVR_LE_H

#include <stdint.h>

static inline uint16_t
kvr_le16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t
kvr_le32(const uint8_t *at)
{
	return (uint32_t)kvr_le16(at) | (uint32_t)kvr_le16(at + 2) << 16;
}

static inline uint64_t
kvr_le64(const uint8_t *at)
{
	return (uint64_t)kvr_le32(at) | (uint64_t)kvr_le32(at + 4) << 32;
}

static inline void
kvr_le16_put(uint8_t *ret, uint16_t value)
{
	ret[0] = (uint8_t)value;
	ret[1] = (uint8_t)(value >> 8);
}

static inline void
kvr_le32_put(uint8_t *ret, uint32_t value)
{
	kvr_le16_put(ret, (uint16_t)value);
	kvr_le16_put(ret + 2, (uint16_t)(value >> 16));
}

static inline void
kvr_le64_put(uint8_t *ret, uint64_t value)
{
	kvr_le32_put(ret, (uint32_t)value);
	kvr_le32_put(ret + 4, (uint32_t)(value >> 32));
}

#endif
