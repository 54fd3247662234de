/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvrelay moves KV-cache chunks between an inference engine and its stores: one call submits a
 * batch of keys, one completion tells what became of each key. With the two headers that it includes
 * it is the whole interface: kvrelay_memory.h, objects, page-locked memory and paged caches, for
 * payload that is not in plain memory of the caller's; kvrelay_lmcache.h, LMCache's RemoteBackend
 * methods as shorthands.
 *
 *	kvr_open(&(struct kvr_options){ .size = sizeof(struct kvr_options),
 *	    .url = "redis://127.0.0.1:6379" }, 0, &kvr, why, sizeof(why));
 *	kvr_run(kvr, &batch, NULL, &done, &results);
 *	kvr_close(kvr, 0, KVR_DRAIN, NULL);
 *	kvr_free(kvr);
 *
 * Unless a function says otherwise:
 *
 * Threads   Any thread may call, and several at once. In a child after fork(), everything that
 *           takes an instance answers KVR_E_FORKED, and so does kvr_open if the parent ever opened
 *           one. A callback may submit and cancel; waiting and closing are KVR_E_INVALID there.
 *           No function is a cancellation point: pthread_cancel ends a thread behind its call.
 * Time      until_ns is an instant of CLOCK_MONOTONIC in nanoseconds, never a duration. 0: the
 *           limit that the configuration sets for that kind of call (see kvr_opts.until_ns).
 *           KVR_NOW: do not wait; for kvr_wait, kvr_quiet, kvr_layer_wait, kvr_alloc and
 *           kvr_close. An operation submitted with it is KVR_E_TIMEOUT. Any other instant
 *           before kvr_open is KVR_E_INVALID, because it is a duration given by mistake; and so
 *           is one within a day of the date, which is of CLOCK_REALTIME.
 * Signals   The library's threads block all signals, so handlers run on the engine's own; a call
 *           that one interrupts goes on. The library raises no SIGPIPE and sets no handler.
 * Blocking  A call without until_ns never waits for a store or a device. One with it returns by
 *           then, plus a few milliseconds in which workers let go of the caller's memory; later
 *           on a machine that is starved of CPU. A local disk that hangs keeps the memory it was
 *           lent, and so the call, until it comes back; KVR_EARLY does not wait for it, and a
 *           file tier with "staged" lends it none.
 * Structs   `size` comes first and is sizeof the struct as the caller was compiled; the first
 *           element's size is the stride of an array. A size larger than this library knows is fine
 *           as long as the rest is zero. A member left zero means the default. There are no bit
 *           fields, no struct is passed by value, and no struct with a size is nested in another.
 * Keys      Texts of 1 to KVR_KEY_MAX bytes. Stored as they are, unless the instance was told that
 *           they are LMCache's (KVR_KEYS_LMCACHE). A key stands for one value, as the hash of a
 *           chunk does. So a put of a key that is still being written, be it behind an answer, to
 *           tiers with "write": "back" or up into faster ones, is not written a second time, and
 *           has the outcome of the first (KVR_DONE_DUPLICATE). Where the first was cancelled, was
 *           late or lost its device, the second is written after all.
 * Inputs    Texts, arrays and structs are copied before a call returns. Only payload memory is
 *           used longer: from an accepted submission until its completion.
 * Outputs   Written on success only.
 * Handles   kvr_op and kvr_obj carry a generation: using one that is gone is KVR_E_STALE, and
 *           never reaches another operation or other data.
 * Errors    A call that is itself wrong is KVR_E_INVALID, and a line to the log function says what
 *           was wrong. Of more than ten such lines in a second the rest are counted and reported
 *           later. KVR_E_SHUTDOWN after kvr_close and KVR_E_DEAD after a broken invariant are
 *           possible wherever an instance is taken, and are not repeated below.
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
/* For kvr_wait, kvr_layer_wait and kvr_quiet only; an operation always has a deadline. */
#define KVR_NEVER UINT64_MAX
#define KVR_NOWHERE_TIER UINT32_MAX /* kvr_results.tier: no tier has it */

typedef uint64_t kvr_op;  /* an accepted operation; 0: none */
typedef uint64_t kvr_obj; /* a counted memory object; 0: none */

