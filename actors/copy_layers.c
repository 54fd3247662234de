/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of all layers that are copied layer by layer: the first layer of every row of a part, then
 * the second, and so on. The engine learns of each layer that is in its cache, and computes with it
 * while the next ones are copied; or it says of each layer that it may be fetched.
 *
 * Layers are announced only of verified values: a value gets here when all of it has arrived and
 * its seal is intact.
 */
#include "kvr_copy_own.h"

/* Pieces that have been found but not handed over yet. */
struct batch {
	struct kvr_copy_worker *w;
	struct side *side;
	enum kvr_way way;
	uint32_t n;
};

static enum kvr_err
hand_over(struct batch *b)
{
	uint32_t n = b->n;

	b->n = 0;
	return n == 0 ? KVR_OK
	              : b->side->ops->copy(b->side->copier, b->way, b->w->piece, n, b->side->why,
	                    sizeof(b->side->why));
}

/* Pieces of several rows are handed over together: a layer of one row is often only a few. */
static enum kvr_err
collect(struct batch *b, struct kvr_walk *walk)
{
	enum kvr_err err = KVR_OK;
	uint32_t n;

	while (err == KVR_OK &&
	       (n = kvr_walk_next(walk, &b->w->piece[b->n], (uint32_t)PIECES - b->n)) > 0) {
		b->n += n;
		if (b->n == PIECES)
			err = hand_over(b);
	}
	return err;
}

/* One layer of all rows that take part. Rows with errors have been marked before. */
static enum kvr_err
copy_layer(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg, uint32_t layer)
{
	const struct kvr_row *rows = &w->work->ledger->rows[msg->rows];
	struct batch b = { .w = w, .side = side, .way = way_of(msg) };
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < msg->n_rows && err == KVR_OK; i++) {
		struct kvr_walk walk;

		if (rows[i].err != (is_out(msg) ? KVR_OK : KVR_PENDING) ||
		    kvr_copy_start_row(w, &rows[i], &walk) != KVR_OK)
			continue;
		walk.from = layer;
		walk.to = layer + 1;
		err = collect(&b, &walk);
	}
	return err == KVR_OK ? hand_over(&b) : err;
}

static void
check_rows(struct kvr_copy_worker *w, const struct kvr_msg *msg)
{
	struct kvr_row *rows = &w->work->ledger->rows[msg->rows];
	struct kvr_walk walk;

	for (uint32_t i = 0; i < msg->n_rows; i++) {
		if (rows[i].err != (is_out(msg) ? KVR_OK : KVR_PENDING))
			continue;
		int32_t err = kvr_copy_start_row(w, &rows[i], &walk);

		if (err != KVR_OK)
			rows[i].err = (int8_t)err;
		if (!is_out(msg))
			rows[i].flags |= KVR_ROW_STAGED;
	}
}

/* Waits, on the device, for the operation's event before the first layer, and the layer's own. */
static enum kvr_err
await(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg, uint32_t layer)
{
	const struct kvr_ledger *ledger = w->work->ledger;
	uint32_t slot = op_slot(w, msg);
	enum kvr_way way = way_of(msg);
	void *const event[] = { layer == msg->COPY.layer ? ledger->ops[slot].ready : NULL,
		is_out(msg) ? NULL : kvr_ledger_events(ledger, slot)[layer] };
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < KVR_LEN(event) && err == KVR_OK; i++) {
		if (event[i] != NULL)
			err = side->ops->await(side->copier, way, event[i], side->why,
			    sizeof(side->why));
	}
	return err;
}

int32_t
kvr_copy_layers(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg)
{
	const struct kvr_pages *pages = w->work->ledger->ops[op_slot(w, msg)].pages;
	uint32_t all = kvr_pages_layers(pages), end = msg->COPY.layer + (uint32_t)msg->COPY.n_layers;
	int32_t err = KVR_OK;

	if (msg->COPY.n_layers == 0)
		end = all;
	KVR_CHECK(end <= all);
	check_rows(w, msg);
	for (uint32_t layer = msg->COPY.layer; layer < end && err == KVR_OK; layer++) {
		err = await(w, side, msg, layer);
		if (err == KVR_OK)
			err = copy_layer(w, side, msg, layer);
		if (err == KVR_OK && is_out(msg) && layer + 1 < end)
			err = kvr_copy_mark_layers(w, side, msg, layer + 1);
	}
	return err;
}
