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

/* How often a device is polled. */
enum { POLL_US = 20 };

/*
 * Recorded behind every part of an operation, because only the router knows which part is the last.
 * A way is one queue, so the event then stands behind all of them.
 */
static int32_t
record(struct kvr_copy_worker *w, struct side *side, const struct kvr_msg *msg, enum kvr_way way)
{
	void *event = w->work->ledger->ops[op_slot(w, msg)].recorded;

	if (msg->COPY.tells == 0 || event == NULL)
		return KVR_OK;
	return side->ops->record(side->copier, way, event, side->why, sizeof(side->why));
}

static void
begin(struct kvr_copy_worker *w, const struct kvr_msg *msg)
{
	struct side *side = &w->side[msg->COPY.device != 0 ? ON_DEVICE : ON_HOST];
	enum kvr_way way = way_of(msg);
	struct flight f = { .msg = *msg, .start_ns = kvr_now_ns(), .err = KVR_E_DEVICE };

	if (side->copier == NULL) { /* side->why says why it could not be opened */
		kvr_copy_reply(w, side, &f);
		return;
	}
	side->queue[way].begun = msg->part;
	side->queue[way].broken = KVR_OK;
	f.err = msg->COPY.by_layer != 0 ? kvr_copy_layers(w, side, msg) : kvr_copy_rows(w, side, msg);
	if (f.err == KVR_OK)
		f.err = side->queue[way].broken;
	if (f.err == KVR_OK)
		f.err = record(w, side, msg, way);
	/* Also after a failure: copies that were begun before it may still use this memory. */
	if (kvr_copy_mark(side, way, &f) != KVR_OK) {
		f.err = KVR_E_DEVICE;
		kvr_copy_reply(w, side, &f);
	}
	side->queue[way].begun = 0;
	if (msg->COPY.tells != 0 && f.err == KVR_OK)
		kvr_copy_tell_begun(w, msg);
}

/* True while copies are running. */
static bool
look_all(struct kvr_copy_worker *w)
{
	bool busy = false;

	for (uint32_t i = 0; i < SIDES; i++) {
		for (uint32_t way = 0; way < KVR_WAYS; way++) {
			kvr_copy_look(w, &w->side[i], (enum kvr_way)way);
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
	if (w->work->device != NULL) {
		kvr_thread_prompt();
		open_side(w, ON_DEVICE, w->work->device, w->work->device_number);
	}
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
