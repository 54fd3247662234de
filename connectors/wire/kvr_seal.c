/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_seal.h"
#include "kvr_le.h"

#include <string.h>

/* The layout of the header. A change needs a new format version and may only append. */
enum {
	AT_MAGIC = 0,
	AT_HEAD_LEN = 4,
	AT_VERSION = 8,
	AT_FLAGS = 10,
	AT_SERDE = 12,
	AT_SERDE_VERSION = 16,
	AT_GROUPS = 20,
	AT_MEMFMT = 24,
	AT_BLOCK = 28,
	AT_RAW_LEN = 32,
	AT_LEN = 40,
	AT_DIGEST = 48,
	AT_FINGERPRINT = 64,
	AT_KEY_LEN = 72,
	AT_GROUP = 80,
	GROUP_BYTES = 40,
	AT_CHECK = 504,
	VERSION = 1
};

#define MAGIC KVR_MAGIC('K', 'V', 'R', '1')

_Static_assert(AT_GROUP + GROUP_BYTES * KVR_GROUPS_MAX <= AT_CHECK, "groups fit");
_Static_assert(AT_CHECK + 8 == KVR_SEAL_HEAD, "the checksum closes the smallest header");

static void
put_group(const struct kvr_shape *shape, uint8_t *ret)
{
	kvr_le32_put(ret, shape->dtype);
	kvr_le32_put(ret + 4, shape->n_dims);
	for (size_t d = 0; d < KVR_DIMS; d++)
		kvr_le64_put(ret + 8 + 8 * d, shape->dim[d]);
}

void
kvr_seal_put_head(const struct kvr_seal *seal, uint8_t *ret)
{
	KVR_CHECK(seal->head_len >= KVR_SEAL_HEAD && seal->meta.n_groups <= KVR_GROUPS_MAX);
	memset(ret, 0, seal->head_len);
	kvr_le32_put(ret + AT_MAGIC, MAGIC);
	kvr_le32_put(ret + AT_HEAD_LEN, seal->head_len);
	kvr_le16_put(ret + AT_VERSION, VERSION);
	kvr_le32_put(ret + AT_SERDE, seal->serde);
	kvr_le32_put(ret + AT_SERDE_VERSION, seal->serde_version);
	kvr_le32_put(ret + AT_GROUPS, seal->meta.n_groups);
	kvr_le32_put(ret + AT_MEMFMT, seal->meta.memfmt);
	kvr_le32_put(ret + AT_BLOCK, KVR_SEAL_BLOCK);
	kvr_le64_put(ret + AT_RAW_LEN, seal->raw_len);
	kvr_le64_put(ret + AT_LEN, seal->len);
	kvr_le64_put(ret + AT_DIGEST, seal->key.lo);
	kvr_le64_put(ret + AT_DIGEST + 8, seal->key.hi);
	kvr_le64_put(ret + AT_FINGERPRINT, seal->fingerprint);
	kvr_le32_put(ret + AT_KEY_LEN, seal->key_len);
	for (uint32_t g = 0; g < seal->meta.n_groups; g++)
		put_group(&seal->meta.group[g], ret + AT_GROUP + (size_t)g * GROUP_BYTES);
	kvr_le64_put(ret + AT_CHECK, kvr_hash64(ret, AT_CHECK));
}

void
kvr_seal_put_tail(const struct kvr_seal *seal, const char *key, uint8_t *ends)
{
	size_t len = (size_t)(seal->head_len + kvr_seal_tail_len(seal->key_len, seal->len));

	memcpy(ends + seal->head_len, key, seal->key_len);
	kvr_le64_put(ends + len - 8, kvr_hash64(ends, len - 8));
}

static enum kvr_err
fail(enum kvr_err err, const char *what, const char **why)
{
	*why = what;
	return err;
}

/* Checks the fields of a header that have one legal value. NULL: all have it. */
static const char *
head_flaw(const uint8_t *head, uint32_t head_len)
{
	if (kvr_le32(head + AT_MAGIC) != MAGIC)
		return "the value is not sealed: no magic KVR1 at its start";
	if (kvr_le64(head + AT_CHECK) != kvr_hash64(head, AT_CHECK))
		return "the sealed header does not fit its checksum";
	if (kvr_le32(head + AT_HEAD_LEN) != head_len)
		return "the sealed header has another length than this store writes";
	if (kvr_le16(head + AT_VERSION) != VERSION)
		return "the sealed format's version is not 1";
	if (kvr_le16(head + AT_FLAGS) != 0)
		return "the sealed header has flags that version 1 does not know";
	if (kvr_le32(head + AT_BLOCK) != KVR_SEAL_BLOCK)
		return "the sealed header has another block size than 1 MiB";
	if (kvr_le32(head + AT_GROUPS) > KVR_GROUPS_MAX)
		return "the sealed header has more than 8 groups";
	return NULL;
}

static bool
get_group(const uint8_t *at, struct kvr_shape *ret)
{
	ret->dtype = kvr_le32(at);
	ret->n_dims = kvr_le32(at + 4);
	for (size_t d = 0; d < KVR_DIMS; d++)
		ret->dim[d] = kvr_le64(at + 8 + 8 * d);
	return ret->n_dims <= KVR_DIMS;
}

