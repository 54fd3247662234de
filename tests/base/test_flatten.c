/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_flatten.h"
#include "kvr_check.h"

#include <stdio.h>
#include <string.h>

static void
becomes(const char *from, const char *want)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", from);
	kvr_flatten(text, strlen(text));
	ck_assert_str_eq(text, want);
}

START_TEST(a_terminal_is_told_nothing)
{
	becomes("", "");
	becomes("-ERR \033[31mred\r\nnext\t\177", "-ERR  [31mred  next  ");
	becomes("\302\2332J\302\200", "  2J  "); /* the one-character form of ESC [ */
}
END_TEST

START_TEST(letters_of_other_languages_stay)
{
	becomes("\303\251 \302\240 \342\202\254 \302", "\303\251 \302\240 \342\202\254 \302");
}
END_TEST

KVR_CHECK_MAIN("base.flatten", a_terminal_is_told_nothing, letters_of_other_languages_stay)
