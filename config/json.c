/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to a tree with positions; the only file that sees cJSON. cJSON decides what is valid and
 * decodes texts, but forgets where it found them: a walk over the same text, in step with cJSON's
 * tree, gives each node its place, and refuses what cJSON lets pass (a key twice, control
 * characters and NUL in a text, numbers like 01, more after the end).
 */
#include "kvr_config_own.h"

#include <cjson/cJSON.h>

#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 16, KEYS_MAX = 256 };

struct walk {
	struct kvr_load *load;
	const char      *at, *end;
	uint32_t         line, column;
};

static void
step(struct walk *w)
{
	if (*w->at == '\n') {
		w->line++;
		w->column = 0;
	}
	w->at++;
	w->column++;
}

static void
skip_space(struct walk *w)
{
	while (w->at < w->end && (unsigned char)*w->at <= ' ')
		step(w);
}

static struct kvr_origin
here(const struct walk *w)
{
	return (struct kvr_origin){ .kind = w->load->from,
		.line = w->line,
		.column = w->column,
		.name = w->load->source };
}

#define WALK_ERROR(w, ...) \
	do { \
		struct kvr_origin o_ = here(w); \
		kvr_load_error((w)->load, &o_, __VA_ARGS__); \
	} while (0)

static bool
skip_letter(struct walk *w, char c)
{
	skip_space(w);
	if (w->at == w->end || *w->at != c) {
		WALK_ERROR(w, "expected '%c'", c);
		return false;
	}
	step(w);
	return true;
}

static bool
skip_text(struct walk *w)
{
	if (!skip_letter(w, '"'))
		return false;
	while (w->at < w->end && *w->at != '"') {
		if ((unsigned char)*w->at < 0x20) {
			WALK_ERROR(w, "a line break, tab or other control character in a text: "
			              "write it as an escape such as \\n");
			return false;
		}
		if (w->end - w->at >= 6 && memcmp(w->at, "\\u0000", 6) == 0) {
			WALK_ERROR(w, "a text cannot hold a NUL");
			return false;
		}
		if (*w->at == '\\' && w->at + 1 < w->end)
			step(w);
		step(w);
	}
	return skip_letter(w, '"');
}

/* cJSON's strtod is more generous than JSON: no leading zeros, a digit behind the point. */
static bool
good_number(const char *at, size_t len)
{
	size_t i = 0, n;

	i += i < len && at[i] == '-';
	n = strspn(at + i, "0123456789");
	if (n == 0 || (n > 1 && at[i] == '0'))
		return false;
	i += n;
	if (i < len && at[i] == '.') {
		n = strspn(at + i + 1, "0123456789");
		if (n == 0)
			return false;
		i += 1 + n;
	}
	if (i < len && (at[i] == 'e' || at[i] == 'E')) {
		i++;
		i += i < len && (at[i] == '-' || at[i] == '+');
		n = strspn(at + i, "0123456789");
		if (n == 0)
			return false;
		i += n;
	}
	return i == len;
}

static bool
walk_number(struct walk *w, struct kvr_node *node)
{
	size_t len = strspn(w->at, "0123456789+-.eE");

	if (!good_number(w->at, len)) {
		WALK_ERROR(w, "%.*s is not a number of JSON", (int)KVR_MIN(len, (size_t)40), w->at);
		return false;
	}
	node->text = kvr_arena_text(&w->load->cfg->own->arena, w->at, len);
	w->at += len;
	w->column += (uint32_t)len;
	return node->text != NULL;
}

static struct kvr_node *build(struct walk *w, const cJSON *item, uint32_t depth);

static bool
key_is_new(struct walk *w, const struct kvr_node *parent, const struct kvr_node *child)
{
	char              quoted[KVR_QUOTED_MAX];
	struct kvr_origin at = kvr_origin_of_key(w->load, child);

	for (const struct kvr_node *c = parent->child; c != NULL; c = c->next) {
		if (strcmp(c->key, child->key) != 0)
			continue;
		kvr_load_error(w->load, &at, "%s is given twice; first in line %u, column %u",
		    kvr_quoted(child->key, quoted), c->key_line, c->key_column);
		return false;
	}
	return true;
}

static bool
walk_key(struct walk *w, const cJSON *item, const char **ret, uint32_t *ret_line, uint32_t *ret_col)
{
	skip_space(w);
	*ret_line = w->line;
	*ret_col = w->column;
	*ret = kvr_arena_text(&w->load->cfg->own->arena, item->string, strlen(item->string));
	return *ret != NULL && skip_text(w) && skip_letter(w, ':');
}

