/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvrelay moves KV-cache chunks between an inference engine and its stores. This is the whole
 * interface: one call submits a batch of keys, one completion tells what became of each key.
 * LMCache's RemoteBackend methods are shorthands for it, at the end of the file.
 *
 *	kvr_open(&(struct kvr_options){ .size = sizeof(struct kvr_options),
 *	    .url = "redis://127.0.0.1:6379" }, 0, &kvr, why, sizeof(why));
 *	kvr_run(kvr, &batch, NULL, &done, &results);
 *	kvr_close(kvr, 0, KVR_DRAIN, NULL);
 *	kvr_free(kvr);
 *
 * These hold for every function that does not say otherwise:
 *
 * Threads   Any thread may call, several at once. In a child after fork() everything that takes an
 *           instance, and kvr_open if the parent ever opened one, answers KVR_E_FORKED. A callback
 *           may submit and cancel; what waits or closes is KVR_E_INVALID in there.
 * Time      until_ns is an instant of CLOCK_MONOTONIC in nanoseconds, never a duration. 0: the
 *           limit that the configuration sets for that kind of call (kvr_opts.until_ns says
 *           which). KVR_NOW: do not wait, which is for kvr_wait, kvr_quiet, kvr_layer_wait,
 *           kvr_alloc and kvr_close: an operation that has no time is KVR_E_TIMEOUT. Any other
 *           instant before kvr_open is KVR_E_INVALID, for it is a duration by mistake.
 * Blocking  A call without until_ns never waits for a store or a device, where nothing else is
 *           said. One with it comes back by then plus a few milliseconds, in which workers let
 *           go of the caller's memory; on a machine that is starved of CPU it may be more.
 * Structs   `size` comes first and is sizeof the struct as the caller was compiled; the first
 *           element's size is the stride of an array. Larger than this library knows is fine while
 *           the rest is zero. A member left zero means the default. There are no bit fields, no
 *           struct goes by value, and a struct with a size never stands inside another.
 * Keys      Texts of 1 to KVR_KEY_MAX bytes. They are stored as they are, unless the instance was
 *           told that they are LMCache's (KVR_KEYS_LMCACHE).
 * Inputs    Texts, arrays and structs are copied before a call returns. Only payload memory is
 *           used longer: from an accepted submission until its completion.
 * Outputs   Written on success only, where nothing else is said.
 * Handles   kvr_op and kvr_obj carry a generation: one that is gone is KVR_E_STALE, never somebody
 *           else's operation or data.
 * Errors    A call that is wrong in itself is KVR_E_INVALID and a line for the log function that
 *           says what was wrong; of many such lines in a second the first ten, and later how many
 *           there were. KVR_E_SHUTDOWN after kvr_close and KVR_E_DEAD after a broken
 *           invariant are possible wherever an instance is taken, and not repeated below.
 */
#ifndef KVRELAY_H
#define KVRELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KVR_API __attribute__((visibility("default")))
#define KVR_MUST_USE __attribute__((warn_unused_result))
#else
#define KVR_API
#define KVR_MUST_USE
#endif

#define KVR_VERSION_MAJOR 0U
#define KVR_VERSION_MINOR 1U
#define KVR_VERSION_PATCH 0U

#define KVR_KEY_MAX 512U /* bytes of a key, its NUL not counted */
#define KVR_DIMS_MAX 4U
#define KVR_WHY_MAX 112U /* bytes of kvr_done.why and kvr_health.why, the NUL counted */
#define KVR_NOW UINT64_C(1)
/* kvr_wait, kvr_layer_wait and kvr_quiet only: an operation always has a deadline. */
#define KVR_NEVER UINT64_MAX
#define KVR_NOWHERE_TIER UINT32_MAX /* kvr_results.tier: it was found in none */

typedef uint64_t kvr_op;  /* an accepted operation; 0: none */
typedef uint64_t kvr_obj; /* a counted memory object; 0: none */

struct kvr;       /* an instance: tiers, threads, pool, trace. A process may have several */
struct kvr_queue; /* where completions wait to be fetched; has a file descriptor */
struct kvr_pool;  /* the memory behind objects */
struct kvr_cache; /* an engine's paged KV cache, described once */

/* ---- errors ---- */

/* One list for calls and for keys. For a read, KVR_OK is the only hit. */
enum kvr_err {
	KVR_OK = 0,
	KVR_E_MISS = -1,         /* no tier has the key */
	KVR_E_TIMEOUT = -2,      /* the deadline passed */
	KVR_E_DOWN = -3,         /* the store is not connected; said at once while it cools down */
	KVR_E_PROTO = -4,        /* the peer broke its protocol */
	KVR_E_CORRUPT = -5,      /* a checksum or a seal does not fit: treat it as a miss */
	KVR_E_NOMEM = -6,        /* no slot of the pool, or no memory, is free */
	KVR_E_UNSUPPORTED = -7,  /* no tier can do this, or the instance has no pool (a scheduler's) */
	KVR_E_BUSY = -8,         /* too much is in flight, here or in the store; nothing was kept, try again later */
	KVR_E_INVALID = -9,      /* the call is wrong; the log says how */
	KVR_E_TOO_BIG = -10,     /* beyond a fixed limit: later will not help */
	KVR_E_LENGTH = -11,      /* the stored length is not the one asked for */
	KVR_E_IDENTITY = -12,    /* stored for another key, model, layout or serde */
	KVR_E_SKIPPED_MLA = -13, /* on purpose: with MLA only rank 0 writes */
	KVR_E_DUPLICATE = -14,   /* that key is being put already; nothing was accepted */
	KVR_E_EXISTS = -15,      /* KVR_IF_ABSENT, and the key was there */
	KVR_E_PARTIAL = -16,     /* put, remove: some tiers have done it, others failed */
	KVR_E_NOSPACE = -17,     /* the store is full */
	KVR_E_AUTH = -18,        /* the store does not let us in, or not do this */
	KVR_E_REFUSED = -19,     /* the store refused otherwise: read-only, loading, quota */
	KVR_E_CANCELLED = -20,   /* by kvr_cancel or kvr_cancel_request */
	KVR_E_SHUTDOWN = -21,    /* the instance is closed, or was while the operation ran */
	KVR_E_FORKED = -22,      /* called in a child of the process that opened the instance */
	KVR_E_DEAD = -23,        /* an invariant broke; the instance is poisoned, not the process */
	KVR_E_STALE = -24,       /* the operation or object behind the handle is gone */
	KVR_E_UNASKED = -25,     /* behind the first miss of a KVR_PREFIX operation */
	KVR_E_UNFINISHED = -26,  /* it goes on */
	KVR_E_STUCK = -27,       /* something hangs below the library: memory may still be touched */
	KVR_E_CONFIG = -28,      /* the configuration is wrong */
	KVR_E_TOO_SMALL = -29,   /* the caller's array is; nothing was consumed */
	KVR_E_DEVICE = -30       /* a copy from or to the device failed: treat it as a miss */
};

