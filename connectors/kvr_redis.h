/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Redis connector share.
 *
 * A batch is processed in groups, and a group in steps. A step makes a fixed number of requests per
 * item, all of one kind, with a bounded window of them in flight. Replies come in the order of the
 * requests, so a step needs two cursors and no queue. A format with two keys per chunk takes
 * several steps, and the replies of one step determine the plan of the next.
 */
#ifndef KVR_REDIS_H
#define KVR_REDIS_H

#include "kvr_frame.h"
#include "kvr_resp.h"
#include "kvr_url.h"

#define KVR_REDIS_GROUP 512U
#define KVR_REDIS_PREFIX_MAX 256U
#define KVR_REDIS_VALUE_MAX KVR_MIB(512) /* the longest string of a Redis server */
#define KVR_REDIS_PIECE KVR_MIB(4) /* of a long value: see redis_pieces.c */
/* Room for the trailer of a sealed value of up to 64 blocks with the longest key. */
#define KVR_REDIS_BEHIND 1024U
#define KVR_REDIS_LM_HEAD_MAX (8U + 20U * KVR_GROUPS_MAX)

/*
 * How servers that speak RESP differ for us: in the names under which LMCache stores chunks there,
 * and in what LMCache's connector for that server can do.
 */
struct kvr_redis_kind {
	const char *scheme, *tls_scheme; /* NULL: it has no TLS */
	const char *value, *mark; /* LMCACHE: suffixes of its two names */
	uint32_t formats;         /* KVR_FORMAT_BITs */
	bool databases;           /* SELECT */
	bool expires;             /* TTL */
	bool in_seconds;          /* TTL as EX, rounded up, as other clients of that store do */
	bool drops_orphans;       /* whoever finds a header without payload deletes it */
	bool tags;                /* in a cluster LMCache's two names have a hash tag, so one slot */
};

extern const struct kvr_redis_kind kvr_redis_kind_redis, kvr_redis_kind_resp,
    kvr_redis_kind_valkey;

struct kvr_tls;
struct kvr_redis_sentinels;
struct kvr_redis_map;
struct kvr_cluster_lane;
struct kvr_redis_replica;

/* The names of a chunk. VALUE: holds the payload; MARK: says that the chunk exists. */
enum kvr_redis_name { KVR_REDIS_VALUE, KVR_REDIS_MARK };

/* What precedes and follows the key in a name. */
#define KVR_REDIS_AROUND_MAX (KVR_REDIS_PREFIX_MAX + 32U)
struct kvr_redis_around {
	uint32_t n_before, n_after;
	char before[KVR_REDIS_AROUND_MAX], after[KVR_REDIS_AROUND_MAX];
};

struct kvr_store {
	uint32_t magic;
	bool     is_unix, is_tls;
	bool     resp3; /* HELLO 3 */
	bool     replicas; /* read from them first */
	uint16_t port;
	uint32_t db;
	uint32_t lm_head_len; /* LMCACHE: bytes of a header */
	_Atomic uint32_t turn; /* lets lanes take the replicas in turn */
	/* Length of the last value that was too long, and until when that counts; 0: none. */
	_Atomic uint64_t refused_len, refused_until_ns;
	_Atomic uint64_t no_watch_until_ns; /* see redis_pieces.c */
	uint64_t ttl_ms, connect_ns;
	uint64_t window_bytes; /* payload in flight on a connection; 0: by step and round trip */
	const struct kvr_redis_kind *kind;
	struct kvr_tls *tls; /* NULL: plain */
	struct kvr_redis_sentinels *sentinels; /* they know host and port; NULL: the URL did */
	struct kvr_redis_map *map; /* cluster: which node has which slot; NULL: one server */
	struct kvr_frame_rules rules;
	struct kvr_redis_around around[2]; /* indexed by enum kvr_redis_name */
	char  where[320]; /* host and port, or the path; for messages */
	char *user, *password; /* NULL: none */
	char  host[256];       /* or the path of a Unix socket */
};

