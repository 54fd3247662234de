/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of an instance, for the files of the facade. The facade turns calls into messages to
 * the router and messages of the router into completions; it decides nothing else.
 *
 *   entry.c    fork, instants, sized structs, the gate, the log
 *   open.c     an instance begins          close.c    and ends
 *   keys.c     key texts: checks, rewriting, digests
 *   layout.c   shapes of payloads
 *   range.c    runs of slots               pool.c, obj.c  memory objects
 *   cache.c    paged caches                cache_shape.c what engines say of them
 *   tokens.c   tokens of one into runs of slots
 *   layers.c   operations that go layer by layer
 *   call.c     operations: slots, outcomes   tell.c     what a caller sees of them
 *   batch.c    a batch into ledger and rows
 *   submit.c   the submission call         wait.c     waiting, cancelling
 *   end.c      what nobody answers any more
 *   queue.c    queues                      notify.c   the notifier thread
 *   puts.c     which keys are being put
 *   lmcache.c  LMCache's methods           lmget.c    those that bring objects
 *   health.c   how it is doing             lmtext.c   key texts by their parts
 *   metrics.c  its statistics as text      endpoint.c the same over HTTP
 *   canary.c   whether a byte makes the round trip
 *   device.c   whose page-locked memory staging is
 *   place.c    where memory lies that is named by addresses
 *   registered.c memory of the caller's that is page-locked
 *
 * Locks, each taken alone or in this order: the domain's guard (held by whoever calls outside),
 * then one of: lock (slots), puts, pool, regions, a queue's. None of ours is held when a message is posted,
 * for the answer may come back on the same thread before the post returns.
 *
 * Life of an operation. Two hold its slot: the router, until RELEASE, and whoever is to be told,
 * until the last completion has been fetched. The last of the two gives slots and texts back.
 */
#ifndef KVR_INSTANCE_H
#define KVR_INSTANCE_H

#include "kvrelay.h"

#include "kvr_lmkey.h"
#include "kvr_http.h"
#include "kvr_log.h"
#include "kvr_pool.h"
#include "kvr_range.h"
#include "kvr_stats.h"
#include "kvr_system.h"
#include "kvr_thread.h"

#include <pthread.h>
#include <stdatomic.h>

#define KVR_INSTANCE_MAGIC KVR_MAGIC('K', 'V', 'R', 'I')
/* In more_flags of kvr_submit_with: the tier + 1 that alone is asked, as background work. */
#define KVR_ONLY_SHIFT 24
#define KVR_ONLY(tier) (((tier) + 1U) << KVR_ONLY_SHIFT)
#define KVR_QUEUE_MAGIC KVR_MAGIC('K', 'V', 'R', 'Q')
#define KVR_CACHE_MAGIC KVR_MAGIC('K', 'V', 'R', 'C')

/* What shapes of caches and tokens had before there were groups, and */
#define KVR_CACHE_SHAPE_LEAST offsetof(struct kvr_cache_shape, number)
#define KVR_TOKENS_LEAST offsetof(struct kvr_tokens, next)
/* what results had before there were layers: callers that were compiled then go on. */
#define KVR_RESULTS_LEAST offsetof(struct kvr_results, layers)
/* What a batch had before it knew of devices' memory: callers that were compiled then go on. */
#define KVR_BATCH_LEAST offsetof(struct kvr_batch, ready)

enum {
	KVR_TEXT_UNIT = 64,
	KVR_TEXT_UNITS = KVR_TEXT_MAX / KVR_TEXT_UNIT,
	KVR_RUN_UNIT = 16,
	KVR_RUN_UNITS = KVR_RUNS_MAX / KVR_RUN_UNIT,
	KVR_OUTCOMES = 3, /* ahead of the copies, at the deadline, and when the memory is quiet */
	KVR_QUEUES_MAX = 64,
	KVR_CACHES_MAX = 64,
	KVR_REGIONS_MAX = 64, /* a bit each in kvr_call.regions */
	KVR_PUT_CHAINS = 65536,
	KVR_FIRST_SLOT = 1048576 /* a new object, before any length is known */
};

/*
 * The word of an operation, on which waiters sleep: generation << 6 | told << 5 | quiet << 4 |
 * fetched << 2 | arrived. A completion can be fetched while arrived is more than fetched; told is
 * set when the last one has been handed to its queue or thread.
 */