struct kvr;       /* an instance: tiers, threads, pool, trace. A process may have several */
struct kvr_queue; /* where completions wait to be fetched; has a file descriptor */
struct kvr_pool;  /* the memory behind objects */
struct kvr_cache; /* an engine's paged KV cache, described once */
struct kvr_tokens; /* what a batch moves of one */

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
	KVR_E_UNSUPPORTED = -7,  /* no tier can do this, or a scheduler has no pool */
	KVR_E_BUSY = -8,         /* too much in flight, here or in the store; try again later */
	KVR_E_INVALID = -9,      /* the call is wrong; the log says how */
	KVR_E_TOO_BIG = -10,     /* beyond a fixed limit: later will not help */
	KVR_E_LENGTH = -11,      /* the stored length is not the one asked for */
	KVR_E_IDENTITY = -12,    /* stored for another key, model, layout or serde */
	KVR_E_SKIPPED_MLA = -13, /* on purpose: with MLA only rank 0 writes */
	KVR_E_DUPLICATE = -14,   /* that key is being put already; nothing was accepted */
	KVR_E_EXISTS = -15,      /* KVR_IF_ABSENT, and the key was there */
	KVR_E_PARTIAL = -16,     /* put, remove: some tiers have done it, others failed */
	KVR_E_NOSPACE = -17,     /* the store is full */
	KVR_E_AUTH = -18,        /* the store does not let us in, or does not permit this */
	KVR_E_REFUSED = -19,     /* the store refused it otherwise: read-only, loading, quota */
	KVR_E_CANCELLED = -20,   /* by kvr_cancel or kvr_cancel_request */
	KVR_E_SHUTDOWN = -21,    /* the instance is closed, or was while the operation ran */
	KVR_E_FORKED = -22,      /* called in a child of the process that opened the instance */
	KVR_E_DEAD = -23,        /* an invariant broke; the instance is poisoned, not the process */
	KVR_E_STALE = -24,       /* the operation or object behind the handle is gone */
	KVR_E_UNASKED = -25,     /* comes after the first miss of a KVR_PREFIX operation */
	KVR_E_UNFINISHED = -26,  /* still under way */
	KVR_E_STUCK = -27,       /* something below the library hangs: it may still touch memory */
	KVR_E_CONFIG = -28,      /* the configuration is wrong */
	KVR_E_TOO_SMALL = -29,   /* the caller's array is too small; nothing was consumed */
	KVR_E_DEVICE = -30       /* a copy to or from the device failed: treat it as a miss */
};

/* These five work everywhere, even before kvr_open and in a forked child. Texts are static. */
KVR_API const char *kvr_err_name(int32_t err); /* "TIMEOUT"; "?" for a number not in the list */
KVR_API const char *kvr_err_text(int32_t err); /* "the deadline passed" */
KVR_API bool        kvr_err_may_pass(int32_t err); /* the same call may succeed later */
KVR_API uint32_t    kvr_version(void);             /* major << 16 | minor << 8 | patch */
/*
 * Whether this build supports a feature: a URL scheme ("redis", "fs"), a serde ("zstd"), a layout
 * ("sealed"), "tls", "http", "cuda" or "estimate". False for unknown names and for NULL.
 */
KVR_API bool kvr_has(const char *feature);

/* ---- what a payload is ---- */

/* LMCache's codes where it has them; codes from 64 on are never written in its format. */
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

/* ---- an instance ---- */

enum kvr_role {
	KVR_WORKER,
	KVR_SCHEDULER /* no pool, as in LMCache; the caller's own memory can still be moved */
};

enum kvr_keys {
	KVR_KEYS_OPAQUE, /* or what the configuration says */
	KVR_KEYS_LMCACHE /* parsed, and with MLA rewritten to worker 0; see kvr_submit */
};

/*
 * Who this process is, and what a sealed value must agree on: model, revision, engine and salt are
 * written and compared as one. A process that gives none of the four reads values written by
 * anybody; one that gives any of them reads only values written with the same four (NULL and "" are
 * the same). A configuration that contradicts this struct is KVR_E_CONFIG.
 */
struct kvr_identity {
	uint32_t    size;
	uint32_t    role;       /* enum kvr_role */
	uint32_t    keys;       /* enum kvr_keys */
	uint32_t    world_size; /* 0: unknown, and then so is worker_id */
	uint32_t    worker_id;
	uint32_t    use_mla;
	const char *model;
	const char *revision; /* of the weights */
	const char *engine;   /* name and version, if the layout of its cache depends on them */
	const char *salt;     /* tenant: values with another salt are KVR_E_IDENTITY */
};

enum kvr_level { KVR_LEVEL_ERROR, KVR_LEVEL_WARN, KVR_LEVEL_INFO, KVR_LEVEL_DEBUG };

