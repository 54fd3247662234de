/* SPDX-License-Identifier: Apache-2.0 */
/* Operations: their slots and their outcomes. */
#include "kvr_call.h"

#include "kvr_batch.h"
#include "kvr_cache.h"
#include "kvr_canary.h"
#include "kvr_health.h"
#include "kvr_instance.h"
#include "kvr_ledger.h"
#include "kvr_notify.h"
#include "kvr_puts.h"
#include "kvr_queue.h"
#include "kvr_range.h"
#include "kvr_region.h"
#include "kvr_submit.h"
#include "kvr_system.h"
#include "kvr_thread.h"
#include "kvr_user_log.h"

/* ---- slots ---- */

/*
 * Gives back the slots of an operation that nobody holds any more. It may take long for a batch of
 * 65,536 keys, so it never runs under the domain's guard.
 */
static void
put_back(struct kvr *k, struct kvr_call *c)
{
	uint32_t word = atomic_load(&c->word);
	uint32_t gen = (KVR_WORD_GEN_OF(word) + 1) & KVR_WORD_GEN_MASK;

	if (c->puts)
		kvr_puts_drop(k, c);
	if (c->cache != NULL)
		atomic_fetch_sub(&c->cache->users, 1);
	c->cache = NULL;
	atomic_store(&c->request, 0);
	pthread_mutex_lock(&k->lock);
	if (c->n > 0)
		kvr_range_give(&k->keys, c->first, c->n_slots);
	if (c->n_text > 0)
		kvr_range_give(&k->texts, c->text, c->n_text);
	if (c->n_runs > 0)
		kvr_range_give(&k->runs, c->run, c->n_runs);
	atomic_store(&c->word, (gen == 0 ? 1 : gen) << KVR_WORD_GEN);
	c->next_free = k->free_op;
	k->free_op = c->slot + 1;
	k->n_ops--;
	pthread_mutex_unlock(&k->lock);
	if (atomic_load(&c->sleepers) > 0)
		kvr_wake_all(&c->word);
}

/* For operations that the router released after everybody had been told. */
void
kvr_call_reap(struct kvr *k)
{
	uint32_t at = atomic_exchange(&k->reap, 0);

	while (at != 0) {
		struct kvr_call *c = &k->call[at - 1];

		at = c->next_free;
		put_back(k, c);
	}
}

void
kvr_call_drop(struct kvr *k, struct kvr_call *c, bool under_guard)
{
	if (atomic_fetch_sub(&c->holds, 1) != 1)
		return;
	if (!under_guard) {
		put_back(k, c);
		return;
	}
	uint32_t head = atomic_load(&k->reap);

	do
		c->next_free = head;
	while (!atomic_compare_exchange_weak(&k->reap, &head, c->slot + 1));
}

/* A quarter of everything is reserved for lookups and gets: puts are refused first. */
static uint32_t
share(uint32_t limit, uint32_t kind)
{
	return kind == KVR_PUT || kind == KVR_PREFETCH ? limit - limit / 4 : limit;
}

static uint32_t
slots_of(const struct kvr_need *need)
{
	return need->ahead ? 2 * need->keys : need->keys;
}

static enum kvr_err
take_slots(struct kvr *k, struct kvr_call *c, const struct kvr_need *need)
{
	c->n = need->keys;
	c->n_slots = slots_of(need);
	c->n_text = (uint32_t)((need->text + KVR_TEXT_UNIT - 1) / KVR_TEXT_UNIT);
	c->n_runs = (need->runs + KVR_RUN_UNIT - 1) / KVR_RUN_UNIT;
	if (need->keys == 0) {
		c->n_text = c->n_runs = 0;
		return KVR_OK;
	}
	if (!kvr_range_take(&k->keys, c->n_slots, &c->first))
		return KVR_E_BUSY;
	if (!kvr_range_take(&k->texts, c->n_text, &c->text)) {
		kvr_range_give(&k->keys, c->first, c->n_slots);
		return KVR_E_BUSY;
	}
	if (c->n_runs > 0 && !kvr_range_take(&k->runs, c->n_runs, &c->run)) {
		kvr_range_give(&k->keys, c->first, c->n_slots);
		kvr_range_give(&k->texts, c->text, c->n_text);
		return KVR_E_BUSY;
	}
	return KVR_OK;
}

