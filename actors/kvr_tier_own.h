/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tier's state, and what its files share.
 *
 *   tier.c        the table: parts in, cancel, timers, stop
 *   tier_done.c   what comes back from a lane: blame, another try, the answer
 *   tier_queue.c  lists of waiting parts, and which is next
 *   tier_give.c   the pump: gives parts to links, answers those that cannot go
 *   tier_lane.c   lanes and the breaker: dial, faults, cooling, the probe
 *   tier_health.c LMCache's health check, the second gate
 *   tier_check.c  invariants
 *   tier_stats.c  what statistics show of a tier
 */
#ifndef KVR_TIER_OWN_H
#define KVR_TIER_OWN_H

#include "kvr_actors.h"
#include "kvr_connector.h"
#include "kvr_err.h"

#define TIER_MAGIC KVR_MAGIC('T', 'I', 'E', 'R')

enum { TIMER_SWEEP, TIMER_COOL, TIMER_REDIAL, TIMER_PING, TIMER_HEALTH, TIMERS };
enum { LIST_RETRY = KVR_CLASS_N, LISTS };
enum place { PLACE_FREE, PLACE_QUEUED, PLACE_LINK };

/* A part that this tier holds. Zero bytes when free. */
struct part {
	uint64_t op, deadline_ns, queued_ns;
	uint64_t after; /* retry: connections up to this number are as bad as the lost one */
	uint32_t part, rows, bytes;
	uint32_t moved; /* payload bytes of the first try */
	uint16_t next, prev; /* slot + 1 */
	uint16_t n_rows, n_ok; /* n_ok: of the first try */
	uint8_t  verb, cls, place, lane, retried, list;
	int8_t   reason; /* of a cancel; 0: none */
	uint8_t  spare;
};
_Static_assert(sizeof(struct part) == 64, "one line");

struct lane {
	uint64_t conn; /* number of its connection in this tier, rising; 0: none yet */
	uint64_t redial_ns; /* when to dial again; 0: not waiting for that */
	uint64_t active_ns; /* last time a part went out or came back */
	uint64_t bytes; /* payload in this lane */
	uint64_t stuck_ns; /* if stuck: since when its worker has given no answer */
	uint16_t n_parts, dials_failed; /* dials_failed: counts no further than it can */
	uint8_t  state; /* enum kvr_link_state, HALF_OPEN counts as DIALING */
	uint8_t  stuck, stopped, spare;
	uint64_t until_ns; /* latest deadline among its parts, since it last had no part */
	uint64_t ping_ns;  /* deadline of its ping; 0: none is on its way */
};
_Static_assert(sizeof(struct lane) == 64, "one line");

struct list {
	uint16_t head, tail; /* slot + 1 */
};

struct tier_health {
	uint64_t failed_ns; /* when too many gets had failed; 0: they have not */
	uint64_t last_op;   /* the last operation that failed */
	uint32_t failures;  /* since the last check */
	uint32_t asking;    /* what the lane was asked for: a ping, a probe; 0: nothing */
	uint32_t lane;      /* the lane that was asked */
	uint32_t shut;      /* 1: the store is given nothing */
	int32_t  last_err;
	uint32_t spare;
};

struct tier {
	uint32_t magic, state; /* the actor's state, for functions below the handlers */
	uint32_t n_queued, n_parts; /* n_parts: in links */
	uint32_t faults, links_up;
	uint32_t probe, probe_next; /* lane of the running probe; where to look for the next */
	uint32_t continuing, sweeping;
	uint32_t stopped; /* STOPPED has been sent */
	int32_t  why; /* last fault */
	uint64_t bytes; /* payload in all links */
	uint64_t backoff_ns; /* the last one; 0: none since the last success */
	uint64_t conn; /* connections made so far */
	uint64_t fault_conn; /* connections up to this number belong to a counted fault */
	uint64_t rand;
	uint64_t sweep_ns, redial_ns, cool_ns; /* set timers; 0: none */
	uint64_t puts_at_ns; /* until then a put is DOWN and all else goes on; 0: it is not */
	uint64_t puts_backoff_ns; /* the last one of these; 0: none since a put went well */
	uint32_t gen[TIMERS];
	uint32_t told_state, told_links; /* what TIER_STATE said last */
	struct list list[LISTS];
	uint32_t refusals; /* of puts, in a row, up to as many as shut the way for them */
	/* Puts in a row that found no room, up to as many as make it full; their shortest value. */
	uint32_t n_full, full_len;
	uint64_t away_ns; /* when a key was last DOWN and the connection lived: one node of many */
	struct kvr_tier_config config;
	struct tier_health health;
	uint64_t spare64[3];
	struct lane lane[KVR_LANES_MAX];
	struct part part[KVR_PARTS_MAX];
};
_Static_assert(offsetof(struct tier, lane) % 64 == 0, "a lane is one line");
_Static_assert(sizeof(struct kvr_tier_config) == 120, "no padding: it is read from rows");