enum {
	KVR_WORD_ARRIVED = 1,
	KVR_WORD_FETCHED = 4,
	KVR_WORD_QUIET = 16,
	KVR_WORD_TOLD = 32,
	KVR_WORD_GEN = 6
};
#define KVR_WORD_N_ARRIVED(w) ((w) & 3U)
#define KVR_WORD_N_FETCHED(w) ((w) >> 2 & 3U)
#define KVR_WORD_GEN_OF(w) ((w) >> KVR_WORD_GEN)
#define KVR_WORD_GEN_MASK (UINT32_MAX >> KVR_WORD_GEN)

enum kvr_teller { KVR_TELL_WAIT, KVR_TELL_QUEUE, KVR_TELL_CALLBACK, KVR_TELL_NOBODY };

struct kvr_outcome {
	uint32_t row;   /* the first of its rows */
	bool     ahead; /* copies have begun, and the outcome follows */
	int32_t  err;
	uint32_t flags, n_ok, prefix;
	uint64_t bytes, end_ns;
};

struct kvr_call {
	_Atomic uint32_t word;
	_Atomic uint32_t holds;     /* router, teller */
	_Atomic uint32_t sleepers;  /* on word */
	_Atomic uint32_t cancelled; /* one CANCEL is enough: their number is bounded */
	_Atomic uint64_t request;   /* hash of the request id; 0: none */
	uint32_t         slot, next_free;
	uint32_t         first, n, n_slots; /* key slots; n 0: none. Those beyond n are rows for what is told ahead */
	uint32_t         text, n_text; /* units of key text */
	uint32_t         run, n_runs;  /* units of runs */
	struct kvr_cache *cache;       /* whose tokens are moved; NULL: none */
	uint64_t         regions;      /* that its places lie in, a bit each; until its memory is quiet */
	uint32_t         kind, flags, per_chunk;
	_Atomic uint32_t teller;     /* enum kvr_teller */
	bool             objects, puts;
	bool             released; /* by the router */
	bool             ended;    /* by the end of the instance, which told it */
	uint32_t         places;   /* of the notifier, reserved for its completions */
	uint64_t         bytes;      /* asked for */
	uint64_t         tag, since_ns;
	uint32_t         n_layers, n_ready; /* by layers, else 0; of a put: said to be ready, under lock */
	struct kvr_queue *queue;
	kvr_done_fn      *done;
	void             *done_arg;
	/* Written before the arrival in word with release order; read after it with acquire. */
	struct kvr_outcome outcome[KVR_OUTCOMES];
};

/* What the facade keeps of a key beside ledger and row. */
struct kvr_side {
	kvr_digest digest;
	kvr_obj    obj;
	uint32_t   next, prev; /* in its chain of puts: key slot + 1 */
	uint32_t   call;
	uint32_t   made; /* 1: obj was made for this batch */
};

struct kvr_queue {
	uint32_t        magic;
	int             fd;
	struct kvr     *kvr;
	pthread_mutex_t lock;
	uint32_t        head, n;
	bool            woken, lit; /* lit: the descriptor is readable */
	uint32_t        ring[KVR_OUTCOMES * KVR_OPS_MAX]; /* slots; each operation always has its places */
};

/* Changed by nobody after it was made, but for users. */
struct kvr_cache {
	uint32_t         magic;
	_Atomic uint32_t users; /* operations that name it */
	struct kvr      *kvr;
	uint32_t         n_groups, spare;
	struct kvr_pages pages; /* the first group; the others hang on it */
	struct kvr_pages more[KVR_GROUPS_MAX - 1];
	uint8_t         *base[]; /* of all groups, and then their layers' numbers */
};

/* COMING, GOING: a thread is at it, and its memory is neither used nor anybody else's yet. */
enum kvr_region_state { KVR_REGION_NONE, KVR_REGION_COMING, KVR_REGION_LIVE, KVR_REGION_GOING };

/* Memory of the caller's that is page-locked. Under region_lock but for users. */
struct kvr_region {
	enum kvr_region_state state;
	_Atomic uint32_t users; /* operations with places in it; grows under the lock, while LIVE */
	void            *at;    /* as it was named */
	uint64_t         len;
	uintptr_t        first; /* whole pages */
	uint64_t         bytes;
};

struct kvr_notifier {
	struct kvr_mailbox *box;
	struct kvr_thread  *thread;
	bool                stopping; /* the STOP is in the box */
	int32_t            *err; /* KVR_KEYS_MAX of each: the arrays that callbacks see */
	uint64_t           *len;
	uint32_t           *tier;
	uint32_t           *layers;
};

