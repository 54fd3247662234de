/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table that every store implements, and all that the layers above may know of a store.
 *
 *   store      one per tier: the parsed URL, and what all lanes of the tier share (the map of a
 *              memory tier, the index of a file tier). Opened without I/O that can hang. Its
 *              functions may be called by all lanes at once: it locks for itself.
 *   connector  one per lane: a connection. One thread at a time has it, so it needs no lock. It may block,
 *              never past `until_ns` and never past a kick; it does not retry, reconnect or log.
 *
 * There is one verb for batches. A connector does a whole batch in one round trip where the store
 * can (pipelined), and publishes each item's status as that item ends.
 */
#ifndef KVR_CONNECTOR_H
#define KVR_CONNECTOR_H

#include <stdatomic.h>

#include "kvr_finding.h"
#include "kvr_meta.h"

#define KVR_KEY_LEN_MAX 512U

/* How a chunk is laid out in the store. Which bytes exactly: connectors/wire. */
enum kvr_store_format {
	KVR_FORMAT_LMCACHE, /* what LMCache writes for this kind of store */
	KVR_FORMAT_BARE,    /* one key, payload only */
	KVR_FORMAT_SEALED   /* one key, one verified value */
};
#define KVR_FORMAT_BIT(f) (UINT32_C(1) << (f))

enum kvr_verb {
	KVR_VERB_EXISTS, /* OK or MISS */
	KVR_VERB_GET,    /* payload into span */
	KVR_VERB_PUT,    /* payload from span; visible only when whole */
	KVR_VERB_DEL,    /* OK or MISS */
	KVR_VERB_STAT,   /* what is stored: len, raw_len, meta, serde, without the payload */
	KVR_VERB_PING,   /* n is 0: a round trip that touches no key */
	KVR_VERB_N
};

/* What a store can do beyond its verbs. A layer asks the bit, never the name of the store. */
#define KVR_CAP_TABLE(X) \
	X(PIPELINE, "a batch is one round trip") \
	X(WINDOW, "several requests of a batch are in flight: the longer the batch, the less it waits") \
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
 * run() returns; `status` alone may be read by another thread meanwhile.
 */
struct kvr_item {
	const char *key; /* 1 to KVR_KEY_LEN_MAX bytes, NUL after them */
	uint32_t    key_len;
	uint32_t    flags;
#define KVR_ITEM_AT_MOST 1U /* GET: span.len is room, a shorter value is a hit */
	struct kvr_span span;    /* GET: where to; PUT: from where, only read */
	uint64_t        raw_len; /* PUT: payload bytes before the serde; GET, STAT: what is found */
	uint32_t        serde;   /* the same for the serde's number; 0: naive */
	uint32_t        spare;
	/*
	 * PUT: what is written. GET: what is expected, n_groups 0 for no expectation; a format that
	 * stores shapes puts here what it found, and says IDENTITY when dtype or layout differ (the
	 * token dimension may). Not NULL.
	 */
	struct kvr_meta *meta;

	/* Out. len is written before status. */
	uint64_t        len;    /* GET, STAT: stored payload bytes; PUT: bytes sent with framing */
	_Atomic int32_t status; /* KVR_PENDING, then a kvr_err, once, with release order */
};

static inline void
kvr_item_done(struct kvr_item *item, int32_t err)
{
	/* Pairs with the acquire in kvr_item_status: who sees the status sees len and meta. */
	atomic_store_explicit(&item->status, err, memory_order_release);
}

static inline int32_t
kvr_item_status(const struct kvr_item *item)
{
	return atomic_load_explicit(&item->status, memory_order_acquire);
}

/*
 * Ends a wait from outside. `fd` is an eventfd that every poll() of a connector also watches;
 * readable alone proves nothing, for it may have been meant for the batch before.
 */
struct kvr_kick {
	int              fd;
	_Atomic uint64_t target;  /* which batch should end; written by the sender before fd */
	uint64_t         current; /* which batch runs; written by the worker that owns the lane */
	const _Atomic uint32_t *lookups; /* how many of this instance are under way; NULL: nobody counts them */
};

#define KVR_KICK_ALL UINT64_MAX /* target: whatever runs, and all that comes after it */

/* True when the running batch is meant. False drains fd, so that poll() can sleep again. */
bool kvr_kicked(struct kvr_kick *);

