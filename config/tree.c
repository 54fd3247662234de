/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_config_own.h"

#include <string.h>

const char *
kvr_tree_kind_name(enum kvr_tree_kind kind)
{
	switch (kind) {
	case KVR_TREE_OBJECT:
		return "an object";
	case KVR_TREE_ARRAY:
		return "an array";
	case KVR_TREE_TEXT:
		return "a text";
	case KVR_TREE_NUMBER:
		return "a number";
	case KVR_TREE_BOOL:
		return "true or false";
	case KVR_TREE_NULL:
		return "null";
	default:
		KVR_WRONG("a kind of node that does not exist");
	}
}

const struct kvr_node *
kvr_tree_child(const struct kvr_node *node, const char *key)
{
	if (node->kind != KVR_TREE_OBJECT)
		return NULL;
	for (const struct kvr_node *c = node->child; c != NULL; c = c->next) {
		if (strcmp(c->key, key) == 0)
			return c;
	}
	return NULL;
}

bool
kvr_tree_key_is_new(
    struct kvr_load *load, const struct kvr_node *parent, const struct kvr_node *child)
{
	const struct kvr_node *first = kvr_tree_child(parent, child->key);
	struct kvr_origin at = kvr_origin_of_key(load, child);
	char quoted[KVR_QUOTED_MAX];

	if (first == NULL)
		return true;
	kvr_load_error(load, &at, "%s is given twice; first in line %u, column %u",
	    kvr_quoted(child->key, quoted), first->key_line, first->key_column);
	return false;
}
