/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with units, in both directions: "1.5GiB" and "500ms" to 64 bits and back. */
#include "kvr_option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: printing uses the first one that divides the value. */
static const struct unit sizes[] = {
	{ "TiB", UINT64_C(1) << 40 },
	{ "TB", UINT64_C(1000000000000) },
	{ "GiB", UINT64_C(1) << 30 },
	{ "GB", UINT64_C(1000000000) },
	{ "MiB", UINT64_C(1) << 20 },
	{ "MB", UINT64_C(1000000) },
	{ "KiB", UINT64_C(1) << 10 },
	{ "KB", UINT64_C(1000) },
	{ "B", 1 },
};

static const struct unit durations[] = {
	{ "d", UINT64_C(86400000000000) },
	{ "h", UINT64_C(3600000000000) },
	{ "m", UINT64_C(60000000000) },
	{ "s", UINT64_C(1000000000) },
	{ "ms", UINT64_C(1000000) },
	{ "us", UINT64_C(1000) },
	{ "ns", 1 },
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal digits; false if there are none. */
static bool
digits(const char **at, uint64_t *ret, bool *ret_huge)
{
	const char *from = *at;
	uint64_t sum = 0;

	for (; is_digit(**at); (*at)++) {
		if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(**at - '0'), &sum))
			*ret_huge = true;
	}
	*ret = sum;
	return *at != from;
}

/* The part after the point, in units of factor; digits after the ninth are ignored. */
static uint64_t
fraction(const char **at, uint64_t factor_of_unit)
{
	uint64_t sum = 0, scale = 1;

	for (; is_digit(**at); (*at)++) {
		if (scale < UINT64_C(1000000000)) {
			sum = sum * 10 + (uint64_t)(**at - '0');
			scale *= 10;
		}
	}
	/* Divide first: a day in nanoseconds times nine digits exceeds 64 bits. */
	return factor_of_unit / scale * sum + factor_of_unit % scale * sum / scale;
}

static bool
parse(const char *text, const struct unit *unit, size_t n, uint64_t *ret, bool *ret_huge)
{
	const char *at = text, *point;
	uint64_t whole, part = 0;

	*ret_huge = false;
	if (!digits(&at, &whole, ret_huge))
		return false;
	point = at;
	if (*at == '.') {
		at += 1 + strspn(at + 1, "0123456789");
		if (!is_digit(point[1]))
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(at, unit[i].name) != 0)
			continue;
		if (*point == '.') {
			point++;
			part = fraction(&point, unit[i].factor);
		}
		if (__builtin_mul_overflow(whole, unit[i].factor, &whole) ||
		    __builtin_add_overflow(whole, part, &whole))
			*ret_huge = true;
		*ret = whole;
		return true;
	}
	return false;
}

bool
kvr_parse_size(const char *text, uint64_t *ret_bytes, bool *ret_huge)
{
	return parse(text, sizes, KVR_LEN(sizes), ret_bytes, ret_huge);
}

bool
kvr_parse_duration(const char *text, uint64_t *ret_ns, bool *ret_huge)
{
	return parse(text, durations, KVR_LEN(durations), ret_ns, ret_huge);
}

bool
kvr_parse_whole(const char *text, uint64_t *ret, bool *ret_huge)
{
	const char *at = text;

	*ret_huge = false;
	if (text[0] == '0' && text[1] != '\0')
		return false;
	return digits(&at, ret, ret_huge) && *at == '\0';
}

static const char *
print(uint64_t value, const struct unit *unit, size_t n, char *ret_text)
{
	for (size_t i = 0; i < n; i++) {
		if ((value != 0 && value % unit[i].factor == 0) || i + 1 == n) {
			snprintf(ret_text, KVR_VALUE_MAX, "%" PRIu64 "%s", value / unit[i].factor,
			    unit[i].name);
			break;
		}
	}
	return ret_text;
}

const char *
kvr_size_text(uint64_t bytes, char *ret_text)
{
	return print(bytes, sizes, KVR_LEN(sizes), ret_text);
}

const char *
kvr_duration_text(uint64_t ns, char *ret_text)
{
	return ns == 0 ? "0s" : print(ns, durations, KVR_LEN(durations), ret_text);
}
