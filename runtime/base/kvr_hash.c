/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_hash_own.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Up to here XXH3 uses no vectors; inlined, 4 to 28 ns: too little for a call by pointer. */
enum { SHORT = 240 };

_Static_assert(sizeof(XXH3_state_t) <= sizeof(struct kvr_hash_stream), "room for the state");
_Static_assert(_Alignof(XXH3_state_t) <= _Alignof(struct kvr_hash_stream), "and aligned for it");

static XXH3_state_t *
state(struct kvr_hash_stream *stream)
{
	return (XXH3_state_t *)(void *)stream;
}

static uint64_t
whole(const void *at, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(at, len, seed);
}

static void
feed(struct kvr_hash_stream *stream, const void *at, size_t len)
{
	/* Fails only for NULL. */
	KVR_CHECK(XXH3_64bits_update(state(stream), at, len) == XXH_OK);
}

const struct kvr_hash_way kvr_hash_plain = { whole, feed };

static const struct kvr_hash_way *
way(void)
{
#if defined(__x86_64__)
	/* VBMI2 came with the first processors that keep their clock in 512 bits. */
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vbmi2"))
		return &kvr_hash_avx512;
	if (__builtin_cpu_supports("avx2"))
		return &kvr_hash_avx2;
#endif
	return &kvr_hash_plain;
}

uint64_t
kvr_hash64(const void *at, size_t len)
{
	return len <= SHORT ? XXH3_64bits(at, len) : way()->whole(at, len, 0);
}

uint64_t
kvr_hash64_seed(const void *at, size_t len, uint64_t seed)
{
	return len <= SHORT ? whole(at, len, seed) : way()->whole(at, len, seed);
}

/* Flattened: otherwise the compiler calls the general function, which looks at the length first. */
__attribute__((flatten)) uint64_t
kvr_hash64_line(const void *at, uint64_t seed)
{
	return XXH3_64bits_withSeed(at, 64, seed);
}

/* For keys, which are short: no vectors needed. */
kvr_digest
kvr_hash128(const void *at, size_t len)
{
	XXH128_hash_t h = XXH3_128bits(at, len);

	return (kvr_digest){ .hi = h.high64, .lo = h.low64 };
}

void
kvr_hash_begin(struct kvr_hash_stream *stream)
{
	/* Fails only for NULL. */
	KVR_CHECK(XXH3_64bits_reset(state(stream)) == XXH_OK);
}

void
kvr_hash_feed(struct kvr_hash_stream *stream, const void *at, size_t len)
{
	if (len > 0)
		way()->feed(stream, at, len);
}

uint64_t
kvr_hash_end(const struct kvr_hash_stream *stream)
{
	return XXH3_64bits_digest((const XXH3_state_t *)(const void *)stream);
}

const char *
kvr_hash_library(void)
{
#define TEXT(x)  #x
#define TEXTS(x) TEXT(x)
	return TEXTS(XXH_VERSION_MAJOR) "." TEXTS(XXH_VERSION_MINOR) "." TEXTS(XXH_VERSION_RELEASE);
#undef TEXTS
#undef TEXT
}
