/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_golden_key.h"

#include <check.h>
#include <stdio.h>

static void
big_push(struct kvr_big *b, unsigned base, unsigned digit)
{
	unsigned carry = digit;

	for (size_t i = 0; i < sizeof(b->byte); i++) {
		carry += b->byte[i] * base;
		b->byte[i] = (uint8_t)carry;
		carry >>= 8;
	}
	ck_assert_uint_eq(carry, 0);
}

struct kvr_big
kvr_big_read(const char *at, size_t len, unsigned base)
{
	struct kvr_big b = { 0 };

	for (size_t i = 0; i < len; i++) {
		char c = at[i];

		if (c == '-')
			b.minus = true;
		else if (c >= '0' && c <= '9')
			big_push(&b, base, (unsigned)(c - '0'));
		else if (c >= 'a' && c <= 'f')
			big_push(&b, base, (unsigned)(c - 'a') + 10);
		else if (c >= 'A' && c <= 'F')
			big_push(&b, base, (unsigned)(c - 'A') + 10);
		else /* the 0 of 0x adds nothing */
			ck_assert(c == ' ' || c == '+' || c == '_' || c == 'x');
	}
	return b;
}

const char *
kvr_golden_tag(const struct kvr_golden *tag, unsigned which, char scratch[32])
{
	const struct kvr_golden *part = kvr_golden_first(tag);

	if (which == 1)
		part = kvr_golden_next(part);
	if (kvr_golden_is_text(part))
		return kvr_golden_text(part);
	snprintf(scratch, 32, "%lld", (long long)kvr_golden_int(part));
	return scratch;
}