struct kvr_options {
	uint32_t                   size;
	uint32_t                   n_set;
	const char                *config_file; /* exactly one of these three: a path, */
	const char                *config_text; /* the JSON itself, */
	const char                *url;         /* one store */
	const char *const         *set; /* n_set "tiers.fleet.timeout=500ms"; override the file */
	const struct kvr_identity *identity;
	const struct kvr_layout   *layout; /* of a full chunk; or later, by kvr_set_layout */
	/*
	 * Gets one line without a newline; level is a kvr_level. Called by any thread, one call at
	 * a time. It must not call functions that take an instance. log.level in the configuration
	 * says which lines are made. While a call does not return for more than a second, other
	 * lines are lost, and counted in the next one. A thread of the library that hangs in it is
	 * STUCK for kvr_close; for a thread of the caller that hangs in it, kvr_close waits. Lines
	 * about changes of state come from the notifier thread, after any callback that is running.
	 * NULL: standard error, without waiting: lines that a full pipe does not take are lost and
	 * counted. If it was closed at the first kvr_open of the process, lines go nowhere.
	 */
	void (*log)(void *arg, int level, const char *line);
	void *log_arg;
	/*
	 * The pool's memory, taken piece by piece as it is needed and given back by kvr_free.
	 * mem_get returns NULL when there is no more. Neither function may call anything that takes
	 * an instance, or wait long: operations stand still meanwhile. NULL: the library maps the
	 * memory itself and never page-locks it, because the pool grows on any thread, whatever
	 * device is current there and whatever graph that thread is capturing. An engine that
	 * copies between objects and a device returns memory that it has page-locked itself, or
	 * with kvr_memory_register.
	 */
	void *(*mem_get)(void *arg, size_t len, size_t align);
	void (*mem_put)(void *arg, void *at, size_t len);
	void *mem_arg;
};

/*
 * Reads the configuration, starts threads and begins to connect. A store that is down is not a
 * failure: its tier recovers by itself later. Before this call there is no thread, file or state of
 * the library. until_ns (0: 10 s) bounds the call; an instant that has passed, and KVR_NEVER, are
 * INVALID.
 *
 * After the first call a few sleeping threads of the queue library underneath live as long as the
 * process. So dlclose leaves the library loaded, and a module into which it is linked statically
 * must be linked with -z nodelete.
 *
 * On failure ret_why (may be NULL if why_cap is 0) says what is wrong and where: file:line:column
 * for a configuration ("text" and "url" stand for a file, "set" for an override), the tier for what
 * only a store can judge of its URL. CONFIG: the configuration; INVALID: the call; NOMEM: memory,
 * threads or descriptors; TIMEOUT; FORKED; UNSUPPORTED: a kernel before 4.14, which cannot tell a
 * forked child.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_open(const struct kvr_options *options, uint64_t until_ns,
    struct kvr **ret, char *ret_why, size_t why_cap);

/*
 * The shape of a full chunk, for engines that learn their layer groups late. It sizes the slots, so
 * it may be set once, before the first object. INVALID: too late, a second time, not a valid
 * layout, or a tier in LMCache's format has a header for another number of groups (such a layout
 * must be given to kvr_open).
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_set_layout(struct kvr *kvr,
    const struct kvr_layout *full_chunk);

/*
 * Changes, in a running instance, what is read at every use: "timeouts.blocking=2s" (and lookup,
 * put), "limits.put_bytes=1GiB", "tiers.far.timeout=300ms", "tiers.far.breaker.faults=3" (and
 * backoff_min, backoff_max); in LMCache's flat form also its own names: blocking_timeout_secs,
 * lookup_timeout_ms, ping_timeout, ping_interval, get_blocking_failed_threshold,
 * waiting_time_for_recovery. It applies to what is submitted afterwards. Does not wait. INVALID: n
 * without set, or a NULL among its texts. All n are checked together, and all are changed or none:
 * CONFIG, and ret_why (as in kvr_open) says which one is wrong, or cannot be changed any more.
 * NOMEM.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_change(struct kvr *kvr, const char *const *set, uint32_t n,
    char *ret_why, size_t why_cap);

enum kvr_close_mode {
	KVR_DRAIN, /* accepted operations may finish, write-back included, until until_ns */
	KVR_ABORT  /* everything ends now, with KVR_E_SHUTDOWN or with what has happened so far */
};

struct kvr_close_report {
	uint32_t size;
	uint32_t stuck_threads;
	uint64_t finished;  /* operations that got a result of their own after the call began */
	uint64_t dropped;   /* operations that were ended by it */
	uint64_t not_quiet; /* keys whose memory must stay mapped until exit */
};

