/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document as every reader returns it: objects, arrays and texts with their positions. The files
 * that use it do not know whether it was JSON; another notation only needs another reader.
 */
#ifndef KVR_TREE_H
#define KVR_TREE_H

#include "kvr_base.h"

/* More than any configuration needs, and few enough for recursion on a small stack. */
#define KVR_TREE_DEPTH_MAX 16U
/* Entries of one object or array. Bounded, because names are compared with each other. */
#define KVR_TREE_KEYS_MAX 256U

enum kvr_tree_kind {
	KVR_TREE_OBJECT,
	KVR_TREE_ARRAY,
	KVR_TREE_TEXT,
	KVR_TREE_NUMBER,
	KVR_TREE_BOOL,
	KVR_TREE_NULL
};

struct kvr_node {
	enum kvr_tree_kind kind;
	uint32_t line, column;         /* of the value, from 1, in bytes */
	uint32_t key_line, key_column; /* of the key */
	const char *key;               /* NULL: the root, or in an array */
	const char *from;              /* "env NAME": from a variable, without a position; else NULL */
	const char *text;              /* TEXT: decoded; NUMBER and BOOL: as written; else NULL */
	struct kvr_node *child, *next;
};

/* "a text", "a number", "an object", ... */
const char *kvr_tree_kind_name(enum kvr_tree_kind);
/* The child with that key; NULL if there is none or node is not an object. */
const struct kvr_node *kvr_tree_child(const struct kvr_node *, const char *key);

struct kvr_load;
/* False: parent already has a child with that key, and an error was noted. */
bool kvr_tree_key_is_new(
    struct kvr_load *, const struct kvr_node *parent, const struct kvr_node *child);

/*
 * The readers. Nodes live in the arena of the load's config. NULL: an error with its position was
 * noted (duplicate keys and too deep nesting included), or there is no memory.
 */
const struct kvr_node *kvr_read_json(struct kvr_load *, const char *text, size_t len);
const struct kvr_node *kvr_read_yaml(struct kvr_load *, const char *text, size_t len);

#endif