/* These five work everywhere, before kvr_open and in a forked child too. Texts are static. */
KVR_API const char *kvr_err_name(int32_t err); /* "TIMEOUT"; "?" for a number not in the list */
KVR_API const char *kvr_err_text(int32_t err); /* "the deadline passed" */
KVR_API bool        kvr_err_may_pass(int32_t err); /* the same call may succeed later */
KVR_API uint32_t    kvr_version(void);             /* major << 16 | minor << 8 | patch */
/*
 * Whether this build can do it: a URL scheme ("redis", "fs"), a serde ("zstd"), a layout ("sealed"),
 * "tls", "http", "cuda" or "estimate". False also for a name that it does not know, and for NULL.
 */
KVR_API bool kvr_has(const char *feature);

/* ---- what a payload is ---- */

/* LMCache's codes where it has one; those from 64 on are never written in its format. */
enum kvr_dtype {
	KVR_DT_NONE = 0,
	KVR_DT_HALF = 1,
	KVR_DT_FLOAT16 = 2,
	KVR_DT_BFLOAT16 = 3,
	KVR_DT_FLOAT32 = 4,
	KVR_DT_FLOAT64 = 5,
	KVR_DT_UINT8 = 6,
	KVR_DT_FP8_E4M3FN = 7,
	KVR_DT_FP8_E5M2 = 8,
	KVR_DT_FP8_E4M3FNUZ = 64,
	KVR_DT_FP8_E5M2FNUZ = 65,
	KVR_DT_INT8 = 66,
	KVR_DT_INT16 = 67,
	KVR_DT_INT32 = 68,
	KVR_DT_INT64 = 69,
	KVR_DT_BOOL = 70
};

enum kvr_format {
	KVR_FMT_UNDEFINED = 0,
	KVR_FMT_KV_2LTD = 1, /* tokens are dimension 2, counted from 0 */
	KVR_FMT_KV_T2D = 2,  /* dimension 0 */
	KVR_FMT_KV_2TD = 3,  /* dimension 1 */
	KVR_FMT_BINARY = 4,
	KVR_FMT_BINARY_BUFFER = 5,
	KVR_FMT_KV_MLA = 6,  /* dimension 2 */
	KVR_FMT_EC_TD = 7,
	KVR_FMT_HS_TD = 8
};

/* Layers of one shape. Groups lie back to back in the payload. This struct never grows. */
struct kvr_group {
	uint32_t dtype;  /* enum kvr_dtype */
	uint32_t n_dims; /* 1 to KVR_DIMS_MAX; the rest of dim is zero */
	uint64_t dim[KVR_DIMS_MAX];
};

/* Where one is asked for, NULL means plain bytes. */
struct kvr_layout {
	uint32_t                size;
	uint32_t                format;   /* enum kvr_format */
	uint32_t                n_groups; /* 1 to 8 */
	uint32_t                spare;
	const struct kvr_group *group;
};

/* ---- LMCache's key texts, for those who do not have the text already ---- */

enum kvr_hash_kind {
	KVR_HASH_INT64,   /* hash */
	KVR_HASH_BYTES,   /* hash_bytes, written with all their zeros: what vLLM's bytes become */
	KVR_HASH_NATURAL, /* hash_bytes are a number, highest byte first */
	KVR_HASH_NEGATIVE /* the same, below zero */
};

struct kvr_key_parts {
	uint32_t           size;
	uint32_t           dtype; /* enum kvr_dtype */
	const char        *engine; /* NULL: the text since February 2026; else that of late 2025 */
	const char        *model;
	int64_t            world_size, worker_id;
	int64_t            layer; /* -1: none. Zero is the first layer: this member must be set */
	int64_t            hash;  /* kvr_key_parse: 0 where it does not fit */
	const uint8_t     *hash_bytes;
	uint32_t           n_hash_bytes;
	uint32_t           hash_kind; /* enum kvr_hash_kind */
	uint32_t           n_tags, spare;
	const char *const *tag_name;
	const char *const *tag_value;
};

/*
 * Writes the text and its NUL. INVALID: parts that would not read back ('@' in the model), TOO_BIG:
 * over KVR_KEY_MAX, TOO_SMALL: cap. Works everywhere.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_key_format(const struct kvr_key_parts *parts, char *ret_text,
    size_t cap);

/*
 * The reverse; ret->size must be set. The parts point into scratch, which must outlive them and
 * needs room for the text, the hash and two pointers a tag: 4096 bytes are always enough, TOO_SMALL
 * says that it was not. INVALID: no key of LMCache (which is no fault); UNSUPPORTED: one of its
 * multi-process mode, which has other parts. What LMCache wrote since late 2025 comes out of
 * kvr_key_format again as it was, but for its dtype fp8_e4m3, which is fp8_e4m3fn since February
 * 2026. Works everywhere.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_key_parse(const char *text, struct kvr_key_parts *ret,
    char *scratch, size_t cap);

/* ---- an instance ---- */

enum kvr_role {
	KVR_WORKER,
	KVR_SCHEDULER /* no pool, as LMCache's scheduler; the caller's own memory still moves */
};

enum kvr_keys {
	KVR_KEYS_OPAQUE, /* or what the configuration says */
	KVR_KEYS_LMCACHE /* parsed, and with MLA rewritten to worker 0; see kvr_submit */
};

/*
 * Who this process is, and what a sealed value must agree on: model, revision, engine and salt, which
 * are written and compared as one. Who gives none of them reads what anybody wrote; who gives one reads
 * only what was written with the same four, NULL and "" alike. What the configuration says differently
 * is KVR_E_CONFIG.
 */
struct kvr_identity {
	uint32_t    size;
	uint32_t    role;       /* enum kvr_role */
	uint32_t    keys;       /* enum kvr_keys */
	uint32_t    world_size; /* 0: not said; then worker_id counts as not said either */
	uint32_t    worker_id;
	uint32_t    use_mla;
	const char *model;
	const char *revision; /* of the weights */
	const char *engine;   /* name and version, where its layout of the cache depends on them */
	const char *salt;     /* tenant: values of another salt are KVR_E_IDENTITY */
};

enum kvr_level { KVR_LEVEL_ERROR, KVR_LEVEL_WARN, KVR_LEVEL_INFO, KVR_LEVEL_DEBUG };

