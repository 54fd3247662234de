/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SageMaker HyperPod daemon, sagemaker-hyperpod://host:port. It runs on this machine, accepts
 * objects over HTTP and hands them out as leases on its shared memory:
 *
 *   PUT  /v1/kv/BUCKET/KEY                                 200, or 409: it already has that key
 *   POST /v1/kv/BUCKET/KEY/leases?timeout_ms=N&ttl_s=S     200 and JSON; 404, 504: it does not
 *   POST /v1/leases/ID/release                             200
 *   {"id": "...", "offsets": [{"offset": 100, "len": 20}, ...]}
 *
 * The fragments, concatenated, are the object: LMCache's header of 28 bytes and the payload (format
 * lmcache), or the payload alone (bare). An object cannot be changed, deleted or listed.
 *
 * A lease ends when its time is over or when the daemon ends; from then on its bytes may belong to
 * other objects. hyperpod_read.c explains why such bytes are never taken for the object's.
 */
#ifndef KVR_HYPERPOD_H
#define KVR_HYPERPOD_H

#include <sys/types.h>

#include "kvr_frame.h"
#include "kvr_httpc.h"

#define KVR_HP_HEAD_LEN 28U
#define KVR_HP_PREFIX_MAX 256U
#define KVR_HP_BUCKET_MAX 255U
#define KVR_HP_ID_MAX 255U
#define KVR_HP_AGENT "LMCache-SageMaker-HyperPod/1.0"
#define KVR_HP_TYPE "application/octet-stream"

struct kvr_hp_owed;

/* Puts are counted separately from the rest, as in LMCache. */
enum kvr_hp_gate { KVR_HP_GATE_CONTROL, KVR_HP_GATE_PUT, KVR_HP_GATE_N };

struct kvr_store {
	uint32_t magic;
	uint16_t port;
	bool     https;
	uint32_t at_once, piece;
	uint64_t connect_ns, timeout_ns, wait_ms, ttl_ms, max_lease;
	struct kvr_frame_rules rules;
	struct kvr_tls_opts tls;
	struct kvr_hp_owed *owed;
	_Atomic uint32_t in_flight[KVR_HP_GATE_N];
	char prefix[KVR_HP_PREFIX_MAX + 1];
	char bucket[KVR_HP_BUCKET_MAX + 1];
	char host[256];
	char segment[300]; /* path of the shared memory */
	char where[320];   /* for messages */
};

/* ---- hyperpod_open.c ---- */

enum kvr_err kvr_hp_open(
    const struct kvr_store_opts *, struct kvr_store **ret, char *why, size_t why_cap);

/* ---- hyperpod_path.c: the paths of requests ---- */

/*
 * UNSUPPORTED: a key that HTTP would take for a path segment like "..". ret holds KVR_HTTPC_URL_MAX
 * bytes, which is enough for every key and bucket.
 */
KVR_MUST_USE enum kvr_err kvr_hp_object_path(
    const struct kvr_store *, const char *key, uint32_t key_len, char *ret, const char **why);
/* Appends to an object's path. */
void kvr_hp_lease_path(char *path, uint64_t wait_ms, uint64_t ttl_ms);
void kvr_hp_release_path(const char *id, char *ret);

/* ---- hyperpod_answer.c: the JSON of a lease ---- */

struct kvr_hp_lease {
	char id[KVR_HP_ID_MAX + 1]; /* decoded; "": none was found */
	uint32_t n;                 /* fragments */
	uint64_t total;             /* bytes of all fragments */
	struct kvr_const_span list; /* the text of the list of fragments */
};

/*
 * KVR_OK, or PROTO with a sentence of static storage. Whatever is returned: an id in ret belongs to
 * a lease that must be released.
 */
KVR_MUST_USE enum kvr_err kvr_hp_lease_read(
    struct kvr_const_span text, struct kvr_hp_lease *ret, const char **why);
/* The next fragment of a lease that was read; *at starts at 0. False: no more. */
bool kvr_hp_lease_next(
    const struct kvr_hp_lease *, size_t *at, uint64_t *ret_offset, uint64_t *ret_len);

/* ---- hyperpod_segment.c: the daemon's shared memory ---- */

/* Identifies the file: a restarted daemon makes another one, usually under the same name. */
struct kvr_hp_file {
	dev_t dev;
	ino_t ino;
};

