/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_command_swap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t
fail_instead(const char *code, char *to)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "return redis.error_reply('%s rehearsed')", code);

	return (size_t)sprintf(to, "*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n", len, text);
}

/* A whole line without its end. True: the command ends with it. */
static int
take_line(struct kvr_command_swap *s)
{
	char kind = s->line[0];

	s->line[s->line_len] = '\0';
	if (kind == '*')
		s->words = (uint32_t)strtoul(s->line + 1, NULL, 10);
	else if (kind == '$')
		s->body = strtoull(s->line + 1, NULL, 10) + 2;
	return kind != '$' && s->words == 0;
}

/* One byte. True: the command ends with it. */
static int
take_byte(struct kvr_command_swap *s, char c)
{
	if (s->body > 0)
		return --s->body == 0 && --s->words == 0;
	if (c == '\n') {
		int ends = take_line(s);
		s->line_len = 0;
		return ends;
	}
	if (c != '\r' && s->line_len + 1 < sizeof(s->line))
		s->line[s->line_len++] = c;
	return 0;
}

size_t
kvr_command_swap(struct kvr_command_swap *s, const char *at, size_t len, const char *code,
    int (*hits)(void *), void *arg, char *to)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		if (s->body == 0 && s->words == 0 && s->line_len == 0)
			s->swallow = hits(arg);
		if (!s->swallow)
			to[out++] = at[i];
		if (take_byte(s, at[i]) && s->swallow)
			out += fail_instead(code, to + out);
	}
	return out;
}