struct kvr_options {
	uint32_t                   size;
	uint32_t                   n_set;
	const char                *config_file; /* exactly one of these three: a path, */
	const char                *config_text; /* the JSON itself, */
	const char                *url;         /* one store */
	const char *const         *set; /* n_set "tiers.remote.timeout=500ms"; they beat the file */
	const struct kvr_identity *identity;
	const struct kvr_layout   *layout; /* of a full chunk; may come later by kvr_set_layout */
	/*
	 * One line without a newline, level is a kvr_level; called by any thread, one at a time. It
	 * must not call a function that takes an instance. log.level in
	 * the configuration says which lines are made. While one call does not return for more than a
	 * second, other lines are lost, and counted in the next one; a thread of the library that hangs
	 * there is STUCK for kvr_close. One of yours that hangs there in a call, kvr_close waits for. What
	 * is said of states that change comes from the notifier thread, behind callbacks that run.
	 * NULL: to standard error, for which nobody waits: what a full pipe does not take is lost and
	 * counted. Where it was closed at the first kvr_open of the process, lines go nowhere.
	 */
	void (*log)(void *arg, int level, const char *line);
	void *log_arg;
	/*
	 * The pool's memory, taken part by part as it is needed and given back by kvr_free. mem_get
	 * answers NULL when there is no more. They may not call what takes an instance, nor wait
	 * long: operations stand still meanwhile. NULL: mapped by the library, and never page-locked,
	 * for the pool grows on any thread, whatever device is current there or what graph it captures.
	 * An engine that copies between objects and a device answers with memory that it has locked
	 * itself or by kvr_memory_register.
	 */
	void *(*mem_get)(void *arg, size_t len, size_t align);
	void (*mem_put)(void *arg, void *at, size_t len);
	void *mem_arg;
};

/*
 * Reads the configuration, starts threads and begins to connect. A store that is down is no
 * failure: its tier heals by itself later. No thread, file or state of the library exists before
 * this call. until_ns (0: 10 s) bounds the call; an instant that has passed is INVALID, as is KVR_NEVER.
 *
 * After the first call some threads of the queue library below, which sleep, live as long as the
 * process. So dlclose leaves the library loaded, and a module that it is linked into statically has to
 * be linked with -z nodelete.
 *
 * ret_why (may be NULL when why_cap is 0) says on failure where and what, for a configuration
 * file:line:column (what only a store knows of its URL: its tier). CONFIG: what is wrong there;
 * INVALID: the call; NOMEM: memory, threads or descriptors; TIMEOUT; FORKED.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_open(const struct kvr_options *options, uint64_t until_ns,
    struct kvr **ret, char *ret_why, size_t why_cap);

/*
 * The shape of a full chunk, for engines that learn their layer groups late. It sizes the slots, so
 * it comes once, before the first object: else INVALID, as for a layout that is none. INVALID also
 * when a tier in LMCache's format has a header for another number of groups: such a layout has to
 * be given to kvr_open.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_set_layout(struct kvr *kvr,
    const struct kvr_layout *full_chunk);

/*
 * Changes what is read at every use, in a running instance: "timeouts.blocking=2s" (and lookup,
 * put), "limits.put_bytes=1GiB", "tiers.far.timeout=300ms", "tiers.far.breaker.faults=3" (and
 * backoff_min, backoff_max); in LMCache's flat form also its own names: blocking_timeout_secs,
 * lookup_timeout_ms, ping_timeout, ping_interval, get_blocking_failed_threshold,
 * waiting_time_for_recovery. It counts for what is submitted afterwards. Does not wait.
 * INVALID: n without set, or a NULL among its texts.
 * All n or none: CONFIG, and ret_why (as of kvr_open) says which is wrong, or fixed since kvr_open.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_change(struct kvr *kvr, const char *const *set, uint32_t n,
    char *ret_why, size_t why_cap);

enum kvr_close_mode {
	KVR_DRAIN, /* what was accepted may finish, write-back included, until until_ns */
	KVR_ABORT  /* everything ends now, with KVR_E_SHUTDOWN or what had happened by then */
};

struct kvr_close_report {
	uint32_t size;
	uint32_t stuck_threads;
	uint64_t finished;  /* operations that had a result of their own after the call began */
	uint64_t dropped;   /* that were ended by it */
	uint64_t not_quiet; /* keys whose memory must stay mapped until exit */
};

/*
 * Stops admission at once, answers every operation by until_ns (0: timeouts.put), ends and
 * joins every thread of the instance. Caches, queues, objects and threads in kvr_wait may be there
 * still. A second call, also one at the same time, returns the first
 * one's report, or TIMEOUT where that is not there by until_ns; ret may be NULL. The instance stays
 * valid for kvr_drain, kvr_wait, kvr_layer_wait and the object functions, so that results and memory
 * can be fetched; everything else is SHUTDOWN, where it does not say that it works.
 *
 * STUCK: a thread hangs in a call below the library, in a callback or in the log function, and did
 * not come back in the grace that it is given: a second after until_ns where it may be in the middle
 * of something, some five where it has only to end. Only then may a blocking call return while its
 * memory is in use; such completions carry STUCK and no KVR_DONE_QUIET.
 * INVALID: no such mode, the size of the report, KVR_NEVER, in a callback.
 * LMCache's close(), with a bound and an answer for everything.
 */
KVR_API enum kvr_err kvr_close(struct kvr *kvr, uint64_t until_ns, uint32_t mode,
    struct kvr_close_report *ret);

/*
 * Frees instance, queues, caches and pool, and closes with KVR_ABORT first if nobody did, in five
 * seconds (and the grace of kvr_close where a thread hangs). What a thread may
 * touch that is still stuck is leaked on purpose, and logged. When it returns, nothing of the
 * caller's is called any more, by a thread that is left behind neither; a log function that it
 * hangs in is still running. No other call may be running or come after.
 * NULL is fine. In a forked child it does nothing.
 */
KVR_API void kvr_free(struct kvr *take);

/* ---- memory objects: slots of the pool, counted ---- */

/*
 * The pool of the instance, as long as the instance. NULL: a scheduler, memory.objects is "0B", or a
 * forked child; functions that are given that NULL answer UNSUPPORTED.
 */
KVR_API struct kvr_pool *kvr_get_allocator_backend(struct kvr *kvr);

/*
 * A new object with one reference, the caller's, and 4096-aligned memory that is not cleared.
 * layout NULL: len plain bytes; else len bytes of that shape, 0: all of it, less: fewer tokens.
 * Waits for a free slot until until_ns (0: the limit of a blocking call) and never evicts:
 * NOMEM (KVR_NOW) or TIMEOUT. TOO_BIG: more than the pool could ever give; INVALID: a layout that
 * is none, len 0 without one, or no whole number of tokens. Answers also while the instance drains.
 * LMCache's allocate(busy_loop), bounded.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_alloc(struct kvr_pool *pool, const struct kvr_layout *layout,
    size_t len, uint64_t until_ns, kvr_obj *ret);
/*
 * One reference more, one less: with the last one the memory goes back to the pool. STALE: the
 * object is gone (one reference too many was dropped).
 */
