/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tree.h"

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
