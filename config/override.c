/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes to a configuration after its file was read: overrides by path, and what the embedder says
 * about itself. Each works on the configuration in place. If it is refused, or breaks a check of
 * the whole, the struct is copied back (texts live in the arena, so old pointers stay valid).
 */
#include "kvr_override.h"
#include "kvr_flat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The directory of path, or the current one. False: it cannot be determined (removed, or too long).
 */
bool
kvr_directory(const char *path, char *ret_dir)
{
	const char *slash = path == NULL ? NULL : strrchr(path, '/');
	char part[KVR_DIR_MAX], *full;
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	if (len >= sizeof(part))
		return false;
	if (len > 0)
		memcpy(part, path, len);
	part[len] = '\0';
	full = realpath(slash == NULL ? "." : len == 0 ? "/" : part, NULL);
	if (full == NULL || strlen(full) >= KVR_DIR_MAX) {
		free(full);
		return false;
	}
	/* "/" becomes "", because what follows starts with a slash. */
	strcpy(ret_dir, strcmp(full, "/") == 0 ? "" : full);
	free(full);
	return true;
}

static const struct kvr_node *
parse_value(struct kvr_load *load, const char *text)
{
	struct kvr_load part = *load;

	part.masked = NULL;
	part.from = KVR_FROM_SET;
	const struct kvr_node *node = kvr_read_json(&part, text, strlen(text));
	load->n_errors = part.n_errors;
	return node;
}

/* Whether what is taken from the text points into it. */
static bool
keeps_text(enum kvr_option_type type)
{
	return type != KVR_TYPE_SIZE && type != KVR_TYPE_DURATION && type != KVR_TYPE_COUNT &&
	       type != KVR_TYPE_BOOL && type != KVR_TYPE_CHOICE;
}

void
kvr_override(struct kvr_load *load, const char *set)
{
	struct kvr_config_own *own = load->cfg->own;
	struct kvr_origin at = { .kind = KVR_FROM_SET };
	const char *is = strchr(set, '=');
	struct kvr_value value = { .kind = KVR_TREE_TEXT, .bare = true, .origin = at };
	struct kvr_place place;
	char path[KVR_PATH_MAX], why[320];

	if (is == NULL || (size_t)(is - set) >= sizeof(path)) {
		kvr_load_error(load, &at, "an override looks like \"tiers.remote.timeout=500ms\"");
		return;
	}
	memcpy(path, set, (size_t)(is - set));
	path[is - set] = '\0';
	if (!kvr_place_find(load->cfg, path, &place, why, sizeof(why))) {
		if (!kvr_flat_set(load, path, is + 1))
			kvr_load_error(load, &at, "%s", why);
		return;
	}
	/* Only a text is kept: a number that is set again and again costs no memory. */
	value.text = is + 1;
	if (keeps_text(place.option->type))
		value.text = kvr_arena_text(&own->arena, is + 1, strlen(is + 1));
	if (value.text == NULL)
		return;
	if (place.option->type == KVR_TYPE_SHAPE || place.option->type == KVR_TYPE_GROUPS) {
		value.node = parse_value(load, value.text);
		if (value.node == NULL)
			return;
	}
	kvr_assign(load, place, &value);
}

struct before {
	struct kvr_config cfg;
	struct kvr_config_own own;
};

static struct before *
remember(const struct kvr_config *cfg)
{
	struct before *before = malloc(sizeof(*before));

	if (before != NULL) {
		before->cfg = *cfg;
		before->own = *cfg->own;
	}
	return before;
}

/* Checks the whole; on an error everything but the arena is restored. */
static enum kvr_err
settle(struct kvr_load *load, struct before *take)
{
	struct kvr_config *cfg = load->cfg;
	bool no_memory;

	if (load->n_errors == 0)
		kvr_derive(load);
	if (load->n_errors == 0 && !cfg->own->arena.failed)
		kvr_check_whole(load);
	no_memory = cfg->own->arena.failed;
	if (load->n_errors > 0 || no_memory) {
		take->own.arena.first = cfg->own->arena.first;
		*cfg->own = take->own;
		*cfg = take->cfg;
	}
	free(take);
	if (load->n_errors > 0)
		return KVR_E_CONFIG;
	return no_memory ? kvr_no_memory(load->why, load->why_cap) : KVR_OK;
}

