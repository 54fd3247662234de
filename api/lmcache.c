/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's methods as shorthands for the one submission call. lmget.c has the blocking gets. */
#include "kvrelay.h"

#include "kvr_call.h"
#include "kvr_entry.h"
#include "kvr_health.h"
#include "kvr_instance.h"
#include "kvr_keys.h"
#include "kvr_puts.h"
#include "kvr_submit.h"
#include "kvr_user_log.h"

#include <string.h>

static enum kvr_err
lookup(struct kvr *k, const char *const *key, uint32_t n, uint32_t flags, uint64_t until_ns,
    struct kvr_done *ret)
{
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = n, .key = key };
	const struct kvr_opts o = { .size = sizeof(o), .flags = flags, .until_ns = until_ns };

	return kvr_run(k, &b, &o, ret, NULL);
}

enum kvr_err
kvr_contains(struct kvr *k, const char *key, bool pin, uint64_t until_ns)
{
	return lookup(k, &key, 1, pin ? KVR_HOLD : 0, until_ns, NULL);
}

enum kvr_err
kvr_batched_contains(struct kvr *k, const char *const *key, uint32_t n, bool pin, uint64_t until_ns,
    uint32_t *ret_prefix)
{
	struct kvr_done done = { .size = sizeof(done) };
	enum kvr_err err =
	    lookup(k, key, n, KVR_PREFIX | (pin ? (uint32_t)KVR_HOLD : 0), until_ns, &done);

	if (ret_prefix != NULL)
		*ret_prefix = done.prefix;
	return err == KVR_E_MISS ? KVR_OK : err;
}

bool
kvr_exists_in_put_tasks(struct kvr *k, const char *key)
{
	char text[KVR_KEY_MAX + 1];
	uint32_t len;
	kvr_digest digest;

	if (key == NULL || kvr_enter(k) != KVR_OK)
		return false;
	bool found =
	    kvr_key_take(k, key, strnlen(key, KVR_KEY_MAX + 1), text, sizeof(text), &len,
	        &digest) == KVR_OK &&
	    kvr_puts_has(k, digest);

	kvr_leave(k);
	return found;
}

/* ---- puts ---- */

static enum kvr_err
put(struct kvr *k, const char *const *key, const kvr_obj *obj, uint32_t n, uint32_t more_flags,
    kvr_done_fn *done, void *arg, kvr_op *ret)
{
	/* A put only reads the handles; gets use the same struct and write them. */
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = n,
		.key = key,
		.obj = (kvr_obj *)(uintptr_t)obj };
	const struct kvr_opts o = { .size = sizeof(o), .done = done, .done_arg = arg };
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	if (k->skip_puts)
		err = KVR_E_SKIPPED_MLA;
	else if (kvr_all_down(k))
		err = KVR_E_DOWN;
	kvr_leave(k);
	if (err != KVR_OK)
		return err;
	return kvr_submit_with(
	    k, &b, &o, more_flags, ret == NULL ? KVR_TELL_NOBODY : KVR_TELL_WAIT, ret);
}

enum kvr_err
kvr_submit_put_task(
    struct kvr *k, const char *key, kvr_obj obj, kvr_done_fn *done, void *done_arg, kvr_op *ret)
{
	return put(k, &key, &obj, 1, KVR_OPF_DUP_ERROR, done, done_arg, ret);
}

enum kvr_err
kvr_batched_submit_put_task(struct kvr *k, const char *const *key, const kvr_obj *obj, uint32_t n,
    kvr_done_fn *done, void *done_arg, kvr_op *ret)
{
	return put(k, key, obj, n, 0, done, done_arg, ret);
}

/* ---- the rest ---- */

static bool
supports(struct kvr *k)
{
	if (kvr_enter(k) != KVR_OK)
		return false;
	bool yes = !kvr_all_down(k);

	kvr_leave(k);
	return yes;
}

bool
kvr_support_batched_async_contains(struct kvr *k)
{
	return supports(k);
}

bool
kvr_support_batched_get_non_blocking(struct kvr *k)
{
	return supports(k) && k->pool != NULL;
}

static enum kvr_err
submit_for(struct kvr *k, const struct kvr_batch *b, const struct kvr_opts *opts, uint32_t flags,
    const char *lookup_id, kvr_op *ret)
{
	struct kvr_opts o = { .size = sizeof(o) };

	if (opts != NULL && !kvr_read_struct(&o, sizeof(o), sizeof(o), opts))
		return kvr_check_instance(k) == KVR_OK
		           ? kvr_bad(k, KVR_E_INVALID, "kvr_submit: size of kvr_opts is not set")
		           : KVR_E_INVALID;
	o.size = sizeof(o);
	o.flags |= flags;
	o.request = lookup_id != NULL ? lookup_id : o.request;
	return kvr_submit(k, b, &o, ret);
}

enum kvr_err
kvr_batched_async_contains(struct kvr *k, const char *lookup_id, const char *const *key, uint32_t n,
    bool pin, const struct kvr_opts *opts, kvr_op *ret)
{
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = n, .key = key };

	return submit_for(k, &b, opts, KVR_PREFIX | (pin ? (uint32_t)KVR_HOLD : 0), lookup_id, ret);
}

enum kvr_err
kvr_batched_get_non_blocking(struct kvr *k, const char *lookup_id, const char *const *key,
    uint32_t n, kvr_obj *obj, const struct kvr_opts *opts, kvr_op *ret)
{
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_GET, .n = n, .key = key, .obj = obj
	};

	return submit_for(k, &b, opts, KVR_PREFIX, lookup_id, ret);
}

static enum kvr_err
say_yes(struct kvr *k, const char *key, const char *call)
{
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	if (key == NULL || key[0] == '\0')
		err = kvr_bad(k, KVR_E_INVALID, "%s: no key", call);
	kvr_leave(k);
	return err;
}

enum kvr_err
kvr_pin(struct kvr *k, const char *key)
{
	return say_yes(k, key, "kvr_pin");
}

enum kvr_err
kvr_unpin(struct kvr *k, const char *key)
{
	return say_yes(k, key, "kvr_unpin");
}

enum kvr_err
kvr_remove(struct kvr *k, const char *key, bool force, uint64_t until_ns)
{
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_REMOVE, .n = 1, .key = &key };
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = force ? KVR_FORCE : 0, .until_ns = until_ns
	};

	return kvr_run(k, &b, &o, NULL, NULL);
}