enum kvr_err
kvr_call_take(struct kvr *k, const struct kvr_need *need, struct kvr_call **ret)
{
	uint32_t n = slots_of(need), kind = need->kind;
	enum kvr_err err = KVR_E_BUSY;

	if (n > share(k->keys_limit, kind))
		return kvr_bad(k, KVR_E_TOO_BIG,
		    "kvr_submit: %u keys%s, and %u is the most for this kind: "
		    "split the batch or raise limits.keys",
		    n, need->ahead ? " (KVR_RECORD counts each twice)" : "",
		    share(k->keys_limit, kind));
	if (need->text > KVR_TEXT_MAX)
		return kvr_bad(k, KVR_E_TOO_BIG,
		    "kvr_submit: %llu bytes of key text, and %u is the most: "
		    "split the batch",
		    (unsigned long long)need->text, (unsigned)KVR_TEXT_MAX);
	kvr_call_reap(k);
	pthread_mutex_lock(&k->lock);
	uint32_t keys = KVR_KEYS_MAX - k->keys.free;

	if (k->n_ops < share(k->ops_limit, kind) && k->free_op != 0 &&
	    keys + n <= share(k->keys_limit, kind)) {
		struct kvr_call *c = &k->call[k->free_op - 1];

		err = take_slots(k, c, need);
		if (err == KVR_OK) {
			k->free_op = c->next_free;
			k->n_ops++;
			c->kind = kind;
			*ret = c;
		}
	}
	pthread_mutex_unlock(&k->lock);
	return err;
}

void
kvr_call_undo(struct kvr *k, struct kvr_call *c)
{
	c->puts = false;
	kvr_regions_unuse(k, c);
	/*
	 * After its launch it may be held for a moment, by the handle of the slot's previous
	 * operation.
	 */
	if (atomic_load(&c->holds) > 0)
		kvr_call_drop(k, c, false);
	else
		put_back(k, c);
}

kvr_op
kvr_call_op(const struct kvr_call *c)
{
	return (kvr_op)KVR_WORD_GEN_OF(atomic_load(&c->word)) << 32 | c->slot;
}

struct kvr_call *
kvr_call_find(struct kvr *k, kvr_op op)
{
	uint64_t slot = op & UINT32_MAX;

	if (slot >= KVR_OPS_MAX || op >> 32 == 0)
		return NULL;
	struct kvr_call *c = &k->call[slot];

	/* A free slot has the generation of its next operation, which nobody knows yet. */
	if (KVR_WORD_GEN_OF(atomic_load(&c->word)) != op >> 32 || atomic_load(&c->holds) == 0)
		return NULL;
	return c;
}

struct kvr_call *
kvr_call_hold(struct kvr *k, kvr_op op)
{
	struct kvr_call *c = kvr_call_find(k, op);
	uint32_t n = c == NULL ? 0 : atomic_load(&c->holds);

	while (n > 0 && !atomic_compare_exchange_weak(&c->holds, &n, n + 1))
		;
	if (n == 0)
		return NULL;
	if (KVR_WORD_GEN_OF(atomic_load(&c->word)) == op >> 32)
		return c;
	kvr_call_drop(k, c, false);
	return NULL;
}

/* ---- the number of operations under way ---- */

void
kvr_call_begins(struct kvr *k, const struct kvr_call *c)
{
	atomic_fetch_add(&k->n_flying, 1);
	if (c->kind == KVR_LOOKUP)
		atomic_fetch_add_explicit(&k->ledger->lookups, 1, memory_order_relaxed);
	if (c->kind == KVR_PUT)
		atomic_fetch_add_explicit(&k->n_putting, c->n, memory_order_relaxed);
}

void
kvr_call_ends(struct kvr *k, const struct kvr_call *c)
{
	atomic_fetch_sub(&k->n_flying, 1);
	if (c->kind == KVR_LOOKUP)
		atomic_fetch_sub_explicit(&k->ledger->lookups, 1, memory_order_relaxed);
	if (c->kind == KVR_PUT)
		atomic_fetch_sub_explicit(&k->n_putting, c->n, memory_order_relaxed);
}

/* ---- outcomes ---- */

void
kvr_call_sum(struct kvr *k, const struct kvr_call *c, struct kvr_outcome *ret)
{
	const struct kvr_row *row = &k->ledger->rows[c->first];

	for (uint32_t i = 0; i < c->n; i++) {
		if (row[i].err == KVR_OK) {
			ret->n_ok++;
			ret->bytes += row[i].len;
		} else if (ret->err == KVR_OK) {
			ret->err = row[i].err;
		}
	}
}

/*
 * Tells whoever is waiting. The slot cannot be reused before this returns, because the router's
 * hold on it ends with a later message.
 */
static void
announce(struct kvr *k, struct kvr_call *c, bool quiet)
{
	if (c->teller == KVR_TELL_QUEUE) {
		kvr_queue_push(c->queue, c->slot);
	} else if (c->teller == KVR_TELL_CALLBACK) {
		kvr_notifier_tell(k, c->slot);
	} else if (c->teller == KVR_TELL_NOBODY && quiet) {
		kvr_call_drop(k, c, true);
	}
	if (quiet)
		atomic_fetch_or(&c->word, KVR_WORD_TOLD);
	if (atomic_load(&c->sleepers) > 0)
		kvr_wake_all(&c->word);
}

