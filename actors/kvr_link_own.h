/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link's state, and what its files share.
 *
 *   link.c       the table; the connection: dial, ping, up and down
 *   link_part.c  parts in the worker: given, answered, cancelled, blamed
 *   link_owed.c  what both send, and the answers that the worker owes
 */
#ifndef KVR_LINK_OWN_H
#define KVR_LINK_OWN_H

#include "kvr_actors.h"
#include "kvr_connector.h"
#include "kvr_err.h"

#define LINK_MAGIC KVR_MAGIC('L', 'I', 'N', 'K')

struct flight {
	uint64_t given_ns, until_ns;
	uint32_t part; /* 0: free */
	uint16_t verb;
	uint16_t cancelled; /* a cancel was sent: one is enough, and the mailbox has room for one */
};

struct link {
	uint32_t magic;
	uint32_t tier, lane, places;
	uint32_t n_parts, n_puts; /* in the worker */
	uint32_t told;            /* the state that the tier last heard of */
	uint32_t stuck;           /* 1: the tier was told that the worker is stuck */
	uint32_t watch_gen;
	uint32_t probe;           /* of the running dial: ping before calling it UP */
	uint64_t connect_ns, stuck_ns;
	uint64_t watch_ns; /* when the watch fires; 0: not set */
	uint64_t dial_ns;  /* deadline of the DIALED that the worker owes; 0: it owes none */
	uint64_t ping_ns;  /* the same for a PONG */
	uint64_t heard_ns; /* last answer of the worker */
	uint64_t silent_ns; /* time at work without a byte, since the last byte */
	uint64_t owes_ns; /* if the worker owes an answer: since when, without giving any */
	struct flight flight[KVR_PLACES_MAX];
	uint64_t spare64[3];
};
_Static_assert(sizeof(struct link) == 320, "whole lines, no padding");
_Static_assert(KVR_PLACES_MAX + 2 <= KVR_FX_MAX, "stop cancels every part and hangs up");
_Static_assert(sizeof(struct kvr_link_config) == 40, "no padding: it is read from rows");

static inline uint64_t
kvr_link_later(uint64_t at_ns, uint64_t by_ns)
{
	return at_ns > UINT64_MAX - by_ns ? UINT64_MAX : at_ns + by_ns;
}

/* link_owed.c */
void kvr_link_to_worker(const struct link *, struct kvr_out *, const struct kvr_msg *);
/* What the tier hears of the connection; that it was UP is known from what it heard last. */
void kvr_link_tell(struct link *, struct kvr_out *, enum kvr_link_state, int32_t err,
    enum kvr_blame);
/* The earliest deadline of an owed answer; 0: none is owed. */
uint64_t kvr_link_owed(const struct link *);
/* Before anything that the worker must answer is noted as sent. */
static inline void
kvr_link_asks(struct link *me, uint64_t now_ns)
{
	if (me->n_parts == 0 && me->dial_ns == 0 && me->ping_ns == 0)
		me->owes_ns = now_ns;
}

/* The worker owes an answer by until_ns; 0: no deadline. */
void kvr_link_watch(struct link *, struct kvr_out *, uint64_t until_ns);
/* Every answer of the worker passes here before it is processed. */
void kvr_link_heard(struct link *, const struct kvr_event *, struct kvr_out *);

/* link_part.c: handlers */
kvr_handler kvr_link_give, kvr_link_bounce, kvr_link_done, kvr_link_done_up, kvr_link_cancel;
void kvr_link_cancel_all(struct link *, struct kvr_out *, int32_t reason);

/* link_fields.c */
extern const struct kvr_fields kvr_link_fields;

#endif