enum kvr_err
kvr_config_set(
    struct kvr_config *cfg, const char *const *set, uint32_t n, char *why, size_t why_cap)
{
	static const struct kvr_config_opts no_opts;
	char dir[KVR_DIR_MAX];
	struct kvr_load load = { .cfg = cfg,
		.opts = &no_opts,
		.from = KVR_FROM_SET,
		.source = cfg->own->set_name,
		.dir = kvr_directory(NULL, dir) ? dir : NULL,
		.why = why,
		.why_cap = why_cap };
	struct before *before = remember(cfg);

	if (before == NULL)
		return kvr_no_memory(why, why_cap);
	for (uint32_t i = 0; load.n_errors == 0 && i < n; i++)
		kvr_override(&load, set[i]);
	return settle(&load, before);
}

/* ---- the process's identity ---- */

/* Where the value was given, for a message: "deploy.json:7:14", "env RANK". */
static const char *
said_by(struct kvr_config *cfg, const char *path, char *ret_where, size_t cap)
{
	kvr_config_origin(cfg, path, ret_where, cap);
	return ret_where;
}

static void
from_api(struct kvr_config *cfg, const char *path)
{
	*kvr_place_origin(cfg, kvr_place_root(path)) = (struct kvr_origin){ .kind = KVR_FROM_API };
}

static void
identify_text(struct kvr_load *load, const char *path, const char **member, const char *said)
{
	struct kvr_origin at = { .kind = KVR_FROM_API };
	char a[KVR_QUOTED_MAX], b[KVR_QUOTED_MAX], where[256];

	if (said == NULL)
		return;
	if (*member == NULL) {
		*member = kvr_arena_text(&load->cfg->own->arena, said, strlen(said));
		from_api(load->cfg, path);
	} else if (strcmp(*member, said) != 0) {
		kvr_load_error(load, &at, "%s is %s, but %s says %s", path, kvr_quoted(said, a),
		    said_by(load->cfg, path, where, sizeof(where)), kvr_quoted(*member, b));
	}
}

static bool
identify_number(struct kvr_load *load, const char *path, int64_t said, int64_t is, int64_t open)
{
	struct kvr_origin at = { .kind = KVR_FROM_API };
	char where[256];

	if (said == open || said == is)
		return false;
	if (is == open) {
		from_api(load->cfg, path);
		return true;
	}
	kvr_load_error(load, &at, "%s is %" PRId64 ", but %s says %" PRId64, path, said,
	    said_by(load->cfg, path, where, sizeof(where)), is);
	return false;
}

static void
identify_mla(struct kvr_load *load, bool said)
{
	struct kvr_config_engine *engine = &load->cfg->engine;
	struct kvr_origin at = { .kind = KVR_FROM_API };
	char where[256];

	if (!said || engine->use_mla)
		return;
	if (kvr_place_origin(load->cfg, kvr_place_root("engine.use_mla"))->kind != KVR_FROM_DEFAULT) {
		kvr_load_error(load, &at, "engine.use_mla is true, but %s says false",
		    said_by(load->cfg, "engine.use_mla", where, sizeof(where)));
		return;
	}
	engine->use_mla = true;
	from_api(load->cfg, "engine.use_mla");
}

enum kvr_err
kvr_config_identify(
    struct kvr_config *cfg, const struct kvr_config_identity *me, char *why, size_t why_cap)
{
	static const struct kvr_config_opts no_opts;
	struct kvr_config_engine *engine = &cfg->engine;
	struct kvr_load load = { .cfg = cfg,
		.opts = &no_opts,
		.from = KVR_FROM_API,
		.source = "api",
		.dir = "",
		.why = why,
		.why_cap = why_cap };
	struct before *before = remember(cfg);

	if (before == NULL)
		return kvr_no_memory(why, why_cap);
	identify_text(&load, "engine.model", &engine->model, me->model);
	identify_text(&load, "engine.fingerprint", &engine->fingerprint, me->fingerprint);
	if (identify_number(&load, "engine.world_size", me->world_size, engine->world_size, 0))
		engine->world_size = me->world_size;
	if (identify_number(&load, "engine.worker_id", me->worker_id, engine->worker_id, -1))
		engine->worker_id = me->worker_id;
	identify_mla(&load, me->use_mla);
	kvr_check_rank(&load);
	return settle(&load, before);
}