struct kvr_hp_segment {
	int fd; /* -1: none */
	struct kvr_hp_file file;
	uint64_t size;
};

/* Opens the file that is at path now, unless it is already open. DOWN or AUTH with a sentence. */
KVR_MUST_USE enum kvr_err kvr_hp_segment_fresh(
    struct kvr_hp_segment *, const char *path, char *why, size_t why_cap);
/* Whether this is the file that is at path now. */
bool kvr_hp_file_is(const struct kvr_hp_file *, const char *path);
/* False: the file has become shorter, or could not be read. */
KVR_MUST_USE bool kvr_hp_segment_read(
    const struct kvr_hp_segment *, void *to, size_t len, uint64_t offset);
void kvr_hp_segment_close(struct kvr_hp_segment *); /* twice is fine */

/* ---- hyperpod_owed.c: leases that must be given back ---- */

/* What bounds a lease. */
struct kvr_hp_term {
	uint64_t end_ns; /* latest instant at which it is over */
	struct kvr_hp_file file;
};

/* A request in flight on a lane. It outlives the lane if its lease may still arrive. */
struct kvr_hp_note {
	bool     lease;  /* asks for a lease */
	uint8_t  head[KVR_HP_HEAD_LEN]; /* PUT */
	uint32_t item;
	struct kvr_hp_term term;
};

struct kvr_hp_line {
	struct kvr_hp_line *next;
	struct kvr_httpc *http;
	uint32_t at_once;
	struct kvr_hp_note note[];
};

/* NULL: no memory. */
struct kvr_hp_owed *kvr_hp_owed_new(const struct kvr_store *);
/* Waits a moment for the leases that can still be given back. NULL is fine. */
void kvr_hp_owed_free(struct kvr_hp_owed *take);
/* The current address of the daemon; call it before anything is owed. */
void kvr_hp_owed_where(struct kvr_hp_owed *, const struct kvr_addrs *);
/* Call before requesting a lease. False: there is no thread to give it back. */
KVR_MUST_USE bool kvr_hp_owed_ready(struct kvr_hp_owed *);
/* False: full; it empties at the speed of the daemon. */
KVR_MUST_USE bool kvr_hp_owe(struct kvr_hp_owed *, const char *id, const struct kvr_hp_term *);
/* Waits for leases that were requested and have not arrived, to give them back. */
void kvr_hp_owed_adopt(struct kvr_hp_owed *, struct kvr_hp_line *take);
/* Drops what is in flight. NULL is fine. */
void kvr_hp_line_free(struct kvr_hp_line *take);
/* NULL: no memory. */
struct kvr_hp_line *kvr_hp_line_new(
    const struct kvr_store *, const struct kvr_addrs *, uint32_t at_once);

/* ---- a lane ---- */

struct kvr_connector {
	uint32_t magic;
	uint32_t in_flight;
	struct kvr_store *store;
	struct kvr_kick *kick;
	struct kvr_hp_line *line;
	uint64_t until_ns;
	uint8_t *scratch;
	struct kvr_frame frame;
	struct kvr_hp_segment segment;
	enum kvr_hp_gate gate; /* of the requests in flight */
	uint32_t health;       /* HTTP status of the last GET /health */
	char why[256];
};

enum kvr_err kvr_hp_fail(struct kvr_connector *, enum kvr_err, const char *fmt, ...)
    KVR_PRINTF(3, 4);
/* The error for an unexpected HTTP status, and a sentence in c->why. */
enum kvr_err kvr_hp_odd(
    struct kvr_connector *, const char *verb, const struct kvr_httpc_answer *);

/* hyperpod_batch.c */
enum kvr_err kvr_hp_run(struct kvr_connector *, enum kvr_verb, struct kvr_item *, uint32_t n);
/* Hands over the leases that the lane has or will get; everything else in flight ends. */
void kvr_hp_let_go(struct kvr_connector *);
/* hyperpod_examine.c */
void kvr_hp_examine(struct kvr_store *, struct kvr_connector *, const struct kvr_examination *);
/*
 * hyperpod_read.c: GET and STAT from a lease. An error ends the lane; otherwise the item is done.
 */
enum kvr_err kvr_hp_read(struct kvr_connector *, enum kvr_verb, struct kvr_item *,
    const struct kvr_hp_lease *, uint64_t end_ns);

#endif
