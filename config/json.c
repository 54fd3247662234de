/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to a tree with positions; the only file that includes cJSON. The scanner has already checked
 * that it is JSON. cJSON decodes it but does not keep positions. So a walk over the same text, in
 * step with cJSON's tree, gives each node its position and refuses duplicate keys.
 */
#include "kvr_config_own.h"
#include "kvr_json_scan.h"

#include <cjson/cJSON.h>

#include <string.h>

struct walk {
	struct kvr_load *load;
	const char *at, *end;
	uint32_t line, column;
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
	return (struct kvr_origin){
		.kind = w->load->from, .line = w->line, .column = w->column, .name = w->load->source
	};
}

#define WALK_ERROR(w, ...)                                                                         \
	do {                                                                                       \
		struct kvr_origin o_ = here(w);                                                    \
		kvr_load_error((w)->load, &o_, __VA_ARGS__);                                       \
	} while (0)

static bool
skip_letter(struct walk *w, char c)
{
	skip_space(w);
	/* The scanner has accepted all of it, so this means that scanner and parser disagree. */
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
		if (*w->at == '\\' && w->at + 1 < w->end)
			step(w);
		step(w);
	}
	return skip_letter(w, '"');
}

static bool
walk_number(struct walk *w, struct kvr_node *node)
{
	size_t len = strspn(w->at, "0123456789+-.eE");

	node->text = kvr_arena_text(&w->load->cfg->own->arena, w->at, len);
	w->at += len;
	w->column += (uint32_t)len;
	return node->text != NULL;
}

static struct kvr_node *build(struct walk *w, const cJSON *item);

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
walk_children(struct walk *w, const cJSON *item, struct kvr_node *node)
{
	bool object = node->kind == KVR_TREE_OBJECT;
	struct kvr_node **tail = &node->child;
	uint32_t n = 0;

	step(w);
	for (const cJSON *c = item->child; c != NULL; c = c->next) {
		const char *key = NULL;
		uint32_t line = 0, column = 0;
		struct kvr_node *child;

		/* Names are compared with each other, so their number is bounded. */
		if (n++ >= KVR_TREE_KEYS_MAX) {
			WALK_ERROR(w, "more than %u entries", KVR_TREE_KEYS_MAX);
			return false;
		}
		if (c != item->child && !skip_letter(w, ','))
			return false;
		if (object && !walk_key(w, c, &key, &line, &column))
			return false;
		child = build(w, c);
		if (child == NULL)
			return false;
		child->key = key;
		child->key_line = line;
		child->key_column = column;
		if (object && !kvr_tree_key_is_new(w->load, node, child))
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
	node->text =
	    kvr_arena_text(&w->load->cfg->own->arena, item->valuestring, strlen(item->valuestring));
	return node->text != NULL && skip_text(w);
}

static struct kvr_node *
build(struct walk *w, const cJSON *item)
{
	struct kvr_node *node = kvr_arena_take(&w->load->cfg->own->arena, sizeof(*node));
	bool good;

	if (node == NULL)
		return NULL;
	skip_space(w);
	node->line = w->line;
	node->column = w->column;
	if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
		node->kind = cJSON_IsObject(item) ? KVR_TREE_OBJECT : KVR_TREE_ARRAY;
		good = walk_children(w, item, node);
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

static void
go_to(struct walk *w, const char *at)
{
	while (w->at < at)
		step(w);
}

const struct kvr_node *
kvr_read_json(struct kvr_load *load, const char *text, size_t len)
{
	struct walk w = { load, text, text + len, 1, 1 };
	struct kvr_json_bad bad;
	cJSON *root;
	struct kvr_node *node;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		w.at += 3;
	if (!kvr_json_scan(text, len, &bad)) {
		go_to(&w, bad.at);
		load->broken = true;
		WALK_ERROR(&w, "%s", bad.what);
		return NULL;
	}
	root = cJSON_ParseWithLengthOpts(text, len, &bad.at, 0);
	if (root == NULL) {
		/* An unpaired surrogate, or no memory. */
		if (bad.at != NULL && bad.at <= w.end)
			go_to(&w, bad.at);
		load->broken = true;
		WALK_ERROR(&w, "this cannot be parsed");
		return NULL;
	}
	node = build(&w, root);
	cJSON_Delete(root);
	return node;
}

const char *
kvr_json_library(void)
{
	return cJSON_Version();
}
