/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys are being put, for kvr_exists_in_put_tasks: a separate table with its own lock, so
 * that the question costs no round trip to the router. It contains puts that are accepted and not
 * complete. The router's own table, which prevents duplicates, also contains write-backs.
 *
 * An entry stays in its chain when its operation completes, and is removed with the slots: what
 * counts is the operation's quiet bit, which is set before anybody is told.
 */
#include "kvr_puts.h"

#include "kvr_call.h"
#include "kvr_instance.h"

static uint32_t *
chain_of(struct kvr *k, kvr_digest d)
{
	return &k->chain[d.hi % KVR_PUT_CHAINS];
}

/* The lock must be held. */
static bool
has(const struct kvr *k, kvr_digest d)
{
	for (uint32_t at = k->chain[d.hi % KVR_PUT_CHAINS]; at != 0; at = k->sides[at - 1].next) {
		const struct kvr_side *side = &k->sides[at - 1];

		if (side->digest.hi == d.hi && side->digest.lo == d.lo &&
		    (atomic_load(&k->call[side->call].word) & KVR_WORD_QUIET) == 0)
			return true;
	}
	return false;
}

bool
kvr_puts_add(struct kvr *k, const struct kvr_call *call, bool unique)
{
	pthread_mutex_lock(&k->put_lock);
	/*
	 * Checked and added under one lock, so of two threads with the same key exactly one
	 * continues.
	 */
	for (uint32_t slot = call->first; unique && slot < call->first + call->n; slot++) {
		if (has(k, k->sides[slot].digest)) {
			pthread_mutex_unlock(&k->put_lock);
			return false;
		}
	}
	for (uint32_t slot = call->first; slot < call->first + call->n; slot++) {
		struct kvr_side *side = &k->sides[slot];
		uint32_t *head = chain_of(k, side->digest);

		side->call = call->slot;
		side->prev = 0;
		side->next = *head;
		if (*head != 0)
			k->sides[*head - 1].prev = slot + 1;
		*head = slot + 1;
	}
	pthread_mutex_unlock(&k->put_lock);
	return true;
}

void
kvr_puts_drop(struct kvr *k, const struct kvr_call *call)
{
	atomic_fetch_sub(&k->put_bytes, call->bytes);
	pthread_mutex_lock(&k->put_lock);
	for (uint32_t slot = call->first; slot < call->first + call->n; slot++) {
		struct kvr_side *side = &k->sides[slot];

		if (side->next != 0)
			k->sides[side->next - 1].prev = side->prev;
		if (side->prev != 0)
			k->sides[side->prev - 1].next = side->next;
		else
			*chain_of(k, side->digest) = side->next;
	}
	pthread_mutex_unlock(&k->put_lock);
}

bool
kvr_puts_has(struct kvr *k, kvr_digest d)
{
	pthread_mutex_lock(&k->put_lock);
	bool found = has(k, d);

	pthread_mutex_unlock(&k->put_lock);
	return found;
}
