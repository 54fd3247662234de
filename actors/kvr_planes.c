/* SPDX-License-Identifier: Apache-2.0 */
/* The codec "planes": frames and their blocks. kvr_planes.h describes a frame. */
#include "kvr_planes.h"
#include "kvr_le.h"

#include <string.h>

enum { VERSION = 1, WIDTH = 2, TABLE = 15 };

const struct kvr_planes_path *
kvr_planes_path(uint32_t number)
{
	const struct kvr_planes_path *path[4] = { NULL };
	uint32_t n = 0;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi") &&
	    __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2"))
		path[n++] = &kvr_planes_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
		path[n++] = &kvr_planes_avx2;
#endif
	path[n++] = &kvr_planes_scalar;
	return number < n ? path[number] : NULL;
}

/* How a payload is cut; the same for both directions. */
struct cut {
	size_t blocks, groups, tail;
};

static struct cut
cut(size_t raw_len)
{
	const size_t in_block = KVR_PLANES_BLOCK_BYTES / KVR_PLANES_GROUP_BYTES;
	size_t groups = raw_len / KVR_PLANES_GROUP_BYTES;

	return (struct cut){ (groups + in_block - 1) / in_block, groups,
		raw_len % KVR_PLANES_GROUP_BYTES };
}

static size_t
groups_of(const struct cut *cut, size_t block)
{
	const size_t in_block = KVR_PLANES_BLOCK_BYTES / KVR_PLANES_GROUP_BYTES;

	return KVR_MIN(cut->groups - block * in_block, in_block);
}

/* Bytes of a coded block's planes and low bytes. */
static size_t
body_len(size_t groups, uint32_t bits)
{
	return groups * (8 * bits + KVR_PLANES_GROUP);
}

static void
put_head(uint8_t *at, const struct kvr_planes_block *block)
{
	memset(at, 0, KVR_PLANES_BLOCK_HEAD);
	if (block == NULL)
		return;
	at[0] = (uint8_t)block->code->bits;
	memcpy(at + 1, block->code->value, TABLE);
	kvr_le32_put(at + 16, (uint32_t)block->n_escapes);
}

/* Bytes written at `to`; 0: they would be more than room. */
static size_t
encode_block(const struct kvr_planes_path *path, const uint8_t *from, size_t groups, uint8_t *to,
    size_t room)
{
	struct kvr_planes_code code;
	size_t raw = groups * KVR_PLANES_GROUP_BYTES;

	kvr_planes_choose(from, groups, &code);
	size_t body = body_len(groups, code.bits);

	if (code.bits != 0 &&
	    KVR_MIN(raw, room) >= KVR_PLANES_BLOCK_HEAD + body + KVR_PLANES_SLACK) {
		struct kvr_planes_block block = { .code = &code,
			.groups = groups,
			.planes = to + KVR_PLANES_BLOCK_HEAD,
			.low = to + KVR_PLANES_BLOCK_HEAD + 8 * groups * code.bits,
			.escapes = to + KVR_PLANES_BLOCK_HEAD + body,
			.room =
			    KVR_MIN(raw, room) - KVR_PLANES_BLOCK_HEAD - body - KVR_PLANES_SLACK };

		if (path->encode(&block, from)) {
			put_head(to, &block);
			return KVR_PLANES_BLOCK_HEAD + body + block.n_escapes;
		}
	}
	/* The sample promised too much, or no gain at all. */
	if (room < KVR_PLANES_BLOCK_HEAD + raw)
		return 0;
	put_head(to, NULL);
	memcpy(to + KVR_PLANES_BLOCK_HEAD, from, raw);
	return KVR_PLANES_BLOCK_HEAD + raw;
}

