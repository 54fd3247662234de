/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads that go to a replica first. The replica may be behind its master, so only what it has
 * counts; and that counts as if the master had said it: a value with its own length, header or
 * seal. What it does not have, what it has but cannot be trusted, and what it does not answer is
 * asked of the master in the same call. So a replica that lags, stands still or dies costs time but
 * no hit. What may be old is a value that was replaced, or a key that was deleted, a moment ago.
 *
 * Items are tried as copies, because a status is published only once and the master has the last
 * word.
 */
#include "kvr_redis.h"
#include "kvr_limits.h"

#include <stdlib.h>
#include <string.h>

#define PAUSE_MIN_NS KVR_MS(100)
#define PAUSE_MAX_NS KVR_SEC(10)
/* If a dial has no limit of its own, a replica may be silent for so long. */
#define TRY_NS KVR_SEC(1)

struct kvr_redis_replica {
	struct kvr_connector *c; /* behind sentinels; NULL: not connected */
	uint64_t next_ns, pause_ns;
	uint32_t index[KVR_REDIS_GROUP];
	struct kvr_item item[KVR_REDIS_GROUP];
	struct kvr_meta meta[KVR_REDIS_GROUP];
};
_Static_assert(sizeof(struct kvr_redis_replica) + sizeof(struct kvr_connector) +
                       KVR_FRAME_SCRATCH <=
                   KVR_REPLICA_BYTES,
    "what the sum of memory says");

struct kvr_redis_replica *
kvr_redis_replica_new(void)
{
	return calloc(1, sizeof(struct kvr_redis_replica));
}

void
kvr_redis_replica_free(struct kvr_redis_replica *take)
{
	if (take == NULL)
		return;
	kvr_redis_connector_free(take->c);
	free(take);
}

static bool
reads(enum kvr_verb verb)
{
	return verb == KVR_VERB_EXISTS || verb == KVR_VERB_GET || verb == KVR_VERB_STAT;
}

/* Copies the pending items, contiguously; what is expected of a value is copied too. */
static uint32_t
take_in(struct kvr_redis_replica *r, const struct kvr_item *items, uint32_t n)
{
	uint32_t n_taken = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (kvr_item_status(&items[i]) != KVR_PENDING)
			continue;
		r->index[n_taken] = i;
		r->item[n_taken] = items[i];
		r->meta[n_taken] = *items[i].meta;
		r->item[n_taken].meta = &r->meta[n_taken];
		n_taken++;
	}
	return n_taken;
}

static void
give_back(const struct kvr_redis_replica *r, struct kvr_item *items, uint32_t n_taken)
{
	for (uint32_t k = 0; k < n_taken; k++) {
		const struct kvr_item *from = &r->item[k];
		struct kvr_item *to = &items[r->index[k]];
		if (kvr_item_status(from) != KVR_OK)
			continue;
		to->len = from->len;
		to->raw_len = from->raw_len;
		to->serde = from->serde;
		*to->meta = r->meta[k];
		kvr_item_done(to, KVR_OK);
	}
}

enum kvr_err
kvr_redis_ask_replicas(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items,
    uint32_t n, uint64_t until_ns, kvr_redis_pass *pass)
{
	struct kvr_redis_replica *r = c->replica;
	char why[sizeof(c->why)];
	if (r == NULL || !reads(verb))
		return KVR_OK;
	uint32_t n_taken = take_in(r, items, n);
	if (n_taken == 0)
		return KVR_OK;
	/* The master has the last word here too. */
	memcpy(why, c->why, sizeof(why));
	enum kvr_err err = pass(c, verb, r->item, n_taken, until_ns);
	memcpy(c->why, why, sizeof(why));
	give_back(r, items, n_taken);
	return err == KVR_E_CANCELLED ? err : KVR_OK;
}

/* ---- the one replica of a lane behind sentinels ---- */

static uint64_t
patience(const struct kvr_store *store, uint64_t until_ns, uint32_t share)
{
	uint64_t try_ns = store->connect_ns > 0 ? store->connect_ns : TRY_NS;
	return KVR_MIN(kvr_redis_share(until_ns, share), kvr_now_ns() + try_ns);
}

static void
drop(struct kvr_redis_replica *r)
{
	kvr_redis_connector_free(r->c);
	r->c = NULL;
	r->pause_ns = r->pause_ns == 0 ? PAUSE_MIN_NS : KVR_MIN(r->pause_ns * 2, PAUSE_MAX_NS);
	r->next_ns = kvr_now_ns() + r->pause_ns;
}

static enum kvr_err
dial(struct kvr_connector *front, uint64_t until_ns)
{
	struct kvr_redis_replica *r = front->replica;
	struct kvr_store *store = front->store;
	if (kvr_now_ns() < r->next_ns)
		return KVR_E_DOWN;
	r->c = kvr_redis_connector_new(store, false);
	enum kvr_err err = KVR_E_NOMEM;
	if (r->c != NULL)
		err = kvr_redis_connect_replica(r->c,
		    atomic_fetch_add_explicit(&store->turn, 1, memory_order_relaxed),
		    patience(store, until_ns, 4), front->s.kick);
	if (err != KVR_OK)
		drop(r);
	return err;
}

enum kvr_err
kvr_redis_replica_pass(struct kvr_connector *front, enum kvr_verb verb, struct kvr_item *items,
    uint32_t n, uint64_t until_ns)
{
	struct kvr_redis_replica *r = front->replica;
	enum kvr_err err = r->c != NULL ? KVR_OK : dial(front, until_ns);
	if (err != KVR_OK)
		return err;
	struct kvr_connector *c = r->c;
	/* Lent: master and replica are never asked at the same time. */
	c->note = front->note;
	c->heads = front->heads;
	c->from_replica = true;
	c->why[0] = '\0';
	/* The replica must begin to answer within half of the time; the master needs the rest. */
	uint64_t now_ns = kvr_now_ns(), end_ns = patience(front->store, until_ns, 2);
	c->s.patience_ns = end_ns > now_ns ? end_ns - now_ns : 1;
	err = kvr_stream_ask(&c->s, until_ns, KVR_STREAM_AHEAD);
	if (err == KVR_OK)
		err = kvr_redis_run(c, verb, items, n);
	c->note = NULL;
	c->heads = NULL;
	if (err != KVR_OK || c->signed_out)
		drop(r);
	else
		r->pause_ns = 0;
	return err;
}
