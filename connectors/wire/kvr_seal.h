/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed format, version 1: one value that says what it is and proves that it is whole. All
 * numbers are little-endian. tests/golden/sealed.json holds values byte by byte.
 *
 *   header, H bytes: 512, on file systems 4096 so that the payload stays aligned
 *     0    4  magic "KVR1"
 *     4    4  H
 *     8    2  format version, 1
 *    10    2  flags, 0
 *    12    4  number of the serde, 0: the payload is stored as given
 *    16    4  version of the serde
 *    20    4  groups, 0 to 8; 0: plain bytes
 *    24    4  memory format
 *    28    4  block size, 1048576
 *    32    8  payload bytes as given
 *    40    8  payload bytes as stored: P
 *    48   16  digest of the key text (XXH3-128), low half first
 *    64    8  fingerprint, 0: none
 *    72    4  bytes of the key text: K
 *    76    4  0
 *    80  320  eight groups of 40: dtype 4, number of dims 4, four dims of 8; zero where unused
 *   400  104  0
 *   504    8  XXH3-64 of the 504 bytes before
 *   512       0 up to H
 *   payload, P bytes
 *   trailer
 *     0    K  key text
 *     K   8B  XXH3-64 of each block of the stored payload; B = P / block size, rounded up
 *     +    8  XXH3-64 of header, key text and table, concatenated
 *
 * Header and trailer together are called the ends of a value: H + K + 8 B + 8 bytes, which the
 * functions here expect in one piece so that the last checksum is one call.
 *
 * The header has its own checksum for readers that read nothing else (stat), and so that no reader
 * trusts an unverified length. A matching digest does not prove that the key is right, so the text
 * is compared too.
 */
#ifndef KVR_SEAL_H
#define KVR_SEAL_H

#include "kvr_hash.h"
#include "kvr_meta.h"

#define KVR_SEAL_HEAD       512U  /* bytes of a sealed header; file systems use KVR_SEAL_HEAD_FS */
#define KVR_SEAL_HEAD_FS    4096U /* so that the payload stays aligned for O_DIRECT */
#define KVR_SEAL_BLOCK      KVR_MIB(1)
#define KVR_SEAL_BLOCKS_MAX 3584U /* 3.5 GiB; what fits into a reader's scratch */
#define KVR_SEAL_KEY_MAX    512U
#define KVR_SEAL_SUFFIX     "@kvr%1"

/* What a sealed header says. */
struct kvr_seal {
	uint32_t head_len;
	uint32_t key_len;
	uint32_t serde, serde_version;
	uint64_t raw_len; /* payload as given */
	uint64_t len;     /* payload as stored */
	uint64_t fingerprint;
	kvr_digest key;
	struct kvr_meta meta;
};

/* What a reader compares it with. */
struct kvr_seal_want {
	const char *key;
	uint32_t key_len;
	uint32_t serde_version;      /* for serdes other than 0; 0: not compared */
	uint64_t serdes;             /* bit n: serde n can be read here; 0: not compared */
	uint64_t fingerprint;        /* 0: not compared */
	const struct kvr_meta *meta; /* n_groups 0: not compared */
};

static inline uint64_t
kvr_seal_blocks(uint64_t len)
{
	return len / KVR_SEAL_BLOCK + (len % KVR_SEAL_BLOCK != 0);
}

static inline uint64_t
kvr_seal_tail_len(uint32_t key_len, uint64_t len)
{
	return key_len + 8U * kvr_seal_blocks(len) + 8U;
}

static inline uint64_t
kvr_seal_total(const struct kvr_seal *seal)
{
	return seal->head_len + seal->len + kvr_seal_tail_len(seal->key_len, seal->len);
}

/* Writes head_len bytes. */
void kvr_seal_put_head(const struct kvr_seal *, uint8_t *ret);
/* Writes key text and last checksum into ends, where header and table already are. */
void kvr_seal_put_tail(const struct kvr_seal *, const char *key, uint8_t *ends);

/*
 * The three checks of a read. On failure why says what did not match, a text of static storage.
 * Call them in this order, which is the order of the bytes.
 *
 * get_head: head has head_len bytes, the whole value total. KVR_E_CORRUPT: no sealed header of
 * version 1, or the value is shorter or longer than its header says. KVR_E_TOO_BIG.
 */
KVR_MUST_USE enum kvr_err kvr_seal_get_head(
    const uint8_t *head, uint32_t head_len, uint64_t total, struct kvr_seal *ret, const char **why);
/* KVR_E_IDENTITY: a valid value of something else. */
KVR_MUST_USE enum kvr_err kvr_seal_fits(
    const struct kvr_seal *, const struct kvr_seal_want *, const char **why);
/*
 * table: checksums of the blocks that were read, 8 bytes each, little-endian. KVR_E_CORRUPT, or
 * KVR_E_IDENTITY: another key text with the same digest.
 */
KVR_MUST_USE enum kvr_err kvr_seal_check_tail(const struct kvr_seal *, const uint8_t *ends,
    const uint8_t *table, const char *key, const char **why);

#endif
