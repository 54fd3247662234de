/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that every store implements; the layers above know nothing else of a store.
 *
 *   store      one per tier: the parsed URL, and what all lanes of the tier share (the map of a
 *              memory tier, the index of a file tier). Opening it does no I/O that can hang. All
 *              lanes may call its functions at once: it does its own locking.
 *   connector  one per lane: a connection. One thread at a time uses it, so it needs no lock. It
 *              may block, but never past `until_ns` and never past a kick. It does not retry,
 *              reconnect or log.
 *
 * One verb covers a whole batch. A connector does a batch in one round trip where the store can
 * (pipelined), and publishes each item's status as soon as that item is done.
 */
#ifndef KVR_CONNECTOR_H
#define KVR_CONNECTOR_H

#include <stdatomic.h>

#include "kvr_finding.h"
#include "kvr_meta.h"

#define KVR_KEY_LEN_MAX 512U

/* How a chunk is laid out in the store. connectors/wire defines the exact bytes. */
enum kvr_store_format {
	KVR_FORMAT_LMCACHE, /* what LMCache writes for this kind of store */
	KVR_FORMAT_BARE,    /* one key, payload only */
	KVR_FORMAT_SEALED   /* one key, one verified value */
};
#define KVR_FORMAT_BIT(f) (UINT32_C(1) << (f))

enum kvr_verb {
	KVR_VERB_EXISTS, /* OK or MISS */
	KVR_VERB_GET,    /* payload into span */
	KVR_VERB_PUT,    /* payload from span; becomes visible only when complete */
	KVR_VERB_DEL,    /* OK or MISS */
	KVR_VERB_STAT,   /* len, raw_len, meta and serde of what is stored, without the payload */
	KVR_VERB_PING,   /* a round trip that touches no key; n is 0 */
	KVR_VERB_N
};

/*
 * A store that refuses writes (a replica, a disk that is mounted read-only, a user's rights, no
 * snapshots) can be read like one that is full, and must not be left alone for it.
 */
static inline bool
kvr_refuses_writes(enum kvr_verb verb, int32_t err)
{
	return (verb == KVR_VERB_PUT || verb == KVR_VERB_DEL) &&
	       (err == KVR_E_REFUSED || err == KVR_E_AUTH);
}

/* What a store can do beyond its verbs. Callers test the bit, never the name of the store. */
#define KVR_CAP_TABLE(X) \
	X(PIPELINE, "a batch is one round trip") \
	X(WINDOW, \
	    "several requests of a batch are in flight: the longer the batch, the less it waits") \
	X(GIVE_UP, "waits can be ended between two slices: caller memory may be handed to it") \
	X(CAPACITY, "keeps its own byte limit and evicts") \
	X(TTL, "values can expire") \
	X(ANY_THREAD, "its work may run on a caller's thread: it raises no signal, dials nobody and sees every kick")

enum {
#define X(name, text) KVR_CAP_BIT_##name,
	KVR_CAP_TABLE(X)
#undef X
	KVR_CAP_N
};
#define KVR_CAP(name) (UINT32_C(1) << KVR_CAP_BIT_##name)

/*
 * One key of a batch. The worker fills the upper part before run() and owns the item again when
 * run() returns. Meanwhile another thread may read `status`, and nothing else.
 */
struct kvr_item {
	const char *key; /* 1 to KVR_KEY_LEN_MAX bytes, then a NUL */
	uint32_t    key_len;
	uint32_t    flags;
#define KVR_ITEM_AT_MOST 1U /* GET: span.len is the room; a shorter value is a hit */
	struct kvr_span span;    /* GET: destination; PUT: source, only read */
	uint64_t        raw_len; /* PUT: payload bytes before the serde; GET, STAT: as found */
	uint32_t        serde;   /* number of the serde, set and returned like raw_len; 0: naive */
	uint32_t        spare;
	/*
	 * PUT: what is written. GET: what is expected; n_groups 0: no expectation. A format that
	 * stores shapes writes here what it found, and returns IDENTITY if dtype or layout differ
	 * (the token dimension may). Not NULL.
	 */
	struct kvr_meta *meta;

	/* Out. len is written before status. */
	uint64_t        len;    /* GET, STAT: stored payload bytes; PUT: bytes sent with framing */
	_Atomic int32_t status; /* KVR_PENDING, then a kvr_err, written once, with release order */
};

static inline void
kvr_item_done(struct kvr_item *item, int32_t err)
{
	/*
	 * Pairs with the acquire in kvr_item_status: a thread that sees the status also sees len
	 * and meta.
	 */
	atomic_store_explicit(&item->status, err, memory_order_release);
}

static inline int32_t
kvr_item_status(const struct kvr_item *item)
{
	return atomic_load_explicit(&item->status, memory_order_acquire);
}

/*
 * Ends a wait from outside. `fd` is an eventfd that every poll() of a connector also watches. That
 * it is readable proves nothing: the kick may have been meant for the batch before.
 */