KVR_API enum kvr_err kvr_ref(struct kvr_pool *pool, kvr_obj obj);
KVR_API enum kvr_err kvr_unref(struct kvr_pool *pool, kvr_obj obj);
/* Counted too: an object lives while it has a reference or a pin. INVALID: none to undo. */
KVR_API enum kvr_err kvr_obj_pin(struct kvr_pool *pool, kvr_obj obj, bool pin);
/*
 * Fewer bytes, in whole tokens where there is a layout; the memory behind them stays the object's.
 * INVALID: more than it has, zero, or no whole number of tokens. BUSY: an operation is using it.
 */
KVR_API enum kvr_err kvr_obj_shrink(struct kvr_pool *pool, kvr_obj obj, size_t len);

struct kvr_obj_info {
	uint32_t                size;
	uint32_t                format;   /* enum kvr_format */
	uint32_t                n_groups; /* 0: plain bytes */
	uint32_t                refs;     /* those of operations in flight included */
	uint32_t                pins, spare;
	void                   *at;   /* valid while the caller holds a reference */
	uint64_t                len;  /* bytes that count; after a get: what was found */
	uint64_t                room; /* bytes of the slot */
	const struct kvr_group *group; /* with the tokens of len; lives as long as the object */
};
/* ret->size must be set. */
KVR_API KVR_MUST_USE enum kvr_err kvr_obj_look(struct kvr_pool *pool, kvr_obj obj,
    struct kvr_obj_info *ret);

/* ---- the caller's own memory, page-locked ---- */

/*
 * Page-locks [at, at + len) of the host's memory for the instance's device (memory.device) until
 * kvr_memory_unregister or kvr_close. An engine's own asynchronous copies between a device and that
 * memory then are asynchronous, at the speed of the link; and a batch whose places (at) all lie in there
 * does not ask the driver where each one is. The library's copies gain nothing: theirs go between the
 * device and staging, which is page-locked, and between this memory and a store there is none.
 *
 * It has to be mapped until then; its content may be used by anybody meanwhile, operations too. Whole
 * pages are locked, so no two may share one. It is the caller's memory, and no part of the sum that
 * `kvrelay config check` prints. A driver locks at most 64 GiB in one piece, and a copy by the engine
 * must not reach from one into the next: they begin at the first page and every 64 GiB from there.
 * EIC is not told: its SDK is handed staging only, for its calls cannot be ended.
 *
 * An instance without a device (none, or auto where there is no driver) locks nothing and refuses the
 * same mistakes: an engine need not know on which machine it runs.
 *
 * Blocks while the driver works, some tenths of a second for each GiB; until_ns (0: a minute) is looked
 * at between pieces. Call it where the engine's device is current. Never in a callback.
 * INVALID: no memory, not all of it mapped, a device's; it shares pages with what is registered; the
 * driver has it locked for somebody else, or cannot lock memory of this kind. BUSY: 64 ranges of an
 * instance. NOMEM: the driver locks no more. TIMEOUT. DEVICE: the device is lost. The log has the words.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_memory_register(struct kvr *kvr, void *at, size_t len,
    uint64_t until_ns);
/*
 * The reverse, for all that was registered by this first byte; then it may be unmapped. Blocks while
 * the driver works. INVALID: no such thing; in a callback. BUSY, and the log says which: an operation
 * with a place in there has not completed, a kvr_cache or memory of mem_get lies in it, another thread
 * is registering it. kvr_close gives back what nobody uses, so afterwards there is nothing to do.
 */
KVR_API enum kvr_err kvr_memory_unregister(struct kvr *kvr, void *at);

/* ---- paged KV caches: payload where the engine keeps it ---- */

/* DEVICE: of the instance's device (memory.device); UNSUPPORTED where it has none. */
enum kvr_memory { KVR_MEMORY_HOST, KVR_MEMORY_DEVICE };

enum kvr_cache_order {
	KVR_CACHE_LAYERS, /* base: one for each layer; its planes lie in there */
	KVR_CACHE_PLANES, /* base: one for each plane of each layer: K and V of layer 0, then of 1, ... */
	KVR_CACHE_BLOCKS  /* base: one; a block has all layers, and a layer in it both planes */
};

/*
 * One group of layers of one shape. Token t of a block, in layer l and plane p (K is 0, V is 1),
 * head h: head_size elements side by side at base[...] + l * layer_stride + p * plane_stride +
 * block * block_stride + t * token_stride + h * head_stride. Strides are bytes; one that is 0 is
 * that of a dense cache:
 *
 *	LAYERS   [plane, block, token, head]         FlashInfer's [block, plane, token, head]: give
 *	                                             plane_stride (a block) and block_stride (two)
 *	PLANES   [block, token, head]
 *	BLOCKS   [block, layer, plane, token, head]
 *
 * Heads before tokens in a block: head_stride is block_tokens heads, token_stride one head. With
 * MLA there is one plane, one head and format KV_MLA.
 *
 * Several groups, for models whose layers are not alike (full and sliding attention, MLA and its
 * index): a shape for each, the first one names the next. A chunk then has all groups, back to back in
 * this order, each laid out as if it were alone; it is what LMCache stores under several shapes. A
 * tier in LMCache's format with headers needs the same groups in kvr_options.layout.
 */
struct kvr_cache_shape {
	uint32_t     size;
	uint32_t     order;        /* enum kvr_cache_order */
	uint32_t     format;       /* of the chunks: KV_2LTD, KV_MLA; of one layer: KV_T2D, KV_2TD */
	uint32_t     dtype;        /* enum kvr_dtype */
	uint32_t     n_layers, n_planes, n_heads, head_size; /* of this rank; layers x planes to 1024 */
	uint32_t     block_tokens; /* tokens of one block; slots without blocks: 1 */
	uint32_t     n_blocks;     /* that the cache has: a larger number in a table is refused */
	uint32_t     layerwise;    /* KV_MLA: 1: a chunk has one layer. KV_T2D, KV_2TD have anyway */
	uint32_t     n_base;       /* as order wants it */
	uint32_t     memory;       /* enum kvr_memory: where base points */
	uint32_t     spare;
	void *const *base;
	uint64_t     layer_stride, plane_stride, block_stride, token_stride, head_stride;
	/*
	 * With several groups: which layers of the model these are, n_layers numbers; for KVR_LAYERS,
	 * which goes by them. All groups have it or none, and no number from 0 on is left out or there
	 * twice. NULL: they count on from the group before.
	 */
	const uint32_t               *number;
	const struct kvr_cache_shape *next; /* the next group, to 8 in all; same format and memory */
};

/*
 * Lives until kvr_cache_close or kvr_free, and so must the memory. At most 64 of an instance: BUSY.
 * INVALID: a shape that is none, and the log says which member and of which group. UNSUPPORTED: no
 * device. NOMEM.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_cache_open(struct kvr *kvr,
    const struct kvr_cache_shape *shape, struct kvr_cache **ret);
/*
 * BUSY: an operation moves tokens of it, and nothing was done. No other call may name it meanwhile.
 * NULL is fine. Works after kvr_close too, but not after kvr_free, which has freed it.
 */
