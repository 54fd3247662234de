/* SPDX-License-Identifier: Apache-2.0 */
/* Converts the tokens of a batch into runs of slots in the ledger, chunk by chunk. */
#include "kvr_cache.h"

#include "kvr_call.h"
#include "kvr_instance.h"
#include "kvr_ledger.h"
#include "kvr_user_log.h"

#include <stdio.h>

static uint32_t
n_tokens(const struct kvr_batch *b, uint32_t i)
{
	return (uint32_t)(b->len[i] / kvr_pages_token(&b->tokens->cache->pages));
}

/* Whether key i and the previous one are two layers of one chunk, and so share their tokens. */
static bool
shares(const struct kvr_batch *b, uint32_t i)
{
	const struct kvr_tokens *t = b->tokens;
	const struct kvr_pages *p = &t->cache->pages;

	if (i == 0 || !p->layerwise || b->len[i] != b->len[i - 1])
		return false;
	return t->first != NULL ? t->first[i] == t->first[i - 1] : i % p->n_layers != 0;
}

/*
 * The first token of key i. before: where the previous chunk began, which may be where this one
 * begins.
 */
static uint64_t
first_of(const struct kvr_batch *b, uint32_t i, uint64_t before)
{
	if (b->tokens->first != NULL)
		return b->tokens->first[i];
	return i == 0 ? 0 : shares(b, i) ? before : before + n_tokens(b, i - 1);
}

/* One key in one group, for functions that read the table and may have to report an error. */
struct lookup {
	struct kvr *kvr;
	const struct kvr_batch *b;
	uint32_t key, group;
	const struct kvr_tokens *t;
	const struct kvr_pages *p;
};

/* "kvr_submit: key 3", and the group if there are several. */
struct whose {
	char text[64];
};

static struct whose
whose(const struct lookup *l)
{
	struct whose w;

	if (l->b->tokens->next == NULL)
		snprintf(w.text, sizeof(w.text), "kvr_submit: key %u", l->key);
	else
		snprintf(w.text, sizeof(w.text), "kvr_submit: key %u, group %u", l->key, l->group);
	return w;
}

static enum kvr_err
bad_slot(const struct lookup *l, uint64_t token, long long entry)
{
	if (l->t->slot != NULL)
		return kvr_bad(l->kvr, KVR_E_INVALID,
		    "%s: token %llu has slot %lld, and the cache has %llu%s", whose(l).text,
		    (unsigned long long)token, entry,
		    (unsigned long long)l->p->n_blocks * l->p->block_tokens,
		    entry < 0 ? "; only a get may leave tokens out" : "");
	return kvr_bad(l->kvr, KVR_E_INVALID,
	    "%s: token %llu is in block %lld, and the cache has %u", whose(l).text,
	    (unsigned long long)token, entry, l->p->n_blocks);
}

static enum kvr_err
add_slots(const struct lookup *l, uint64_t first, uint32_t n, struct kvr_runs *runs)
{
	uint64_t slots = (uint64_t)l->p->n_blocks * l->p->block_tokens;

	for (uint64_t i = first; i < first + n; i++) {
		int64_t slot = l->t->slot[i];

		if (slot >= (int64_t)slots || (slot < 0 && l->b->kind == KVR_PUT))
			return bad_slot(l, i, (long long)slot);
		if (!kvr_runs_add(runs, slot < 0 ? KVR_NO_SLOT : (uint32_t)slot, 1))
			return KVR_E_TOO_BIG;
	}
	return KVR_OK;
}

static enum kvr_err
add_blocks(const struct lookup *l, uint64_t first, uint32_t n, struct kvr_runs *runs)
{
	const struct kvr_pages *p = l->p;

	while (n > 0) {
		int32_t block = l->t->block[first / p->block_tokens];
		uint32_t at = (uint32_t)(first % p->block_tokens),
		         here = KVR_MIN(n, p->block_tokens - at);

		if (block < 0 || (uint32_t)block >= p->n_blocks)
			return bad_slot(l, first, block);
		if (!kvr_runs_add(runs, (uint32_t)block * p->block_tokens + at, here))
			return KVR_E_TOO_BIG;
		first += here;
		n -= here;
	}
	return KVR_OK;
}