struct kvr_kick {
	int              fd;
	_Atomic uint64_t target;  /* which batch should end; the sender writes it before it writes fd */
	uint64_t         current; /* which batch is running; written by the worker that owns the lane */
	/* Lookups of this instance that are under way; NULL: not counted. */
	const _Atomic uint32_t *lookups;
};

#define KVR_KICK_ALL UINT64_MAX /* target: the running batch and all later ones */

/* True if the running batch is meant. If not, drains fd so that poll() can sleep again. */
bool kvr_kicked(struct kvr_kick *);

/* How to speak TLS with a store whose URL asks for it. All files are PEM files. */
struct kvr_tls_opts {
	const char *ca;          /* trusted CAs, a file or a directory; NULL: the system's */
	const char *crl;         /* revocation lists of the CAs, file or directory; NULL: not checked */
	const char *cert, *key;  /* our certificate and key; NULL: none; key NULL: in cert's file */
	const char *server_name; /* the name that the certificate must have; NULL: the URL's host */
	bool        no_verify;   /* accept any certificate: no protection against a man in the middle */
	bool        no_host_check; /* accept a certificate for another host */
};

static inline bool
kvr_tls_given(const struct kvr_tls_opts *o)
{
	return o->ca != NULL || o->crl != NULL || o->cert != NULL || o->key != NULL ||
	    o->server_name != NULL || o->no_verify || o->no_host_check;
}

/* How to ask sentinels for the server of a service, if the URL names sentinels. */
struct kvr_sentinel_opts {
	const char *service;         /* NULL: the service in the URL */
	const char *user, *password; /* for the sentinels themselves; NULL: none */
};

static inline bool
kvr_sentinel_given(const struct kvr_sentinel_opts *o)
{
	return o->service != NULL || o->user != NULL || o->password != NULL;
}

/*
 * Damage done to one value on its way from the store into the frame, before it is verified.
 * Positions are bytes of the value as the store keeps it; UINT64_MAX: no such damage.
 */
struct kvr_harm {
	uint64_t cut_at;  /* the value appears to end here */
	uint64_t flip_at; /* the byte in which a bit is flipped */
	uint8_t  flip;    /* mask of the flipped bit */
};

/* Damages values on purpose. draw is called once per value, by all lanes at once. */
struct kvr_spoil {
	struct kvr_harm (*draw)(struct kvr_spoil *, uint64_t value_len);
};

/* What is logged about each key that goes through a store, for comparing two deployments. */
enum kvr_audit {
	KVR_AUDIT_OFF,
	KVR_AUDIT_LOG,   /* a line: verb, key, duration, result */
	KVR_AUDIT_SUM,   /* and the SHA-256 of the payload as it is stored */
	KVR_AUDIT_VERIFY /* and a get is CORRUPT if this process has put another payload */
};

struct kvr_audit_opts {
	uint32_t mode;      /* enum kvr_audit */
	uint32_t excluded;  /* 1 << verb: verbs that are not logged */
	void (*line)(void *arg, const char *text); /* called by any lane, several at once */
	void *arg;
};

/* How to talk to a HyperPod daemon. Zeros and NULLs: LMCache's defaults. */
struct kvr_hyperpod_opts {
	const char *bucket, *shared_memory_name;
	/* Limit for all lanes together: so many puts, and as many other requests. */
	uint32_t    max_concurrent_requests;
	uint32_t    max_connections, max_connections_per_host;
	uint32_t    put_stream_chunk; /* bytes of a body sent at a time */
	uint64_t    timeout_ms;       /* of one request */
	uint64_t    lease_wait_ms;    /* how long the daemon may wait for a key that it does not have */
	uint64_t    lease_ttl_ms;
	uint64_t    max_lease_bytes;  /* longer objects are not read; 0: no limit */
	bool        use_https;
};

/* Options of EIC's client; NULL: not given. */
struct kvr_eic_opts {
	const char *library; /* the adapter; NULL: the default name */
	const char *instance_id, *ns, *log_dir, *flag_file;
	int32_t     log_level, trans_type;
};

/* All texts live as long as the store. A store must refuse options that it does not know. */
struct kvr_store_opts {
	const char *tier; /* its name, for messages */
	const char *url;
	const char *user, *password; /* NULL: those in the URL, else none */
	uint32_t    format;          /* enum kvr_store_format */
	uint32_t    n_groups;        /* groups in an LMCache header; at least 1 */
	uint64_t    fingerprint;     /* what a sealed value must match; 0: not compared */
	uint64_t    capacity;        /* bytes; 0: no limit */
	uint64_t    free_floor;      /* bytes that a file tier leaves free on its file system */
	uint64_t    ttl_ms;          /* 0: none */
	uint64_t    connect_ns;      /* longest time for one dial */
	uint64_t    window_bytes;    /* payload bytes in flight on one connection; 0: the default */
	const char *prefix;          /* before every stored key; NULL or "": none */
	/* LMCache's fs options. */
	bool        no_chunk_meta;   /* save_chunk_meta false: no header in front of the payload */
	const char *tmp_dir;         /* relative directory for temporary files; NULL: none */
	bool        direct;          /* file tiers: bypass the page cache where that works */
	bool        staged;          /* file tiers: never lend a caller's memory to a local disk */
	/* For payloads of stores that cannot GIVE_UP. Outlives the store. */
	struct kvr_span staging;
	uint64_t    slot_bytes;      /* a full chunk, for reads without a header that need to know it */
	struct kvr_tls_opts tls;
	struct kvr_sentinel_opts sentinel;
	bool        replicas; /* read from replicas first, if there are any */
	struct kvr_spoil *spoil; /* lives as long as the store; NULL: values arrive undamaged */
	const char *faults; /* path of a script; only for kvr_connector_rehearse */

