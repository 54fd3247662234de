/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this layer share: the memory behind a config, the origin of each value, and the
 * state of a load with its errors.
 */
#ifndef KVR_CONFIG_OWN_H
#define KVR_CONFIG_OWN_H

#include "kvr_config.h"
#include "kvr_option.h"
#include "kvr_tree.h"

/* Memory that is freed all at once, with its config. After a failure it gives no more. */
struct kvr_config_block;
struct kvr_config_arena {
	struct kvr_config_block *first;
	bool failed;
};
void *kvr_arena_take(struct kvr_config_arena *, size_t len); /* zeroed; NULL: no memory */
char *kvr_arena_text(struct kvr_config_arena *, const char *text, size_t len); /* adds a NUL */
void kvr_arena_free(struct kvr_config_arena *); /* wiped first: texts may be secrets */

enum kvr_origin_kind {
	KVR_FROM_DEFAULT,
	KVR_FROM_FILE, /* name: the file, "text", or a key's variable: "env NAME" */
	KVR_FROM_SET,
	KVR_FROM_URL,
	KVR_FROM_API
};

struct kvr_origin {
	enum kvr_origin_kind kind;
	uint32_t line, column; /* FILE */
	const char *name;      /* FILE */
	const char *env;       /* the variable from which the value was read; NULL: none */
};

#define KVR_SHAPE_DIMS 5U /* layers, 2 or 1, tokens, heads, head size */

struct kvr_raw_shape {
	uint32_t dtype;
	uint64_t dim[KVR_SHAPE_DIMS];
};

struct kvr_config_own {
	struct kvr_config_arena arena;
	const char *const *schemes; /* a copy */
	const char *(*env)(void *arg, const char *name);
	void *env_arg;
	const char *set_name, *url_name; /* what messages call an override, and a URL */

	struct kvr_origin root[KVR_OPTIONS_MAX];
	struct kvr_origin tier[KVR_TIERS_MAX][KVR_OPTIONS_MAX];
	struct kvr_origin tier_at[KVR_TIERS_MAX];

	bool mla_given; /* lmcache.mla_worker_id_as0 was given, and does not follow engine.use_mla */
	bool plugins;   /* remote_storage_plugins was given */
	bool audits;    /* one of the stores of LMCache's form is behind audit:// */

	/* As written; the layout is made from these and kv_dtype when all sources have been read. */
	struct kvr_raw_shape kv_shape;
	uint32_t n_kv_groups;
	struct kvr_raw_shape kv_group[KVR_GROUPS_MAX];
};

/* One run of load, set or identify. Errors are collected; the caller checks n_errors. */
struct kvr_load {
	struct kvr_config *cfg;
	const struct kvr_config_opts *opts;
	enum kvr_origin_kind from;
	const char *source; /* the name before the colon */
	bool yaml;          /* the text is YAML */
	bool import;        /* an import: variables stay names, and what is lost is reported */
	bool lenient;       /* errors become warnings, and the previous value is kept */
	bool broken;        /* the text is not well-formed: nobody knows which words are secrets */
	char *masked;       /* the source text with secrets masked, or NULL */
	size_t len;
	const char *dir; /* relative paths are relative to this; NULL: it is gone */
	char *why;
	size_t why_cap;
	uint32_t n_errors;
};

/* A value on its way into an option: a node of the tree, or the text of an override. */
struct kvr_value {
	enum kvr_tree_kind kind;
	bool bare; /* from an override: the text may stand for any kind */
	const char *text;
	const struct kvr_node *node; /* NULL: none */
	const char *called;          /* its name in messages; NULL: the option's path */
	struct kvr_origin origin;
};

/* The place of a value: an option of the root (tier < 0) or of a tier. */
struct kvr_place {
	const struct kvr_option *option;
	int32_t tier;
};

void *kvr_place_at(struct kvr_config *, struct kvr_place);
const void *kvr_place_look(const struct kvr_config *, struct kvr_place);
struct kvr_origin *kvr_place_origin(struct kvr_config *, struct kvr_place);
/* Writes "tiers.fleet.lanes.bulk" into a buffer of KVR_PATH_MAX bytes, and returns it. */
#define KVR_PATH_MAX 128U
const char *kvr_place_path(const struct kvr_config *, struct kvr_place, char *ret_path);
/*
 * Finds an option by a path like "memory.staging" or "tiers.fleet.timeout". False: none; see why.
 */
bool kvr_place_find(
    const struct kvr_config *, const char *path, struct kvr_place *ret, char *why, size_t why_cap);
