/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statistics of an instance: one struct of plain data, in a page that other processes may map.
 * `kvrelay top` reads it there, and a scrape takes a copy of it.
 *
 * The thread that steps the deciders writes, under the domain's guard, each number when it changes.
 * The metrics actor's state lies in here; what is shown of router and tiers is copied after each of
 * their steps. Words are the exception: a lane writes them when its store has said something, with
 * `seq` odd meanwhile.
 *
 * Readers in other processes take no lock: each aligned word of 8 bytes is whole, but two words may
 * be from two different steps. So a sum may be off by what one step adds.
 */
#ifndef KVR_STATS_H
#define KVR_STATS_H

#include "kvr_metrics_state.h"
#include "kvr_words.h"

#include <stdatomic.h>
#include <string.h>

#define KVR_STATS_MAGIC UINT64_C(0x315354415453564b) /* "KVSTATS1" */
enum { KVR_STATS_VERSION = 4, KVR_STATS_NAME = 40, KVR_STATS_WHY = KVR_WORDS_LEN };

struct kvr_config;

struct kvr_stats_lane {
	uint64_t bytes;    /* payload in it */
	uint32_t state;    /* enum kvr_link_state */
	uint32_t n_parts;
	uint32_t stuck;    /* 1: its thread hangs below the library */
	uint32_t spare;
	uint64_t stuck_ns; /* then: since when it has given no answer */
};

/* What statistics show of a tier. */
struct kvr_stats_tier {
	uint64_t oldest_ns; /* arrival of the part that has waited longest; 0: none waits */
	uint64_t bytes;     /* payload in all lanes */
	uint64_t backoff_ns;
	uint64_t cool_ns;   /* until then the store is not asked; 0: the breaker is not open */
	uint64_t puts_ns;   /* the store refuses puts, and gets none until then; 0: it takes them */
	uint32_t n_queued, n_in_lanes;
	uint32_t n_lanes, faults;
	uint64_t away_ns;  /* when a key was last DOWN because one node of many was; 0: never */
	uint32_t n_stuck;  /* lanes that hang */
	uint32_t full_len; /* values of this length and more find no room; 0: they do */
	struct kvr_stats_lane lane[KVR_LANES_MAX];
};

/* What statistics show of the router. */
struct kvr_stats_router {
	uint32_t n_ops, n_parts;
	uint32_t slot_pages; /* of one staging slot; 0: not decided yet */
	uint32_t n_slots, n_slots_free, n_slots_back; /* back: kept for writes after an answer */
};

struct kvr_stats_words {
	_Atomic uint32_t seq; /* odd while text is being written */
	char text[KVR_STATS_WHY];
	uint32_t spare;
};

struct kvr_stats_head {
	uint64_t magic;
	uint32_t version, bytes; /* of the whole struct; readers of another version must not read on */
	uint32_t pid, n_tiers;
	uint64_t opened_mono_ns, opened_real_ns;
	int32_t  rank;           /* -1: unknown */
	uint32_t spare;
	uint64_t canary_ns;      /* interval; 0: off */
	char     version_text[24], instance[32], model[96], listen[128], trace[320];
	struct {
		char name[KVR_STATS_NAME];
		char url[152]; /* without its password */
		uint32_t format, write; /* as in the configuration */
	} tier[KVR_TIERS_MAX];
};

struct kvr_stats {
	struct kvr_stats_head   head; /* written once, before anybody can read it */
	_Atomic uint32_t        dead; /* 1: an invariant broke */
	struct kvr_stats_words  words[KVR_TIERS_MAX][KVR_WORDS_N];
	struct kvr_stats_router router;
	struct kvr_stats_tier   tier[KVR_TIERS_MAX];
	_Alignas(64) struct kvr_metrics_state metrics;
};

/* One writer at a time. A reader gets a whole text; false: it was being written. */
static inline void
kvr_stats_words_set(struct kvr_stats_words *w, const char text[KVR_STATS_WHY])
{
	uint32_t seq = atomic_load_explicit(&w->seq, memory_order_relaxed);

	/* Pairs with the two loads of seq in kvr_stats_words_get. */
	atomic_store_explicit(&w->seq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy(w->text, text, KVR_STATS_WHY);
	atomic_store_explicit(&w->seq, seq + 2, memory_order_release);
}

static inline bool
kvr_stats_words_get(const struct kvr_stats_words *w, char ret[KVR_STATS_WHY])
{
	uint32_t seq = atomic_load_explicit(&w->seq, memory_order_acquire);

	memcpy(ret, w->text, KVR_STATS_WHY);
	ret[KVR_STATS_WHY - 1] = '\0';
	atomic_thread_fence(memory_order_acquire);
	return seq % 2 == 0 && atomic_load_explicit(&w->seq, memory_order_relaxed) == seq;
}

/* Copies from a decider's state, under the guard; writes nothing before its START. */
void kvr_tier_stats(const void *tier_self, struct kvr_stats_tier *ret);
void kvr_router_stats(const void *router_self, struct kvr_stats_router *ret);

/*
 * Whether one node of many is away. It is asked again after 10 s at the latest, and then a key says
 * so; nobody knows of a node whose keys nobody wants.
 */
static inline bool
kvr_stats_away(const struct kvr_stats_tier *t, uint64_t now_ns)
{
	return t->away_ns != 0 && now_ns < t->away_ns + KVR_SEC(15);
}

/*
 * "2 of 4 lanes hang, one of them (thread kvr-lane-0.1) for 12 s". The thread's name is for
 * /proc/PID/task, which says in which system call it is. False: none hangs; nothing is written.
 */
bool kvr_stats_hang_text(const struct kvr_stats_tier *, uint32_t tier, uint64_t now_ns, char *ret,
    size_t cap);

/* What only the facade knows. */
struct kvr_stats_more {
	uint64_t n_flying;  /* operations that are not complete */
	uint64_t n_puts;    /* keys that are being put */
	uint64_t not_quiet;
	uint64_t objects_limit, objects_bytes, n_objects; /* of the callers' pool */
	uint64_t staging_limit;
	uint64_t refused[KVR_OP_N][KVR_METRICS_ERRS]; /* operations that never reached the router */
	uint32_t healthy, ready;
	const char *role, *why;
	uint64_t now_ns;
};

enum kvr_stats_form { KVR_STATS_PROMETHEUS, KVR_STATS_OPENMETRICS, KVR_STATS_JSON };

/*
 * All of it as text, NUL-terminated if it fits. Returns the bytes needed, including the NUL. Every
 * series exists from the start, at zero. Names of tiers may be any bytes.
 */
size_t kvr_stats_text(const struct kvr_stats *, const struct kvr_config *,
    const struct kvr_stats_more *, enum kvr_stats_form, char *ret, size_t cap);

#endif