	struct kvr_audit_opts audit; /* only for kvr_connector_audit */
	struct kvr_hyperpod_opts hyperpod;
	struct kvr_eic_opts eic;
};

/*
 * Appended to the message of a dial that exceeded the configured limit, so that its reader knows
 * which setting to change. It is short because the address before it may be long.
 */
#define KVR_CONNECT_FMT " (timeouts.connect, %llu ms)"

struct kvr_store;
struct kvr_connector;

struct kvr_connector_ops {
	const char        *name;    /* "redis" */
	const char *const *schemes; /* "redis", "unix", NULL */
	uint32_t           caps;
	uint32_t           formats; /* KVR_FORMAT_BITs of the formats it supports */
	uint32_t           format_tier, format_url; /* defaults: in a tier, by --url or remote_url */

	/*
	 * KVR_E_CONFIG or KVR_E_TOO_BIG with a sentence in why: what is wrong and what to do. With
	 * KVR_OK, a text in why is a remark for the operator: it works, but not as requested.
	 */
	enum kvr_err (*open)(
	    const struct kvr_store_opts *, struct kvr_store **ret, char *why, size_t why_cap);
	void (*close)(struct kvr_store *take); /* after every hang_up; NULL is fine */

	/*
	 * Connects and signs in. On failure nothing stays open and why says what happened. With
	 * KVR_OK, a text in why is a remark as with open; without one, why is left as it was.
	 */
	enum kvr_err (*dial)(struct kvr_store *, uint64_t until_ns, struct kvr_kick *,
	    struct kvr_connector **ret, char *why, size_t why_cap);
	void (*hang_up)(struct kvr_connector *take); /* NULL is fine */

	/*
	 * Runs one verb over n items. Items whose status is not KVR_PENDING are left alone. KVR_OK:
	 * every pending item has a status and the connection lives (misses and errors of single
	 * items are in the items). Anything else is what ended the connection: items that it did
	 * not reach stay KVR_PENDING, and only why() and hang_up() may be called. At until_ns it
	 * returns TIMEOUT, at a kick CANCELLED, within milliseconds, and then no longer touches any
	 * span.
	 */
	enum kvr_err (*run)(struct kvr_connector *, enum kvr_verb, struct kvr_item *, uint32_t n,
	    uint64_t until_ns);

	/* The store's own words for the last error of a key or of the connection; "" if none. */
	const char *(*why)(const struct kvr_connector *);

	/*
	 * Which of caps this store has; caps is the most that one can have: a file tier on a
	 * network file system, for example, cannot GIVE_UP. NULL: all of caps. Call kvr_store_caps
	 * instead.
	 */
	uint32_t (*store_caps)(const struct kvr_store *);

	/*
	 * Reports what an operator should know before using this store: limits, rights, versions.
	 * Read-only, over a connection of its own that is not used afterwards. NULL: nothing to
	 * report.
	 */
	void (*examine)(struct kvr_store *, struct kvr_connector *, const struct kvr_examination *);
};

static inline uint32_t
kvr_store_caps(const struct kvr_connector_ops *ops, const struct kvr_store *store)
{
	return ops->store_caps == NULL ? ops->caps : ops->caps & ops->store_caps(store);
}

/* By URL scheme; NULL if no store serves it. connectors/registry.c has the list. */
const struct kvr_connector_ops *kvr_connector_find(const char *url);
/*
 * Wraps the store that serves opts->url and makes it fail as the script opts->faults says. No URL
 * leads to it: faults are injected only if somebody asks for them by this function.
 */
const struct kvr_connector_ops *kvr_connector_rehearse(void);
/*
 * Checks that script. False: ret_what says what is wrong, at which line and column, counted from 1;
 * line 0: the file itself cannot be used.
 */
bool kvr_connector_check_faults(
    const char *path, uint32_t *ret_line, uint32_t *ret_column, char *ret_what, size_t cap);

/* Wraps the store that serves the URL and logs what goes through. */
const struct kvr_connector_ops *kvr_connector_audit(void);
/* NULL-terminated; for messages and for the configuration checker. */
const char *const *kvr_connector_schemes(void);
/* Whether this build has TLS and HTTP. */
bool kvr_connector_has_tls(void);
bool kvr_connector_has_http(void);

#endif
