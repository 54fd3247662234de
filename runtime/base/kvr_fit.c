/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fit.h"

#include <stdio.h>
#include <string.h>

#define GAP "..."

/* A word that has lost its middle keeps WORD_MIN letters, so that it can still be recognized. */
enum { GAP_LEN = sizeof(GAP) - 1, WORD_MIN = 24, TEXT_MAX = 512 };

/* The longest run without spaces. */
static char *
longest_word(char *text, size_t *ret_len)
{
	char *longest = text;

	*ret_len = 0;
	for (char *at = text; *at != '\0'; at += strspn(at, " ")) {
		size_t len = strcspn(at, " ");

		if (len > *ret_len) {
			*ret_len = len;
			longest = at;
		}
		at += len;
	}
	return longest;
}

void
kvr_fit(char *ret, size_t cap, const char *text)
{
	char whole[TEXT_MAX];

	if (cap == 0)
		return;
	snprintf(whole, sizeof(whole), "%s", text);
	for (size_t over = strlen(whole) + 1, n; over > cap; over = strlen(whole) + 1) {
		char *word = longest_word(whole, &n);

		if (n <= WORD_MIN + GAP_LEN)
			break;
		/* Cut as much as is over, plus the place of the gap itself. */
		size_t skip = over - cap + GAP_LEN < n - WORD_MIN ? over - cap + GAP_LEN : n - WORD_MIN;
		char *gap = word + (n - skip) / 2;

		memmove(gap + GAP_LEN, gap + skip, strlen(gap + skip) + 1);
		memcpy(gap, GAP, GAP_LEN);
	}
	int len = snprintf(ret, cap, "%s", whole);

	if (len >= (int)cap && cap > 4 * GAP_LEN)
		memcpy(ret + cap - 1 - GAP_LEN, GAP, GAP_LEN);
}
