/* SPDX-License-Identifier: Apache-2.0 */
/* Text into a caller's buffer: truncated, terminated, counted. */
#include "kvr_option.h"

#include <stdarg.h>
#include <stdio.h>

void
kvr_out(struct kvr_text_out *out, const char *fmt, ...)
{
	size_t left = out->len < out->cap ? out->cap - out->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(left == 0 ? NULL : out->at + out->len, left, fmt, ap);
	va_end(ap);
	if (n > 0)
		out->len += (size_t)n;
}

void
kvr_out_json(struct kvr_text_out *out, const char *text)
{
	kvr_out(out, "\"");
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			kvr_out(out, "\\%c", *c);
		else if ((unsigned char)*c < 0x20)
			kvr_out(out, "\\u%04x", (unsigned)(unsigned char)*c);
		else
			kvr_out(out, "%c", *c);
	}
	kvr_out(out, "\"");
}