static enum kvr_err
add_group(const struct lookup *l, uint64_t first, uint32_t n, struct kvr_runs *runs)
{
	const struct kvr_tokens *t = l->t;
	uint64_t have = t->slot != NULL ? t->n : (uint64_t)t->n * l->p->block_tokens;

	if (first > have || n > have - first)
		return kvr_bad(l->kvr, KVR_E_INVALID,
		    "%s is tokens %llu to %llu, and the table has %llu", whose(l).text,
		    (unsigned long long)first, (unsigned long long)first + n,
		    (unsigned long long)have);
	runs->last.n = 0;
	return t->slot != NULL ? add_slots(l, first, n, runs) : add_blocks(l, first, n, runs);
}

/*
 * The same tokens in every group; the runs of a group follow those of the previous one, as a walk
 * needs.
 */
static enum kvr_err
add_key(struct lookup l, uint64_t first, uint32_t n, struct kvr_runs *runs)
{
	enum kvr_err err = KVR_OK;

	for (l.group = 0; l.t != NULL && err == KVR_OK; l.group++) {
		err = add_group(&l, first, n, runs);
		l.t = l.t->next;
		l.p = l.p->next;
	}
	return err;
}

static enum kvr_err
layer_of(const struct lookup *l, uint32_t *ret)
{
	const struct kvr_tokens *t = l->b->tokens;
	const struct kvr_pages *p = &t->cache->pages;

	*ret = t->layer != NULL ? t->layer[l->key] : p->layerwise ? l->key % p->n_layers : 0;
	if (*ret < p->n_layers)
		return KVR_OK;
	return kvr_bad(l->kvr, KVR_E_INVALID,
	    "kvr_submit: key %u is of layer %u, and the cache has %u", l->key, *ret, p->n_layers);
}

static void
set_place(struct kvr_place *ret, uint32_t run, uint32_t tokens, uint32_t layer)
{
	ret->run = run;
	ret->tokens = tokens;
	ret->layer = layer;
	atomic_store_explicit(&ret->landed, 0, memory_order_relaxed);
}

/*
 * ret_place NULL: only counts. The second time everything is checked again: it is the caller's
 * memory, and somebody who writes to it meanwhile must not make a worker read outside the tables.
 */
static enum kvr_err
add_keys(struct kvr *k, const struct kvr_batch *b, struct kvr_runs *runs, uint32_t base,
    struct kvr_place *ret_place)
{
	uint64_t first = 0;
	uint32_t begin = 0, tokens = 0, layer;

	for (uint32_t i = 0; i < b->n; i++) {
		const struct lookup l = { .kvr = k,
			.b = b,
			.key = i,
			.t = b->tokens,
			.p = &b->tokens->cache->pages };
		enum kvr_err err = layer_of(&l, &layer);

		first = first_of(b, i, first);
		if (err == KVR_OK && !shares(b, i)) {
			begin = runs->n;
			tokens = n_tokens(b, i);
			err = add_key(l, first, tokens, runs);
		}
		if (err != KVR_OK)
			return err;
		if (ret_place != NULL)
			set_place(&ret_place[i], base + begin, tokens, layer);
	}
	return KVR_OK;
}

/* ---- checks that need no resources ---- */

/* There must be a table for each group of the cache. */
static enum kvr_err
check_groups(struct kvr *k, const struct kvr_tokens *t)
{
	uint32_t n = 0, want = t->cache->n_groups;

	for (const struct kvr_tokens *g = t; g != NULL; g = g->next, n++) {
		if ((g->slot == NULL) == (g->block == NULL))
			return kvr_bad(k, KVR_E_INVALID,
			    "kvr_submit: tokens have slot or block, one of them%s",
			    g == t ? "" : ", in each group");
		if (g != t && (g->cache != NULL || g->first != NULL || g->layer != NULL ||
		                  g->ready != NULL))
			return kvr_bad(k, KVR_E_INVALID,
			    "kvr_submit: tokens of group %u have only slot or block: the rest is "
			    "said once, in front",
			    n);
	}
	if (n == want)
		return KVR_OK;
	return kvr_bad(k, KVR_E_INVALID,
	    "kvr_submit: tokens of %u groups, and the cache has %u: next names those of the next "
	    "group",
	    n, want);
}

