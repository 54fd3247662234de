/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings of JSON. Keys, paths and what servers say may be any bytes, and JSON has characters only:
 * what is no UTF-8 becomes the replacement character, or no reader would take the rest either.
 */
#include "kvr_cli.h"

static bool
follows(const unsigned char *at, size_t n)
{
	for (size_t i = 1; i <= n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return false;
	return true;
}

/* Bytes of the character at `at`, which is not ASCII; 0: there is none. */
static size_t
utf8_len(const unsigned char *at)
{
	if (at[0] >= 0xc2 && at[0] < 0xe0)
		return follows(at, 1) ? 2 : 0;
	if (at[0] >= 0xe0 && at[0] < 0xf0) {
		bool low = at[0] == 0xe0 && at[1] < 0xa0; /* has a shorter form */
		bool half = at[0] == 0xed && at[1] > 0x9f; /* of a pair, which only UTF-16 has */

		return follows(at, 2) && !low && !half ? 3 : 0;
	}
	if (at[0] >= 0xf0 && at[0] < 0xf5) {
		bool low = at[0] == 0xf0 && at[1] < 0x90;
		bool high = at[0] == 0xf4 && at[1] > 0x8f; /* beyond the last code point */

		return follows(at, 3) && !low && !high ? 4 : 0;
	}
	return 0;
}

void
cli_json_text(FILE *to, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	fputc('"', to);
	for (size_t n = 1; *at != '\0'; at += n) {
		n = 1;
		if (*at == '"' || *at == '\\')
			fprintf(to, "\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			fprintf(to, "\\u%04x", *at);
		else if (*at < 0x80)
			fputc(*at, to);
		else if ((n = utf8_len(at)) > 0)
			fwrite(at, 1, n, to);
		else {
			fputs("\\ufffd", to);
			n = 1;
		}
	}
	fputc('"', to);
}