void
kvr_call_arrive(struct kvr *k, struct kvr_call *c, const struct kvr_outcome *o)
{
	uint32_t word = atomic_load(&c->word);
	uint32_t n = KVR_WORD_N_ARRIVED(word);
	bool quiet = (o->flags & KVR_DONE_QUIET) != 0;

	/* The first with an outcome: if there was one before, it was told ahead of the copies. */
	bool first = !o->ahead && (n == 0 || c->outcome[n - 1].ahead);

	KVR_CHECK(n < KVR_LEN(c->outcome) && (word & KVR_WORD_QUIET) == 0);
	c->outcome[n] = *o;
	if (c->objects)
		kvr_batch_objects(k, c, quiet, first);
	if (quiet)
		kvr_regions_unuse(k, c); /* before anybody is told, and gives the memory back */
	if (first)
		kvr_pace_note(k, c, o);
	if (quiet && c->places > n + 1)
		kvr_notifier_unreserve(k, c->places - n - 1); /* there will be no more */
	if (quiet) {
		kvr_call_ends(k, c);
		if (atomic_load(&k->life) != KVR_LIFE_OPEN && c->flags >> KVR_ONLY_SHIFT == 0)
			atomic_fetch_add(o->err == KVR_E_CANCELLED || o->err == KVR_E_SHUTDOWN
			                     ? &k->n_dropped
			                     : &k->n_finished,
			    1);
	}
	/*
	 * Pairs with the acquire in kvr_call_fetch: a thread that sees the arrival also sees
	 * outcome and rows. There is one total order with sleepers: either announce sees the
	 * sleeper, or the sleeper sees the arrival.
	 */
	atomic_fetch_add(&c->word, KVR_WORD_ARRIVED + (quiet ? KVR_WORD_QUIET : 0));
	announce(k, c, quiet);
	if (c->n_layers > 0)
		kvr_ledger_ring(k->ledger, c->slot);
}

void
kvr_call_abandon(struct kvr_call *c)
{
	atomic_fetch_or(&c->word, KVR_WORD_TOLD);
	if (atomic_load(&c->sleepers) > 0)
		kvr_wake_all(&c->word);
}

bool
kvr_call_fetch(struct kvr_call *c, uint32_t gen, struct kvr_outcome *ret, bool *ret_last)
{
	uint32_t word = atomic_load_explicit(&c->word, memory_order_acquire);

	do {
		if (KVR_WORD_GEN_OF(word) != gen ||
		    KVR_WORD_N_ARRIVED(word) <= KVR_WORD_N_FETCHED(word))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &c->word, &word, word + KVR_WORD_FETCHED, memory_order_acq_rel, memory_order_acquire));
	*ret = c->outcome[KVR_WORD_N_FETCHED(word)];
	*ret_last = (ret->flags & KVR_DONE_QUIET) != 0;
	return true;
}

void
kvr_call_told(struct kvr *k, struct kvr_call *c, bool last)
{
	if (last)
		kvr_call_drop(k, c, false);
}

/* ---- messages of the router ---- */

static void
on_complete(struct kvr *k, const struct kvr_msg *m)
{
	struct kvr_call *c = &k->call[m->op & UINT32_MAX];
	struct kvr_outcome o = { .row = m->rows,
		.ahead = m->rows != c->first,
		.err = m->COMPLETE.err,
		.flags = m->COMPLETE.flags,
		.n_ok = m->COMPLETE.n_ok,
		.prefix = m->COMPLETE.prefix,
		.bytes = m->COMPLETE.bytes,
		.end_ns = kvr_now_ns() };

	kvr_call_arrive(k, c, &o);
}

void
kvr_outside(void *arg, const struct kvr_msg *m, const struct kvr_row *rows)
{
	struct kvr *k = arg;

	(void)rows;
	if (m->type == KVR_MSG_STOPPED) {
		if (m->from == KVR_ID_NONE) {
			atomic_store(&k->dead, 1);
			kvr_system_show_dead(k->system);
			kvr_notifier_bury(k);
		}
		atomic_store(&k->stopped, 1);
		kvr_wake_all(&k->stopped);
		return;
	}
	if (m->type == KVR_MSG_CANARY) {
		kvr_canary_wish(k, m);
		return;
	}
	if (atomic_load(&k->deaf) != 0)
		return;
	KVR_CHECK((m->op & UINT32_MAX) < KVR_OPS_MAX);
	struct kvr_call *c = &k->call[m->op & UINT32_MAX];

	KVR_CHECK(KVR_WORD_GEN_OF(atomic_load(&c->word)) == m->op >> 32);
	if (m->type == KVR_MSG_COMPLETE) {
		on_complete(k, m);
	} else if (m->type == KVR_MSG_RELEASE) {
		c->released = true;
		kvr_call_drop(k, c, true);
	}
}