/* Moving averages; written under the domain's guard only. */
struct kvr_pace {
	_Atomic uint64_t rtt_ns;
	_Atomic uint64_t bytes_per_s;
	_Atomic uint64_t ahead; /* bytes of gets in flight; by all */
};

typedef void kvr_user_log_fn(void *arg, int level, const char *line);

enum kvr_life { KVR_LIFE_OPEN, KVR_LIFE_CLOSING, KVR_LIFE_CLOSED };

struct kvr {
	uint32_t           magic;
	uint32_t           number; /* of the instance in this process, from 1 */
	uint64_t           opened_ns;
	struct kvr_config *config;
	struct kvr_ledger *ledger;
	struct kvr_system *system;
	struct kvr_pool   *pool; /* NULL: scheduler */
	const struct kvr_device *device; /* that has locked the staging arena; NULL: none */
	uint32_t           device_number; /* the one that was current when it did */
	const struct kvr_device *asks; /* knows where an address lies; NULL: all are the host's */
	bool               parse_keys, rewrite, skip_puts;

	struct kvr_meta layout; /* of a full chunk; n_groups 0: not known. Set once */
	uint64_t        layout_bytes;
	uint32_t        header_groups; /* that the system was opened with */
	_Atomic bool    has_layout;
	_Atomic uint64_t seen; /* largest length seen */

	struct kvr_log  log;
	kvr_user_log_fn *user_log;
	void            *user_log_arg;
	pthread_mutex_t  log_lock; /* of user_log and of what follows */
	pthread_cond_t   log_bell;
	bool             log_busy, log_hangs; /* somebody is in it; and somebody has waited for that in vain */
	uint32_t         log_lost;            /* lines, since */

	_Atomic uint32_t life, dead, stopped; /* stopped: futex */
	_Atomic uint32_t deaf; /* the router is gone and its operations are being ended */
	_Atomic uint32_t inside;              /* calls behind the gate; futex of kvr_close */
	_Atomic uint64_t n_flying, n_finished, n_dropped;
	struct { /* read at every use; kvr_change writes them */
		_Atomic uint64_t blocking_ns, lookup_ns, put_ns, put_bytes;
	} limit;
	_Atomic uint64_t put_bytes; /* of puts in flight */
	pthread_mutex_t  change_lock;
	struct kvr_config now; /* the configuration with all changes; under that lock */
	_Atomic uint64_t n_putting; /* keys of puts that are not complete */
	_Atomic uint64_t refused[KVR_OP_N][KVR_METRICS_ERRS]; /* operations that no router saw */
	uint32_t role;   /* enum kvr_role */
	struct kvr_http *http; /* NULL: no endpoint */
	struct kvr_thread *canary; /* NULL: none */
	_Atomic uint32_t canary_bell, canary_wish; /* wish: round << 8 | tier + 1; 0: none yet */
	_Atomic bool canary_over;

	pthread_mutex_t  lock; /* of the slots */
	struct kvr_range keys, texts, runs;
	uint32_t         n_ops, free_op; /* in use; slot + 1 */
	uint32_t         ops_limit, keys_limit;
	struct kvr_side *sides; /* KVR_KEYS_MAX */
	struct kvr_call  call[KVR_OPS_MAX];
	_Atomic uint32_t reap; /* released late: slot + 1; linked by next_free */

	pthread_mutex_t   region_lock;
	_Atomic uint32_t  n_regions; /* that are not NONE: with 0 nobody takes the lock */
	bool              regions_over; /* none is taken in any more */
	struct kvr_region region[KVR_REGIONS_MAX];

	pthread_mutex_t put_lock;
	uint32_t       *chain; /* KVR_PUT_CHAINS: key slot + 1 */

	struct kvr_notifier notifier;
	struct kvr_pace     pace;

	pthread_mutex_t join_lock; /* who ends threads, and operations in the place of the router */
	_Atomic bool    joined;    /* all threads of the system; written under the lock */

	pthread_mutex_t   end_lock; /* of what follows */
	pthread_cond_t    end_bell;
	bool              reported;
	uint32_t          n_queues;
	struct kvr_queue *queue[KVR_QUEUES_MAX];
	struct kvr_cache *cache[KVR_CACHES_MAX]; /* NULL: a free place */
	struct kvr_close_report report;
};