/*
 * Stops admission at once, answers every operation by until_ns (0: timeouts.put), ends and joins
 * every thread of the instance. Caches, queues, objects and threads in kvr_wait may still exist. A
 * second call, even a simultaneous one, returns the first one's report, or TIMEOUT if that is not
 * there by until_ns. ret may be NULL. Afterwards kvr_drain, kvr_wait, kvr_layer_wait and the object
 * functions still work, so that results and memory can be fetched; everything else is SHUTDOWN
 * unless it says that it works.
 *
 * STUCK: a thread hangs in a call below the library, in a callback or in the log function, and did
 * not return within its grace period: one second after until_ns if it may be in the middle of
 * something, about five if it only has to end. Only then may a blocking call return while its
 * memory is in use; such completions carry STUCK and no KVR_DONE_QUIET. INVALID: unknown mode,
 * wrong size of the report, KVR_NEVER, in a callback. LMCache's close(), but bounded and with an
 * answer for everything.
 */
KVR_API enum kvr_err kvr_close(struct kvr *kvr, uint64_t until_ns, uint32_t mode,
    struct kvr_close_report *ret);

/*
 * Frees instance, queues, caches and pool. An instance that is still open is closed with KVR_ABORT
 * first, within five seconds (plus the grace period of kvr_close if a thread hangs). What a stuck
 * thread may still touch is leaked on purpose, and logged. Once it returns, no function of the
 * caller's is called any more, not even by a thread that was left behind, although a log function
 * in which that thread hangs is still running. No other call on the instance may be running, or
 * follow. NULL is fine. In a forked child it does nothing.
 */
KVR_API void kvr_free(struct kvr *take);

/* ---- the one submission call ---- */

enum kvr_kind {
	KVR_LOOKUP,  /* is it there? */
	KVR_GET,     /* bring it */
	KVR_PUT,     /* store it */
	KVR_REMOVE,  /* from every tier, after pending writes: kvrelay_lmcache.h, kvr_remove */
	KVR_SIZE,    /* how long is it? moves no payload */
	KVR_PREFETCH /* bring it to the first tier that keeps what it is given */
};

enum kvr_flag {
	KVR_PREFIX = 1,    /* reads: stop at the first incomplete chunk; later keys are UNASKED */
	KVR_AT_MOST = 2,   /* GET: len is room, a shorter value is a hit; without it KVR_E_LENGTH */
	KVR_HOLD = 4,      /* LOOKUP: keep what is found for a while. No store can do that yet */
	KVR_IF_ABSENT = 8, /* PUT: ask first, send only what is missing */
	KVR_EARLY = 16,    /* two completions: the result by the deadline, then a DONE_QUIET */
	KVR_FORCE = 32,    /* REMOVE: even what is held (see KVR_HOLD: nothing is) */
	KVR_LAYERS = 512,  /* GET, PUT of tokens, chunks of all layers: see kvr_layer_wait */
	/*
	 * GET, PUT of at or tokens: an additional completion, ahead of the others, as soon as all
	 * copies have begun. For a get it has the outcome of each key; for a put it says when the
	 * memory may be overwritten. See kvr_batch.recorded.
	 */
	KVR_RECORD = 1024
};

/*
 * GET and PUT need keys, len, and one of at, obj (which has its own lengths) and tokens. The other
 * kinds need keys only and ignore the members about payload.
 */
