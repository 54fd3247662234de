/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts whose copies have begun: a queue in each way, a mark behind the copies of each, and the
 * answer when the copier has passed the mark.
 */
#include "kvr_copy_own.h"

#include <stdatomic.h>

/* Layers leave marks free: each part that may be here must find one for its end. */
enum { MARKS_FOR_LAYERS = KVR_MARKS_MAX - KVR_COPY_PLACES };
_Static_assert((int)MARKS_FOR_LAYERS > 0, "layers have marks too");

void
kvr_copy_reply(struct kvr_copy_worker *w, const struct side *side, const struct flight *f)
{
	const struct kvr_msg *msg = &f->msg;
	bool lost = side->copier == NULL || side->ops->lost(side->copier);
	struct kvr_msg m = kvr_work_answer(msg, KVR_MSG_COPIED, KVR_ID_COPY);

	if (f->err == KVR_E_DEVICE) {
		kvr_words_set(w->words, KVR_E_DEVICE, side->why);
		kvr_log(w->work->log, WARN, msg->op, "copy: %s%s", side->why,
		    lost ? "; the device is given up, what it holds is a miss from now on" : "");
	}
	m.COPIED.err = f->err;
	m.COPIED.took_us = kvr_work_took_us(f->start_ns);
	m.COPIED.lost = lost;
	kvr_work_post(w->work, &m);
}

void
kvr_copy_tell_begun(const struct kvr_copy_worker *w, const struct kvr_msg *msg)
{
	const struct kvr_msg m = kvr_work_answer(msg, KVR_MSG_BEGUN, KVR_ID_COPY);

	kvr_work_post(w->work, &m);
}

enum kvr_err
kvr_copy_mark(struct side *side, enum kvr_way way, const struct flight *f)
{
	struct copy_queue *q = &side->queue[way];

	if (side->ops->mark(side->copier, way, side->why, sizeof(side->why)) != KVR_OK)
		return KVR_E_DEVICE;
	KVR_CHECK(q->n < KVR_MARKS_MAX);
	q->flight[(q->first + q->n++) % KVR_MARKS_MAX] = *f;
	return KVR_OK;
}

/* Of a part that goes out: this many layers of its rows are in the cache; 0: all. */
static void
landed(struct kvr_copy_worker *w, const struct kvr_msg *msg, uint32_t layers)
{
	const struct kvr_ledger *ledger = w->work->ledger;
	const struct kvr_row *rows = &ledger->rows[msg->rows];
	uint32_t slot = op_slot(w, msg);

	if (layers == 0)
		layers = kvr_pages_layers(ledger->ops[slot].pages);
	for (uint32_t i = 0; i < msg->n_rows; i++) {
		_Atomic uint32_t *at = &ledger->places[rows[i].key].landed;

		/* Never goes back, not even when another tier delivers the same value again. */
		if (rows[i].err == KVR_OK &&
		    atomic_load_explicit(at, memory_order_relaxed) < layers)
			atomic_store_explicit(at, layers, memory_order_release);
	}
	kvr_ledger_ring(ledger, slot);
}

/* A mark of its layers failed, and so does the part; its end is in the queue or still to come. */
static void
spoil(struct copy_queue *q, const struct flight *f)
{
	for (uint32_t i = 1; i < q->n; i++) {
		struct flight *g = &q->flight[(q->first + i) % KVR_MARKS_MAX];

		if (g->msg.part == f->msg.part)
			g->err = f->err;
	}
	if (q->begun == f->msg.part)
		q->broken = f->err;
}

void
kvr_copy_look(struct kvr_copy_worker *w, struct side *side, enum kvr_way way)
{
	struct copy_queue *q = &side->queue[way];

	while (q->n > 0) {
		struct flight *f = &q->flight[q->first];
		enum kvr_err err = side->ops->poll(side->copier, way, side->why, sizeof(side->why));

		if (err == KVR_E_UNFINISHED)
			return;
		if (err != KVR_OK)
			f->err = err;
		if (f->err == KVR_OK && f->msg.COPY.by_layer != 0 && is_out(&f->msg))
			landed(w, &f->msg, f->layers);
		if (f->layers == 0)
			kvr_copy_reply(w, side, f);
		else if (f->err != KVR_OK)
			spoil(q, f);
		q->first = (q->first + 1) % KVR_MARKS_MAX;
		q->n--;
	}
}

int32_t
kvr_copy_mark_layers(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg,
    uint32_t layers)
{
	enum kvr_way way = way_of(msg);
	struct copy_queue *q = &side->queue[way];
	const struct flight f = { .msg = *msg, .layers = layers };
	int32_t err = KVR_OK;

	/* If no mark can be spared, these layers are announced with the next ones. */
	if (q->n < MARKS_FOR_LAYERS)
		err = kvr_copy_mark(side, way, &f);
	kvr_copy_look(w, side, way);
	return err == KVR_OK ? q->broken : err;
}
