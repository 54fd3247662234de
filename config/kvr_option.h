/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options, and what the configuration knows about schemes. A new option is a member of
 * struct kvr_config and a row of option_table.c.
 */
#ifndef KVR_OPTION_H
#define KVR_OPTION_H

#include "kvr_base.h"

enum kvr_option_type {
	KVR_TYPE_TEXT,
	KVR_TYPE_NAME,     /* name of a tier */
	KVR_TYPE_URL,      /* may hold secrets */
	KVR_TYPE_PATH,     /* relative ones become absolute */
	KVR_TYPE_SECRET,   /* never shown, used literally */
	KVR_TYPE_LISTEN,   /* host:port or unix:/path */
	KVR_TYPE_SIZE,     /* uint64_t bytes, "512MiB" */
	KVR_TYPE_DURATION, /* uint64_t ns, "500ms" */
	KVR_TYPE_COUNT,    /* uint32_t */
	KVR_TYPE_BOOL,
	KVR_TYPE_CHOICE, /* uint32_t, one of names */
	KVR_TYPE_RANK,   /* int32_t, "env:NAME" */
	KVR_TYPE_SHAPE,  /* five whole numbers */
	KVR_TYPE_GROUPS  /* an array of shapes with their dtypes */
};

struct kvr_choice {
	const char *name; /* NULL ends the list */
	uint32_t value;
};

struct kvr_option {
	const char *path; /* for tiers without "tiers.NAME." */
	bool in_tier;
	enum kvr_option_type type;
	size_t offset;
	const char *def;  /* as text; "": none */
	const char *zero; /* the word that means 0 or NULL; NULL: none */
	uint64_t min, max;
	const struct kvr_choice *choice;
	const char *help; /* one sentence without full stop */
};

#define KVR_OPTIONS_MAX 96U
extern const struct kvr_option kvr_option_table[];
extern const uint32_t kvr_option_count;

/* in_tier: a member of struct kvr_config_tier. The index of a row is also that of its origin. */
const struct kvr_option *kvr_option_find(bool in_tier, const char *path, size_t len);
uint32_t kvr_option_index(const struct kvr_option *);

/* show.c: the name of a CHOICE's value. */
const char *kvr_choice_name(const struct kvr_option *, uint32_t value);

/* value.c: texts with units. False: not such a text. *ret_huge: the number exceeds 64 bits. */
bool kvr_parse_size(const char *text, uint64_t *ret_bytes, bool *ret_huge);
bool kvr_parse_duration(const char *text, uint64_t *ret_ns, bool *ret_huge);
bool kvr_parse_whole(const char *text, uint64_t *ret, bool *ret_huge);
/* The shortest text that parses to the same value. */
#define KVR_VALUE_MAX 40U
const char *kvr_size_text(uint64_t bytes, char *ret_text);
const char *kvr_duration_text(uint64_t ns, char *ret_text);

/* nearest.c: the closest name so far, for "did you mean". */
struct kvr_nearest {
	const char *to;
	const char *best; /* NULL: nothing is close enough */
	size_t best_len;
	uint32_t best_cost;
};
void kvr_nearest_try(struct kvr_nearest *, const char *name, size_t len);

/* scheme.c: the formats that a store can hold, by the scheme of its URL. */
struct kvr_scheme {
	const char *name;
	uint32_t formats; /* 1 << enum kvr_config_format */
	uint32_t format_tier, format_url;
};
const struct kvr_scheme *kvr_scheme_find(const char *url);
/* The text after "name=" among the options of a URL; NULL: none. */
const char *kvr_scheme_option(const char *url, const char *name);
const char *const *kvr_scheme_names(void);
/* Length of the scheme before "://"; 0 if there is none. */
size_t kvr_scheme_len(const char *url);
bool kvr_scheme_is(const char *url, const char *scheme);
/*
 * Also true for the scheme's TLS and cluster variants: "valkeys-cluster" is of the kind "valkey".
 */
bool kvr_scheme_is_kind(const char *url, const char *scheme);
bool kvr_scheme_speaks_tls(const char *url);
bool kvr_scheme_asks_sentinels(const char *url);
bool kvr_scheme_is_cluster(const char *url);
/* The position of user and password: between "://" and '@'. False: the URL has none. */
bool kvr_url_login(const char *url, size_t len, size_t *ret_from, size_t *ret_to);
/*
 * The same for a URL without a login: what stands where a port would and is none. With its '@' or its
 * host missing that is a password.
 */
bool kvr_url_slip(const char *url, size_t len, size_t *ret_from, size_t *ret_to);
/*
 * Whether this is the name of a key or query parameter whose value must not be printed, or nearly
 * one: whoever misspells it has written a password behind it all the same.
 */
bool kvr_is_secret_name(const char *name, size_t len);

/* out.c: text that is truncated at a capacity and counts its full length. */
struct kvr_text_out {
	char *at;
	size_t cap, len;
};
void kvr_out(struct kvr_text_out *, const char *fmt, ...) KVR_PRINTF(2, 3);
/* In quotes, escaped as JSON requires. */
void kvr_out_json(struct kvr_text_out *, const char *text);

#endif