struct kvr_batch {
	uint32_t           size;
	uint32_t           kind;      /* enum kvr_kind */
	uint32_t           n;         /* keys, at most 65,536 (see BUSY of kvr_submit); 0 is fine */
	uint32_t           per_chunk; /* consecutive keys that make a chunk (layers, ranks); 0: 1 */
	const char *const *key;  /* n texts; or NULL, and */
	const char        *keys; /* n texts, each with its NUL: one join, not n conversions */
	/*
	 * GET, PUT: n places, which a PUT only reads; or NULL, and obj. All of them in host memory,
	 * or all in memory of the instance's device (memory.device), managed memory included; the
	 * latter pass through slots of the staging memory, as tokens do. An instance with a device
	 * asks its driver about each place, on the calling thread, whatever device is current
	 * there; one without takes every place for host memory.
	 */
	void *const       *at;
	/*
	 * n lengths in bytes of what lies at these places, each below 4 GiB. A GET of at or tokens
	 * wants a value of exactly that length; with KVR_AT_MOST this is the room, and
	 * kvr_results.len says how much came.
	 */
	const uint64_t    *len;
	/*
	 * n objects. The library holds references of its own until the completion. PUT stores
	 * kvr_obj_info.len bytes. GET reads into the object's memory: up to all of its slot with
	 * KVR_AT_MOST, else exactly len. An entry that is 0 becomes a new object before the call
	 * returns, as large as a full chunk (while that is unknown, as the largest value seen), and
	 * is shortened once the value is there. It has one reference, the caller's, whatever
	 * becomes of its key. If the pool is empty, it stays 0 and its key is KVR_E_NOMEM.
	 */
	kvr_obj                 *obj;
	const struct kvr_layout *layout; /* with at: of a full chunk. NULL: the instance's */
	/*
	 * GET, PUT: instead of at and obj, with len. Such payloads pass through slots of the
	 * staging memory; a chunk larger than all of it is TOO_BIG. A tier with a serde needs room
	 * for two chunks at a time, else NOMEM.
	 */
	const struct kvr_tokens *tokens;
	/*
	 * GET, PUT with at in device memory: what kvr_tokens.ready is for tokens, an event behind
	 * the last kernel that writes or reads these places. NULL: copies may begin now. After a
	 * reset of the device, places allocated before it are DEVICE, but only until a new place
	 * has been named: from then on an old address is just an address, most likely of nothing.
	 */
	void                    *ready;
	/*
	 * With KVR_RECORD and device memory, at or tokens: a cudaEvent_t of that device, which the
	 * library records behind its copies. It may be waited for (with cudaStreamWaitEvent) once
	 * the completion with KVR_DONE_RECORDED has come, and not before: until then it stands for
	 * whatever was recorded last, or for nothing. Memory and event must stay until
	 * KVR_DONE_QUIET, as always. A final completion follows.
	 *
	 * GET: values are verified before they are copied, so a stream that waits for the event may
	 * read all keys that are KVR_OK in that completion. Writing to them, or reading them in any
	 * other way, must wait for KVR_DONE_QUIET. The final completion differs only if the device
	 * failed in the middle of a copy: such a key is DEVICE there (or STUCK, TIMEOUT,
	 * CANCELLED), what was computed from it is worthless, and no other tier is asked for it.
	 *
	 * PUT: everything that the library reads of this memory is read before the event, so a
	 * stream that waits for it may overwrite the memory of every key, long before a store has
	 * it. Keys are KVR_E_UNFINISHED in that completion, and the final one tells what became of
	 * them; keys that need not be copied (EXISTS), or could not be, already have their outcome.
	 * It comes when the last key of the batch has a place in the staging memory, so a batch
	 * that is larger than staging waits for stores. With KVR_LAYERS it comes after the last
	 * layer.
	 *
	 * Concurrent operations need an event each. NULL for host memory, where the same
	 * completions come: copies of tokens are then over by the first one. Places in host memory
	 * are not copied, so a put of them has no completion ahead of the final one.
	 */
	void                    *recorded;
};

/* The caller's arrays; each may be NULL. Entry done.first + i belongs to key i. */
struct kvr_results {
	uint32_t  size;
	uint32_t  cap;  /* entries that each array has */
	uint32_t  need; /* out, with TOO_SMALL: entries that the next completion needs */
	uint32_t  spare;
	int32_t  *err;
	/*
	 * Bytes of a key that is KVR_OK: delivered (GET), stored (PUT), found (SIZE), or read
	 * (PREFETCH; 0 if nothing had to be). Otherwise 0, also for LOOKUP and REMOVE, which ask
	 * for no length.
	 */
	uint64_t *len;
	/*
	 * Index of the tier, as configured, where the key was found; for a PUT, of one that took
	 * it. Otherwise, and for a REMOVE, KVR_NOWHERE_TIER.
	 */
	uint32_t *tier;
	/*
	 * GET with KVR_LAYERS: how many leading layers of the key are in the cache, verified. All
	 * of them if the key is KVR_OK; if not, these are right and nothing is known of the others.
	 * Else 0.
	 */
	uint32_t *layers;
};

enum kvr_done_flag {
	KVR_DONE_QUIET = 1,     /* the memory is the caller's again; set in the last completion */
	KVR_DONE_HELD = 2,      /* KVR_HOLD was granted for every hit; so far it never is */
	KVR_DONE_DUPLICATE = 4, /* some keys were already being put: see Keys at the head */
	KVR_DONE_DEGRADED = 8,  /* a tier was left out */
	KVR_DONE_RECORDED = 16  /* kvr_batch.recorded has been recorded behind all copies */
};

