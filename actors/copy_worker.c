/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy worker: copies payloads between the engine's memory and staging slots. One thread, two
 * ways, and in each way parts end in the order in which they came. It begins what arrives and polls
 * for what has ended; only a device's copies take time in between.
 *
 * The bytes of a part bound how long it can take, so nothing here looks at deadlines: a late part
 * is still finished, because only then is its memory quiet.
 */
#include "kvr_copy_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a device is polled. */
enum { POLL_US = 20 };

/* Layers leave marks free: each part that may be here must find one for its end. */
enum { MARKS_FOR_LAYERS = KVR_MARKS_MAX - KVR_COPY_PLACES };
_Static_assert((int)MARKS_FOR_LAYERS > 0, "layers have marks too");

/* ---- what is copied ---- */

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

/* All rows of a part belong to one operation. */
static const struct kvr_ledger_op *
op_of(const struct kvr_copy_worker *w, const struct kvr_msg *msg)
{
	const struct kvr_ledger *ledger = w->work->ledger;

	return &ledger->ops[ledger->keys[ledger->rows[msg->rows].key].op];
}

/* An error of the device is the part's; other errors belong to a row. */
static int32_t
copy_rows(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg)
{
	struct kvr_row *rows = &w->work->ledger->rows[msg->rows];
	bool out = msg->COPY.to_caller != 0;
	enum kvr_way way = out ? KVR_WAY_OUT : KVR_WAY_IN;
	void *ready = op_of(w, msg)->ready;
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

/* ---- parts ---- */

static struct kvr_msg
answer_to(const struct kvr_msg *msg, enum kvr_msg_type type)
{
	return (struct kvr_msg){ .type = (uint16_t)type,
		.from = KVR_ID_COPY,
		.to = msg->from,
		.n_rows = msg->n_rows,
		.op = msg->op,
		.cause = msg->cause,
		.deadline_ns = msg->deadline_ns,
		.rows = msg->rows,
		.part = msg->part };
}

static void
post(const struct kvr_copy_worker *w, const struct kvr_msg *msg)
{
	enum kvr_err err = kvr_domain_post(w->work->domain, msg);

	(void)err; /* DEAD and SHUTDOWN: nobody waits for it any more */
}

static void
reply(struct kvr_copy_worker *w, const struct side *side, const struct flight *f)
{
	const struct kvr_msg *msg = &f->msg;
	bool lost = side->copier == NULL || side->ops->lost(side->copier);
	struct kvr_msg m = answer_to(msg, KVR_MSG_COPIED);
	uint64_t us = (kvr_now_ns() - f->start_ns) / 1000;

	if (f->err == KVR_E_DEVICE) {
		kvr_words_set(w->words, KVR_E_DEVICE, side->why);
		kvr_log(w->work->log, WARN, msg->op, "copy: %s%s", side->why,
		    lost ? "; the device is given up, what it holds is a miss from now on" : "");
	}
	m.COPIED.err = f->err;
	m.COPIED.took_us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
	m.COPIED.lost = lost;
	post(w, &m);
}

/*
 * Recorded behind every part of an operation, because only the router knows which part is the last.
 * A way is one queue, so the event then stands behind all of them.
 */
static int32_t
record(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg, enum kvr_way way)
{
	void *event = op_of(w, msg)->recorded;

	if (msg->COPY.tells == 0 || event == NULL)
		return KVR_OK;
	return side->ops->record(side->copier, way, event, side->why, sizeof(side->why));
}

/* Marks what was begun of the part, and puts it into the queue. */
static enum kvr_err
mark(struct side *side, enum kvr_way way, const struct flight *f)
{
	struct copy_queue *q = &side->queue[way];

	if (side->ops->mark(side->copier, way, side->why, sizeof(side->why)) != KVR_OK)
		return KVR_E_DEVICE;
	KVR_CHECK(q->n < KVR_MARKS_MAX);
	q->flight[(q->first + q->n++) % KVR_MARKS_MAX] = *f;
	return KVR_OK;
}

static void
begin(struct kvr_copy_worker *w, const struct kvr_msg *msg)
{
	struct side *side = &w->side[msg->COPY.device != 0 ? ON_DEVICE : ON_HOST];
	enum kvr_way way = msg->COPY.to_caller != 0 ? KVR_WAY_OUT : KVR_WAY_IN;
	struct flight f = { .msg = *msg, .start_ns = kvr_now_ns(), .err = KVR_E_DEVICE };

	if (side->copier == NULL) { /* side->why says why it could not be opened */
		reply(w, side, &f);
		return;
	}
	side->queue[way].begun = msg->part;
	side->queue[way].broken = KVR_OK;
	f.err = msg->COPY.by_layer != 0 ? kvr_copy_layers(w, side, msg) : copy_rows(w, side, msg);
	if (f.err == KVR_OK)
		f.err = side->queue[way].broken;
	if (f.err == KVR_OK)
		f.err = record(w, side, msg, way);
	/* Also after a failure: copies that were begun before it may still use this memory. */
	if (mark(side, way, &f) != KVR_OK) {
		f.err = KVR_E_DEVICE;
		reply(w, side, &f);
	}
	side->queue[way].begun = 0;
	if (msg->COPY.tells != 0 && f.err == KVR_OK) {
		const struct kvr_msg m = answer_to(msg, KVR_MSG_BEGUN);

		post(w, &m);
	}
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

/* Answers parts that have ended, oldest first. */
static void
look(struct kvr_copy_worker *w, struct side *side, enum kvr_way way)
{
	struct copy_queue *q = &side->queue[way];

	while (q->n > 0) {
		struct flight *f = &q->flight[q->first];
		enum kvr_err err = side->ops->poll(side->copier, way, side->why, sizeof(side->why));

		if (err == KVR_E_UNFINISHED)
			return;
		if (err != KVR_OK)
			f->err = err;
		if (f->err == KVR_OK && f->msg.COPY.by_layer != 0 && f->msg.COPY.to_caller != 0)
			kvr_copy_landed(w, &f->msg, f->layers);
		if (f->layers == 0)
			reply(w, side, f);
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
	enum kvr_way way = msg->COPY.to_caller != 0 ? KVR_WAY_OUT : KVR_WAY_IN;
	struct copy_queue *q = &side->queue[way];
	const struct flight f = { .msg = *msg, .layers = layers };
	int32_t err = KVR_OK;

	/* If no mark can be spared, these layers are announced with the next ones. */
	if (q->n < MARKS_FOR_LAYERS)
		err = mark(side, way, &f);
	look(w, side, way);
	return err == KVR_OK ? q->broken : err;
}

/* True while copies are running. */
static bool
look_all(struct kvr_copy_worker *w)
{
	bool busy = false;

	for (uint32_t i = 0; i < SIDES; i++) {
		for (uint32_t way = 0; way < KVR_WAYS; way++) {
			look(w, &w->side[i], (enum kvr_way)way);
			busy = busy || w->side[i].queue[way].n > 0;
		}
	}
	return busy;
}

static void
open_side(struct kvr_copy_worker *w, uint32_t i, const struct kvr_device *device, uint32_t number)
{
	struct side *side = &w->side[i];

	side->ops = device->copy;
	if (side->ops->open(number, &side->copier, side->why, sizeof(side->why)) == KVR_OK)
		return;
	side->copier = NULL;
	kvr_log(w->work->log, WARN, 0, "copy: %s cannot be used: %s", device->name, side->why);
}

static void
copy_main(void *arg)
{
	struct kvr_copy_worker *w = arg;
	struct kvr_msg msg;
	bool busy = false, stop = false;

	open_side(w, ON_HOST, &kvr_device_host, 0);
	if (w->work->device != NULL)
		open_side(w, ON_DEVICE, w->work->device, w->work->device_number);
	while (!stop || busy) {
		uint64_t until_ns = busy ? kvr_now_ns() + POLL_US * UINT64_C(1000) : UINT64_MAX;

		if (kvr_mailbox_take(w->mailbox, until_ns, &msg) == KVR_OK) {
			stop = stop || msg.type == KVR_MSG_STOP;
			if (msg.type == KVR_MSG_COPY)
				begin(w, &msg);
		}
		busy = look_all(w);
	}
	for (uint32_t i = 0; i < SIDES; i++) {
		if (w->side[i].copier != NULL)
			w->side[i].ops->close(w->side[i].copier);
	}
}

/* ---- life ---- */

static void
copy_free(struct kvr_copy_worker *w)
{
	if (w->mailbox != NULL)
		kvr_mailbox_close(w->mailbox);
	free(w);
}

enum kvr_err
kvr_copy_start(const struct kvr_work *work, struct kvr_words *words, struct kvr_copy_worker **ret)
{
	struct kvr_copy_worker *w = calloc(1, sizeof(*w));
	char name[96];

	if (w == NULL)
		return KVR_E_NOMEM;
	w->work = work;
	w->words = words;
	snprintf(name, sizeof(name), "%s.copy", work->instance);
	/* As much as the transfer actor gives out at a time, and the STOP. */
	if (kvr_mailbox_open(name, (int)SIDES * (int)KVR_WAYS * KVR_COPY_PLACES + 1, NULL, NULL,
	        &w->mailbox) != KVR_OK) {
		copy_free(w);
		return KVR_E_NOMEM;
	}
	kvr_domain_attach(work->domain, KVR_ID_COPY, w->mailbox);
	if (kvr_thread_start("kvr-copy", copy_main, w, &w->thread) != KVR_OK) {
		copy_free(w);
		return KVR_E_NOMEM;
	}
	*ret = w;
	return KVR_OK;
}

void
kvr_copy_leave(struct kvr_copy_worker *take)
{
	kvr_thread_leave(take->thread);
}

void
kvr_copy_end(struct kvr_copy_worker *w)
{
	const struct kvr_msg stop = { .type = KVR_MSG_STOP };

	if (!w->stopping)
		KVR_CHECK(kvr_mailbox_post(w->mailbox, &stop) == KVR_OK);
	w->stopping = true;
}

enum kvr_err
kvr_copy_join(struct kvr_copy_worker *take, uint64_t until_ns)
{
	kvr_copy_end(take);
	enum kvr_err err = kvr_thread_join(take->thread, until_ns);

	if (err == KVR_OK)
		copy_free(take);
	return err;
}