/* How TLS is spoken with a store whose URL asks for it; paths are those of PEM files. */
struct kvr_tls_opts {
	const char *ca;          /* whom to believe, a file or a directory; NULL: as the system does */
	const char *crl;         /* what the CAs have revoked, a file or a directory; NULL: not asked */
	const char *cert, *key;  /* who we are; NULL: nobody; key NULL: it stands in cert's file */
	const char *server_name; /* whom the certificate must name; NULL: the host of the URL */
	bool        no_verify;   /* any certificate will do: no protection against a man between */
	bool        no_host_check; /* one that names another host will do */
};

static inline bool
kvr_tls_given(const struct kvr_tls_opts *o)
{
	return o->ca != NULL || o->crl != NULL || o->cert != NULL || o->key != NULL ||
	    o->server_name != NULL || o->no_verify || o->no_host_check;
}

/* Whom to ask for the server of a service, where the URL names sentinels. */
struct kvr_sentinel_opts {
	const char *service;         /* NULL: the one in the URL */
	const char *user, *password; /* of the sentinels themselves; NULL: none */
};

static inline bool
kvr_sentinel_given(const struct kvr_sentinel_opts *o)
{
	return o->service != NULL || o->user != NULL || o->password != NULL;
}

/*
 * What happens to one value on its way from the store into the frame, before anything is verified.
 * Positions are bytes of the value as the store keeps it; UINT64_MAX: it does not happen.
 */
struct kvr_harm {
	uint64_t cut_at;  /* as if the value ended there */
	uint64_t flip_at; /* the byte that has another bit */
	uint8_t  flip;    /* which */
};

/* Somebody who harms values on purpose; called once for each, by all lanes at once. */
struct kvr_spoil {
	struct kvr_harm (*draw)(struct kvr_spoil *, uint64_t value_len);
};

/* What is told of each key that goes through a store, for people who compare two deployments. */
enum kvr_audit {
	KVR_AUDIT_OFF,
	KVR_AUDIT_LOG,   /* a line: what, which key, how long, what came of it */
	KVR_AUDIT_SUM,   /* with the SHA-256 of the payload as it is stored */
	KVR_AUDIT_VERIFY /* and a get of what this process has put is CORRUPT when it has another */
};

struct kvr_audit_opts {
	uint32_t mode;      /* enum kvr_audit */
	uint32_t excluded;  /* 1 << verb: of these nothing is told */
	void (*line)(void *arg, const char *text); /* by any lane, several at once */
	void *arg;
};

/* How a HyperPod daemon is spoken with. Zeros and NULLs: LMCache's defaults. */
struct kvr_hyperpod_opts {
	const char *bucket, *shared_memory_name;
	uint32_t    max_concurrent_requests; /* of all lanes: so many puts, so many others */
	uint32_t    max_connections, max_connections_per_host;
	uint32_t    put_stream_chunk; /* bytes of a body that are sent at a time */
	uint64_t    timeout_ms;       /* of one request */
	uint64_t    lease_wait_ms;    /* how long the daemon may wait for a key that it has not */
	uint64_t    lease_ttl_ms;
	uint64_t    max_lease_bytes;  /* longer objects are not read; 0: no limit */
	bool        use_https;
};

/* How EIC's client is made; NULL: not given. */
struct kvr_eic_opts {
	const char *library; /* the adapter; NULL: by its name */
	const char *instance_id, *ns, *log_dir, *flag_file;
	int32_t     log_level, trans_type;
};

/* All texts live as long as the store. What a store does not know it must refuse, not ignore. */
struct kvr_store_opts {
	const char *tier; /* its name, for messages */
	const char *url;
	const char *user, *password; /* NULL: those in the URL, else none */
	uint32_t    format;          /* enum kvr_store_format */
	uint32_t    n_groups;        /* groups in an LMCache header; at least 1 */
	uint64_t    fingerprint;     /* what a sealed value must agree on; 0: not compared */
	uint64_t    capacity;        /* bytes; 0: no limit */
	uint64_t    free_floor;      /* bytes that a file tier leaves free on its file system */
	uint64_t    ttl_ms;          /* 0: none */
	uint64_t    connect_ns;      /* longest time for one dial */
	uint64_t    window_bytes;    /* payload bytes in flight on one connection; 0: the default */
	const char *prefix;          /* before every stored key; NULL or "": none */
	/* LMCache's fs options. */
	bool        no_chunk_meta;   /* save_chunk_meta false: no header in front of the payload */
	const char *tmp_dir;         /* relative directory for temporary files; NULL: none */
	bool        direct;          /* a file tier's files past the page cache, where that works */
	bool        staged;          /* a file tier's local disk is not to be handed a caller's memory */
	struct kvr_span staging;     /* where payloads of those lie that cannot GIVE_UP; outlives the store */
	uint64_t    slot_bytes;      /* a full chunk, where a header-less read has to know it */
	struct kvr_tls_opts tls;
	struct kvr_sentinel_opts sentinel;
	bool        replicas; /* reads go to replicas first, where the store has some */
	struct kvr_spoil *spoil; /* lives as long as the store; NULL: values come as they are */
	const char *faults; /* path of a script; for kvr_connector_rehearse alone */