struct kvr_done {
	uint32_t size;
	uint32_t kind;  /* enum kvr_kind */
	uint32_t flags; /* enum kvr_done_flag */
	int32_t  err;   /* KVR_OK if every key is; else that of the first key that is not */
	kvr_op   op;
	uint64_t tag;   /* from kvr_opts */
	uint64_t bytes; /* GET, PUT: payload bytes of the keys that are KVR_OK; else 0 */
	uint64_t took_ns; /* from its submission to this completion */
	uint32_t first;   /* where its keys begin in kvr_results */
	uint32_t n, n_ok; /* keys, and those that are KVR_OK */
	uint32_t prefix;  /* leading chunks (of per_chunk keys) whose keys are all KVR_OK */
	/*
	 * The store's own words about err, truncated; "" if there are none. With several tiers they
	 * begin with the tier's name, and say for how long it is not asked if it was left out
	 * (DOWN, PARTIAL). PARTIAL: a tier that failed. TIMEOUT: which tier had the call when its
	 * time was over; "" if none had, because it waited in the library.
	 */
	char     why[KVR_WHY_MAX];
};

/*
 * Runs on the instance's notifier thread, one at a time: a slow one delays the other callbacks, but
 * no store. done and results are valid during the call, and every array of results is there. It may
 * submit, cancel and use objects.
 */
typedef void kvr_done_fn(void *arg, const struct kvr_done *done, const struct kvr_results *results);

struct kvr_opts {
	uint32_t          size;
	uint32_t          flags; /* enum kvr_flag */
	/*
	 * The deadline of the whole operation. 0: as long from now as timeouts.lookup says for a
	 * LOOKUP (3 s by default), timeouts.put for a PUT (60 s), timeouts.blocking for all others
	 * (10 s).
	 */
	uint64_t          until_ns;
	uint64_t          tag;   /* comes back in the completion */
	struct kvr_queue *queue; /* where the completion goes; or */
	kvr_done_fn      *done;  /* what is called with it; both NULL: kvr_wait fetches it */
	void             *done_arg;
	const char       *request; /* id of the engine's request, for kvr_cancel_request */
};