static bool
get_fields(const uint8_t *head, struct kvr_seal *ret)
{
	ret->head_len = kvr_le32(head + AT_HEAD_LEN);
	ret->key_len = kvr_le32(head + AT_KEY_LEN);
	ret->serde = kvr_le32(head + AT_SERDE);
	ret->serde_version = kvr_le32(head + AT_SERDE_VERSION);
	ret->raw_len = kvr_le64(head + AT_RAW_LEN);
	ret->len = kvr_le64(head + AT_LEN);
	ret->fingerprint = kvr_le64(head + AT_FINGERPRINT);
	ret->key.lo = kvr_le64(head + AT_DIGEST);
	ret->key.hi = kvr_le64(head + AT_DIGEST + 8);
	ret->meta = (struct kvr_meta){ .memfmt = kvr_le32(head + AT_MEMFMT),
		.n_groups = kvr_le32(head + AT_GROUPS) };
	for (uint32_t g = 0; g < ret->meta.n_groups; g++) {
		if (!get_group(head + AT_GROUP + (size_t)g * GROUP_BYTES, &ret->meta.group[g]))
			return false;
	}
	return true;
}

enum kvr_err
kvr_seal_get_head(
    const uint8_t *head, uint32_t head_len, uint64_t total, struct kvr_seal *ret, const char **why)
{
	struct kvr_seal seal;
	const char *flaw = head_flaw(head, head_len);

	if (flaw != NULL)
		return fail(KVR_E_CORRUPT, flaw, why);
	if (!get_fields(head, &seal))
		return fail(
		    KVR_E_CORRUPT, "the sealed header has a shape of more than 4 dims", why);
	if (seal.key_len == 0 || seal.key_len > KVR_SEAL_KEY_MAX)
		return fail(
		    KVR_E_CORRUPT, "the sealed header has a key of 0 or over 512 bytes", why);
	/* Compare with total first, which bounds it: otherwise the sum could overflow. */
	if (seal.len > total || kvr_seal_total(&seal) != total)
		return fail(
		    KVR_E_CORRUPT, "the value is shorter or longer than its header says", why);
	if (seal.serde == 0 && seal.raw_len != seal.len)
		return fail(KVR_E_CORRUPT, "the sealed header has two lengths and no serde", why);
	if (kvr_seal_blocks(seal.len) > KVR_SEAL_BLOCKS_MAX)
		return fail(KVR_E_TOO_BIG, "the sealed payload is over 3.5 GiB", why);
	/* A row has 32 bits for the length: a truncated one would be a wrong answer. */
	if (seal.raw_len > UINT32_MAX)
		return fail(KVR_E_TOO_BIG, "what was sealed has 4 GiB or more before its serde", why);
	*ret = seal;
	return KVR_OK;
}

enum kvr_err
kvr_seal_fits(const struct kvr_seal *seal, const struct kvr_seal_want *want, const char **why)
{
	kvr_digest key = kvr_hash128(want->key, want->key_len);

	if (seal->key_len != want->key_len || seal->key.hi != key.hi || seal->key.lo != key.lo)
		return fail(KVR_E_IDENTITY, "the value was sealed for another key", why);
	if (want->fingerprint != 0 && seal->fingerprint != want->fingerprint)
		return fail(KVR_E_IDENTITY, "the value was sealed with another fingerprint", why);
	if (!kvr_meta_fits(want->meta, &seal->meta))
		return fail(
		    KVR_E_IDENTITY, "the value was sealed with another dtype or layout", why);
	if (want->serdes != 0 && (seal->serde > 63 || (want->serdes >> seal->serde & 1) == 0))
		return fail(KVR_E_IDENTITY, "the value was sealed with an unknown serde", why);
	if (want->serde_version != 0 && seal->serde != 0 &&
	    seal->serde_version != want->serde_version)
		return fail(
		    KVR_E_IDENTITY, "the value was sealed with another version of the serde", why);
	return KVR_OK;
}

enum kvr_err
kvr_seal_check_tail(const struct kvr_seal *seal, const uint8_t *ends, const uint8_t *table,
    const char *key, const char **why)
{
	size_t len = (size_t)(seal->head_len + kvr_seal_tail_len(seal->key_len, seal->len));
	const uint8_t *stored = ends + seal->head_len + seal->key_len;

	if (kvr_le64(ends + len - 8) != kvr_hash64(ends, len - 8))
		return fail(KVR_E_CORRUPT,
		    "header and trailer of the value do not fit their checksum", why);
	if (memcmp(stored, table, 8 * (size_t)kvr_seal_blocks(seal->len)) != 0)
		return fail(KVR_E_CORRUPT, "a block of the payload does not fit its checksum", why);
	if (memcmp(ends + seal->head_len, key, seal->key_len) != 0)
		return fail(
		    KVR_E_IDENTITY, "the value was sealed for another key of the same digest", why);
	return KVR_OK;
}