	struct kvr_audit_opts audit; /* read by kvr_connector_audit() alone */
	struct kvr_hyperpod_opts hyperpod;
	struct kvr_eic_opts eic;
};

/*
 * Behind what a dial says that ran out of time, where that was the setting's: whoever reads it
 * knows what to change. It is short, for the address before it may be long.
 */
#define KVR_CONNECT_FMT " (timeouts.connect, %llu ms)"

struct kvr_store;
struct kvr_connector;

struct kvr_connector_ops {
	const char        *name;    /* "redis" */
	const char *const *schemes; /* "redis", "unix", NULL */
	uint32_t           caps;
	uint32_t           formats; /* KVR_FORMAT_BITs it can hold */
	uint32_t           format_tier, format_url; /* defaults: in a tier, by --url or remote_url */

	/*
	 * KVR_E_CONFIG or KVR_E_TOO_BIG with a sentence in why: what is wrong and what to do. With
	 * KVR_OK text in why is a remark for whoever runs this: it works, and not as was asked.
	 */
	enum kvr_err (*open)(
	    const struct kvr_store_opts *, struct kvr_store **ret, char *why, size_t why_cap);
	void (*close)(struct kvr_store *take); /* after every hang_up; NULL is fine */

	/* Connects and signs in. On failure nothing is left open and why says what happened. */
	enum kvr_err (*dial)(struct kvr_store *, uint64_t until_ns, struct kvr_kick *,
	    struct kvr_connector **ret, char *why, size_t why_cap);
	void (*hang_up)(struct kvr_connector *take); /* NULL is fine */

	/*
	 * Runs one verb over n items. Items whose status is not KVR_PENDING are left alone. KVR_OK:
	 * every pending item has a status and the connection lives (misses and errors of single
	 * items are in the items). Any other answer: what ended the connection; items that it did
	 * not reach stay KVR_PENDING, and only why() and hang_up() may be called. At until_ns it
	 * answers TIMEOUT, at a kick CANCELLED, within milliseconds, and touches no span any more.
	 */
	enum kvr_err (*run)(struct kvr_connector *, enum kvr_verb, struct kvr_item *, uint32_t n,
	    uint64_t until_ns);

	/* The store's own words for the last error of a key or of the connection; "" if none. */
	const char *(*why)(const struct kvr_connector *);

	/*
	 * What this store has of caps, which is the most that one can have: a file tier on a network
	 * file system cannot GIVE_UP. NULL: all of caps. Ask through kvr_store_caps.
	 */
	uint32_t (*store_caps)(const struct kvr_store *);

	/*
	 * Tells what a person should know of this store before it is used: limits, rights, versions.
	 * Read-only, over a connection of its own, which is of no further use. NULL: nothing to tell.
	 */
	void (*examine)(struct kvr_store *, struct kvr_connector *, const struct kvr_examination *);
};

static inline uint32_t
kvr_store_caps(const struct kvr_connector_ops *ops, const struct kvr_store *store)
{
	return ops->store_caps == NULL ? ops->caps : ops->caps & ops->store_caps(store);
}

/* By URL scheme, NULL when nobody serves it. connectors/registry.c has the list. */
const struct kvr_connector_ops *kvr_connector_find(const char *url);
/*
 * Wraps whichever store serves opts->url, and lets it fail as the script opts->faults says. Never
 * found by a URL: whoever wants faults has to ask for them by this name.
 */
const struct kvr_connector_ops *kvr_connector_rehearse(void);
/*
 * Whether that script can be followed. False: what is wrong, at which line and column, from 1; line
 * 0: it is the file itself.
 */
bool kvr_connector_check_faults(
    const char *path, uint32_t *ret_line, uint32_t *ret_column, char *ret_what, size_t cap);

/* Around the store that serves the URL it is opened with: tells what goes through. */
const struct kvr_connector_ops *kvr_connector_audit(void);
/* NULL-terminated, for messages and for the checker of configurations. */
const char *const *kvr_connector_schemes(void);
/* Whether this build can speak TLS; whether it can speak HTTP. */
bool kvr_connector_has_tls(void);
bool kvr_connector_has_http(void);

#endif