KVR_API enum kvr_err kvr_cache_close(struct kvr_cache *take);

/*
 * The payload of a batch as tokens of a cache. Key i is a chunk of len[i] bytes, which is a whole
 * number of tokens, those that begin with token first[i] of the table. A token has n_layers (1 in
 * chunks of one layer) * n_planes * n_heads * head_size elements, in a cache of several groups the
 * sum over them. What the chunk looks like in the store is the shape's format and has nothing to do
 * with blocks.
 *
 * Chunks of one layer: key i is of layer[i]. A batch for each layer, all submitted at once, has a
 * completion for each layer, and those of the first layers come first.
 */
struct kvr_tokens {
	uint32_t          size;
	uint32_t          n; /* entries of slot or of block */
	struct kvr_cache *cache;
	/*
	 * One of these two. slot: where each token lies, block * block_tokens + place in the block.
	 * A get leaves out tokens with a negative slot; a put has no such. block: the block table,
	 * token t lies in block[t / block_tokens], at t % block_tokens.
	 */
	const int64_t    *slot;
	const int32_t    *block;
	const uint32_t   *first; /* one for each key. NULL: each begins where the one before ends */
	/*
	 * Formats of one layer. NULL: key i is of layer i % n_layers, and the n_layers keys of a
	 * chunk share its tokens (per_chunk is n_layers then). With it, first is needed too.
	 */
	const uint32_t   *layer;
	/*
	 * Memory of a device: a cudaEvent_t that the engine has recorded behind its last kernel that
	 * writes or reads these tokens. Copies wait for it on the device, nobody on the host does. It
	 * must live until the completion. One that was never recorded is waited for by nobody, and one
	 * that a captured graph has recorded is none to wait for. NULL: they may begin now.
	 */
	void             *ready;
	/*
	 * A cache of several groups: where the same tokens lie in the next group, which has blocks of
	 * its own. In there only size, n, next, and slot or block are set.
	 */
	const struct kvr_tokens *next;
};

/* ---- the one submission call ---- */

enum kvr_kind {
	KVR_LOOKUP,  /* is it there? */
	KVR_GET,     /* bring it */
	KVR_PUT,     /* store it */
	KVR_REMOVE,  /* from every tier, after what is still being written: see kvr_remove */
	KVR_SIZE,    /* how long is it? moves no payload */
	KVR_PREFETCH /* bring it to the first tier that keeps what it is given */
};

enum kvr_flag {
	KVR_PREFIX = 1,    /* reads: stop at the first chunk not whole; later keys are UNASKED */
	KVR_AT_MOST = 2,   /* GET: len is room, less is a hit; without it that is KVR_E_LENGTH */
	KVR_HOLD = 4,      /* LOOKUP: keep it until the lease ends, where a tier can */
	KVR_IF_ABSENT = 8, /* PUT: ask first, send only what is missing */
	KVR_EARLY = 16,    /* two completions: the result by the deadline, then a DONE_QUIET */
	KVR_FORCE = 32,    /* REMOVE: also what is held */
	KVR_LAYERS = 512,  /* GET, PUT of tokens, chunks of all layers: layer by layer; see kvr_layer_wait */
	/*
	 * GET, PUT of at or tokens: a completion ahead of the others, as soon as all copies have begun.
	 * Of a get it has the outcome of each key; behind a put's the memory may be overwritten: see
	 * kvr_batch.recorded
	 */
	KVR_RECORD = 1024
};

/*
 * GET and PUT need keys, len and one of at, obj (which has its own lengths) and tokens. The other
 * kinds need keys, and do not look at what is about payload.
 */
struct kvr_batch {
	uint32_t           size;
	uint32_t           kind;      /* enum kvr_kind */
	uint32_t           n;         /* keys, at most 65,536 (puts: three quarters); 0 is fine */
	uint32_t           per_chunk; /* keys in a row that make a chunk (layers, ranks); 0: 1 */
	const char *const *key;  /* n texts; or NULL, and */
	const char        *keys; /* n texts, each with its NUL: one join instead of n conversions */
	/*
	 * GET, PUT: n places, which a PUT only reads; or NULL, and obj. All in the host's memory, or
	 * all in that of the instance's device (memory.device), managed memory included: such payloads
	 * go through slots of the staging memory, as tokens do. An instance with a device asks its
	 * driver for each place, on the calling thread, whatever device that thread has chosen; one
	 * without takes every place for the host's.
	 */
	void *const       *at;
	/*
	 * n lengths in bytes of what stands at these places, below 4 GiB. A GET of at or tokens wants
	 * a value of just that length; with KVR_AT_MOST this is the room, and kvr_results.len what came.
	 */
	const uint64_t    *len;
	/*
	 * n objects. The library holds references of its own until the completion. PUT stores what
	 * kvr_obj_info.len says. GET reads into the object's memory, with KVR_AT_MOST for all of
	 * its slot, else for exactly len; what is 0 becomes a new object before the call returns,
	 * as large as a full chunk (before that is known: as the largest value seen), shorter once
	 * the value is there. It has one reference, the caller's, whatever becomes of its key. With
	 * the pool empty it stays 0 and its key is KVR_E_NOMEM.
	 */
	kvr_obj                 *obj;
	const struct kvr_layout *layout; /* with at: of a full chunk. NULL: the instance's */
	/*
	 * GET, PUT: in the place of at and obj, with len. Such payloads go through slots of the
	 * staging memory, where TOO_BIG is a chunk larger than all of it. A tier
	 * with a serde needs room for two at a time, else NOMEM.
	 */
	const struct kvr_tokens *tokens;
	/*
	 * GET, PUT with at in a device's memory: what kvr_tokens.ready is for tokens, an event behind
	 * the last kernel that writes or reads these places. NULL: copies may begin now.
	 * Addresses of a device that somebody has reset since are DEVICE as well, until one that is new
	 * has been named: then an old one is any address, and most are memory that nobody has.
	 */
	void                    *ready;
	/*
	 * With KVR_RECORD and the memory of a device, at or tokens: a cudaEvent_t of that device,
	 * which the library records behind its copies into this memory. It may be waited for (by
	 * cudaStreamWaitEvent) from the completion with KVR_DONE_RECORDED on, and not before: until
	 * then it stands for what was recorded last time, or for nothing. Giving the memory or the event
	 * back comes after KVR_DONE_QUIET, as ever. A completion with the end follows.
	 *
	 * GET: what is in front of it was verified before it was copied, so a stream behind it may read
	 * all keys that are KVR_OK in that completion; writing to them, and reading them by other ways,
	 * comes after KVR_DONE_QUIET. The end differs where the device failed in the middle of a copy:
	 * such a key is DEVICE there (or STUCK, TIMEOUT, CANCELLED), and what was computed from it is
	 * worth nothing. No other tier is asked for it then.
	 *
	 * PUT: all that the library reads of this memory is read in front of it, so a stream behind it
	 * may overwrite the memory of every key, long before a store has it. Keys of that completion are
	 * KVR_E_UNFINISHED, and the end tells what became of them; those that need not be copied
	 * (EXISTS) or could not be have their outcome already. It comes when the last of the batch has
	 * a place in the staging memory: a batch that is longer than that waits for stores. With
	 * KVR_LAYERS it comes behind the last layer.
	 *
	 * Operations that run at the same time have an event each. NULL in the host's memory, where
	 * the same completions come: there the copies of tokens are over when the first one does. Places
	 * in the host's memory are not copied: then a put has none ahead of its end.
	 */
	void                    *recorded;
};