static enum kvr_err
check_table(struct kvr *k, const struct kvr_tokens *t)
{
	const struct kvr_cache *c = t->cache;
	enum kvr_err err;

	if (c == NULL || c->magic != KVR_CACHE_MAGIC || c->kvr != k)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: tokens of no cache of this instance");
	err = check_groups(k, t);
	if (err != KVR_OK)
		return err;
	if (t->ready != NULL && !c->pages.device)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: ready is an event of a device, and the cache "
		                                 "is in the host's memory");
	if (t->layer != NULL && (!c->pages.layerwise || t->first == NULL))
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_submit: layer is for chunks of one layer, and comes with first");
	return KVR_OK;
}

static enum kvr_err
check_key(struct kvr *k, const struct kvr_batch *b, uint32_t i)
{
	const struct kvr_pages *p = &b->tokens->cache->pages;

	if (b->len[i] > UINT32_MAX)
		return kvr_bad(k, KVR_E_TOO_BIG,
		    "kvr_submit: key %u has %llu bytes: split it below 4 GiB", i,
		    (unsigned long long)b->len[i]);
	if (b->len[i] % kvr_pages_token(p) != 0)
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_submit: key %u has %llu bytes, and a token of that cache %llu", i,
		    (unsigned long long)b->len[i], (unsigned long long)kvr_pages_token(p));
	return KVR_OK;
}

enum kvr_err
kvr_tokens_check(struct kvr *k, const struct kvr_batch *b, uint32_t *ret_runs)
{
	struct kvr_runs runs = { .cap = KVR_RUNS_MAX };
	enum kvr_err err = check_table(k, b->tokens);

	*ret_runs = 0;
	for (uint32_t i = 0; i < b->n && err == KVR_OK; i++)
		err = check_key(k, b, i);
	if (err == KVR_OK)
		err = add_keys(k, b, &runs, 0, NULL);
	if (err == KVR_E_TOO_BIG && runs.n == KVR_RUNS_MAX)
		return kvr_bad(k, err, "kvr_submit: more than %u runs of slots: split the batch",
		    (unsigned)KVR_RUNS_MAX);
	*ret_runs = runs.n;
	return err;
}

/* ---- filling ---- */

enum kvr_err
kvr_tokens_fill(struct kvr *k, struct kvr_call *c, const struct kvr_batch *b)
{
	struct kvr_ledger_op *op = &k->ledger->ops[c->slot];
	uint32_t base = c->run * KVR_RUN_UNIT;
	struct kvr_runs runs = { .at = &k->ledger->runs[base], .cap = c->n_runs * KVR_RUN_UNIT };
	enum kvr_err err = add_keys(k, b, &runs, base, &k->ledger->places[c->first]);

	/* They were counted before: if there are more now, the caller's table has changed. */
	if (err == KVR_E_TOO_BIG)
		return kvr_bad(
		    k, KVR_E_INVALID, "kvr_submit: the tokens changed while they were read");
	if (err == KVR_OK) {
		op->pages = &b->tokens->cache->pages;
		op->ready = b->tokens->ready;
		c->cache = b->tokens->cache;
		atomic_fetch_add(&c->cache->users, 1);
	}
	return err;
}

/* For the longest chunk; the others are cut from it. */
void
kvr_tokens_meta(const struct kvr_batch *b, struct kvr_meta *ret, uint64_t *ret_bytes)
{
	const struct kvr_cache *c = b->tokens->cache;
	uint64_t most = 0;

	for (uint32_t i = 0; i < b->n; i++)
		most = KVR_MAX(most, b->len[i]);
	*ret_bytes = most;
	if (most > 0)
		kvr_pages_meta(&c->pages, most / kvr_pages_token(&c->pages), ret);
}