/* redis_examine.c */
void kvr_redis_examine(struct kvr_store *, struct kvr_connector *, const struct kvr_examination *);

/* Why a step must be repeated for an item, at another node or later. */
enum kvr_redis_redirect {
	KVR_REDIS_STAYS,
	KVR_REDIS_MOVED, /* its slot now belongs to another node */
	KVR_REDIS_ASK,   /* ask another node, this time only */
	KVR_REDIS_AGAIN, /* some of its keys have already moved */
	KVR_REDIS_SICK   /* this node cannot serve now */
};

/* What a step remembers about an item. */
struct kvr_redis_note {
	uint32_t parts, left; /* requests of the running step; those without a reply */
	uint32_t need; /* as a reply has shown: fewer than planned; 0: not known */
	uint8_t  go;       /* for the next step's plan; its meaning is private to the verb's file */
	uint8_t  asking;   /* 1: each request follows an ASKING */
	uint8_t  redirect; /* enum kvr_redis_redirect */
	uint8_t  to;       /* MOVED, ASK: the number of the node that was named */
	int32_t  err;      /* the item's result when the next step is done */
	uint64_t total;    /* STAT: bytes of the value with the payload; PUT: of the whole value */
};

struct kvr_connector {
	uint32_t magic;
	bool     signed_out; /* the server now accepts no command without AUTH */
	bool     hung_up;    /* the server did, after its last reply */
	bool     from_replica; /* reading from a replica: nothing may be written */
	bool     watches;    /* the server has answered a WATCH, be it with an error */
	struct kvr_store *store;
	uint8_t *scratch;
	uint8_t *heads; /* LMCACHE: headers of lm_head_len bytes, one per note */
	struct kvr_frame frame;
	uint64_t frame_total;
	struct kvr_redis_note *note; /* KVR_REDIS_GROUP of them, in the order of the batch's items */
	/* Shortest time from a request to its reply on this connection; 0: none yet. */
	uint64_t trip_ns;
	char why[256];
	const struct kvr_url_host *peer; /* node of a cluster: the address that was dialed */
	uint8_t redirect, redirect_to; /* of the last reply: see kvr_redis_odd_reply */
	struct kvr_cluster_lane *cluster; /* connections to its nodes instead of s; NULL: s is used */
	struct kvr_redis_replica *replica; /* NULL: ask only the master */
	struct kvr_sock s;
};

struct kvr_redis_step {
	enum kvr_redis_name name; /* in a cluster the step goes to the node that has this one */
	/* For items whose note has this go, set by an earlier step; 0: for all that are pending. */
	uint8_t go;
	/*
	 * Number of requests that the item needs, 0 for none. May end the item. Called once per
	 * item. NULL: one for each item that the step is for.
	 */
	uint32_t (*plan)(struct kvr_connector *, struct kvr_item *, struct kvr_redis_note *);
	/* Without send, the whole request is "VERB name". */
	const struct kvr_resp_verb *verb;
	enum kvr_err (*send)(struct kvr_connector *, struct kvr_item *, struct kvr_redis_note *,
	    uint32_t part);
	/* Reads what belongs to the reply, and ends the item with its last part. */
	enum kvr_err (*reply)(struct kvr_connector *, struct kvr_item *, struct kvr_redis_note *,
	    uint32_t part, const struct kvr_resp *);
	/* Payload bytes of a request and its reply. NULL: too few to count. */
	uint64_t (*weight)(const struct kvr_item *, uint32_t part);
	uint32_t in_flight_max;
	uint32_t fill_max; /* see kvr_stream_begin */
	/* With weight: payload in flight to a server that is near, and how much is sent at a time. */
	uint64_t window_bytes, refill_bytes;
};

/* Runs one step over n <= KVR_REDIS_GROUP items; note[i] belongs to item[i]. */
enum kvr_err kvr_redis_step(
    struct kvr_connector *, const struct kvr_redis_step *, struct kvr_item *, uint32_t n);

