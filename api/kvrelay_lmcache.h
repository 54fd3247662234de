/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only those need who come from LMCache, or share a store with it: its key texts, and the
 * methods of its RemoteBackend under their own names. Nothing here can do what kvr_submit cannot.
 * What the head of kvrelay.h says of threads, time, structs and errors holds here too.
 */
#ifndef KVRELAY_LMCACHE_H
#define KVRELAY_LMCACHE_H

#include "kvrelay.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- LMCache's key texts, for callers that do not have the text already ---- */

enum kvr_hash_kind {
	KVR_HASH_INT64,   /* hash */
	KVR_HASH_BYTES,   /* hash_bytes, written with leading zeros, as vLLM's byte hashes are */
	KVR_HASH_NATURAL, /* hash_bytes as a number, most significant byte first */
	KVR_HASH_NEGATIVE /* the same, negated */
};

struct kvr_key_parts {
	uint32_t           size;
	uint32_t           dtype; /* enum kvr_dtype */
	const char        *engine; /* NULL: the text since February 2026; else that of late 2025 */
	const char        *model;
	int64_t            world_size, worker_id;
	int64_t            layer; /* -1: none. Must be set: zero is the first layer */
	int64_t            hash;  /* kvr_key_parse: 0 where it does not fit */
	const uint8_t     *hash_bytes;
	uint32_t           n_hash_bytes;
	uint32_t           hash_kind; /* enum kvr_hash_kind */
	uint32_t           n_tags, spare;
	const char *const *tag_name;
	const char *const *tag_value;
};

/*
 * Writes the text and its NUL. INVALID: parts that would not read back ('@' in the model); TOO_BIG:
 * longer than KVR_KEY_MAX; TOO_SMALL: longer than cap. Works everywhere.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_key_format(const struct kvr_key_parts *parts, char *ret_text,
    size_t cap);

/*
 * The reverse; ret->size must be set. The parts point into scratch, which must outlive them and
 * have room for the text, the hash and two pointers per tag: 4096 bytes are always enough, and
 * TOO_SMALL reports too few. TOO_BIG: longer than KVR_KEY_MAX. INVALID: not a key of LMCache's;
 * UNSUPPORTED: a key of its multi-process mode, which has other parts, or of a model with two '@'
 * or more, which LMCache writes and cannot read. Neither is logged. Keys that LMCache has written
 * since late 2025 come out of kvr_key_format unchanged, except that the old dtype fp8_e4m3 becomes
 * fp8_e4m3fn, its name since February 2026. Works everywhere.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_key_parse(const char *text, struct kvr_key_parts *ret,
    char *scratch, size_t cap);

/*
 * ---- the methods of LMCache's RemoteBackend: objects of the pool, failure is a miss ----
 *
 * Functions with until_ns block until then at most (0: as kvr_opts.until_ns says for a lookup, a
 * get or a removal) and are INVALID in a callback; the others do not wait. Besides the errors
 * listed with each they return those of kvr_submit.
 */

/* contains(): OK, MISS, or why it is not known (to LMCache that is a miss). pin: KVR_HOLD. */
KVR_API KVR_MUST_USE enum kvr_err kvr_contains(struct kvr *kvr, const char *key, bool pin,
    uint64_t until_ns);

/*
 * batched_contains(): ret_prefix is the number of leading hits and is written on every return, 0 if
 * nothing is known. One round trip per tier and, unlike LMCache's, it ends by until_ns. OK even
 * when keys are missing; else why it is not known.
 */
KVR_API enum kvr_err kvr_batched_contains(struct kvr *kvr, const char *const *key, uint32_t n,
    bool pin, uint64_t until_ns, uint32_t *ret_prefix);

/*
 * exists_in_put_tasks(): a put of this key was accepted and has not completed. A table lookup
 * without a round trip. Unlike LMCache's it knows puts of batches, and rewrites the key.
 */
