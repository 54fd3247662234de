/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks that are copied whole, row by row. */
#include "kvr_copy_own.h"

int32_t
kvr_copy_start_row(struct kvr_copy_worker *w, const struct kvr_row *row, struct kvr_walk *ret)
{
	const struct kvr_ledger *ledger = w->work->ledger;
	const struct kvr_key *key = &ledger->keys[row->key];
	const struct kvr_place *place = &ledger->places[row->key];
	const struct kvr_pages *pages = ledger->ops[key->op].pages;
	uint64_t tokens = row->len / kvr_pages_token(pages);

	*ret = (struct kvr_walk){ .pages = pages,
		.runs = &ledger->runs[place->run],
		.tokens = tokens,
		.room = place->tokens,
		.layer = place->layer,
		.chunk = kvr_ledger_staging(ledger, row->buf) };
	/* A stored value may have any length, and the table may have changed since it was read. */
	if (row->len > key->room || row->len % kvr_pages_token(pages) != 0 || tokens > place->tokens)
		return KVR_E_LENGTH;
	return KVR_OK;
}

static int32_t
copy_span(struct kvr_copy_worker *w, struct side *side, const struct kvr_row *row, enum kvr_way way)
{
	const struct kvr_ledger *ledger = w->work->ledger;
	const struct kvr_key *key = &ledger->keys[row->key];
	const struct kvr_piece whole = { .cache = key->at,
		.chunk = kvr_ledger_staging(ledger, row->buf),
		.len = row->len };

	if (row->len > key->room)
		return KVR_E_LENGTH;
	return row->len == 0 ? KVR_OK
	                     : side->ops->copy(side->copier, way, &whole, 1, side->why,
	                           sizeof(side->why));
}

/* Copies a row's pieces; LENGTH if they are no whole number of tokens or do not fit. */
static int32_t
copy_row(struct kvr_copy_worker *w, struct side *side, struct kvr_row *row, enum kvr_way way)
{
	const struct kvr_ledger *ledger = w->work->ledger;
	const struct kvr_key *key = &ledger->keys[row->key];
	struct kvr_walk walk;
	int32_t err;
	uint32_t n;

	if (ledger->ops[key->op].pages == NULL)
		return copy_span(w, side, row, way);
	err = kvr_copy_start_row(w, row, &walk);
	while (err == KVR_OK && (n = kvr_walk_next(&walk, w->piece, PIECES)) > 0)
		err = side->ops->copy(side->copier, way, w->piece, n, side->why, sizeof(side->why));
	return err;
}

int32_t
kvr_copy_rows(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg)
{
	struct kvr_row *rows = &w->work->ledger->rows[msg->rows];
	bool out = is_out(msg);
	enum kvr_way way = way_of(msg);
	void *ready = w->work->ledger->ops[op_slot(w, msg)].ready;
	int32_t err = KVR_OK;

	if (ready != NULL)
		err = side->ops->await(side->copier, way, ready, side->why, sizeof(side->why));
	for (uint32_t i = 0; i < msg->n_rows && err != KVR_E_DEVICE; i++) {
		if (out && rows[i].err != KVR_OK)
			continue;
		err = copy_row(w, side, &rows[i], way);
		if (err == KVR_E_DEVICE)
			break;
		if (err != KVR_OK)
			rows[i].err = (int8_t)err;
		if (!out)
			rows[i].flags |= KVR_ROW_STAGED;
	}
	return err == KVR_E_DEVICE ? err : KVR_OK;
}