/* The option of a path that must be in the table. */
struct kvr_place kvr_place_root(const char *path);
struct kvr_place kvr_place_tier(uint32_t tier, const char *path);
/* Whether the value was given, not just taken from the table's default. */
bool kvr_place_given(const struct kvr_load *, struct kvr_place);
/* Where it was given; for a default, where its tier was. */
struct kvr_origin kvr_place_where(const struct kvr_load *, struct kvr_place);
#define KVR_PLACE_ERROR(load, place, ...)                                                          \
	do {                                                                                       \
		struct kvr_origin o_ = kvr_place_where(load, place);                               \
		kvr_load_error(load, &o_, __VA_ARGS__);                                            \
	} while (0)

/* note.c */
void kvr_load_error(struct kvr_load *, const struct kvr_origin *, const char *fmt, ...)
    KVR_PRINTF(3, 4);
void kvr_load_warn(struct kvr_load *, const struct kvr_origin *, const char *fmt, ...)
    KVR_PRINTF(3, 4);
enum kvr_err kvr_no_memory(char *why, size_t why_cap); /* returns KVR_E_NOMEM */
struct kvr_origin kvr_origin_of(const struct kvr_load *, const struct kvr_node *);
struct kvr_origin kvr_origin_of_key(const struct kvr_load *, const struct kvr_node *);
/* Text of a file for a message: in quotes, truncated, without control characters. */
#define KVR_QUOTED_MAX 56U
const char *kvr_quoted(const char *text, char *ret_quoted);
/*
 * Replaces what must not be printed by stars, without changing the length: passwords in URLs, and
 * values of secret keys.
 */
void kvr_mask_json(char *text, size_t len);
void kvr_mask_yaml(char *text, size_t len);
/*
 * For a line of a text that is not well-formed, where it is anybody's guess what belongs to what:
 * all words behind the column of its error, from 1, behind the name of a secret, and before the '@'
 * of a URL.
 */
void kvr_mask_broken(char *line, size_t len, size_t column);
/* The same for the single URL that is in text between `from` and `to`. */
void kvr_mask_url(char *text, size_t from, size_t to);

/* assign.c: one value into one option, checked by the option's type and limits. */
void kvr_assign(struct kvr_load *, struct kvr_place, const struct kvr_value *);
/* The table's default. */
void kvr_assign_default(struct kvr_load *, struct kvr_place);
/* text.c: replaces ${NAME}, makes relative paths absolute. NULL: an error was noted. */
const char *kvr_expand(
    struct kvr_load *, const struct kvr_origin *, const char *path, const char *text);
const char *kvr_absolute_url(struct kvr_load *, const struct kvr_origin *, const char *url);
const char *kvr_absolute_path(struct kvr_load *, const struct kvr_origin *, const char *path);
/* shape.c */
bool kvr_assign_shape(struct kvr_load *, const char *path, const struct kvr_value *);
bool kvr_assign_groups(struct kvr_load *, const char *path, const struct kvr_value *);
void kvr_derive_layout(struct kvr_load *);
void kvr_derive_buckets(struct kvr_load *); /* buckets.c */

/* The two forms of a file. */
void kvr_read_tiers_form(struct kvr_load *, const struct kvr_node *root);
/* env: LMCache's variables, which override the file; NULL: they were not requested. */
void kvr_read_flat_form(
    struct kvr_load *, const struct kvr_node *root, const struct kvr_node *env);
/* Decided by the file's keys and the variables. */
bool kvr_is_flat_form(const struct kvr_node *root, const struct kvr_node *env);
/* An object with the keys whose variables are set; NULL: no memory. */
const struct kvr_node *kvr_read_lmcache_env(struct kvr_load *);
/* One key of the root, if it is one of our options or groups; false: it is not. */
bool kvr_read_root_key(struct kvr_load *, const struct kvr_node *);

/* Like kvr_config_load, but references to variables stay as they are written. */
KVR_MUST_USE enum kvr_err kvr_load_for_import(const char *path, const struct kvr_config_opts *,
    struct kvr_config **ret, char *why, size_t why_cap);

/* A new tier with its defaults; -1: there are too many, and an error was noted. */
int32_t kvr_add_tier(struct kvr_load *, const struct kvr_origin *);
/*
 * rank.c: replaces {rank} as soon as the rank is known; an error for each place where it never was.
 */
void kvr_fill_rank(struct kvr_load *);
void kvr_check_rank(struct kvr_load *);
/* derive.c: defaults that depend on other values. */
void kvr_derive(struct kvr_load *);
/* check.c: everything that needs more than one value to check; runs last. */
void kvr_check_whole(struct kvr_load *);
/* check_store.c: the same for one store. */
void kvr_check_store(struct kvr_load *, uint32_t tier);
bool kvr_tier_speaks_https(const struct kvr_config_tier *);

#endif