size_t
kvr_planes_encode(
    const struct kvr_planes_path *path, struct kvr_const_span raw, struct kvr_span into)
{
	const struct cut c = cut(raw.len);
	const uint8_t *from = raw.at;
	/* A frame no shorter than the payload is not worth decoding. */
	uint8_t *to = into.at, *end = to + KVR_MIN(into.len, raw.len - (raw.len > 0));

	if (c.groups == 0 || (size_t)(end - to) < KVR_PLANES_HEAD + c.tail ||
	    !kvr_planes_pays(from, c.groups))
		return 0;
	memset(to, 0, KVR_PLANES_HEAD);
	to[0] = VERSION;
	to[1] = WIDTH;
	to[2] = KVR_PLANES_BLOCK_LOG2;
	kvr_le64_put(to + 8, raw.len);
	to += KVR_PLANES_HEAD;
	end -= c.tail;
	for (size_t b = 0; b < c.blocks; b++, from += KVR_PLANES_BLOCK_BYTES) {
		size_t n = encode_block(path, from, groups_of(&c, b), to, (size_t)(end - to));

		if (n == 0)
			return 0;
		to += n;
	}
	memcpy(to, (const uint8_t *)raw.at + raw.len - c.tail, c.tail);
	return (size_t)(to - (uint8_t *)into.at) + c.tail;
}

/* Reads the head of a coded block. False: no encoder writes such a head. */
static bool
read_code(const uint8_t *at, struct kvr_planes_code *ret)
{
	ret->bits = at[0];
	if (ret->bits > KVR_PLANES_BITS_MAX)
		return false;
	memcpy(ret->value, at + 1, TABLE);
	ret->value[TABLE] = 0;
	for (uint32_t i = (1U << ret->bits) - 1; i < TABLE; i++) {
		if (ret->value[i] != 0)
			return false;
	}
	return true;
}

/* Bytes taken from `at`; 0: damaged. */
static size_t
decode_block(
    const struct kvr_planes_path *path, const uint8_t *at, size_t len, size_t groups, uint8_t *to)
{
	const uint8_t *body = at + KVR_PLANES_BLOCK_HEAD;
	struct kvr_planes_code code;

	if (len < KVR_PLANES_BLOCK_HEAD || !read_code(at, &code))
		return 0;
	size_t n_escapes = kvr_le32(at + 16), room = len - KVR_PLANES_BLOCK_HEAD;
	size_t need =
	    code.bits == 0 ? groups * KVR_PLANES_GROUP_BYTES : body_len(groups, code.bits);

	/* Compared one by one: a sum of two numbers that an attacker chose may wrap. */
	if (need > room || n_escapes > room - need || (code.bits == 0 && n_escapes > 0))
		return 0;
	if (code.bits == 0) {
		memcpy(to, body, need);
		return KVR_PLANES_BLOCK_HEAD + need;
	}
	const struct kvr_planes_block block = { .code = &code,
		.groups = groups,
		.n_escapes = n_escapes,
		.room = n_escapes,
		.planes = (uint8_t *)body,
		.low = (uint8_t *)body + 8 * groups * code.bits,
		.escapes = (uint8_t *)body + need };

	return path->decode(&block, to) ? KVR_PLANES_BLOCK_HEAD + need + n_escapes : 0;
}

bool
kvr_planes_decode(
    const struct kvr_planes_path *path, struct kvr_const_span stored, void *into, size_t raw_len)
{
	static const uint8_t head[8] = { VERSION, WIDTH, KVR_PLANES_BLOCK_LOG2 };
	const struct cut c = cut(raw_len);
	const uint8_t *at = stored.at;
	uint8_t *to = into;
	size_t left = stored.len;

	if (left < KVR_PLANES_HEAD || memcmp(at, head, sizeof(head)) != 0 ||
	    kvr_le64(at + 8) != raw_len)
		return false;
	at += KVR_PLANES_HEAD;
	left -= KVR_PLANES_HEAD;
	for (size_t b = 0; b < c.blocks; b++, to += KVR_PLANES_BLOCK_BYTES) {
		size_t n = decode_block(path, at, left, groups_of(&c, b), to);

		if (n == 0)
			return false;
		at += n;
		left -= n;
	}
	if (left != c.tail)
		return false;
	if (c.tail > 0)
		memcpy((uint8_t *)into + raw_len - c.tail, at, c.tail);
	return true;
}