/*
 * Effects of a step: a handler asks for at most KVR_LANES_MAX + 4 (dials, stops), the pump stops at
 * PUMP_MAX and adds at most 3 beyond it, the end of a step adds at most 6.
 */
enum { PUMP_MAX = KVR_FX_MAX - 10 };
_Static_assert(KVR_LANES_MAX + 4 <= PUMP_MAX, "a handler leaves room for the pump");

/* What every part changes. Configuration and health are touched where they change: it is rare. */
static inline void
kvr_tier_touch(struct tier *me, struct kvr_out *out)
{
	kvr_touch(out, me, offsetof(struct tier, config));
}

static inline bool
kvr_tier_alive(const struct lane *lane)
{
	return !lane->stuck && (lane->state == KVR_LINK_UP || lane->state == KVR_LINK_DIALING);
}

/* A part's time here other than its work in a lane: the queue, and the hops between threads. */
static inline uint16_t
kvr_tier_waited(uint64_t now_ns, const struct part *p, uint32_t took_us)
{
	uint64_t all_us = (now_ns - p->queued_ns) / 1000;

	return kvr_short_us(all_us > took_us ? all_us - took_us : 0);
}

/* tier_done.c */
void kvr_tier_done(struct tier *, const struct kvr_event *, struct kvr_out *, struct part *);

/* tier_queue.c */
void kvr_tier_enqueue(struct tier *, struct kvr_out *, struct part *);
void kvr_tier_unlink(struct tier *, struct kvr_out *, struct part *);
struct part *kvr_tier_next(struct tier *, struct lane **ret_lane);

/* tier_give.c */
void kvr_tier_pump(struct tier *, const struct kvr_event *, struct kvr_out *);
/* Answers a waiting part and frees it. */
void kvr_tier_drop(struct tier *, const struct kvr_event *, struct kvr_out *, struct part *,
    int32_t err);
void kvr_tier_sweep_at(struct tier *, struct kvr_out *, uint64_t deadline_ns);
void kvr_tier_count(const struct tier *, struct kvr_out *, enum kvr_count, uint32_t n);

/* tier_lane.c */
/* While the tier probes, a dial asks the store something, too, before the lane counts as UP. */
void kvr_tier_dial(struct tier *, struct kvr_out *, struct lane *);
/* A fault of the lane or the store; may open the breaker. */
void kvr_tier_fault(struct tier *, const struct kvr_event *, struct kvr_out *, int32_t err);
/* A store that refuses puts and reads on; may shut the way for them. */
void kvr_tier_refused_put(struct tier *, const struct kvr_event *, struct kvr_out *);
void kvr_tier_took_put(struct tier *);
/* A part of puts: the longest value that was taken, the shortest without room; 0: there is none. */
void kvr_tier_room(struct tier *, uint32_t taken, uint32_t refused);
void kvr_tier_link_state(struct tier *, const struct kvr_event *, struct kvr_out *);
void kvr_tier_cooled(struct tier *, const struct kvr_event *, struct kvr_out *);
void kvr_tier_redial(struct tier *, const struct kvr_event *, struct kvr_out *);
void kvr_tier_ping(struct tier *, const struct kvr_event *, struct kvr_out *);

/* tier_health.c */
void kvr_tier_health_start(struct tier *, const struct kvr_event *, struct kvr_out *);
/* Sets another interval; 0: no checks any more. */
void kvr_tier_health_every(
    struct tier *, const struct kvr_event *, struct kvr_out *, uint64_t interval_ns);
void kvr_tier_health_check(struct tier *, const struct kvr_event *, struct kvr_out *);
void kvr_tier_health_note(struct tier *, struct kvr_out *, const struct part *, int32_t err);
void kvr_tier_health_heard(struct tier *, struct kvr_out *, const struct lane *, int32_t err);
void kvr_tier_health_up(struct tier *, const struct kvr_event *, struct kvr_out *);
void kvr_tier_health_lost(struct tier *, struct kvr_out *, const struct lane *);

/* The state that others see: a shut health gate looks like the breaker cooling down. */
static inline uint32_t
kvr_tier_seen(const struct tier *me)
{
	return me->health.shut && me->state == KVR_TIER_UP ? KVR_TIER_COOLING : me->state;
}

/* tier_check.c */
void kvr_tier_check(const void *self, unsigned state, bool full);

/* tier_fields.c */
extern const struct kvr_fields kvr_tier_fields;

#endif
