/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_near.h"

#include "kvr_config.h"
#include "kvr_lmkey.h"

#include <stdio.h>
#include <string.h>

static const uint32_t world_size[] = { 1, 2, 4, 8, 16, 32, 64 };
static const char *const dtype[] = { "bfloat16", "half", "float", "float8_e4m3fn", "float8_e5m2",
	"uint8" };

enum { WORLDS = KVR_LEN(world_size), NEAR = WORLDS + KVR_LEN(dtype) };

struct near {
	uint32_t n;
	char key[NEAR][KVR_LMKEY_LEN_MAX + 32];
	const char *what[NEAR];
};

static void
add(struct near *a, const char *key, const char *what)
{
	if (strcmp(a->key[a->n], key) != 0 && strlen(a->key[a->n]) <= KVR_KEY_LEN_MAX)
		a->what[a->n++] = what;
}

/* MODEL@WORLD@WORKER@HASH@DTYPE and what may follow: one field is replaced, the rest is kept. */
static void
list(const char *key, const struct kvr_lmkey *k, struct near *a)
{
	const char *worker = k->worker.at, *hash = k->hash.at, *world = worker - 1;
	const char *behind = worker + k->worker.len, *type = hash + k->hash.len;

	while (world > key && world[-1] != '@')
		world--;
	for (uint32_t i = 0; i < WORLDS; i++) {
		snprintf(a->key[a->n], sizeof(a->key[0]), "%.*s%u@0%s", (int)(world - key), key,
		    world_size[i], behind);
		add(a, key, "another world size");
	}
	if (type[0] != '@')
		return;
	type++;
	for (uint32_t i = 0; i < KVR_LEN(dtype); i++) {
		snprintf(a->key[a->n], sizeof(a->key[0]), "%.*s%s%s", (int)(type - key), key,
		    dtype[i], type + strcspn(type, "@"));
		add(a, key, "another dtype");
	}
}

bool
near_key(const struct kvr_connector_ops *ops, struct kvr_connector *conn, const char *key,
    uint64_t until_ns, char *ret, size_t cap)
{
	static struct near a;
	struct kvr_item item[NEAR] = { { 0 } };
	struct kvr_meta meta = { 0 };
	struct kvr_lmkey k;

	if (kvr_lmkey_parse(key, strlen(key), &k) != KVR_OK || k.form == KVR_LMKEY_MP ||
	    k.form == KVR_LMKEY_MID25)
		return false;
	a.n = 0;
	list(key, &k, &a);
	for (uint32_t i = 0; i < a.n; i++) {
		item[i].key = a.key[i];
		item[i].key_len = (uint32_t)strlen(a.key[i]);
		item[i].meta = &meta;
		atomic_init(&item[i].status, KVR_PENDING);
	}
	if (ops->run(conn, KVR_VERB_EXISTS, item, a.n, until_ns) != KVR_OK)
		return false;
	for (uint32_t i = 0; i < a.n; i++) {
		if (kvr_item_status(&item[i]) != KVR_OK)
			continue;
		snprintf(ret, cap, "%s is there, of %s", a.key[i], a.what[i]);
		return true;
	}
	return false;
}

static bool
has(const struct kvr_connector_ops *ops, const struct kvr_store_opts *opts, const char *key,
    uint64_t until_ns)
{
	struct kvr_meta meta = { 0 };
	struct kvr_item item = { .key = key, .key_len = (uint32_t)strlen(key), .meta = &meta };
	struct kvr_store *store = NULL;
	struct kvr_connector *conn = NULL;
	bool found = false;
	char why[256] = "";

	atomic_init(&item.status, KVR_PENDING);
	if (ops->open(opts, &store, why, sizeof(why)) != KVR_OK)
		return false;
	if (ops->dial(store, until_ns, NULL, &conn, why, sizeof(why)) == KVR_OK) {
		found = ops->run(conn, KVR_VERB_EXISTS, &item, 1, until_ns) == KVR_OK &&
		        kvr_item_status(&item) == KVR_OK;
		ops->hang_up(conn);
	}
	ops->close(store);
	return found;
}

bool
near_format(const struct kvr_connector_ops *ops, const struct kvr_store_opts *opts,
    const char *key, uint64_t until_ns, char *ret, size_t cap)
{
	static const struct {
		uint32_t format;
		const char *name;
	} other[] = { { KVR_FORMAT_SEALED, "sealed" }, { KVR_FORMAT_LMCACHE, "lmcache" },
		{ KVR_FORMAT_BARE, "bare" } };

	for (uint32_t i = 0; i < KVR_LEN(other); i++) {
		struct kvr_store_opts o = *opts;

		o.format = other[i].format;
		if (o.format == opts->format || (ops->formats & KVR_FORMAT_BIT(o.format)) == 0 ||
		    !has(ops, &o, key, until_ns))
			continue;
		snprintf(ret, cap, "it is there in layout %s", other[i].name);
		return true;
	}
	return false;
}
