/* SPDX-License-Identifier: Apache-2.0 */
/* Ends what the router will not answer any more, and counts what is still in use at the end. */
#include "kvr_end.h"

#include "kvr_call.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_ledger.h"

/*
 * New calls are already refused; one that is under way takes microseconds. Until it is gone, its
 * own thread may take its operation back, so nobody else may end it.
 */
void
kvr_wait_outside(struct kvr *k)
{
	for (;;) {
		uint32_t n = atomic_load(&k->inside);

		if (n == 0)
			return;
		kvr_futex_wait(&k->inside, n, kvr_now_ns() + KVR_MS(10));
	}
}

static void
end_one(struct kvr *k, struct kvr_call *c, int32_t err, bool quiet)
{
	struct kvr_row *row = &k->ledger->rows[c->first];
	struct kvr_outcome o = {
		.row = c->first, .flags = quiet ? KVR_DONE_QUIET : 0, .end_ns = kvr_now_ns()
	};

	for (uint32_t i = 0; i < c->n; i++) {
		if (row[i].err != KVR_PENDING)
			continue;
		row[i].err = (int8_t)err;
		row[i].len = 0;
		row[i].where = KVR_NOWHERE;
	}
	kvr_call_sum(k, c, &o);
	kvr_call_arrive(k, c, &o);
	/* A thread that hangs may never release the memory: wake those who wait for that. */
	if (!quiet)
		kvr_call_abandon(c);
}

void
kvr_call_end_all(struct kvr *k, int32_t err, bool quiet)
{
	atomic_store(&k->deaf, 1);
	kvr_wait_outside(k);
	kvr_lock(&k->join_lock);
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++) {
		struct kvr_call *c = &k->call[i];
		/* Read before the holds: a slot given back in between has no valid word. */
		uint32_t word = atomic_load(&c->word);

		if (atomic_load(&c->holds) == 0)
			continue;
		/* Only once: first the instance dies, later one of its threads is stuck. */
		if ((word & KVR_WORD_OVER) == 0)
			end_one(k, c, err, quiet);
		/* In place of the router. An operation that is not quiet keeps its slots for ever. */
		if (quiet && !c->released) {
			c->released = true;
			kvr_call_drop(k, c, false);
		}
	}
	kvr_unlock(&k->join_lock);
}

uint64_t
kvr_call_not_quiet(struct kvr *k)
{
	uint64_t n = 0;

	/*
	 * Also counts operations that had their outcome before the end and get no further
	 * completion.
	 */
	if (atomic_load(&k->joined))
		return 0;
	pthread_mutex_lock(&k->lock); /* for n, which the next user of the slot writes */
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++) {
		const struct kvr_call *c = &k->call[i];

		if (atomic_load(&c->holds) != 0 && (atomic_load(&c->word) & KVR_WORD_QUIET) == 0)
			n += c->n;
	}
	pthread_mutex_unlock(&k->lock);
	return n;
}
