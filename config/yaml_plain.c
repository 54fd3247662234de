/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of YAML 1.1 as PyYAML implements them: "yes" and "off" are truth values, "1e3" is a
 * text because it has no dot, and 010 is eight. So a file means here what it means to LMCache. The
 * only exception: 1:30 is not a number of base sixty but a text, and so an error if a number is
 * needed.
 */
#include "kvr_yaml_plain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is_one_of(const char *text, const char *const *words)
{
	while (*words != NULL && strcmp(text, *words) != 0)
		words++;
	return *words != NULL;
}

static size_t
digits(const char *text, const char *set)
{
	return strspn(text, set);
}

/* Copies text without '_'. False: it does not fit, so it is not a number that we accept. */
static bool
without_underscores(const char *text, char *ret, size_t cap)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == '_')
			continue;
		if (n + 1 == cap)
			return false;
		ret[n++] = *text;
	}
	ret[n] = '\0';
	return true;
}

/*
 * Converts 0x1F, 0b101, 010 and 1_000 to decimal digits; NULL: not a whole number. A number beyond
 * 64 bits stays a text, because no option is that large.
 */
static const char *
whole(struct kvr_config_arena *arena, const char *text)
{
	const char *at = text + (text[0] == '-' || text[0] == '+'), *set = "0123456789_";
	char plain[80], decimal[32];
	uint64_t n;
	int base = 10;

	if (at[0] == '0' && (at[1] == 'x' || at[1] == 'b')) {
		base = at[1] == 'x' ? 16 : 2;
		set = base == 16 ? "0123456789abcdefABCDEF_" : "01_";
		at += 2;
	} else if (at[0] == '0' && at[1] != '\0') {
		base = 8;
		set = "01234567_";
	}
	if (at[0] == '\0' || digits(at, set) != strlen(at) || (base == 10 && at[0] == '_') ||
	    !without_underscores(at, plain, sizeof(plain)) || plain[0] == '\0')
		return NULL;
	errno = 0;
	n = strtoull(plain, NULL, base);
	if (errno != 0)
		return NULL;
	snprintf(decimal, sizeof(decimal), "%s%" PRIu64, text[0] == '-' ? "-" : "", n);
	return kvr_arena_text(arena, decimal, strlen(decimal));
}

/* Digits around a dot, then optionally an exponent, which needs a sign in PyYAML. */
static bool
is_float(const char *text)
{
	const char *at = text + (text[0] == '-' || text[0] == '+');
	size_t before = digits(at, "0123456789"), after;

	at += before;
	if (*at++ != '.')
		return false;
	after = digits(at, "0123456789");
	at += after;
	if (before + after == 0)
		return false;
	if ((*at == 'e' || *at == 'E') && (at[1] == '-' || at[1] == '+') &&
	    digits(at + 2, "0123456789") > 0)
		at += 2 + digits(at + 2, "0123456789");
	return *at == '\0';
}

void
kvr_yaml_plain(struct kvr_config_arena *arena, struct kvr_node *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", "yes", "Yes", "YES", "on",
		"On", "ON", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", "no", "No", "NO", "off",
		"Off", "OFF", NULL };
	const char *number;

	if (is_one_of(node->text, nulls)) {
		node->kind = KVR_TREE_NULL;
		node->text = NULL;
	} else if (is_one_of(node->text, trues) || is_one_of(node->text, falses)) {
		node->kind = KVR_TREE_BOOL;
		node->text = is_one_of(node->text, trues) ? "true" : "false";
	} else if (is_float(node->text)) {
		node->kind = KVR_TREE_NUMBER;
		node->text += node->text[0] == '+';
	} else {
		number = whole(arena, node->text);
		if (number == NULL)
			return;
		node->kind = KVR_TREE_NUMBER;
		node->text = number;
	}
}
