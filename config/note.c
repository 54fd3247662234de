/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How errors and warnings are reported: a position, a sentence, and the source line with a caret.
 */
#include "kvr_config_own.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* More would hide the first, which is often the cause of the others. */
enum { ERRORS_SHOWN = 20, CONTEXT_MAX = 160 };

static const char *
source_name(const struct kvr_load *load, const struct kvr_origin *at)
{
	switch (at->kind) {
	case KVR_FROM_FILE:
		return at->name;
	case KVR_FROM_SET:
		return load->cfg->own->set_name;
	case KVR_FROM_URL:
		return load->cfg->own->url_name;
	case KVR_FROM_API:
		return "api";
	case KVR_FROM_DEFAULT:
	default:
		return load->source;
	}
}

static void
find_context(const struct kvr_load *load, struct kvr_config_note *note)
{
	const char *line = load->masked, *end;

	if (line == NULL || note->line == 0)
		return;
	for (uint32_t n = 1; n < note->line; n++) {
		line = memchr(line, '\n', load->len - (size_t)(line - load->masked));
		if (line == NULL)
			return;
		line++;
	}
	end = memchr(line, '\n', load->len - (size_t)(line - load->masked));
	note->context = line;
	note->context_len =
	    end == NULL ? load->len - (size_t)(line - load->masked) : (size_t)(end - line);
	/* Unless the position is after it: the caret must be below its line or right after it. */
	if (note->context_len > 0 && line[note->context_len - 1] == '\r' &&
	    note->column <= note->context_len)
		note->context_len--;
	if (load->broken)
		kvr_mask_broken(load->masked + (line - load->masked), note->context_len, note->column);
}

static void
say(struct kvr_load *load, bool warning, const struct kvr_origin *at, const char *fmt, va_list ap)
{
	char what[512];
	struct kvr_config_note note = { .warning = warning, .what = what };

	note.source = source_name(load, at);
	if (at->kind == KVR_FROM_FILE) {
		note.line = at->line;
		note.column = at->column;
	}
	vsnprintf(what, sizeof(what), fmt, ap);
	if (!warning && load->lenient) {
		size_t len = strlen(what);

		note.warning = warning = true;
		snprintf(what + len, sizeof(what) - len, "; the value from before is kept");
	}
	/* A script that the configuration names is another text, whose lines are not available here. */
	if (note.source == load->source)
		find_context(load, &note);
	if (!warning && load->n_errors++ == 0 && load->why_cap > 0)
		kvr_config_note_print(&note, false, load->why, load->why_cap);
	if (load->opts->note != NULL && load->n_errors <= ERRORS_SHOWN)
		load->opts->note(load->opts->note_arg, &note);
}

void
kvr_load_error(struct kvr_load *load, const struct kvr_origin *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(load, false, at, fmt, ap);
	va_end(ap);
}

void
kvr_load_warn(struct kvr_load *load, const struct kvr_origin *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(load, true, at, fmt, ap);
	va_end(ap);
}

static struct kvr_origin
origin_at(
    const struct kvr_load *load, const struct kvr_node *node, uint32_t line, uint32_t column)
{
	if (node->from != NULL)
		return (struct kvr_origin){ .kind = KVR_FROM_FILE, .name = node->from };
	return (struct kvr_origin){
		.kind = load->from, .line = line, .column = column, .name = load->source
	};
}

struct kvr_origin
kvr_origin_of(const struct kvr_load *load, const struct kvr_node *node)
{
	return origin_at(load, node, node->line, node->column);
}

struct kvr_origin
kvr_origin_of_key(const struct kvr_load *load, const struct kvr_node *node)
{
	if (node->key == NULL)
		return kvr_origin_of(load, node);
	return origin_at(load, node, node->key_line, node->key_column);
}

const char *
kvr_quoted(const char *text, char *ret_quoted)
{
	size_t n = 0;

	ret_quoted[n++] = '"';
	for (; *text != '\0' && n < KVR_QUOTED_MAX - 8; text++)
		ret_quoted[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
	/* A multi-byte character is dropped as a whole. */
	if (*text != '\0') {
		while (n > 1 && ((unsigned char)*text & 0xc0) == 0x80) {
			text--;
			n--;
		}
		memcpy(ret_quoted + n, "...", 3);
		n += 3;
	}
	memcpy(ret_quoted + n, "\"", 2);
	/* With a blank or a comma too few a password is a part of its key, or a key of its own. */
	kvr_mask_broken(ret_quoted, n, n);
	return ret_quoted;
}

/* A part of the line that contains the column; tabs are kept so that the caret lines up. */
static void
print_context(struct kvr_text_out *out, const struct kvr_config_note *note)
{
	size_t column = note->column == 0 ? 0 : note->column - 1;
	size_t from = column > CONTEXT_MAX / 2 && note->context_len > CONTEXT_MAX
	                  ? column - CONTEXT_MAX / 2
	                  : 0;
	size_t to = KVR_MIN(note->context_len, from + CONTEXT_MAX);

	kvr_out(out, "\n  ");
	for (size_t i = from; i < to; i++) {
		unsigned char c = (unsigned char)note->context[i];

		kvr_out(out, "%c", c < 0x20 && c != '\t' ? '?' : c);
	}
	kvr_out(out, "\n  ");
	for (size_t i = from; i < column; i++) {
		char c = i < to ? note->context[i] : ' ';

		/* A multi-byte character takes one column on the screen. */
		if (((unsigned char)c & 0xc0) != 0x80)
			kvr_out(out, "%c", c == '\t' ? '\t' : ' ');
	}
	kvr_out(out, "^");
}

size_t
kvr_config_note_print(const struct kvr_config_note *note, bool lines, char *ret_text, size_t cap)
{
	struct kvr_text_out out = { ret_text, cap, 0 };

	kvr_out(&out, "%s:", note->source);
	if (note->line > 0)
		kvr_out(&out, "%u:%u:", note->line, note->column);
	kvr_out(&out, "%s %s", note->warning ? " warning:" : "", note->what);
	if (lines && note->context != NULL)
		print_context(&out, note);
	return out.len;
}

enum kvr_err
kvr_no_memory(char *why, size_t why_cap)
{
	if (why_cap > 0)
		snprintf(why, why_cap, "no memory for the configuration");
	return KVR_E_NOMEM;
}
