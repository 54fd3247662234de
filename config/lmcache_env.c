/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's variables: LMCACHE_ and a key in capitals. Read only on request, because an engine in
 * the same environment may have set them for itself. They become nodes of a tree like those of a
 * file.
 */
#include "kvr_config_own.h"
#include "kvr_flat.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LEN = 80, TEXT_MAX_LEN = 16384 };

static size_t
hex(const char *text, size_t len, uint32_t *ret)
{
	uint32_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return 0;
		n = n * 16 + (uint32_t)(isdigit((unsigned char)text[i])
		                            ? text[i] - '0'
		                            : tolower((unsigned char)text[i]) - 'a' + 10);
	}
	*ret = n;
	return len;
}

static size_t
octal(const char *text, uint32_t *ret)
{
	size_t len = 0;

	for (*ret = 0; len < 3 && text[len] >= '0' && text[len] <= '7'; len++)
		*ret = *ret * 8 + (uint32_t)(text[len] - '0');
	return len;
}

static void
out_letter(struct kvr_text_out *out, uint32_t c)
{
	if (c < 0x80)
		kvr_out(out, "%c", (int)c);
	else if (c < 0x800)
		kvr_out(out, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
	else
		kvr_out(out, "%c%c%c", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 0x3f)),
		    (int)(0x80 | (c & 0x3f)));
}

/*
 * Decodes what follows a backslash in a Python string. Returns the bytes read; 0: Python refuses
 * it.
 */
static size_t
escape(const char *at, struct kvr_text_out *out)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	const char *known = *at == '\0' ? NULL : strchr(from, *at);
	uint32_t c = 0;
	size_t len;

	if (known != NULL) {
		kvr_out(out, "%c", to[known - from]);
		return 1;
	}
	if (*at == 'x')
		len = 1 + hex(at + 1, 2, &c);
	else if (*at == 'u')
		len = 1 + hex(at + 1, 4, &c);
	else
		len = octal(at, &c);
	if (len == 0 && *at != 'N' && *at != 'U' && *at != '\0') {
		kvr_out(out, "\\%c", *at); /* Python keeps unknown escapes */
		return 1;
	}
	if (len <= (*at == 'x' || *at == 'u') || c == 0 || (c >= 0xd800 && c < 0xe000))
		return 0;
	out_letter(out, c);
	return len;
}

/*
 * A quoted value is a Python string. If Python would refuse it, only the quotes are removed. So a
 * shell file that LMCache reads may quote values or not.
 */
static const char *
unquote(struct kvr_load *load, const char *text)
{
	size_t len = strlen(text), used;
	char plain[TEXT_MAX_LEN];
	struct kvr_text_out out = { plain, sizeof(plain), 0 };

	if (len < 2 || len >= sizeof(plain) || (text[0] != '"' && text[0] != '\'') ||
	    text[len - 1] != text[0])
		return kvr_arena_text(&load->cfg->own->arena, text, len);
	plain[0] = '\0';
	for (size_t i = 1; i < len - 1; i += used) {
		used = 1;
		if (text[i] == '\\' && i + 1 < len - 1)
			used = escape(text + i + 1, &out) + 1;
		else if (text[i] != '\\' && text[i] != text[0] && text[i] != '\n')
			kvr_out(&out, "%c", text[i]);
		else
			used = 0;
		if (used < 1 || (text[i] == '\\' && used == 1) || i + used > len - 1)
			return kvr_arena_text(&load->cfg->own->arena, text + 1, len - 2);
	}
	return kvr_arena_text(&load->cfg->own->arena, plain, out.len);
}

static const char *
variable(struct kvr_load *load, const char *key, char *ret_name)
{
	struct kvr_config_own *own = load->cfg->own;
	size_t n = 8;

	memcpy(ret_name, "LMCACHE_", n);
	for (; *key != '\0' && n + 1 < NAME_MAX_LEN; key++)
		ret_name[n++] = (char)toupper((unsigned char)*key);
	ret_name[n] = '\0';
	return own->env(own->env_arg, ret_name);
}

/* The node for one key; NULL: its variable is not set. */
static struct kvr_node *
read_one(struct kvr_load *load, const char *key)
{
	struct kvr_config_arena *arena = &load->cfg->own->arena;
	char name[NAME_MAX_LEN], from[NAME_MAX_LEN + 4];
	const char *text = variable(load, key, name);
	struct kvr_node *node;

	if (text == NULL)
		return NULL;
	node = kvr_arena_take(arena, sizeof(*node));
	if (node == NULL)
		return NULL;
	snprintf(from, sizeof(from), "env %s", name);
	node->kind = KVR_TREE_TEXT;
	node->key = key;
	node->from = kvr_arena_text(arena, from, strlen(from));
	node->text = unquote(load, text);
	return node->from != NULL && node->text != NULL ? node : NULL;
}

/* extra_config is a JSON object. If not, there is a warning and the file's value stays. */
static struct kvr_node *
read_extra(struct kvr_load *load)
{
	struct kvr_node *node = read_one(load, "extra_config");
	struct kvr_load part = *load;
	const struct kvr_node *root;

	if (node == NULL)
		return NULL;
	part.masked = NULL; /* the line would be one of the file's */
	part.source = node->from;
	part.lenient = true;
	root = kvr_read_json(&part, node->text, strlen(node->text));
	if (root != NULL && root->kind != KVR_TREE_OBJECT) {
		struct kvr_origin at = kvr_origin_of(&part, root);

		kvr_load_error(&part, &at, "extra_config must be an object of JSON");
		root = NULL;
	}
	if (root == NULL)
		return NULL;
	node->kind = KVR_TREE_OBJECT;
	node->text = NULL;
	node->child = root->child;
	for (struct kvr_node *c = node->child; c != NULL; c = c->next)
		c->from = node->from;
	return node;
}

const struct kvr_node *
kvr_read_lmcache_env(struct kvr_load *load)
{
	struct kvr_node *root = kvr_arena_take(&load->cfg->own->arena, sizeof(*root));
	struct kvr_node **tail = root == NULL ? NULL : &root->child;

	if (root == NULL)
		return NULL;
	root->kind = KVR_TREE_OBJECT;
	for (uint32_t i = 0; i < kvr_flat_count; i++) {
		const struct kvr_flat_key *key = &kvr_flat_table[i];

		if (key->extra || strchr(key->name, '*') != NULL)
			continue;
		*tail = read_one(load, key->name);
		if (*tail != NULL)
			tail = &(*tail)->next;
	}
	*tail = read_extra(load);
	return root;
}