KVR_API bool kvr_exists_in_put_tasks(struct kvr *kvr, const char *key);

/*
 * submit_put_task(): returns what kvr_submit does or, at once and without a callback, SKIPPED_MLA
 * (not the rank that writes), DUPLICATE (that key is being put; the newer data is dropped) or DOWN
 * (every tier is down and cooling). The caller may drop its reference as soon as this returns. done
 * may be NULL, and so may ret, in which case nobody waits for the outcome. The limit of a put
 * applies.
 */
KVR_API enum kvr_err kvr_submit_put_task(struct kvr *kvr, const char *key, kvr_obj obj,
    kvr_done_fn *done, void *done_arg, kvr_op *ret);

/*
 * batched_submit_put_task(): one operation and one callback with an outcome for each key; a key
 * that is already being put gets that put's outcome. SKIPPED_MLA and DOWN as above.
 */
KVR_API enum kvr_err kvr_batched_submit_put_task(struct kvr *kvr, const char *const *key,
    const kvr_obj *obj, uint32_t n, kvr_done_fn *done, void *done_arg, kvr_op *ret);

/* get_blocking(): an object with one reference, the caller's; on any failure *ret is 0. */
KVR_API KVR_MUST_USE enum kvr_err kvr_get_blocking(struct kvr *kvr, const char *key,
    uint64_t until_ns, kvr_obj *ret);

/*
 * batched_get_blocking(): ret[i] is an object with one reference, or 0, and then ret_err[i] (the
 * array may be NULL) says why. Hits after a miss are kept. One deadline for all keys, where LMCache
 * has one for each. OK if every key is, else the error of the first that is not.
 */
KVR_API enum kvr_err kvr_batched_get_blocking(struct kvr *kvr, const char *const *key, uint32_t n,
    uint64_t until_ns, kvr_obj *ret, int32_t *ret_err);

/* support_batched_...(): some tier is not down; the second one also needs a pool. */
KVR_API bool kvr_support_batched_async_contains(struct kvr *kvr);
KVR_API bool kvr_support_batched_get_non_blocking(struct kvr *kvr);

/* batched_async_contains(): a KVR_PREFIX lookup answered by done.prefix. opts as in kvr_submit. */
KVR_API KVR_MUST_USE enum kvr_err kvr_batched_async_contains(struct kvr *kvr,
    const char *lookup_id, const char *const *key, uint32_t n, bool pin,
    const struct kvr_opts *opts, kvr_op *ret);

/*
 * batched_get_non_blocking(): a KVR_PREFIX get into obj, which is filled as in kvr_batch before the
 * call returns. At the completion the first done.prefix objects hold data; the caller drops the
 * others.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_batched_get_non_blocking(struct kvr *kvr,
    const char *lookup_id, const char *const *key, uint32_t n, kvr_obj *obj,
    const struct kvr_opts *opts, kvr_op *ret);

/*
 * pin() and unpin(): always OK, without any effect, as LMCache's are always true. No tier is asked.
 * INVALID: no key.
 */
KVR_API enum kvr_err kvr_pin(struct kvr *kvr, const char *key);
KVR_API enum kvr_err kvr_unpin(struct kvr *kvr, const char *key);

/*
 * remove(): OK if a tier had it, MISS if none had and all could say so. Otherwise the error of a
 * tier that could not say, or PARTIAL if others removed it by the deadline: it may still be there.
 * It is ordered after all puts of the key that were accepted before, and a removed key does not
 * come back through what is written behind an answer, to tiers with "write": "back" or up into
 * faster ones: such writes are called off if not yet sent, and else waited for within the deadline.
 * A get or prefetch that is still unanswered when the remove is may bring the key up again, as
 * another process may.
 */
KVR_API enum kvr_err kvr_remove(struct kvr *kvr, const char *key, bool force, uint64_t until_ns);

#ifdef __cplusplus
}
#endif
#endif