/* ---- device.c ---- */
/*
 * CONFIG: there is no device and the configuration insists. Call it on the thread of kvr_open: what
 * is current there is the engine's device.
 */
KVR_MUST_USE enum kvr_err kvr_device_take(struct kvr *, uint64_t until_ns, char *ret_why,
    size_t cap);
void kvr_device_give(struct kvr *);
/* The device in whose memory payloads may lie; NULL: there is none, all is the host's. */
const struct kvr_device *kvr_device_memory(const struct kvr *);

/* ---- place.c ---- */
/* Flags of an operation whose places these are; at and len were checked. INVALID, UNSUPPORTED. */
KVR_MUST_USE enum kvr_err kvr_places_check(struct kvr *, const struct kvr_batch *,
    uint32_t *ret_flags);

/* ---- registered.c ---- */
/* All places of a batch lie in registered memory, which is the host's. at and len were checked. */
bool kvr_regions_hold(struct kvr *, const struct kvr_batch *);
/* An operation that was filled uses what its places lie in, until its memory is quiet. */
void kvr_regions_use(struct kvr *, struct kvr_call *);
void kvr_regions_unuse(struct kvr *, struct kvr_call *);
/* Gives back what nobody uses, and takes no more. */
void kvr_regions_end(struct kvr *, bool all);

/* ---- entry.c ---- */
bool kvr_forked(void);
/* Before the first thread: from then on kvr_forked knows a child. */
KVR_MUST_USE enum kvr_err kvr_fork_watch(void);
/* True on a thread that runs a callback of ours. */
bool kvr_in_callback(void);
void kvr_set_in_callback(bool);
/* NULL, no instance, forked, dead: what to answer. The gate stays open to a closed instance. */
KVR_MUST_USE enum kvr_err kvr_check_instance(const struct kvr *);
/* The same and SHUTDOWN; every OK needs a kvr_leave. */
KVR_MUST_USE enum kvr_err kvr_enter(struct kvr *);
void                      kvr_leave(struct kvr *);
/* change.c: what is read at every use, from a configuration. */
void kvr_limits_set(struct kvr *, const struct kvr_config *);
bool kvr_sets_given(const char *const *set, uint32_t n); /* n texts, none of them NULL */
/* An instant from what a caller gave. INVALID: a duration. never: KVR_NEVER may pass. */
KVR_MUST_USE enum kvr_err kvr_until(struct kvr *, const char *call, uint64_t until_ns,
    uint64_t limit_ns, bool never, uint64_t *ret_ns);
/* A struct of the caller's into one of ours: at least `least` bytes, more only if they are zero. */
KVR_MUST_USE bool kvr_read_struct(void *to, size_t to_size, size_t least, const void *from);
/* user_log.c */
void kvr_log_to_user(void *kvr, enum kvr_log_level, const char *line);
/* The caller's function is not called any more; and nobody is in it, but who does not come out of it. */
void kvr_log_leave_user(struct kvr *);
void kvr_say(struct kvr *, enum kvr_log_level, const char *fmt, ...) KVR_PRINTF(3, 4);
/* Says it, as an error, and answers err. */
enum kvr_err kvr_bad(struct kvr *, enum kvr_err err, const char *fmt, ...) KVR_PRINTF(3, 4);
void kvr_futex_wait(_Atomic uint32_t *, uint32_t value, uint64_t until_ns); /* may return early */

/* ---- keys.c ---- */
/*
 * The one place where a key's text is judged and rewritten. len is strnlen(text, KVR_KEY_MAX + 1);
 * INVALID when it and its end do not fit into room bytes. No rewriting makes a key longer.
 */
KVR_MUST_USE enum kvr_err kvr_key_take(const struct kvr *, const char *text, size_t len, char *ret,
    size_t room, uint32_t *ret_len, kvr_digest *ret_digest);

/* ---- layout.c ---- */
KVR_MUST_USE enum kvr_err kvr_layout_read(const struct kvr_layout *, struct kvr_meta *ret,
    uint64_t *ret_bytes);
/* The shape of len bytes of it; false: no whole number of tokens. */
bool kvr_layout_cut(const struct kvr_meta *full, uint64_t full_bytes, uint64_t len,
    struct kvr_meta *ret);

