/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shapes of the cache as an engine gives them (layers, 2 or 1, tokens, heads, head size), and
 * the layout of a full chunk that follows from them.
 */
#include "kvr_config_own.h"

#include <string.h>

static const char *const dim_name[KVR_SHAPE_DIMS] = { "layers", "2 or 1", "tokens", "heads",
	"head size" };

/* Sums of a few of them must stay far below 64 bits. */
#define DIM_MAX UINT64_C(1048576)

static bool
take_shape(
    struct kvr_load *load, const char *path, const struct kvr_node *node, struct kvr_raw_shape *ret)
{
	struct kvr_raw_shape shape = { .dtype = ret->dtype };
	struct kvr_origin at = kvr_origin_of(load, node);
	uint32_t n = 0;

	for (const struct kvr_node *c = node->child; c != NULL; c = c->next, n++) {
		struct kvr_origin dim_at = kvr_origin_of(load, c);
		bool huge = false;

		if (n >= KVR_SHAPE_DIMS)
			continue;
		if (c->kind != KVR_TREE_NUMBER || !kvr_parse_whole(c->text, &shape.dim[n], &huge) ||
		    huge || shape.dim[n] == 0 || shape.dim[n] > DIM_MAX ||
		    (n == 1 && shape.dim[n] > 2)) {
			kvr_load_error(load, &dim_at, "%s: number %u (%s) must be %s", path, n + 1,
			    dim_name[n], n == 1 ? "2 or 1" : "a whole number from 1 to 1048576");
			return false;
		}
	}
	if (node->kind != KVR_TREE_ARRAY || n != KVR_SHAPE_DIMS) {
		kvr_load_error(load, &at,
		    "%s must be five numbers: layers, 2 or 1, tokens, heads, head size", path);
		return false;
	}
	*ret = shape;
	return true;
}

bool
kvr_assign_shape(struct kvr_load *load, const char *path, const struct kvr_value *value)
{
	if (value->node == NULL) {
		kvr_load_error(
		    load, &value->origin, "%s must be an array such as [32, 2, 256, 8, 128]", path);
		return false;
	}
	return take_shape(load, path, value->node, &load->cfg->own->kv_shape);
}

static bool
take_dtype(struct kvr_load *load, const struct kvr_node *node, uint32_t *ret)
{
	const struct kvr_option *o = kvr_option_find(false, "engine.kv_dtype", 15);
	struct kvr_origin at = kvr_origin_of(load, node);
	char quoted[KVR_QUOTED_MAX];

	for (const struct kvr_choice *c = o->choice; c->name != NULL; c++) {
		if (node->kind == KVR_TREE_TEXT && strcmp(c->name, node->text) == 0) {
			*ret = c->value;
			return true;
		}
	}
	kvr_load_error(load, &at, "kv_dtype cannot be %s",
	    node->kind == KVR_TREE_TEXT ? kvr_quoted(node->text, quoted)
	                                : kvr_tree_kind_name(node->kind));
	return false;
}

static bool
take_group(struct kvr_load *load, const struct kvr_node *node, struct kvr_raw_shape *ret)
{
	const struct kvr_node *dtype = kvr_tree_child(node, "kv_dtype");
	const struct kvr_node *shape = kvr_tree_child(node, "kv_shape");
	struct kvr_origin at = kvr_origin_of(load, node);
	uint32_t n = 0;

	for (const struct kvr_node *c = node->child; c != NULL; c = c->next)
		n++;
	if (node->kind != KVR_TREE_OBJECT || dtype == NULL || shape == NULL || n != 2) {
		kvr_load_error(
		    load, &at, "a group is an object with kv_dtype and kv_shape, and nothing else");
		return false;
	}
	return take_dtype(load, dtype, &ret->dtype) && take_shape(load, "kv_shape", shape, ret);
}

bool
kvr_assign_groups(struct kvr_load *load, const char *path, const struct kvr_value *value)
{
	struct kvr_config_own *own = load->cfg->own;
	uint32_t n = 0;

	if (value->node == NULL || value->node->kind != KVR_TREE_ARRAY) {
		kvr_load_error(load, &value->origin, "%s must be an array of objects", path);
		return false;
	}
	for (const struct kvr_node *c = value->node->child; c != NULL; c = c->next) {
		if (n == KVR_GROUPS_MAX) {
			struct kvr_origin at = kvr_origin_of(load, c);

			kvr_load_error(load, &at, "%s: more than %u groups", path, KVR_GROUPS_MAX);
			return false;
		}
		if (!take_group(load, c, &own->kv_group[n++]))
			return false;
	}
	own->n_kv_groups = n;
	return true;
}

static void
add_group(struct kvr_meta *layout, const struct kvr_raw_shape *shape, uint32_t tokens)
{
	struct kvr_shape *g = &layout->group[layout->n_groups++];

	g->dtype = shape->dtype;
	g->n_dims = KVR_DIMS;
	g->dim[0] = shape->dim[1];
	g->dim[1] = shape->dim[0];
	g->dim[2] = tokens;
	g->dim[3] = shape->dim[3] * shape->dim[4];
	if (shape->dim[1] == 1)
		layout->memfmt = KVR_MEMFMT_KV_MLA;
}

void
kvr_derive_layout(struct kvr_load *load)
{
	struct kvr_config_own *own = load->cfg->own;
	struct kvr_config_engine *engine = &load->cfg->engine;

	memset(&engine->layout, 0, sizeof(engine->layout));
	engine->layout.memfmt = KVR_MEMFMT_KV_2LTD;
	if (own->kv_shape.dim[0] != 0) {
		own->kv_shape.dtype = engine->kv_dtype;
		add_group(&engine->layout, &own->kv_shape, engine->chunk_tokens);
	}
	for (uint32_t i = 0; i < own->n_kv_groups && engine->layout.n_groups < KVR_GROUPS_MAX; i++)
		add_group(&engine->layout, &own->kv_group[i], engine->chunk_tokens);
	if (engine->layout.n_groups == 0)
		memset(&engine->layout, 0, sizeof(engine->layout));
}
