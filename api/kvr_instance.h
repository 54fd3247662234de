/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of an instance, for the files of the facade. The facade turns calls into messages to
 * the router, and messages of the router into completions; it decides nothing else. Headers named
 * by their nouns say what its files do for each other.
 *
 *   entry.c    fork, instants, sized structs, the gate
 *   open.c     an instance begins          close.c    and ends
 *   user_log.c what is logged, and where   fingerprint.c who wrote a sealed value
 *   change.c   options in a running one    feature.c  what this build supports
 *   keys.c     key texts: checks, rewriting, digests
 *   layout.c   shapes of payloads
 *   range.c    runs of slots               pool.c, obj.c  memory objects
 *   cache.c    paged caches                cache_shape.c what engines say about them
 *   tokens.c   tokens of one into runs of slots
 *   layers.c   operations that go layer by layer
 *   call.c     operations: slots, outcomes   tell.c     what a caller sees of them
 *   batch.c    a batch into ledger and rows
 *   submit.c   the submission call         wait.c     waiting, cancelling
 *   end.c      ends what nobody answers any more
 *   queue.c    queues                      notify.c   the notifier thread
 *   puts.c     which keys are being put
 *   lmcache.c  LMCache's methods           lmget.c    those that return objects
 *   health.c   its state                   lmtext.c   key texts by their parts
 *   metrics.c  its statistics as text      endpoint.c the same over HTTP
 *   canary.c   whether a value makes the round trip
 *   device.c   whose page-locked memory staging is
 *   place.c    where memory named by addresses is
 *   registered.c page-locked memory of the caller's
 *
 * Locks. The domain's guard is held by whoever calls outside. Under it, or without it, one of these
 * is taken at a time: lock (slots), puts, pool, regions, a queue's, the put-off lines'. None of
 * these is held when a message is posted, because the answer may come on the same thread before the
 * post returns. change_lock, join_lock and end_lock are taken before any of these and never under
 * the guard, so they may be held while a message is posted.
 */
#ifndef KVR_INSTANCE_H
#define KVR_INSTANCE_H

#include "kvrelay.h"

#include "kvr_call.h"
#include "kvr_config.h"
#include "kvr_health.h"
#include "kvr_limits.h"
#include "kvr_lock.h"
#include "kvr_log.h"
#include "kvr_meta.h"
#include "kvr_metrics_state.h"
#include "kvr_msg.h"
#include "kvr_notify.h"
#include "kvr_range.h"
#include "kvr_region.h"
#include "kvr_user_log.h"

#include <pthread.h>
#include <stdatomic.h>

#define KVR_INSTANCE_MAGIC KVR_MAGIC('K', 'V', 'R', 'I')

enum {
	KVR_QUEUES_MAX = 64,
	KVR_CACHES_MAX = 64
};

/* ENDING: nothing is accepted any more but what the canary still has to delete. */
enum kvr_life { KVR_LIFE_OPEN, KVR_LIFE_ENDING, KVR_LIFE_CLOSING, KVR_LIFE_CLOSED };

struct kvr {
	uint32_t           magic;
	uint32_t           number; /* of the instance in this process, counted from 1 */
	uint64_t           opened_ns;
	struct kvr_config *config;
	struct kvr_ledger *ledger;
	struct kvr_system *system;
	struct kvr_pool   *pool; /* NULL: scheduler */
	const struct kvr_device *device; /* the one that has locked the staging arena; NULL: none */
	uint32_t           device_number; /* the one that was current at that time */
	const struct kvr_device *asks; /* knows where an address is; NULL: all are in host memory */
	bool               parse_keys, rewrite, skip_puts;

	struct kvr_meta layout; /* of a full chunk; n_groups 0: unknown. Set once */
	uint64_t        layout_bytes;
	uint32_t        header_groups; /* groups of LMCache headers, fixed when the system was opened */
	_Atomic bool    has_layout;
	_Atomic uint64_t seen; /* largest length so far */

	struct kvr_log  log;
	struct kvr_log_site wrong_calls;
	_Atomic(kvr_user_log_fn *) user_log;
	void            *user_log_arg;
	struct kvr_lock  log_turn;  /* held by the thread that is in the log function */
	_Atomic bool     log_hangs; /* a thread has waited for it in vain since it was taken */
	_Atomic uint32_t log_lost;  /* lines lost since */
	struct kvr_put_off put_off;

	_Atomic uint32_t life, dead, stopped; /* stopped: futex */
	_Atomic uint32_t deaf; /* the router is gone and its operations are being ended */
	_Atomic uint32_t inside;              /* calls inside the gate; futex of kvr_close */
	_Atomic uint64_t n_flying, n_finished, n_dropped;
	struct { /* read at every use; written by kvr_change */
		_Atomic uint64_t blocking_ns, lookup_ns, put_ns, put_bytes;
	} limit;
	_Atomic uint64_t put_bytes; /* of puts in flight */
	pthread_mutex_t  change_lock;
	struct kvr_config now; /* the configuration with all changes; under change_lock */
	_Atomic uint64_t n_putting; /* keys of puts that are not complete */
	_Atomic uint64_t refused[KVR_OP_N][KVR_METRICS_ERRS]; /* operations that the router never saw */
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
	_Atomic uint32_t reap; /* those released late: slot + 1; linked by next_free */

	pthread_mutex_t   region_lock;
	_Atomic uint32_t  n_regions; /* those that are not NONE: if 0, nobody takes the lock */
	bool              regions_over; /* no more are accepted */
	struct kvr_region region[KVR_REGIONS_MAX];

	pthread_mutex_t put_lock;
	uint32_t       *chain; /* KVR_PUT_CHAINS: key slot + 1 */

	struct kvr_notifier notifier;
	struct kvr_pace     pace;

	/* For ending threads, and for ending operations in place of the router. */
	struct kvr_lock join_lock;
	_Atomic bool    joined;    /* all threads of the system; written under join_lock */

	pthread_mutex_t   end_lock; /* protects what follows */
	pthread_cond_t    end_bell;
	bool              reported;
	uint32_t          n_queues;
	struct kvr_queue *queue[KVR_QUEUES_MAX];
	struct kvr_cache *cache[KVR_CACHES_MAX]; /* NULL: a free place */
	struct kvr_close_report report;
};

#endif
