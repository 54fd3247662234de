/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_codec_bed.h"

#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

enum { GUARD = 64 };

uint64_t
bed_draw(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return z ^ (z >> 27);
}

uint8_t *
bed_room(size_t len)
{
	uint8_t *at = malloc(len + GUARD);

	ck_assert_ptr_nonnull(at);
	memset(at, 0xa5, len + GUARD);
	return at;
}

void
bed_check_guard(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < GUARD; i++)
		ck_assert_msg(at[len + i] == 0xa5, "byte %zu behind %zu was written", i, len);
}

uint8_t *
bed_load(const char *name, size_t *ret_len)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/../data/%s", KVR_GOLDEN, name);
	FILE *f = fopen(path, "rb");

	ck_assert_msg(f != NULL, "%s is not there", path);
	fseek(f, 0, SEEK_END);
	*ret_len = (size_t)ftell(f);
	rewind(f);
	uint8_t *at = malloc(*ret_len);

	ck_assert_ptr_nonnull(at);
	ck_assert_uint_eq(fread(at, 1, *ret_len, f), *ret_len);
	fclose(f);
	return at;
}