/* The caller's arrays, each may be NULL. Entry done.first + i is key i. */
struct kvr_results {
	uint32_t  size;
	uint32_t  cap;  /* entries that each array has */
	uint32_t  need; /* out, with TOO_SMALL: entries that the next completion needs */
	uint32_t  spare;
	int32_t  *err;
	/*
	 * Bytes of a key that is KVR_OK: delivered (GET), stored (PUT), found (SIZE), read (PREFETCH; 0
	 * where nothing had to be). Else 0: of a LOOKUP and a REMOVE too, which ask for none.
	 */
	uint64_t *len;
	/*
	 * Where it was found, counted from 0 as configured; of a PUT one that took it. Else, and of a
	 * REMOVE, KVR_NOWHERE_TIER.
	 */
	uint32_t *tier;
	/*
	 * GET with KVR_LAYERS: how many leading layers of the key are in the cache, verified: all where
	 * it is KVR_OK; where it is not, these are right and of the others nothing is known. Else 0.
	 */
	uint32_t *layers;
};

enum kvr_done_flag {
	KVR_DONE_QUIET = 1,     /* the memory is the caller's again: always but for EARLY's first */
	KVR_DONE_HELD = 2,      /* KVR_HOLD was granted for every hit */
	KVR_DONE_DUPLICATE = 4, /* some keys were being put already: they have that put's outcome */
	KVR_DONE_DEGRADED = 8,  /* a tier was left out */
	KVR_DONE_RECORDED = 16  /* KVR_RECORD: kvr_batch.recorded stands behind all that it was asked for */
};

struct kvr_done {
	uint32_t size;
	uint32_t kind;  /* enum kvr_kind */
	uint32_t flags; /* enum kvr_done_flag */
	int32_t  err;   /* KVR_OK when every key is; else that of the first key that is not */
	kvr_op   op;
	uint64_t tag;   /* the caller's, from kvr_opts */
	uint64_t bytes; /* GET, PUT: payload bytes of the keys that are KVR_OK; else 0 */
	uint64_t took_ns; /* from its submission to this completion */
	uint32_t first;   /* where its keys begin in kvr_results */
	uint32_t n, n_ok; /* keys, and those that are KVR_OK */
	uint32_t prefix;  /* leading chunks (kvr_batch.per_chunk keys each) of which every key is KVR_OK */
	/*
	 * The store's own words about err, cut; "" if there are none. With several tiers the name of the
	 * one that speaks stands before them, and where it was left out (DOWN, PARTIAL) for how long it
	 * is not asked. PARTIAL: of a tier that failed. TIMEOUT: which tier had the call when its time
	 * was over; "" where none had, for it waited in the library.
	 */
	char     why[KVR_WHY_MAX];
};

/*
 * Runs on the instance's notifier thread, one at a time: one that takes long holds up the others, and
 * no store. done and results live for the call; all arrays of results are there. It may submit, cancel
 * and use objects.
 */
typedef void kvr_done_fn(void *arg, const struct kvr_done *done, const struct kvr_results *results);

struct kvr_opts {
	uint32_t          size;
	uint32_t          flags; /* enum kvr_flag */
	/*
	 * The deadline of the whole operation. 0: from now on timeouts.lookup for a LOOKUP (3 s where
	 * the configuration does not say), timeouts.put for a PUT (60 s), timeouts.blocking for all
	 * others (10 s).
	 */
	uint64_t          until_ns;
	uint64_t          tag;   /* comes back in the completion; known before it can come */
	struct kvr_queue *queue; /* the completion goes here, or */
	kvr_done_fn      *done;  /* to this, or, both NULL, to kvr_wait */
	void             *done_arg;
	const char       *request; /* id of the engine's request, for kvr_cancel_request */
};