/*
 * Never blocks and does no I/O. KVR_OK: exactly one completion will come (two with KVR_EARLY),
 * whatever happens, even kvr_close. Until then the payload memory is lent to the library, which
 * does not touch it afterwards. Any other answer: there will be no completion, and nothing was
 * kept. What happens to a single key (DOWN, LENGTH, SKIPPED_MLA, ...) is told by the completion,
 * not here.
 *
 * A copy that a device has begun cannot be called back. If one is still running 100 ms after the
 * deadline, because the device hangs or ready is not reached, there are two completions as with
 * KVR_EARLY: the first one without KVR_DONE_QUIET, its keys STUCK.
 *
 * KVR_RECORD adds a completion in front of these, without KVR_DONE_QUIET; but none if every copy
 * has ended, or nothing was found, before it could be told. A get with a KVR_OK key then has
 * KVR_DONE_RECORDED in the first of the others; a put that has it in none needs no event, because
 * its memory is the caller's again. Such an operation counts its keys twice.
 *
 * opts NULL: all members zero. ret NULL without queue and callback: nobody will ask, and the result
 * is forgotten.
 *
 * BUSY: 1,024 operations or 65,536 keys (or what the configuration sets), 16 MiB of key texts or
 * 4,194,304 runs of slots are in flight, or puts of limits.put_bytes. Puts and prefetches get at
 * most three quarters of operations and keys, so that lookups and gets always find room. A
 * completion that nobody has fetched counts as in flight. TOO_BIG: more keys, longer texts or more
 * runs than could ever be accepted, a key longer than KVR_KEY_MAX, a payload of 4 GiB, per_chunk
 * over 65,535. INVALID: an unknown kind or flag; a key that is empty or (KVR_KEYS_LMCACHE) not
 * LMCache's; no place for the payload; places in both host and device memory, or in another device;
 * a slot or block that the cache does not have; a layout that is none; members or flags that do not
 * go together; a queue of another instance; a deadline that is not an instant, or KVR_NEVER. STALE:
 * an object that is gone. UNSUPPORTED: objects with a scheduler; places in the memory of a device
 * that the instance could not open.
 *
 * With KVR_KEYS_LMCACHE, use_mla and a worker_id other than 0, reads and removals of every form
 * rewrite each key to worker 0 and keep its other fields; the keys of a put are all SKIPPED_MLA.
 * (LMCache rewrites in some of its methods only, and loses the layer.)
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_submit(struct kvr *kvr, const struct kvr_batch *batch,
    const struct kvr_opts *opts, kvr_op *ret);

/*
 * Waits for an operation without queue and callback until until_ns (0 and KVR_NEVER: as long as it
 * takes, which its deadline bounds), writes its outcome and forgets it. ret and res may be NULL.
 * With KVR_EARLY or KVR_RECORD it returns at the first completion and, called again, at the next
 * one. The first of a put with KVR_RECORD is UNFINISHED as well, and has KVR_DONE_RECORDED. When
 * until_ns passes ret is left as it was, so set its flags to 0 before.
 *
 * Returns ret->err: KVR_OK if every key is. Or UNFINISHED: not over yet; STALE: over and already
 * fetched (of several waiting threads one gets it); TOO_SMALL: res->need entries are needed,
 * nothing was fetched; INVALID: an operation with a queue or a callback, a size that is not set, in
 * a callback. Works after kvr_close.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_wait(struct kvr *kvr, kvr_op op, uint64_t until_ns,
    struct kvr_done *ret, struct kvr_results *res);

/*
 * kvr_submit and kvr_wait in one. Returns when the operation is complete and its memory is the
 * caller's again, by the deadline plus a few milliseconds; with KVR_EARLY or KVR_RECORD at the
 * first completion, and kvr_wait with ret->op waits for the others. opts must have no queue and no
 * callback. TOO_SMALL is answered before anything happens: res->cap must be at least batch->n.
 * Without KVR_EARLY, KVR_RECORD and KVR_LAYERS the calling thread may do a lane's work itself
 * instead of sleeping until it is done: on its own stack (32 KiB are enough).
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_run(struct kvr *kvr, const struct kvr_batch *batch,
    const struct kvr_opts *opts, struct kvr_done *ret, struct kvr_results *res);

/*
 * Layer by layer, for chunks of all layers: an engine computes on the first layers while the others
 * are still coming, and hands over its first layers while it computes the others. Layers are
 * counted from 0 in the model's order.
 *
 * A get with KVR_LAYERS copies the first layer of the chunks that have arrived, then their second,
 * and so on. Keys travel in parts of up to 16 keys or 8 MiB, and a layer of all keys is there when
 * the last part has it. Only verified layers are announced, and the checksums of a sealed value
 * stand at its end; so a value's first layer comes when the whole value has arrived and been
 * checked, whatever the order in its layout, and what overlaps with the engine's work is the
 * copying and the parts that follow. To overlap with the arrival itself, store chunks of one layer:
 * see kvr_tokens.
 *
 * A put with KVR_LAYERS fetches a layer when kvr_layer_ready has named it, and sends a chunk when
 * it has all of its layers. It holds its staging memory from the beginning, and ends by its
 * deadline like any other; a tier's timeout begins when all layers are there. With "write": "back"
 * only, the same holds for what is kept until the answer.
 */

/*
 * Waits until layer `layer` of every key of a get with KVR_LAYERS is in the cache, or until
 * until_ns (0 and KVR_NEVER: the get's end). ret_keys (may be NULL) is the number of leading keys
 * that have the layer; it is written with OK, UNFINISHED and the get's error. In device memory,
 * too, these copies are over and not just begun.
 *
 * UNFINISHED: until_ns has passed. STALE: the operation is over and its completion has been
 * fetched. Any other error is that of the get, which is over: some key does not have this layer and
 * never will; kvr_results.layers, with the completion, says how many each key has. That no tier has
 * a key is known only at the end of the get. INVALID: not a get with KVR_LAYERS, no such layer, in
 * a callback.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_layer_wait(struct kvr *kvr, kvr_op op, uint32_t layer,
    uint64_t until_ns, uint32_t *ret_keys);

/*
 * Tells a put with KVR_LAYERS that every layer up to this one is in the cache and may be fetched.
 * Every layer has to be named, or a later one. Does not wait. event (device memory; else NULL): a
 * cudaEvent_t that the engine has recorded behind whatever writes the newly named layers, and that
 * lives until the completion; NULL: they have been written.
 *
 * STALE: the put is over (it failed, its deadline passed, another rank writes). INVALID: not a put
 * with KVR_LAYERS, no such layer, an event for host memory. Works while kvr_close waits.
 */
KVR_API enum kvr_err kvr_layer_ready(struct kvr *kvr, kvr_op op, uint32_t layer, void *event);

/*
 * A request, not an end: the completion still comes, soon, with CANCELLED for keys that had no
 * outcome yet, and the payload memory is lent until then. Does not wait. STALE: it was already
 * over.
 */