/* ---- puts.c ---- */
/* unique: false, and nothing added, when one of its keys is being put. */
bool kvr_puts_add(struct kvr *, const struct kvr_call *, bool unique);
void kvr_puts_drop(struct kvr *, const struct kvr_call *);
bool kvr_puts_has(struct kvr *, kvr_digest);

/* ---- cache.c ---- */
/* Whether an open one in the host's memory has bytes in there. */
bool kvr_caches_overlap(struct kvr *, uintptr_t first, uint64_t bytes);

/* ---- cache_shape.c ---- */
/* All groups, with their strides. INVALID, and a line in the log. */
KVR_MUST_USE enum kvr_err kvr_cache_shapes_read(struct kvr *, const struct kvr_cache_shape *,
    struct kvr_cache_shape ret[KVR_GROUPS_MAX], uint32_t *ret_n);

/* ---- layers.c ---- */
/* Whether a batch may go layer by layer, when it is said to; its tokens were checked. */
KVR_MUST_USE enum kvr_err kvr_layers_check(struct kvr *, const struct kvr_batch *, uint32_t flags);
/* Before the operation begins. */
void kvr_layers_begin(struct kvr *, struct kvr_call *, const struct kvr_batch *);

/* ---- call.c ---- */
/* What an operation takes of the tables. */
struct kvr_need {
	uint32_t kind, keys, runs;
	bool     ahead; /* something is told ahead of its end */
	uint64_t text;  /* bytes */
};
/* An operation with slots for all of that. BUSY, TOO_BIG. */
KVR_MUST_USE enum kvr_err kvr_call_take(struct kvr *, const struct kvr_need *,
    struct kvr_call **ret);
/* Nothing was posted for it and nobody knows of it. */
void   kvr_call_undo(struct kvr *, struct kvr_call *);
kvr_op kvr_call_op(const struct kvr_call *);
/* The operation behind a handle, if its generation is still that one. */
struct kvr_call *kvr_call_find(struct kvr *, kvr_op);
/* What is said of how many are under way: from the launch to the last outcome. */
void kvr_call_begins(struct kvr *, const struct kvr_call *);
void kvr_call_ends(struct kvr *, const struct kvr_call *);
/* One more outcome. Under the domain's guard, or for an operation that the router never saw. */
void kvr_call_arrive(struct kvr *, struct kvr_call *, const struct kvr_outcome *);
/* Takes the next outcome, if there is one; the caller then tells it and calls kvr_call_told. */
bool kvr_call_fetch(struct kvr_call *, uint32_t gen, struct kvr_outcome *ret, bool *ret_last);
void kvr_call_told(struct kvr *, struct kvr_call *, bool last);
void kvr_call_drop(struct kvr *, struct kvr_call *, bool under_guard);
/* Operations that were released under the guard give their slots back; any caller may do it. */
void kvr_call_reap(struct kvr *);
/* The outcome of keys that all have their err in their rows. */
void kvr_call_sum(struct kvr *, const struct kvr_call *, struct kvr_outcome *ret);
void kvr_outside(void *kvr, const struct kvr_msg *, const struct kvr_row *rows);

/* ---- tell.c ---- */
/* What a caller sees. place: index of the first entry in res. res may be NULL. */
void kvr_call_tell(struct kvr *, const struct kvr_call *, const struct kvr_outcome *,
    uint32_t place, struct kvr_done *ret, struct kvr_results *res);

/* ---- end.c ---- */
/* Returns when no call is behind the gate, which is closed. */
void kvr_wait_outside(struct kvr *);
/* Ends what the router will not answer any more; one at a time. quiet: no worker touches memory. */
void kvr_call_end_all(struct kvr *, int32_t err, bool quiet);
/* Keys of operations whose memory is in use. */
uint64_t kvr_call_not_quiet(struct kvr *);

/* ---- batch.c ---- */
/* Fills ledger, rows and sides of a call from a checked batch. obj of the batch is written last. */
KVR_MUST_USE enum kvr_err kvr_batch_fill(struct kvr *, struct kvr_call *, const struct kvr_batch *);
/* Checks what can be said before anything is taken. ret_text: bytes with all NULs. */
KVR_MUST_USE enum kvr_err kvr_batch_check(struct kvr *, const struct kvr_batch *,
    uint64_t *ret_text);
/* The first n keys give their references back, and what was made for them goes. */
void kvr_batch_unfill(struct kvr *, struct kvr_call *, const struct kvr_batch *, uint32_t n);
/* The objects of a call have what the rows say. */
void kvr_batch_objects(struct kvr *, struct kvr_call *, bool quiet, bool first);
void kvr_note_length(struct kvr *, uint64_t len);