/*
 * Never blocks and does no I/O. KVR_OK: exactly one completion will come (two with KVR_EARLY),
 * whatever happens, kvr_close included. Until then the payload memory is lent to the library; from
 * then on the library does not touch it. A copy that a device has begun cannot be called back: where
 * one is not over 100 ms behind the deadline, for the device hangs or ready is not reached, there
 * are two as with KVR_EARLY: the first without KVR_DONE_QUIET, its keys STUCK. Any other answer: no completion, nothing was kept. What
 * befalls a single key (DOWN, LENGTH, SKIPPED_MLA, ...) is told by the completion, not here.
 *
 * With KVR_RECORD there is one more, in front of these and without KVR_DONE_QUIET; but none where every
 * copy had ended, or nothing was found, before it could be told. Of a get KVR_DONE_RECORDED, if a key is
 * KVR_OK, then stands in the first of the others; a put that has it in none needs no event, for its
 * memory is the caller's again. Such an operation counts its keys twice.
 *
 * opts NULL: all of it left zero. ret NULL without queue and callback: nobody will ask, the result
 * is forgotten.
 *
 * BUSY: 1,024 operations or 65,536 keys are in flight, or what the configuration sets; puts get
 * at most three quarters of each, so that lookups and gets always find room. A completion that
 * nobody fetches counts as in flight.
 * TOO_BIG: more keys than could ever be accepted, a key over KVR_KEY_MAX, a payload of 4 GiB, more
 * than 4,194,304 runs of slots, per_chunk over 65,535.
 * INVALID: an unknown kind or flag, a key that is empty or (KVR_KEYS_LMCACHE) not LMCache's, no
 * place for the payload, places in the host's and in a device's memory at once or in another device,
 * a slot or block that the cache does not have, a queue of another instance, a deadline that is no
 * instant or KVR_NEVER.
 * STALE: an object that is gone. UNSUPPORTED: objects with a scheduler, places in the memory of a
 * device that the instance could not take.
 *
 * With KVR_KEYS_LMCACHE, use_mla and a worker_id that is not 0, every key is rewritten to worker
 * 0, its other fields kept, in reads and removals of every form; the keys of a put are all
 * SKIPPED_MLA. (LMCache rewrites in some of its methods only, and loses the layer.)
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_submit(struct kvr *kvr, const struct kvr_batch *batch,
    const struct kvr_opts *opts, kvr_op *ret);

/*
 * Waits for an operation without queue and callback until until_ns (0 and KVR_NEVER: as long as it
 * takes, which its deadline bounds), writes its outcome and forgets it. ret and res may be NULL.
 * With KVR_EARLY or KVR_RECORD it returns at the first completion and, called again, at the next. The
 * first of a put with KVR_RECORD is UNFINISHED, too, and has KVR_DONE_RECORDED; where until_ns has come,
 * ret is as it was: set its flags to 0 before.
 *
 * The value is ret->err: KVR_OK when every key is. But UNFINISHED: not over yet; STALE: over and
 * fetched already, for of several threads that wait one gets it; TOO_SMALL: res->need entries are
 * needed, nothing was fetched; INVALID: an operation with a queue or a callback, a size that is not
 * set, in a callback. Works after kvr_close.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_wait(struct kvr *kvr, kvr_op op, uint64_t until_ns,
    struct kvr_done *ret, struct kvr_results *res);

/*
 * kvr_submit and kvr_wait in one. Returns when the operation is complete and its memory is the
 * caller's again, by the deadline plus a few milliseconds; with KVR_EARLY or KVR_RECORD at the first
 * completion, and kvr_wait with ret->op waits for the others. opts may have no queue and no callback.
 * TOO_SMALL is answered before anything happens: res->cap must be at least batch->n. Without
 * KVR_EARLY, KVR_RECORD and KVR_LAYERS this thread may do a lane's part of it, rather than sleep until
 * it is done: on its own stack (32 KiB are enough) and with pthread_cancel put off.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_run(struct kvr *kvr, const struct kvr_batch *batch,
    const struct kvr_opts *opts, struct kvr_done *ret, struct kvr_results *res);

/*
 * Layer by layer, for chunks of all layers: an engine computes on the first layers while the others
 * come, and gives its first layers away while it computes the others. Layers are counted from 0, as
 * the model has them.
 *
 * A get with KVR_LAYERS copies the first layer of the chunks that have come, then their second, and so
 * on; keys travel in parts of up to 16 keys or 8 MiB, and a layer of all keys is there when the last
 * part has it. What is told of has been verified: the checksums of a sealed value stand behind it, so
 * a value's first layer comes when all of the value has arrived and been checked, whatever order its
 * layout has, and what overlaps with the engine's work is the copying and the parts behind it. For
 * words while values arrive, store chunks of one layer: see kvr_tokens.
 *
 * A put with KVR_LAYERS fetches a layer when kvr_layer_ready has named it, and sends a chunk when it
 * has all of them. It has its staging memory from the beginning, and ends by its deadline like any
 * other; the timeout of a tier begins when all layers are there. With "write": "back" only, the same
 * holds for what is kept until the answer.
 */

/*
 * Waits until layer `layer` of every key of a get with KVR_LAYERS is in the cache, or until_ns (0 and
 * KVR_NEVER: the get's end). ret_keys (may be NULL) is written with OK, UNFINISHED and the get's error:
 * the number of leading keys that have the layer. A device's memory has it then too: copies are over,
 * not only begun.
 *
 * UNFINISHED: until_ns has come. STALE: the operation is over and its completion has been fetched.
 * Another error is that of the get, which is over: some key does not have this layer and will not get
 * it; kvr_results.layers, with the completion, tells of each key how many it has. A key that no tier
 * has is known at the end of the get. INVALID: no get with KVR_LAYERS, no such layer, in a callback.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_layer_wait(struct kvr *kvr, kvr_op op, uint32_t layer,
    uint64_t until_ns, uint32_t *ret_keys);

/*
 * To a put with KVR_LAYERS: every layer up to this one is in the cache, and may be fetched. Each layer
 * has to be named, or a later one. Does not wait. event (memory of a device; else NULL): a cudaEvent_t
 * that the engine has recorded behind what writes the layers that it names first, and that lives until
 * the completion; NULL: they are written.
 *
 * STALE: the put is over (it failed, its deadline passed, another rank writes). INVALID: no put with
 * KVR_LAYERS, no such layer, an event for the host's memory. Works while kvr_close waits.
 */
KVR_API enum kvr_err kvr_layer_ready(struct kvr *kvr, kvr_op op, uint32_t layer, void *event);

/*
 * A wish: the completion still comes, soon, with CANCELLED for the keys that had no outcome yet; the
 * payload memory is lent until then. Does not wait. STALE: it was over.
 */
KVR_API enum kvr_err kvr_cancel(struct kvr *kvr, kvr_op op);
/* The same for every operation submitted with this request. MISS: none is under way. INVALID: NULL. */
KVR_API enum kvr_err kvr_cancel_request(struct kvr *kvr, const char *request);

/*
 * Waits until what was accepted before this call is complete and its memory quiet. Admission goes
 * on. until_ns 0: the limit of a put. TIMEOUT: ret_left operations are not; it may be NULL, and is 0
 * with KVR_OK.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_quiet(struct kvr *kvr, uint64_t until_ns,
    uint64_t *ret_left);

/* ---- queues ---- */

/* Lives until kvr_free. At most 64 of an instance: BUSY. NOMEM: no descriptor, no memory. */
KVR_API KVR_MUST_USE enum kvr_err kvr_queue_open(struct kvr *kvr, struct kvr_queue **ret);
/* Readable while completions wait. To be polled, never read or closed. -1 in a forked child. */
KVR_API int kvr_queue_fd(const struct kvr_queue *queue);
/* Makes it readable until the next kvr_drain, for something the caller's loop should see. */
KVR_API void kvr_queue_wake(struct kvr_queue *queue);
/*
 * Never waits. Writes up to max completions in the order in which they came, and returns how many;
 * 0 when there is none; KVR_E_INVALID or KVR_E_FORKED, which are below 0. Of several threads that
 * drain one queue each gets some of them. ret[0].size must be set and is the stride. The keys of the
 * k-th are entries ret[k].first and following of res (which may be NULL), and it stops before a
 * completion whose keys do not fit into what is left: if that is the first, it returns
 * KVR_E_TOO_SMALL with res->need. Works after kvr_close.
 */
KVR_API int kvr_drain(struct kvr_queue *queue, struct kvr_done *ret, uint32_t max,
    struct kvr_results *res);

/*
 * ---- the methods of LMCache's RemoteBackend: objects of the pool, failure is a miss ----
 *
 * Those with until_ns block until then at most (0: as kvr_opts.until_ns says for a lookup, a get or a
 * removal) and are INVALID in a callback; the others do not wait. Besides what stands with each they
 * answer what kvr_submit does.
 */