/* In the protocol of the store. room is for the text of an error, which may come as a bulk. */
enum kvr_err kvr_redis_read_reply(struct kvr_connector *, char *room, struct kvr_resp *ret);

/* Called when the answer to a request sent at asked_ns has arrived: measures the round trip. */
void kvr_redis_trip(struct kvr_connector *, uint64_t asked_ns);

/* How many requests the step has for this item. */
uint32_t kvr_redis_requests(const struct kvr_redis_step *, struct kvr_connector *, struct kvr_item *,
    struct kvr_redis_note *);
/* A weight: the payload of an item that needs one request. */
uint64_t kvr_redis_payload(const struct kvr_item *, uint32_t part);
/* A reply to a DEL that cleans up: the item's outcome does not depend on it. */
enum kvr_err kvr_redis_cleaned(struct kvr_connector *, struct kvr_item *, struct kvr_redis_note *,
    uint32_t part, const struct kvr_resp *);

/* A verb is a few steps over a group, each for all its items. */
struct kvr_redis_plan {
	uint32_t n;
	const struct kvr_redis_step *step[4];
};
typedef const struct kvr_redis_plan *kvr_redis_verb(const struct kvr_store *);
kvr_redis_verb kvr_redis_exists, kvr_redis_del, kvr_redis_stat, kvr_redis_get, kvr_redis_put;
/* Indexed by enum kvr_verb; NULL for PING. */
extern kvr_redis_verb *const kvr_redis_verbs[KVR_VERB_N];
/* All steps of a verb, over a connection to a single server. */
enum kvr_err kvr_redis_run(
    struct kvr_connector *, enum kvr_verb, struct kvr_item *, uint32_t n);

/*
 * redis_name.c. Computes what precedes and follows keys; format and map of the store must be set.
 */
void kvr_redis_names(struct kvr_store *, const char *prefix);
/* Writes a name of at most KVR_REDIS_NAME_MAX bytes and returns its end. */
#define KVR_REDIS_NAME_MAX (2 * KVR_REDIS_AROUND_MAX + KVR_KEY_LEN_MAX)
char *kvr_redis_name(
    const struct kvr_store *, const struct kvr_item *, enum kvr_redis_name, char *to);
enum kvr_err kvr_redis_put_name(
    struct kvr_connector *, const struct kvr_item *, enum kvr_redis_name);
/*
 * "VERB name", which is all of most commands. The caller adds the other arguments that del_two,
 * getrange, set and set_ttl count.
 */
extern const struct kvr_redis_words {
	struct kvr_resp_verb exists, strlen, get, getrange, watch, set, set_ttl, del, del_two;
} kvr_redis_say;
enum kvr_err kvr_redis_put_verb(struct kvr_connector *, const struct kvr_resp_verb *,
    const struct kvr_item *, enum kvr_redis_name);

/*
 * Handles a reply of an unexpected kind. For an error reply *ret_err says what it means, and the
 * function returns KVR_OK. Any other kind ends the stream. A redirection to another node of a
 * cluster is left in c->redirect, from where it goes to the item's note: what the step made of the
 * error is undone when the step is repeated.
 */
enum kvr_err kvr_redis_odd_reply(
    struct kvr_connector *, const char *verb, const struct kvr_resp *, int32_t *ret_err);
/* Reads the payload of a bulk reply into the frame, and the CR LF after it. */
enum kvr_err kvr_redis_bulk_to_frame(struct kvr_connector *, uint64_t len);
enum kvr_err kvr_redis_bulk_skip(struct kvr_connector *, uint64_t len);

/* redis_cluster.c. Leaves in c->redirect what a node's error reply means for the step. */
void kvr_redis_redirected(struct kvr_connector *, const struct kvr_resp *);

/*
 * An equal share of the remaining time, so that a silent peer does not use up the time of the
 * others.
 */
