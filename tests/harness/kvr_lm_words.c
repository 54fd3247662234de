/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lm_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the message, in the order in which they stand there. */
enum { COMMAND, LENGTH, FORMAT, DTYPE, LOCATION, DIM, NUMBERS = DIM + 4 };
enum { FORMAT_MAX = 8, DTYPE_MAX = 8, LOCATION_MAX = 2 };

static int32_t
number(const uint8_t *at)
{
	uint32_t n = 0;
	for (int i = 3; i >= 0; i--)
		n = n << 8 | at[i];
	int32_t value;
	memcpy(&value, &n, sizeof(value));
	return value;
}

static void __attribute__((format(printf, 3, 4)))
say(char *odd, size_t cap, const char *fmt, ...)
{
	va_list args;
	if (odd[0] != '\0')
		return;
	va_start(args, fmt);
	vsnprintf(odd, cap, fmt, args);
	va_end(args);
}

static int
is_whole(const char *text, int base)
{
	char *end = NULL;
	if (text[0] == '\0')
		return 0;
	strtoll(text, &end, base);
	return *end == '\0';
}

static int
is_hex(const char *text)
{
	text += text[0] == '-';
	return text[0] != '\0' && strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

static int
is_dtype(const char *text)
{
	static const char *const names[] = { "half", "bfloat16", "float", "double", "uint8", "int8",
		"int16", "int32", "int64", "bool", "fp8_e4m3fn", "fp8_e4m3fnuz", "fp8_e5m2",
		"fp8_e5m2fnuz" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], text) == 0)
			return 1;
	return 0;
}

/* model@world@worker@hash@dtype[@layer][@tag%value]... */
static int
is_key(const char *key)
{
	char text[KVR_LM_WORDS_KEY + 1];
	char *rest = text;
	const char *part[5];
	snprintf(text, sizeof(text), "%s", key);
	for (int i = 0; i < 5; i++)
		if ((part[i] = strsep(&rest, "@")) == NULL)
			return 0;
	if (!is_whole(part[1], 10) || !is_whole(part[2], 10) || !is_hex(part[3]) ||
	    !is_dtype(part[4]))
		return 0;
	for (int first = 1; rest != NULL; first = 0) {
		const char *more = strsep(&rest, "@");
		int layer = first && more[0] != '\0' && strspn(more, "0123456789") == strlen(more);
		if (!layer && strchr(more, '%') == NULL)
			return 0;
	}
	return 1;
}

static void
take_key(const uint8_t *at, char ret[KVR_LM_WORDS_KEY + 1], char *odd, size_t odd_cap)
{
	size_t from = 0, to = KVR_LM_WORDS_KEY;
	while (to > from && at[to - 1] == ' ')
		to--;
	while (from < to && strchr(" \t\r\n\v\f", at[from]) != NULL)
		from++;
	if (from > 0)
		say(odd, odd_cap, "a key with blanks in front");
	if (from == to)
		say(odd, odd_cap, "no key");
	if (memchr(at + from, '\0', to - from) != NULL)
		say(odd, odd_cap, "a key with a NUL byte: not padded with spaces?");
	memcpy(ret, at + from, to - from);
	ret[to - from] = '\0';
}

static void
check_numbers(const int32_t *n, char *odd, size_t odd_cap)
{
	if (n[LOCATION] != 0)
		say(odd, odd_cap, "command %d with location %d", n[COMMAND], n[LOCATION]);
	if (n[COMMAND] == KVR_LM_WORDS_LIST)
		say(odd, odd_cap, "LIST, which is never answered");
	if (n[COMMAND] == KVR_LM_WORDS_PUT) {
		if (n[DTYPE] == 1)
			say(odd, odd_cap, "dtype 1 is read and never written");
		return;
	}
	if (n[LENGTH] != 0 || n[FORMAT] != 1 || n[DTYPE] != 2 || n[DIM] != 0 || n[DIM + 1] != 0 ||
	    n[DIM + 2] != 0 || n[DIM + 3] != 0)
		say(odd, odd_cap, "command %d with a length, format, dtype or shape of its own",
		    n[COMMAND]);
}

int
kvr_lm_words_read(
    const uint8_t ask[KVR_LM_WORDS_ASK], struct kvr_lm_words *ret, char *odd, size_t odd_cap)
{
	int32_t n[NUMBERS];
	for (int i = 0; i < NUMBERS; i++)
		n[i] = number(ask + (ptrdiff_t)4 * i);
	check_numbers(n, odd, odd_cap);
	take_key(ask + 4 * NUMBERS, ret->key, odd, odd_cap);
	ret->command = n[COMMAND];
	ret->len = n[LENGTH] > 0 ? (size_t)n[LENGTH] : 0;
	memcpy(ret->head, ask + 4, 12);
	memcpy(ret->head + 12, ask + 20, 16);
	int readable = n[COMMAND] >= KVR_LM_WORDS_PUT && n[COMMAND] <= KVR_LM_WORDS_HEALTH &&
	    n[LENGTH] >= 0 && n[FORMAT] >= 0 && n[FORMAT] <= FORMAT_MAX && n[DTYPE] >= 0 &&
	    n[DTYPE] <= DTYPE_MAX && n[LOCATION] >= 0 && n[LOCATION] <= LOCATION_MAX;
	for (int d = 0; d < 4; d++)
		readable &= n[DIM + d] >= 0;
	if (!readable)
		say(odd, odd_cap, "a number that means nothing: command %d, length %d, format %d, "
		                  "dtype %d, location %d", n[COMMAND], n[LENGTH], n[FORMAT],
		    n[DTYPE], n[LOCATION]);
	if (!is_key(ret->key)) {
		say(odd, odd_cap, "not an LMCache key: %.80s", ret->key);
		readable = 0;
	}
	return readable;
}

void
kvr_lm_words_tell(uint8_t ret[KVR_LM_WORDS_TELL], int yes, const uint8_t *head)
{
	static const uint8_t none[KVR_LM_WORDS_HEAD] = { 0, 0, 0, 0, 1, 0, 0, 0, 2 };
	memset(ret, 0, KVR_LM_WORDS_TELL);
	ret[0] = (uint8_t)(yes ? 200 : 400 & 0xff);
	ret[1] = (uint8_t)(yes ? 0 : 400 >> 8);
	memcpy(ret + 4, head != NULL ? head : none, KVR_LM_WORDS_HEAD);
}
