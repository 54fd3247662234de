/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts an instance together: deciders into a domain, one thread per connector lane, the serde pool,
 * the copy worker, the trace. The facade above it turns calls into messages; it is the only layer
 * that knows of callers.
 *
 * What passes between facade and router:
 *
 *   SUBMIT    op = slot | generation << 32 (slot below KVR_OPS_MAX, generation never 0). The
 *             facade has taken key slots [first, first + n), filled their ledger entries and their
 *             rows (digest, len, key, err KVR_PENDING, flags); msg.rows = first and msg.n_rows is
 *             the smaller of n and KVR_SLICE_KEYS. deadline_ns is absolute and not zero.
 *   CANCEL    a wish.
 *   COMPLETE  exactly once per SUBMIT (twice with EARLY). Rows [first, first + n) hold the outcome
 *             per key: err, len, where, flags. From the one with KVR_DONEB_QUIET on, nobody
 *             touches the caller's memory.
 *   RELEASE   exactly once, last: slots and ledger entries may be used again. Later than COMPLETE
 *             when key texts are still needed for write-back or promotion.
 *   CANARY    from metrics: write, read, compare and delete a value of this tier, by an operation
 *             whose SUBMIT names it in .only; then CANARY_DONE to metrics.
 *   STOP      drain 1: finish what is accepted, background included; 0: end everything now.
 *             STOPPED from the router: every operation is released, every connection closed.
 */
#ifndef KVR_SYSTEM_H
#define KVR_SYSTEM_H

#include "kvr_config.h"
#include "kvr_domain.h"
#include "kvr_log.h"

struct kvr_system;

struct kvr_system_options {
	const struct kvr_config *config; /* lives as long as the system */
	struct kvr_ledger       *ledger;
	kvr_outside_fn          *outside; /* COMPLETE, RELEASE, STOPPED: see kvr_domain.h */
	void                    *arg;
	const struct kvr_log    *log;         /* lives as long as the system */
	const char              *instance;    /* unique in the process: names of mailboxes, threads, trace */
	const char              *config_text; /* for the trace, without secrets */
	const char              *build;       /* for the trace: the program's name and version */
	uint64_t                 fingerprint; /* of the identity; 0: not compared */
	uint64_t                 slot_bytes;  /* of a full chunk; 0: not known yet */
	uint32_t                 n_groups;    /* of a full chunk; at least 1 */
	uint32_t                 device_number;
	uint32_t                 canary;      /* 1: somebody runs what CANARY asks for */
	const struct kvr_device *device;      /* where payloads may lie beside the host; NULL: nowhere */
};

/*
 * A store that is down is no failure: its tier is then degraded. Returns when every worker runs.
 * KVR_E_CONFIG (with a sentence in why): a URL or a format that its store refuses.
 */
KVR_MUST_USE enum kvr_err kvr_system_open(const struct kvr_system_options *, struct kvr_system **ret,
    char *why, size_t why_cap);
KVR_MUST_USE enum kvr_err kvr_system_post(struct kvr_system *, const struct kvr_msg *);

/*
 * After STOPPED, or at the end of patience: ends and joins all threads that end by until_ns.
 * Returns how many did not (they hang below a store); their memory then has to stay, until a later
 * call returns 0.
 */
uint32_t kvr_system_join(struct kvr_system *, uint64_t until_ns);
/* In place of freeing it, when some hang. What they may touch stays, and nobody waits for them. */
void     kvr_system_leave(struct kvr_system *take);
void     kvr_system_free(struct kvr_system *take); /* leaks what a stuck thread may touch */

/* What a tier's store is opened with, as far as the configuration says it. */
struct kvr_store_opts;
void kvr_store_opts_of(const struct kvr_config *, uint32_t tier, struct kvr_store_opts *ret);

struct kvr_tier_view {
	const char *name;
	uint32_t    state, links_up, n_links, verified; /* state: enum kvr_tier_state */
	int32_t     canary_err;  /* of the last canary; KVR_OK: it was well, or there was none */
	uint32_t    canary_step; /* enum kvr_canary_step */
	char        why[112]; /* the store's own words for the last error */
};
uint32_t kvr_system_tiers(struct kvr_system *, struct kvr_tier_view *ret, uint32_t cap);
struct kvr_stats;
/* A copy of the statistics, all of one moment. */
void        kvr_system_stats(struct kvr_system *, struct kvr_stats *ret);
/* For the readers of the page: an invariant broke. */
void        kvr_system_show_dead(struct kvr_system *);
bool        kvr_system_dead(const struct kvr_system *);
/* The device driver's words about the last copy that failed; "" if none did. */
void        kvr_system_device_why(struct kvr_system *, char *ret, size_t cap);
/* The store's own words about the last error of this part of an operation's work; "" if none. */
void        kvr_system_why(struct kvr_system *, uint32_t tier, char *ret, size_t cap);
/*
 * Of all tiers: the last words about this error since then, of several behind their tier's name. A key
 * that fails in one of several does not say in which. False: there are none.
 */
bool kvr_system_why_since(
    struct kvr_system *, int32_t err, uint64_t since_ns, char *ret, size_t cap);
/* Why a tier that was left out was: its name, until when it is not asked, the store's own words. */
void        kvr_system_left_out(struct kvr_system *, uint32_t tier, char *ret, size_t cap);
/* Of a tier that had a call when its time was over. */
void        kvr_system_late(
    struct kvr_system *, uint32_t tier, uint64_t took_ns, char *ret, size_t cap);

#endif