uint64_t kvr_redis_share(uint64_t until_ns, uint32_t n);

/* redis.c. A connector that is not connected yet. Without notes, its users must provide them. */
struct kvr_connector *kvr_redis_connector_new(struct kvr_store *, bool with_notes);
void kvr_redis_connector_free(struct kvr_connector *take); /* NULL is fine */

/* Parses opts; redis_open.c. */
enum kvr_err kvr_redis_open(const struct kvr_redis_kind *, const struct kvr_store_opts *,
    struct kvr_store **ret, char *why, size_t why_cap);
void kvr_redis_close(struct kvr_store *take);
void kvr_redis_wipe(char *take); /* overwrites and frees a secret; NULL is fine */

/*
 * redis_dial.c. Connects c->s to a server of the store, with TLS if the store uses it, and signs
 * in. After an error the stream is hung up and c->s.why says what happened.
 */
enum kvr_err kvr_redis_connect(struct kvr_connector *, const char *host, uint16_t port,
    uint64_t until_ns, struct kvr_kick *);
enum kvr_err kvr_redis_connect_unix(struct kvr_connector *, uint64_t until_ns, struct kvr_kick *);
/* Connects, with TLS if the store uses it; signing in is left to the caller. */
enum kvr_err kvr_redis_reach(struct kvr_connector *, const char *host, uint16_t port,
    uint64_t until_ns, struct kvr_kick *);
/* AUTH; sends nothing if there is no password. */
enum kvr_err kvr_redis_login(struct kvr_sock *, const char *user, const char *password);
/* A control command whose reply must be a status. on_plain_err: what "-ERR" means. */
enum kvr_err kvr_redis_demand(struct kvr_sock *, uint32_t argc, const char *const *argv,
    enum kvr_err on_plain_err);
/* PING. A server that answers it with its refusal to write counts as alive. */
enum kvr_err kvr_redis_ping(struct kvr_sock *);

/* redis_sentinel.c. Connects to the server that the sentinels call the master. */
enum kvr_err kvr_redis_connect_master(
    struct kvr_connector *, uint64_t until_ns, struct kvr_kick *);
/*
 * To a replica that they consider healthy and that is in sync with its master; turn selects which
 * one.
 */
enum kvr_err kvr_redis_connect_replica(
    struct kvr_connector *, uint32_t turn, uint64_t until_ns, struct kvr_kick *);
void kvr_redis_sentinels_free(struct kvr_redis_sentinels *take); /* NULL is fine */
/* Whether each of them answers, and whether they name the same master. */
void kvr_redis_sentinels_examine(struct kvr_store *, const struct kvr_examination *);

/*
 * redis_replica.c. Runs a reading verb over n <= KVR_REDIS_GROUP items: items that a replica has
 * are done, all others are left unchanged for the master. `pass` asks the replicas, for copies of
 * the items; what it returns does not matter unless it is CANCELLED.
 */
struct kvr_redis_replica *kvr_redis_replica_new(void);
void kvr_redis_replica_free(struct kvr_redis_replica *take); /* NULL is fine */
typedef enum kvr_err kvr_redis_pass(
    struct kvr_connector *, enum kvr_verb, struct kvr_item *, uint32_t n, uint64_t until_ns);
enum kvr_err kvr_redis_ask_replicas(struct kvr_connector *, enum kvr_verb, struct kvr_item *,
    uint32_t n, uint64_t until_ns, kvr_redis_pass *pass);
/* The pass for one server behind sentinels. */
kvr_redis_pass kvr_redis_replica_pass;

/* redis_tls.c. Whether kvr_redis_tls reads this option of the URL. */
bool kvr_redis_tls_option(const struct kvr_store *, const char *option);
/* Fills in s->tls if the store uses TLS; otherwise refuses options that only matter with TLS. */
enum kvr_err kvr_redis_tls(const struct kvr_url *, const struct kvr_tls_opts *,
    struct kvr_store *s, char *why, size_t why_cap);

#endif
