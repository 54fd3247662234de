/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts an instance together: deciders into a domain, one thread per connector lane, the serde pool,
 * the copy worker, the trace. The facade above it turns calls into messages; only the facade knows
 * of callers.
 *
 * What passes between facade and router:
 *
 *   SUBMIT    op = slot | generation << 32 (slot below KVR_OPS_MAX, generation never 0). The
 *             facade has taken key slots [first, first + n), filled their ledger entries and their
 *             rows (digest, len, key, err KVR_PENDING, flags); msg.rows = first and msg.n_rows is
 *             the smaller of n and KVR_SLICE_KEYS. deadline_ns is absolute and not zero.
 *   CANCEL    a request; the operation may still end otherwise.
 *   COMPLETE  once per SUBMIT; again with EARLY, RECORD, or after a device that hangs. Rows from
 *             msg.rows on hold the outcome per key: err, len, where, flags. Exactly one, the last,
 *             has KVR_DONEB_QUIET: from then on nothing touches the caller's memory.
 *   RELEASE   exactly once, last: slots and ledger entries may be used again. Later than COMPLETE
 *             when key texts are still needed for write-back or promotion.
 *   CANARY    from metrics: write, read, compare and delete a value of this tier, by an operation
 *             whose SUBMIT names it in .only; then CANARY_DONE to metrics.
 *   STOP      drain 1: finish what is accepted, including background work; 0: end it all now.
 *             STOPPED from the router: every operation is released, every connection closed.
 */
#ifndef KVR_SYSTEM_H
#define KVR_SYSTEM_H

#include "kvr_config.h"
#include "kvr_domain.h"
#include "kvr_log.h"
#include "kvr_words.h"

struct kvr_system;

struct kvr_system_options {
	const struct kvr_config *config; /* lives as long as the system */
	struct kvr_ledger       *ledger;
	kvr_outside_fn          *outside; /* COMPLETE, RELEASE, STOPPED: see kvr_domain.h */
	void                    *arg;
	const struct kvr_log    *log;         /* lives as long as the system */
	const char              *instance;    /* unique in the process; names mailboxes and trace */
	const char              *config_text; /* for the trace, without secrets */
	const char              *build;       /* for the trace: the program's name and version */
	uint64_t                 fingerprint; /* of the identity; 0: not compared */
	uint64_t                 slot_bytes;  /* of a full chunk; 0: not known yet */
	uint32_t                 n_groups;    /* of a full chunk; at least 1 */
	uint32_t                 device_number;
	uint32_t                 canary;      /* 1: the facade answers CANARY */
	const struct kvr_device *device;      /* where payloads may lie besides the host; NULL: none */
};

/*
 * A store that is down is no failure: its tier is degraded then. Returns when every worker runs.
 * KVR_E_CONFIG (with a sentence in why): a URL or a format that its store refuses.
 */
KVR_MUST_USE enum kvr_err kvr_system_open(
    const struct kvr_system_options *, struct kvr_system **ret, char *why, size_t why_cap);
KVR_MUST_USE enum kvr_err kvr_system_post(struct kvr_system *, const struct kvr_msg *);

/*
 * After STOPPED, or when waiting for it was given up: ends and joins all threads that end by
 * until_ns. Returns how many did not (they hang below a store); their memory must then stay, until
 * a later call returns 0.
 */
uint32_t kvr_system_join(struct kvr_system *, uint64_t until_ns);
/* Instead of kvr_system_free when some threads hang: what they may touch stays; nobody waits. */
void     kvr_system_leave(struct kvr_system *take);
void     kvr_system_free(struct kvr_system *take); /* leaks what a stuck thread may touch */

/* The options for opening a tier's store, as far as the configuration gives them. */
struct kvr_store_opts;
void kvr_store_opts_of(const struct kvr_config *, uint32_t tier, struct kvr_store_opts *ret);

struct kvr_tier_view {
	const char *name;
	uint32_t    state, links_up, n_links, verified; /* state: enum kvr_tier_state */
	int32_t     canary_err;  /* of the last canary; KVR_OK: it succeeded, or there was none */
	uint32_t    canary_step; /* enum kvr_canary_step */
	uint32_t    refuses_puts; /* 1: so many in a row that they are left out */
	uint32_t    all_hang;     /* 1: no lane is left */
	char        hang[96]; /* of lanes that hang, which and for how long; "": none does */
	char        why[KVR_WORDS_LEN]; /* the store's own words for the last error */
	uint32_t    full_len; /* values of this length and more find no room; 0: they do */
	uint32_t    away; /* 1: one node of many is */
	/* For its refusal, for being full, for a node that is away, for the canary's failure. */
	char        why_puts[KVR_WORDS_LEN], why_full[KVR_WORDS_LEN];
	char        why_away[KVR_WORDS_LEN], why_canary[KVR_WORDS_LEN];
};
uint32_t kvr_system_tiers(struct kvr_system *, struct kvr_tier_view *ret, uint32_t cap);
struct kvr_stats;
/* A consistent copy of the statistics. */
void        kvr_system_stats(struct kvr_system *, struct kvr_stats *ret);
/* Tells readers of the page that an invariant broke. */
void        kvr_system_show_dead(struct kvr_system *);
/* The device driver's words about the last failed copy; "" if none failed. */
void        kvr_system_device_why(struct kvr_system *, char *ret, size_t cap);
/*
 * The words of this tier's store about its last error; "" if there was none. put: it is a put that
 * was not sent, and a tier that refuses puts has words about that.
 */
void        kvr_system_why(struct kvr_system *, uint32_t tier, bool put, char *ret, size_t cap);
/*
 * The last words of all tiers about this error since then; of several tiers, behind their names. (A
 * key that fails in one of several tiers does not say in which.) False: there are none.
 */
bool kvr_system_why_since(
    struct kvr_system *, int32_t err, uint64_t since_ns, char *ret, size_t cap);
/*
 * Why this tier was left out: its name, until when it is not asked, the store's own words. put: it
 * was a put, which a tier may refuse that is up.
 */
void        kvr_system_left_out(
    struct kvr_system *, uint32_t tier, bool put, char *ret, size_t cap);
/* What the canary of this tier has failed with, in words. */
void        kvr_system_canary_why(struct kvr_system *, uint32_t tier, const char *words);
/* What to say of a tier that was still working when its time was over. */
void        kvr_system_late(
    struct kvr_system *, uint32_t tier, uint64_t took_ns, char *ret, size_t cap);

#endif
