/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of an instance, for the files of the facade. The facade turns calls into messages to
 * the router and messages of the router into completions; it decides nothing else. What its files do
 * for each other is in headers by their nouns.
 *
 *   entry.c    fork, instants, sized structs, the gate
 *   open.c     an instance begins          close.c    and ends
 *   user_log.c what is said, and to whom    fingerprint.c who wrote a sealed value
 *   change.c   options in a running one
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
 * then one of: lock (slots), puts, pool, regions, a queue's, that of lines put off. None of ours is held when a message is posted,
 * for the answer may come back on the same thread before the post returns.
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
	_Atomic(kvr_user_log_fn *) user_log;
	void            *user_log_arg;
	struct kvr_lock  log_turn;  /* of whoever is in it */
	_Atomic bool     log_hangs; /* somebody has waited for it in vain since it was taken */
	_Atomic uint32_t log_lost;  /* lines, since */
	struct kvr_put_off put_off;

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

	struct kvr_lock join_lock; /* who ends threads, and operations in the place of the router */
	_Atomic bool    joined;    /* all threads of the system; written under the lock */

	pthread_mutex_t   end_lock; /* of what follows */
	pthread_cond_t    end_bell;
	bool              reported;
	uint32_t          n_queues;
	struct kvr_queue *queue[KVR_QUEUES_MAX];
	struct kvr_cache *cache[KVR_CACHES_MAX]; /* NULL: a free place */
	struct kvr_close_report report;
};

#endif