KVR_API enum kvr_err kvr_cancel(struct kvr *kvr, kvr_op op);
/* The same for all operations with this request. MISS: none is under way. INVALID: NULL. */
KVR_API enum kvr_err kvr_cancel_request(struct kvr *kvr, const char *request);

/*
 * Waits until everything accepted before this call is complete and its memory quiet. Admission goes
 * on. until_ns 0: the limit of a put. TIMEOUT: ret_left operations are not (it may be NULL, and is
 * 0 with KVR_OK). STUCK: the instance has ended meanwhile, closed or dead, and their memory is in
 * use by a thread that hangs.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_quiet(struct kvr *kvr, uint64_t until_ns,
    uint64_t *ret_left);

/* ---- queues ---- */

/* Lives until kvr_free. BUSY: the instance has 64 of them. NOMEM: no descriptor or no memory. */
KVR_API KVR_MUST_USE enum kvr_err kvr_queue_open(struct kvr *kvr, struct kvr_queue **ret);
/* Readable while completions wait. Only poll it: never read or close it. -1 in a forked child. */
KVR_API int kvr_queue_fd(const struct kvr_queue *queue);
/* Makes it readable until the next kvr_drain, to wake the caller's event loop. */
KVR_API void kvr_queue_wake(struct kvr_queue *queue);
/*
 * Never waits. Writes up to max completions in the order in which they came and returns how many: 0
 * if there are none, KVR_E_INVALID or KVR_E_FORKED (below 0) on errors. Several threads that drain
 * one queue each get some of them. ret[0].size must be set and is the stride. The keys of the k-th
 * completion are the entries of res (which may be NULL) from ret[k].first on. It stops before a
 * completion whose keys do not fit into the rest of res; if that is the first one, it returns
 * KVR_E_TOO_SMALL with res->need. Works after kvr_close.
 */
KVR_API int kvr_drain(struct kvr_queue *queue, struct kvr_done *ret, uint32_t max,
    struct kvr_results *res);

/* ---- how it is doing ---- */

struct kvr_health {
	uint32_t size;
	uint32_t ok; /* 1: accepting, all tiers up, whole and taking puts, no canary failed */
	uint32_t n_tiers, n_up;
	uint64_t in_flight; /* operations that are not complete */
	uint64_t not_quiet; /* keys whose memory is in use */
	char     why[KVR_WHY_MAX]; /* the tier that is not well and its store's own words; "" */
	/*
	 * 1: a store of LMCache's flat form is bypassed and fallback_policy is "recompute", which
	 * means that the engine should bypass its own caches too until this is 0 again. The library
	 * does not.
	 */
	uint32_t recompute, spare;
};
/* The function hides the struct's name in C++, so write struct kvr_health; g++ -Wshadow says so. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
/* What is known now; asks no store. ret->size must be set. Works after kvr_close, with ok 0. */
KVR_API enum kvr_err kvr_health(struct kvr *kvr, struct kvr_health *ret);
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

enum kvr_metrics_form {
	KVR_METRICS_PROMETHEUS,  /* text format 0.0.4 */
	KVR_METRICS_OPENMETRICS, /* 1.0.0 */
	KVR_METRICS_JSON         /* one object: family to type, help and samples */
};

/*
 * All counters at one moment, in kvrelay's own families and under LMCache's names. Truncated at cap
 * and always NUL-terminated; returns the bytes that all of it needs, NUL included, or 0 on an
 * error. Works after kvr_close and for an instance that died, with the last figures. It costs a
 * copy of some 50 KiB plus the text, so call it every few seconds and not with every request.
 */
KVR_API size_t kvr_metrics_snapshot(struct kvr *kvr, uint32_t form, char *ret, size_t cap);

/*
 * How long a get of n keys with this many bytes would take now, from the round trip and the
 * bandwidth of past gets (recent ones weigh more) and the bytes in flight ahead of it: for deciding
 * whether to load or to recompute. ret_ns is a duration. Asks no store. UNFINISHED: nothing
 * measured yet. DOWN: every tier is. INVALID: ret_ns is NULL.
 */
KVR_API KVR_MUST_USE enum kvr_err kvr_estimate(struct kvr *kvr, uint32_t n, uint64_t bytes,
    uint64_t *ret_ns);

#ifdef __cplusplus
}
#endif

#include "kvrelay_memory.h"
/* LMCache's key texts and its RemoteBackend's methods: shorthands for the above. */
#include "kvrelay_lmcache.h"

#endif