/* contains(): OK, or MISS, or why nobody knows (to LMCache that is a miss). pin: KVR_HOLD. */
KVR_API KVR_MUST_USE enum kvr_err kvr_contains(struct kvr *kvr, const char *key, bool pin,
    uint64_t until_ns);

/*
 * batched_contains(): ret_prefix is the number of leading hits and is written on every return,
 * 0 where nothing is known. One round trip a tier, and unlike LMCache's it ends by until_ns. OK
 * also when keys are missing; else why nobody knows.
 */
KVR_API enum kvr_err kvr_batched_contains(struct kvr *kvr, const char *const *key, uint32_t n,
    bool pin, uint64_t until_ns, uint32_t *ret_prefix);

/*
 * exists_in_put_tasks(): a put of this key was accepted and has not completed. A look at a table,
 * no round trip. Unlike LMCache's it knows the puts of batches, and rewrites the key.
 */
KVR_API bool kvr_exists_in_put_tasks(struct kvr *kvr, const char *key);

/*
 * submit_put_task(): what kvr_submit answers, and at once, without any callback: SKIPPED_MLA (not
 * the rank that writes), DUPLICATE (that key is being put; the newer data is dropped), DOWN (every
 * tier is down and in its cool-down). The caller's reference may be dropped when it returns. done
 * may be NULL, and so may ret, in which case nobody waits for the outcome. The limit of a put
 * applies.
 */
KVR_API enum kvr_err kvr_submit_put_task(struct kvr *kvr, const char *key, kvr_obj obj,
    kvr_done_fn *done, void *done_arg, kvr_op *ret);

/*
 * batched_submit_put_task(): one operation and one callback, with an outcome for each key; a key
 * that is being put already has that put's outcome. SKIPPED_MLA and DOWN as above.
 */
KVR_API enum kvr_err kvr_batched_submit_put_task(struct kvr *kvr, const char *const *key,
    const kvr_obj *obj, uint32_t n, kvr_done_fn *done, void *done_arg, kvr_op *ret);

/* get_blocking(): an object with one reference, the caller's; on any failure *ret is 0. */
KVR_API KVR_MUST_USE enum kvr_err kvr_get_blocking(struct kvr *kvr, const char *key,
    uint64_t until_ns, kvr_obj *ret);

/*
 * batched_get_blocking(): ret[i] is an object with one reference, or 0; ret_err[i] (the array may
 * be NULL) says why. Hits behind a miss are kept. One deadline for all, unlike LMCache's one for
 * each. OK when every key is, else the error of the first that is not.
 */
KVR_API enum kvr_err kvr_batched_get_blocking(struct kvr *kvr, const char *const *key, uint32_t n,
    uint64_t until_ns, kvr_obj *ret, int32_t *ret_err);

/* support_batched_...(): not every tier is down; the second also: there is a pool. */
KVR_API bool kvr_support_batched_async_contains(struct kvr *kvr);
KVR_API bool kvr_support_batched_get_non_blocking(struct kvr *kvr);

/* batched_async_contains(): a KVR_PREFIX lookup; done.prefix is the answer. opts as kvr_submit. */
KVR_API KVR_MUST_USE enum kvr_err kvr_batched_async_contains(struct kvr *kvr,
    const char *lookup_id, const char *const *key, uint32_t n, bool pin,
    const struct kvr_opts *opts, kvr_op *ret);

/*
 * batched_get_non_blocking(): a KVR_PREFIX get into obj, filled as in kvr_batch before the call
 * returns. At the completion the first done.prefix objects are data; the caller drops the others.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_batched_get_non_blocking(struct kvr *kvr,
    const char *lookup_id, const char *const *key, uint32_t n, kvr_obj *obj,
    const struct kvr_opts *opts, kvr_op *ret);

/*
 * pin() and unpin(): OK, and nothing is kept by it, as LMCache's are always true: what keeps a value is
 * KVR_HOLD. No tier is asked. INVALID: no key.
 */
KVR_API enum kvr_err kvr_pin(struct kvr *kvr, const char *key);
KVR_API enum kvr_err kvr_unpin(struct kvr *kvr, const char *key);

/*
 * remove(): OK when a tier had it, MISS when none had, and all could say so; else the error of one
 * that could not, PARTIAL where only others could by the deadline: it may still be there. It comes
 * after the puts of the key that were accepted before, and a key that is gone does not come back by
 * what is written behind an answer, to tiers with "write": "back" or up into faster ones: what has not
 * been sent then is called off, what is on its way is waited for, within the deadline. A get or
 * prefetch that is not answered when the remove is may still bring the key up, as another process may.
 */
KVR_API enum kvr_err kvr_remove(struct kvr *kvr, const char *key, bool force, uint64_t until_ns);

/* ---- how it is doing ---- */

struct kvr_health {
	uint32_t size;
	uint32_t ok;      /* 1: operations are taken, every tier is up, and no canary failed */
	uint32_t n_tiers, n_up;
	uint64_t in_flight; /* operations that are not complete */
	uint64_t not_quiet; /* keys whose memory is in use */
	char     why[KVR_WHY_MAX]; /* the tier that is not up and its store's own words; "" */
	/*
	 * 1: a store of LMCache's flat form is bypassed and fallback_policy is "recompute": with it
	 * an engine leaves its own caches out too, until this is 0 again. The library does not.
	 */
	uint32_t recompute, spare;
};
/* A look at what is known: asks no store. ret->size must be set. Works after kvr_close, with ok 0. */
KVR_API enum kvr_err kvr_health(struct kvr *kvr, struct kvr_health *ret);

enum kvr_metrics_form {
	KVR_METRICS_PROMETHEUS,  /* text format 0.0.4 */
	KVR_METRICS_OPENMETRICS, /* 1.0.0 */
	KVR_METRICS_JSON         /* one object: family to type, help and samples */
};

/*
 * Everything that is counted, as it is at one moment: kvrelay's own families and LMCache's names.
 * Cut at cap and always ended by a NUL; returns the bytes that all of it needs, NUL included, and 0
 * where an error would be answered. Works after kvr_close, and of an instance that died: those are
 * the last numbers. It costs a copy of some 50 KiB and the text, so ask every few seconds, not with
 * every request.
 */
KVR_API size_t kvr_metrics_snapshot(struct kvr *kvr, uint32_t form, char *ret, size_t cap);

/*
 * How long a get of n keys with these bytes would take now: the round trip and the bandwidth of
 * the gets so far (recent ones weigh more), and the bytes of those in flight before it. For the
 * question whether to load or to recompute. ret_ns is a duration. Asks no store. UNFINISHED: nothing
 * was measured yet. DOWN: every tier. INVALID: ret_ns is NULL.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_estimate(struct kvr *kvr, uint32_t n, uint64_t bytes,
    uint64_t *ret_ns);

#ifdef __cplusplus
}
#endif
#endif