static bool
walk_children(struct walk *w, const cJSON *item, struct kvr_node *node, uint32_t depth)
{
	bool              object = node->kind == KVR_TREE_OBJECT;
	struct kvr_node **tail = &node->child;
	uint32_t          n = 0;

	if (depth >= DEPTH_MAX) {
		WALK_ERROR(w, "nested deeper than %d levels", DEPTH_MAX);
		return false;
	}
	step(w);
	for (const cJSON *c = item->child; c != NULL; c = c->next) {
		const char      *key = NULL;
		uint32_t         line = 0, column = 0;
		struct kvr_node *child;

		/* Names are compared with each other, so their number is bounded. */
		if (n++ >= KEYS_MAX) {
			WALK_ERROR(w, "more than %d entries", KEYS_MAX);
			return false;
		}
		if (c != item->child && !skip_letter(w, ','))
			return false;
		if (object && !walk_key(w, c, &key, &line, &column))
			return false;
		child = build(w, c, depth + 1);
		if (child == NULL)
			return false;
		child->key = key;
		child->key_line = line;
		child->key_column = column;
		if (object && !key_is_new(w, node, child))
			return false;
		*tail = child;
		tail = &child->next;
	}
	return skip_letter(w, object ? '}' : ']');
}

static bool
walk_word(struct walk *w, struct kvr_node *node, const char *word)
{
	size_t len = strlen(word);

	node->text = word;
	w->at += len;
	w->column += (uint32_t)len;
	return true;
}

static bool
walk_text(struct walk *w, const cJSON *item, struct kvr_node *node)
{
	node->text = kvr_arena_text(
	    &w->load->cfg->own->arena, item->valuestring, strlen(item->valuestring));
	return node->text != NULL && skip_text(w);
}

static struct kvr_node *
build(struct walk *w, const cJSON *item, uint32_t depth)
{
	struct kvr_node *node = kvr_arena_take(&w->load->cfg->own->arena, sizeof(*node));
	bool             good;

	if (node == NULL)
		return NULL;
	skip_space(w);
	node->line = w->line;
	node->column = w->column;
	if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
		node->kind = cJSON_IsObject(item) ? KVR_TREE_OBJECT : KVR_TREE_ARRAY;
		good = walk_children(w, item, node, depth);
	} else if (cJSON_IsString(item)) {
		node->kind = KVR_TREE_TEXT;
		good = walk_text(w, item, node);
	} else if (cJSON_IsNumber(item)) {
		node->kind = KVR_TREE_NUMBER;
		good = walk_number(w, node);
	} else if (cJSON_IsBool(item)) {
		node->kind = KVR_TREE_BOOL;
		good = walk_word(w, node, cJSON_IsTrue(item) ? "true" : "false");
	} else {
		node->kind = KVR_TREE_NULL;
		good = walk_word(w, node, "null");
	}
	return good ? node : NULL;
}

/* The last letter before the place that is no space; NUL: there is none. */
static char
letter_before(const char *text, const char *at)
{
	while (at > text && (unsigned char)at[-1] <= ' ')
		at--;
	return at > text ? at[-1] : '\0';
}

static bool
text_is_open(const struct walk *w)
{
	for (const char *c = w->at + 1; c < w->end && *c != '\n'; c++) {
		if (*c == '\\')
			c++;
		else if (*c == '"')
			return false;
	}
	return true;
}

/* cJSON says where it stopped; why is read from what stands there and before. */
static void
explain(struct walk *w, const char *text)
{
	char before = letter_before(text, w->at);
	char c = w->at < w->end ? *w->at : '\0';

	if (w->at == w->end)
		WALK_ERROR(w, w->at == text ? "the document is empty"
		                            : "the document ends before it is complete");
	else if ((c == '}' || c == ']') && before == ',')
		WALK_ERROR(w, "the comma before this '%c' is one too many", c);
	else if (c == '/' || c == '#')
		WALK_ERROR(w, "JSON has no comments");
	else if (c == '\'')
		WALK_ERROR(w, "texts and names stand in double quotes");
	else if (c == '"' && text_is_open(w))
		WALK_ERROR(w, "this text has no closing quote");
	else if (c == '\\')
		WALK_ERROR(w, "there is no such escape in JSON");
	else if ((c == '"' || c == '{' || c == '[') && before != ',' && before != ':')
		WALK_ERROR(w, "a ',' or ':' is missing before this");
	else if ((unsigned char)c < 0x20 || (unsigned char)c >= 0x7f)
		WALK_ERROR(w, "unexpected byte 0x%02x", (unsigned)(unsigned char)c);
	else
		WALK_ERROR(w, "unexpected '%c'", c);
}

static void
explain_at(struct walk *w, const char *text, const char *stop)
{
	if (stop < text || stop > w->end)
		stop = w->end;
	while (w->at < stop)
		step(w);
	skip_space(w);
	explain(w, text);
}

const struct kvr_node *
kvr_read_json(struct kvr_load *load, const char *text, size_t len)
{
	struct walk      w = { load, text, text + len, 1, 1 };
	const char      *stop = NULL;
	cJSON           *root = cJSON_ParseWithLengthOpts(text, len, &stop, 0);
	struct kvr_node *node = NULL;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		w.at += 3;
	if (root == NULL) {
		explain_at(&w, text, stop);
		return NULL;
	}
	node = build(&w, root, 0);
	cJSON_Delete(root);
	if (node == NULL)
		return NULL;
	skip_space(&w);
	if (w.at < w.end) {
		WALK_ERROR(&w, "something follows the end of the document");
		return NULL;
	}
	return node;
}
