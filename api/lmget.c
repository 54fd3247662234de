/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking gets into new objects. The size of an object is known if the instance has a layout. If
 * not, the stores are asked for the lengths of the values before the first get, and again for
 * values that turn out longer than everything seen so far: one more round trip, once.
 */
#include "kvrelay.h"

#include "kvr_batch.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_pool.h"
#include "kvr_user_log.h"

#include <stdlib.h>
#include <string.h>

static enum kvr_err
run(struct kvr *k, uint32_t kind, const char *const *key, uint32_t n, uint64_t until_ns,
    kvr_obj *obj, int32_t *err, uint64_t *len)
{
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = n, .key = key, .obj = obj
	};
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = until_ns };
	struct kvr_done done = { .size = sizeof(done) };
	struct kvr_results res = { .size = sizeof(res), .cap = n, .err = err, .len = len };
	enum kvr_err call = kvr_run(k, &b, &o, &done, &res);

	/* Refused as a whole: nothing was written, so every key gets this error. */
	for (uint32_t i = 0; done.op == 0 && i < n; i++)
		err[i] = call;
	return call;
}

static void
drop_failed(struct kvr *k, uint32_t n, kvr_obj *obj, const int32_t *err)
{
	for (uint32_t i = 0; i < n; i++) {
		if (err[i] == KVR_OK || obj[i] == 0)
			continue;
		KVR_CHECK(kvr_pool_change(k->pool, obj[i], KVR_POOL_UNREF, 0) == KVR_OK);
		obj[i] = 0;
	}
}

/* The arrays needed for a batch besides the caller's own. */
struct work {
	const char **key;
	kvr_obj *obj;
	int32_t *err, *again_err;
	uint64_t *len;
	uint32_t *index;
};

static bool
make(struct work *w, uint32_t n)
{
	w->key = calloc(n, sizeof(w->key[0]));
	w->obj = calloc(n, sizeof(w->obj[0]));
	w->err = calloc(n, sizeof(w->err[0]));
	w->again_err = calloc(n, sizeof(w->again_err[0]));
	w->len = calloc(n, sizeof(w->len[0]));
	w->index = calloc(n, sizeof(w->index[0]));
	return w->key != NULL && w->obj != NULL && w->err != NULL && w->again_err != NULL &&
	       w->len != NULL && w->index != NULL;
}

static void
unmake(struct work *w)
{
	free(w->key);
	free(w->obj);
	free(w->err);
	free(w->again_err);
	free(w->len);
	free(w->index);
}

static void
learn(struct kvr *k, struct work *w, const char *const *key, uint32_t n, uint64_t until_ns)
{
	(void)run(k, KVR_SIZE, key, n, until_ns, NULL, w->again_err, w->len);
	for (uint32_t i = 0; i < n; i++) {
		if (w->again_err[i] == KVR_OK)
			kvr_note_length(k, w->len[i]);
	}
}

static bool
knows_size(struct kvr *k)
{
	return atomic_load(&k->has_layout) || k->config->memory.slot_bytes != 0;
}

/* Gets the values again that were too long for their objects. */
static void
again(struct kvr *k, struct work *w, const char *const *key, uint32_t n, uint64_t until_ns,
    kvr_obj *ret)
{
	uint32_t m = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (w->err[i] != KVR_E_LENGTH)
			continue;
		w->key[m] = key[i];
		w->index[m++] = i;
	}
	if (m == 0)
		return;
	learn(k, w, w->key, m, until_ns);
	(void)run(k, KVR_GET, w->key, m, until_ns, w->obj, w->again_err, NULL);
	drop_failed(k, m, w->obj, w->again_err);
	for (uint32_t j = 0; j < m; j++) {
		ret[w->index[j]] = w->obj[j];
		w->err[w->index[j]] = w->again_err[j];
	}
}

static enum kvr_err
get(struct kvr *k, const char *const *key, uint32_t n, uint64_t until_ns, kvr_obj *ret,
    int32_t *ret_err)
{
	struct work w;
	enum kvr_err err = KVR_OK;

	if (!make(&w, n)) {
		unmake(&w);
		return KVR_E_NOMEM;
	}
	if (!knows_size(k) && atomic_load(&k->seen) == 0)
		learn(k, &w, key, n, until_ns);
	(void)run(k, KVR_GET, key, n, until_ns, ret, w.err, NULL);
	drop_failed(k, n, ret, w.err);
	if (!knows_size(k))
		again(k, &w, key, n, until_ns, ret);
	for (uint32_t i = 0; i < n && err == KVR_OK; i++)
		err = (enum kvr_err)w.err[i];
	if (ret_err != NULL)
		memcpy(ret_err, w.err, n * sizeof(w.err[0]));
	unmake(&w);
	return err;
}

enum kvr_err
kvr_batched_get_blocking(struct kvr *k, const char *const *key, uint32_t n, uint64_t until_ns,
    kvr_obj *ret, int32_t *ret_err)
{
	uint64_t at_ns = 0;
	enum kvr_err err = kvr_enter(k);

	if (err == KVR_OK) {
		if (n > 0 && (key == NULL || ret == NULL))
			err = kvr_bad(k, KVR_E_INVALID,
			    "kvr_batched_get_blocking: no keys or no place for objects");
		else if (k->pool == NULL)
			err = KVR_E_UNSUPPORTED;
		else if (kvr_in_callback())
			err = kvr_bad(
			    k, KVR_E_INVALID, "kvr_batched_get_blocking: a callback may not wait");
		else if (n > KVR_KEYS_MAX)
			err = kvr_bad(k, KVR_E_TOO_BIG,
			    "kvr_batched_get_blocking: %u keys, and %u is the most", n,
			    (unsigned)KVR_KEYS_MAX);
		else
			err = kvr_until(k, "kvr_batched_get_blocking", until_ns,
			    atomic_load(&k->limit.blocking_ns), false, &at_ns);
		kvr_leave(k);
	}
	for (uint32_t i = 0; i < n && ret != NULL; i++)
		ret[i] = 0;
	if (err == KVR_OK && n > 0)
		return get(k, key, n, at_ns, ret, ret_err);
	for (uint32_t i = 0; i < n && ret_err != NULL; i++)
		ret_err[i] = err;
	return err;
}

enum kvr_err
kvr_get_blocking(struct kvr *k, const char *key, uint64_t until_ns, kvr_obj *ret)
{
	if (ret != NULL)
		*ret = 0;
	return kvr_batched_get_blocking(k, &key, 1, until_ns, ret, NULL);
}