/* ---- tokens.c; tokens of a batch are a copy of the caller's ---- */
KVR_MUST_USE enum kvr_err kvr_tokens_check(struct kvr *, const struct kvr_batch *,
    uint32_t *ret_runs);
/* INVALID: the caller has changed his table since. */
KVR_MUST_USE enum kvr_err kvr_tokens_fill(struct kvr *, struct kvr_call *,
    const struct kvr_batch *);
void kvr_tokens_meta(const struct kvr_batch *, struct kvr_meta *ret, uint64_t *ret_bytes);

/* ---- submit.c ---- */
KVR_MUST_USE enum kvr_err kvr_submit_with(struct kvr *, const struct kvr_batch *,
    const struct kvr_opts *, uint32_t more_flags, uint32_t teller, kvr_op *ret);

/* ---- wait.c ---- */
/* KVR_OK: outcomes are told; else why not. quiet: not before the memory is quiet. */
KVR_MUST_USE enum kvr_err kvr_wait_for(struct kvr *, kvr_op, uint64_t until_ns, bool quiet,
    struct kvr_done *ret, struct kvr_results *res);

/* ---- queue.c ---- */
void kvr_queue_push(struct kvr_queue *, uint32_t slot);
void kvr_queue_free(struct kvr_queue *take);

/* ---- notify.c ---- */
KVR_MUST_USE enum kvr_err kvr_notifier_open(struct kvr *);
KVR_MUST_USE enum kvr_err kvr_notifier_start(struct kvr *); /* when the system is there */
/* One place for a completion that kvr_notifier_tell cannot fail to hand over. */
KVR_MUST_USE enum kvr_err kvr_notifier_reserve(struct kvr *, uint32_t places);
void                      kvr_notifier_unreserve(struct kvr *, uint32_t places);
void                      kvr_notifier_tell(struct kvr *, uint32_t slot);
void                      kvr_notifier_bury(struct kvr *); /* the deciders died */
/* False: it hangs in a callback. */
bool kvr_notifier_stop(struct kvr *, uint64_t until_ns);
void kvr_notifier_close(struct kvr *);

/* ---- close.c ---- */
/* Threads of the system end. How many do not by until_ns: they may be asked for again. */
uint32_t kvr_join_system(struct kvr *, uint64_t until_ns);
void     kvr_instance_free(struct kvr *take);

/* ---- open.c ---- */
/* Of what a sealed value must agree on beside its shape; 0: nothing was said. */
uint64_t kvr_fingerprint(const struct kvr_config *, const char *engine, const char *salt);

/* ---- endpoint.c ---- */
/* Opens what metrics.listen says; without it nothing. CONFIG: an address that cannot be. */
KVR_MUST_USE enum kvr_err kvr_endpoint_open(struct kvr *, char *ret_why, size_t cap);
/* False: its thread hangs in the log function, and it stays. */
bool kvr_endpoint_close(struct kvr *, uint64_t until_ns);

/* ---- canary.c ---- */
KVR_MUST_USE enum kvr_err kvr_canary_open(struct kvr *);
/* False: not by then; it is told to end, and whoever asks again waits for it again. */
bool kvr_canary_end(struct kvr *, uint64_t until_ns);
/* Under the domain's guard. */
void kvr_canary_wish(struct kvr *, const struct kvr_msg *);
/*
 * One value through one tier: where it ended, and how. OK after KVR_CANARY_COMPARE: the store cannot
 * delete. Blocks until until_ns at most.
 */
int32_t kvr_canary_run(struct kvr *, uint32_t tier, uint64_t until_ns, uint32_t *ret_step);
const char *kvr_canary_step_name(uint32_t step);

/* ---- metrics.c ---- */
/* An operation that no router saw, and why. */
void kvr_refused(struct kvr *, uint32_t kind, int32_t err);
/* The text, for free(); NULL: no memory. Bytes without the NUL. */
char *kvr_metrics_take(struct kvr *, enum kvr_stats_form, size_t *ret_len);

/* ---- health.c ---- */
/* No tier takes operations, not even to let them wait for a connection. */
bool kvr_all_down(struct kvr *);
void kvr_pace_note(struct kvr *, const struct kvr_call *, const struct kvr_outcome *);

#endif
