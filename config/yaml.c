/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to a tree with positions; the only file that includes libyaml. Unquoted words become what
 * PyYAML makes of them (yaml_plain.c), because LMCache reads its files with PyYAML. Features that a
 * configuration does not need and that can mislead a reader are refused: aliases, tags, further
 * documents.
 */
#include "kvr_config_own.h"
#include "kvr_yaml_plain.h"

#include <string.h>
#include <yaml.h>

struct reader {
	struct kvr_load *load;
	yaml_parser_t parser;
	const char *text;
	size_t len;

	/* The last position: libyaml counts characters, but an editor's columns are bytes. */
	size_t letter, byte, line_at;
	uint32_t line;
};

static size_t
letter_len(unsigned char first)
{
	return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static void
rewind_to_start(struct reader *r)
{
	r->letter = r->byte = r->line_at = 0;
	r->line = 1;
}

/* Only '\n' ends a line, as everywhere in this layer; YAML has four more line breaks. */
static void
step(struct reader *r)
{
	bool ends = r->text[r->byte] == '\n';

	r->byte = KVR_MIN(r->byte + letter_len((unsigned char)r->text[r->byte]), r->len);
	r->letter++;
	if (ends) {
		r->line++;
		r->line_at = r->byte;
	}
}

static struct kvr_origin
here(const struct reader *r)
{
	return (struct kvr_origin){ .kind = r->load->from,
		.line = r->line,
		.column = (uint32_t)(r->byte - r->line_at) + 1,
		.name = r->load->source };
}

static struct kvr_origin
at_letter(struct reader *r, size_t letter)
{
	if (letter < r->letter)
		rewind_to_start(r);
	while (r->letter < letter && r->byte < r->len)
		step(r);
	return here(r);
}

/* For invalid characters, whose first byte does not tell their length. */
static struct kvr_origin
at_byte(struct reader *r, size_t byte)
{
	rewind_to_start(r);
	while (r->byte < KVR_MIN(byte, r->len)) {
		if (r->text[r->byte++] == '\n') {
			r->line++;
			r->line_at = r->byte;
		}
	}
	return here(r);
}

#define YAML_ERROR(r, mark, ...)                                                                   \
	do {                                                                                       \
		struct kvr_origin o_ = at_letter(r, (mark).index);                                 \
		kvr_load_error((r)->load, &o_, __VA_ARGS__);                                       \
	} while (0)

static bool
next(struct reader *r, yaml_event_t *ret)
{
	const yaml_parser_t *p = &r->parser;
	struct kvr_origin at;

	if (yaml_parser_parse(&r->parser, ret) != 0)
		return true;
	if (p->error == YAML_MEMORY_ERROR) {
		r->load->cfg->own->arena.failed = true;
		return false;
	}
	at = p->error == YAML_READER_ERROR ? at_byte(r, p->problem_offset)
	                                   : at_letter(r, p->problem_mark.index);
	r->load->broken = true;
	kvr_load_error(r->load, &at, "this is no YAML: %s%s%s",
	    p->problem != NULL ? p->problem : "it cannot be parsed",
	    p->context != NULL ? " " : "", p->context != NULL ? p->context : "");
	return false;
}

/* The tag for strings is allowed, and so is "!", which means "as written". */
static bool
tag_is_good(struct reader *r, const yaml_char_t *tag, yaml_mark_t mark, bool *ret_text)
{
	const char *name = (const char *)tag;

	*ret_text = false;
	if (name == NULL)
		return true;
	if (strcmp(name, YAML_STR_TAG) == 0 || strcmp(name, "!") == 0) {
		*ret_text = true;
		return true;
	}
	YAML_ERROR(r, mark, "tags are not read here: remove the word that starts with '!'");
	return false;
}

static bool
scalar(struct reader *r, const yaml_event_t *e, struct kvr_node *node)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;
	bool is_text;

	if (!tag_is_good(r, e->data.scalar.tag, e->start_mark, &is_text))
		return false;
	if (memchr(text, '\0', len) != NULL) {
		YAML_ERROR(r, e->start_mark, "a text cannot hold a NUL");
		return false;
	}
	node->kind = KVR_TREE_TEXT;
	node->text = kvr_arena_text(&r->load->cfg->own->arena, text, len);
	if (node->text == NULL)
		return false;
	if (!is_text && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		kvr_yaml_plain(&r->load->cfg->own->arena, node);
	return true;
}

static bool value(struct reader *, const yaml_event_t *, uint32_t depth, struct kvr_node *);

static bool
key(struct reader *r, const yaml_event_t *e, struct kvr_node *child)
{
	struct kvr_origin at = at_letter(r, e->start_mark.index);

	if (e->type != YAML_SCALAR_EVENT) {
		kvr_load_error(r->load, &at, "a key must be a plain word");
		return false;
	}
	child->key_line = at.line;
	child->key_column = at.column;
	if (!scalar(r, e, child))
		return false;
	if (child->kind == KVR_TREE_TEXT && strcmp(child->text, "<<") == 0 &&
	    e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		kvr_load_error(r->load, &at, "\"<<\" is not read here: write the keys out");
		return false;
	}
	child->key = kvr_arena_text(&r->load->cfg->own->arena,
	    (const char *)e->data.scalar.value, e->data.scalar.length);
	return child->key != NULL;
}

/* One entry; *ret stays NULL at the end of the collection. */
static bool
entry(struct reader *r, const struct kvr_node *parent, uint32_t depth, struct kvr_node **ret)
{
	bool object = parent->kind == KVR_TREE_OBJECT;
	struct kvr_node *child;
	yaml_event_t e;
	bool good;

	if (!next(r, &e))
		return false;
	if (e.type == YAML_MAPPING_END_EVENT || e.type == YAML_SEQUENCE_END_EVENT) {
		yaml_event_delete(&e);
		return true;
	}
	child = kvr_arena_take(&r->load->cfg->own->arena, sizeof(*child));
	good = child != NULL && (!object || key(r, &e, child));
	if (good && object) {
		yaml_event_delete(&e);
		good = kvr_tree_key_is_new(r->load, parent, child);
		if (!good || !next(r, &e))
			return false;
	}
	good = good && value(r, &e, depth, child);
	yaml_event_delete(&e);
	if (good)
		*ret = child;
	return good;
}

static bool
collection(struct reader *r, const yaml_event_t *e, uint32_t depth, struct kvr_node *node)
{
	bool object = e->type == YAML_MAPPING_START_EVENT;
	struct kvr_node **tail = &node->child;
	yaml_mark_t mark = e->start_mark;
	bool is_text;

	node->kind = object ? KVR_TREE_OBJECT : KVR_TREE_ARRAY;
	node->text = NULL;
	if (!tag_is_good(r, object ? e->data.mapping_start.tag : e->data.sequence_start.tag, mark,
	        &is_text))
		return false;
	if (depth == KVR_TREE_DEPTH_MAX) {
		YAML_ERROR(r, mark, "nested deeper than %u levels", KVR_TREE_DEPTH_MAX);
		return false;
	}
	for (uint32_t n = 0;; n++) {
		struct kvr_node *child = NULL;

		if (!entry(r, node, depth + 1, &child))
			return false;
		if (child == NULL)
			return true;
		if (n == KVR_TREE_KEYS_MAX) {
			YAML_ERROR(r, mark, "more than %u entries", KVR_TREE_KEYS_MAX);
			return false;
		}
		*tail = child;
		tail = &child->next;
	}
}

static bool
value(struct reader *r, const yaml_event_t *e, uint32_t depth, struct kvr_node *node)
{
	struct kvr_origin at = at_letter(r, e->start_mark.index);

	node->line = at.line;
	node->column = at.column;
	if (e->type == YAML_ALIAS_EVENT) {
		kvr_load_error(
		    r->load, &at, "aliases (\"*name\") are not read here: write the value out");
		return false;
	}
	if (e->type == YAML_SCALAR_EVENT)
		return scalar(r, e, node);
	return collection(r, e, depth, node);
}

/* After the root nothing but the end may follow. */
static bool
ends(struct reader *r)
{
	yaml_event_t e;
	bool good;

	if (!next(r, &e))
		return false;
	yaml_event_delete(&e);
	if (!next(r, &e))
		return false;
	good = e.type == YAML_STREAM_END_EVENT;
	if (!good)
		YAML_ERROR(r, e.start_mark, "a second document: a configuration is only one");
	yaml_event_delete(&e);
	return good;
}

static struct kvr_node *
document(struct reader *r)
{
	struct kvr_node *root = kvr_arena_take(&r->load->cfg->own->arena, sizeof(*root));
	yaml_event_t e = { .type = YAML_NO_EVENT };
	bool good = root != NULL;

	while (good && (e.type == YAML_NO_EVENT || e.type == YAML_STREAM_START_EVENT ||
	                   e.type == YAML_DOCUMENT_START_EVENT)) {
		yaml_event_delete(&e);
		good = next(r, &e);
	}
	if (!good)
		return NULL;
	if (e.type == YAML_STREAM_END_EVENT) {
		YAML_ERROR(r, e.start_mark, "there is nothing in this file");
		good = false;
	} else {
		good = value(r, &e, 0, root);
	}
	yaml_event_delete(&e);
	return good && ends(r) ? root : NULL;
}

const struct kvr_node *
kvr_read_yaml(struct kvr_load *load, const char *text, size_t len)
{
	/* libyaml takes a byte order mark for the first character of an indented line. */
	size_t mark = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	struct reader r = { .load = load, .text = text + mark, .len = len - mark, .line = 1 };
	const struct kvr_node *root;

	if (yaml_parser_initialize(&r.parser) == 0) {
		load->cfg->own->arena.failed = true;
		return NULL;
	}
	/* Set explicitly, so that a UTF-16 mark is an error with a position and columns stay bytes. */
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.text, r.len);
	root = document(&r);
	yaml_parser_delete(&r.parser);
	return root;
}

const char *
kvr_yaml_library(void)
{
	return yaml_get_version_string();
}
