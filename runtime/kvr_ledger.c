/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_ledger.h"

#include "kvr_map.h"
#include "kvr_thread.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS ((size_t)KVR_OPS_MAX * KVR_PAGES_PLACES_MAX)

struct kvr_ledger *
kvr_ledger_new(uint64_t staging_bytes)
{
	struct kvr_ledger *l = calloc(1, sizeof(*l));

	if (l == NULL || staging_bytes > SIZE_MAX - KVR_PAGE) {
		free(l);
		return NULL;
	}
	l->keys = kvr_map(KVR_KEYS_MAX * sizeof(l->keys[0]));
	l->ops = kvr_map(KVR_OPS_MAX * sizeof(l->ops[0]));
	l->places = kvr_map(KVR_KEYS_MAX * sizeof(l->places[0]));
	l->runs = kvr_map(KVR_RUNS_MAX * sizeof(l->runs[0]));
	l->texts = kvr_map(KVR_TEXT_MAX);
	l->events = kvr_map(EVENTS * sizeof(l->events[0]));
	l->bells = kvr_map(KVR_OPS_MAX * sizeof(l->bells[0]));
	l->rows = kvr_map(KVR_ROWS_MAX * sizeof(l->rows[0]));
	l->staging_bytes = (staging_bytes + KVR_PAGE - 1) / KVR_PAGE * KVR_PAGE;
	if (l->staging_bytes > 0)
		l->staging = kvr_map(l->staging_bytes);
	if (l->keys == NULL || l->ops == NULL || l->places == NULL || l->runs == NULL ||
	    l->texts == NULL || l->events == NULL || l->bells == NULL || l->rows == NULL ||
	    (l->staging_bytes > 0 && l->staging == NULL)) {
		kvr_ledger_free(l);
		return NULL;
	}
	return l;
}

void
kvr_ledger_free(struct kvr_ledger *take)
{
	if (take == NULL)
		return;
	kvr_unmap(take->keys, KVR_KEYS_MAX * sizeof(take->keys[0]));
	kvr_unmap(take->ops, KVR_OPS_MAX * sizeof(take->ops[0]));
	kvr_unmap(take->places, KVR_KEYS_MAX * sizeof(take->places[0]));
	kvr_unmap(take->runs, KVR_RUNS_MAX * sizeof(take->runs[0]));
	kvr_unmap(take->texts, KVR_TEXT_MAX);
	kvr_unmap(take->events, EVENTS * sizeof(take->events[0]));
	kvr_unmap((void *)take->bells, KVR_OPS_MAX * sizeof(take->bells[0]));
	kvr_unmap(take->rows, KVR_ROWS_MAX * sizeof(take->rows[0]));
	kvr_unmap(take->staging, take->staging_bytes);
	free(take);
}

void
kvr_ledger_ring(const struct kvr_ledger *l, uint32_t op)
{
	atomic_fetch_add(&l->bells[op], 1);
	kvr_wake_all(&l->bells[op]);
}

/*
 * Bytes that one token takes in all groups, and how many tokens a full chunk has. False: the groups
 * disagree on the number of tokens, or have no dimension that counts them.
 */
static bool
per_token(
    const struct kvr_meta *meta, uint64_t full_bytes, uint64_t *ret_bytes, uint64_t *ret_tokens)
{
	uint64_t tokens = 0;

	for (uint32_t g = 0; g < meta->n_groups; g++) {
		const struct kvr_shape *s = &meta->group[g];
		int dim = kvr_shape_token_dim(s, meta->memfmt);

		if (dim < 0 || (g > 0 && s->dim[dim] != tokens))
			return false;
		tokens = s->dim[dim];
	}
	if (tokens == 0 || full_bytes % tokens != 0)
		return false;
	*ret_bytes = full_bytes / tokens;
	*ret_tokens = tokens;
	return *ret_bytes > 0;
}

bool
kvr_ledger_meta(const struct kvr_ledger *l, uint32_t key, uint64_t len, struct kvr_meta *ret)
{
	KVR_CHECK(key < KVR_KEYS_MAX && l->keys[key].op < KVR_OPS_MAX);
	const struct kvr_ledger_op *op = &l->ops[l->keys[key].op];
	uint64_t bytes = 0, tokens = 0;

	*ret = op->meta;
	if (op->meta.n_groups == 0 || len == op->meta_bytes)
		return true;
	if (len == 0 || len > op->meta_bytes ||
	    !per_token(&op->meta, op->meta_bytes, &bytes, &tokens) || len % bytes != 0) {
		memset(ret, 0, sizeof(*ret));
		return false;
	}
	for (uint32_t g = 0; g < ret->n_groups; g++)
		ret->group[g].dim[kvr_shape_token_dim(&ret->group[g], ret->memfmt)] = len / bytes;
	return true;
}
