/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on payloads inside the process: copies between callers' memory and staging slots, and
 * encoding and decoding. A hand holds few parts at a time; the rest wait here in order of arrival.
 * So a part that is cancelled or late is answered at once and never reaches a hand. Each COPY,
 * ENCODE and DECODE is answered by one COPIED, ENCODED or DECODED; before that, a COPY that tells
 * gets at most one BEGUN.
 *
 * A put by layers is fetched as the engine finishes them: layers that are ready go to the hand, and
 * in between the part waits beside the others, blocking none, for the next layers.
 *
 * A device that is lost stays lost: parts that wait for it and later ones are answered DEVICE,
 * which costs a miss. Copies in host memory go on.
 */
#include "kvr_transfer_own.h"

#include <string.h>

enum { OPEN, CLOSED, STATES };
static const char *const state_name[STATES] = { "OPEN", "CLOSED" };

static unsigned
start(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	struct transfer *me = self;
	struct kvr_transfer_config config;

	KVR_CHECK(ev->rows != NULL);
	KVR_CHECK(ev->msg.n_rows == KVR_CONFIG_ROWS(struct kvr_transfer_config));
	memcpy(&config, ev->rows, sizeof(config));
	KVR_CHECK(config.size == sizeof(config) && config.places > 0);
	KVR_CHECK(config.n_serde > 0 && config.n_serde <= KVR_SERDE_MAX);
	kvr_touch(out, me, offsetof(struct transfer, job));
	me->magic = TRANSFER_MAGIC;
	me->places = config.places;
	me->n_serde = config.n_serde;
	me->budget = config.budget_bytes;
	return KVR_STAY;
}

static struct job *
job_of(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out)
{
	uint32_t slot = KVR_PART_SLOT(ev->msg.part);

	KVR_CHECK(ev->msg.part != 0 && slot < KVR_PARTS_MAX);
	kvr_touch(out, me, offsetof(struct transfer, job));
	kvr_touch(out, &me->job[slot], sizeof(struct job));
	return &me->job[slot];
}

_Static_assert((int)HAND_IN == (int)LIST_IN && (int)HAND_DEVICE_OUT == (int)LIST_DEVICE_OUT,
    "a list of copies is for the hand of its number");

static uint8_t
list_of(const struct kvr_msg *m)
{
	bool device = m->COPY.device != 0;

	if (m->type != KVR_MSG_COPY)
		return LIST_SERDE;
	if (m->COPY.to_caller != 0)
		return device ? LIST_DEVICE_OUT : LIST_OUT;
	if (m->COPY.by_layer != 0)
		return device ? LIST_DEVICE_LAYERS : LIST_LAYERS;
	return device ? LIST_DEVICE_IN : LIST_IN;
}

static void
take_in(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out)
{
	struct job *j = job_of(me, ev, out);

	KVR_CHECK(j->place == PLACE_FREE && (uint32_t)ev->msg.op < KVR_OPS_MAX);
	j->op = ev->msg.op;
	j->deadline_ns = ev->msg.deadline_ns;
	j->part = ev->msg.part;
	j->rows = ev->msg.rows;
	j->n_rows = ev->msg.n_rows;
	j->type = (uint8_t)ev->msg.type;
	memcpy(j->word, ev->msg.word, sizeof(j->word));
	j->list = list_of(&ev->msg);
	kvr_transfer_enqueue(me, out, j);
}

static unsigned
work(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	take_in(me, ev, out);
	kvr_transfer_pump(me, ev, out);
	return KVR_STAY;
}

static void
tell_metrics(struct kvr_out *out, uint8_t type, const struct kvr_event *ev)
{
	enum kvr_stage_kind stage = type == KVR_MSG_COPY     ? KVR_STAGE_COPY
	                            : type == KVR_MSG_ENCODE ? KVR_STAGE_ENCODE
	                                                     : KVR_STAGE_DECODE;

	kvr_send(out, KVR_ID_METRICS,
	    &(struct kvr_msg){ .type = KVR_MSG_STAGE_STAT,
		.STAGE_STAT = { .stage = (uint8_t)stage,
		    .tier = KVR_TIERS_MAX,
		    .err = (int8_t)ev->msg.COPIED.err,
		    .took_us = ev->msg.COPIED.took_us } });
}

static void
take_back(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out)
{
	struct job *j = job_of(me, ev, out);

	KVR_CHECK(j->place == PLACE_HAND && j->part == ev->msg.part);
	KVR_CHECK(me->n_busy > 0 && me->load[j->hand] > 0);
	me->n_busy--;
	me->load[j->hand]--;
	uint8_t type = j->type;

	if (j->hand < HAND_SERDE)
		me->bytes[j->hand] -= kvr_transfer_bytes(j);
	me->lost |= j->type == KVR_MSG_COPY && ev->msg.COPIED.lost;
	if (ev->msg.COPIED.err == KVR_OK && kvr_transfer_has_more_layers(me, j))
		kvr_transfer_wait_for_layers(me, out, j);
	else
		kvr_transfer_answer(out, j, ev->msg.COPIED.err, ev->msg.COPIED.took_us);
	tell_metrics(out, type, ev);
}

/* The part stays in its hand. */
static unsigned
begun(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	uint32_t slot = KVR_PART_SLOT(ev->msg.part);

	KVR_CHECK(slot < KVR_PARTS_MAX);
	const struct job *j = &me->job[slot];

	KVR_CHECK(j->place == PLACE_HAND && j->part == ev->msg.part && j->type == KVR_MSG_COPY);
	kvr_send(out, KVR_ID_ROUTER,
	    &(struct kvr_msg){ .type = KVR_MSG_BEGUN,
		.n_rows = j->n_rows,
		.op = j->op,
		.deadline_ns = j->deadline_ns,
		.rows = j->rows,
		.part = j->part });
	return KVR_STAY;
}

static unsigned
done(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	take_back(me, ev, out);
	kvr_transfer_pump(me, ev, out);
	return KVR_STAY;
}

/*
 * A hand that works on memory is not interrupted, because it is done in a moment; but it gets no
 * more layers. A part that has been answered is no longer here, and its place is not reused before
 * the router has that answer.
 */
static unsigned
cancel(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	uint32_t slot = KVR_PART_SLOT(ev->msg.part);
	int32_t reason = ev->msg.PART_CANCEL.reason;

	KVR_CHECK(slot < KVR_PARTS_MAX);
	struct job *j = &me->job[slot];

	if (j->place == PLACE_FREE)
		return KVR_STAY;
	KVR_CHECK(j->part == ev->msg.part);
	if (reason == KVR_OK)
		reason = KVR_E_CANCELLED;
	if (j->place == PLACE_HAND) {
		kvr_touch(out, j, sizeof(*j));
		j->called = (int8_t)reason;
		return KVR_STAY;
	}
	kvr_touch(out, me, offsetof(struct transfer, job));
	kvr_transfer_drop(me, out, j, reason);
	return KVR_STAY;
}

/*
 * How many layers the engine has ready of an operation that puts by layers. It may say so before a
 * part of it is here, or when it is over: operation numbers are never reused.
 */
static unsigned
layers_ready(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	uint32_t slot = (uint32_t)ev->msg.op;

	KVR_CHECK(slot < KVR_OPS_MAX && ev->msg.LAYERS.ready <= ev->msg.LAYERS.of);
	struct layers *l = &me->layers[slot];

	kvr_touch(out, me, offsetof(struct transfer, job));
	kvr_touch(out, l, sizeof(*l));
	if (l->op != ev->msg.op)
		*l = (struct layers){ .op = ev->msg.op };
	l->of = ev->msg.LAYERS.of;
	l->ready = KVR_MAX(l->ready, ev->msg.LAYERS.ready);
	kvr_transfer_pump(me, ev, out);
	return KVR_STAY;
}

static unsigned
go_on(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	kvr_touch(out, me, offsetof(struct transfer, job));
	me->continuing = 0;
	kvr_transfer_pump(me, ev, out);
	return KVR_STAY;
}

static unsigned
stop(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_SELF(struct transfer, me, self, TRANSFER_MAGIC);
	kvr_touch(out, me, offsetof(struct transfer, job));
	me->closing = 1;
	kvr_transfer_pump(me, ev, out);
	return CLOSED;
}

static void
check_jobs(const struct transfer *me)
{
	uint32_t n_queued = 0, load[HANDS] = { 0 }, n_list = 0;
	uint64_t bytes[HAND_SERDE] = { 0 };

	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		const struct job *j = &me->job[i];

		KVR_CHECK((j->part != 0) == (j->place != PLACE_FREE));
		n_queued += j->place == PLACE_QUEUED;
		if (j->place == PLACE_HAND)
			load[j->hand]++;
		if (j->place == PLACE_HAND && j->hand < HAND_SERDE)
			bytes[j->hand] += kvr_transfer_bytes(j);
		KVR_CHECK(KVR_IMPLIES(j->place == PLACE_HAND && by_layers(j), j->n_layers > 0));
	}
	for (uint32_t l = 0; l < LISTS; l++) {
		uint16_t prev = 0;

		for (uint16_t link = me->head[l]; link != 0; link = me->job[link - 1].next) {
			const struct job *j = &me->job[link - 1];

			KVR_CHECK(++n_list <= n_queued && j->place == PLACE_QUEUED);
			KVR_CHECK(j->prev == prev && j->list == l);
			prev = link;
		}
		KVR_CHECK(me->tail[l] == prev);
	}
	KVR_CHECK(n_queued == me->n_queued && n_list == n_queued);
	KVR_CHECK(memcmp(load, me->load, sizeof(load)) == 0);
	KVR_CHECK(memcmp(bytes, me->bytes, sizeof(bytes)) == 0);
}

static void
check(const void *self, unsigned state, bool full)
{
	KVR_SELF(const struct transfer, me, self, TRANSFER_MAGIC);
	uint32_t n_busy = 0, waits = 0;

	KVR_CHECK((state == CLOSED) == (me->closing != 0));
	for (uint32_t i = 0; i < HANDS; i++) {
		KVR_CHECK(me->load[i] <= (i < HAND_SERDE ? me->places : KVR_SERDE_PLACES));
		KVR_CHECK(i >= HAND_SERDE || me->bytes[i] <= me->budget || me->load[i] == 1);
		n_busy += me->load[i];
	}
	for (uint32_t l = 0; l < LISTS; l++)
		waits |= me->head[l];
	KVR_CHECK(n_busy == me->n_busy && KVR_IMPLIES(me->stopped, me->n_queued + n_busy == 0));
	KVR_CHECK((waits == 0) == (me->n_queued == 0));
	if (full)
		check_jobs(me);
}

#define ON(msg, fn, to) [KVR_MSG_##msg] = { fn, to }
#define STAY            KVR_TO(KVR_STAY)
static const struct kvr_cell table[STATES][KVR_MSG_N] = {
	[OPEN] = {
		ON(START, start, STAY),
		ON(COPY, work, STAY),
		ON(ENCODE, work, STAY),
		ON(DECODE, work, STAY),
		ON(BEGUN, begun, STAY),
		ON(COPIED, done, STAY),
		ON(ENCODED, done, STAY),
		ON(DECODED, done, STAY),
		ON(PART_CANCEL, cancel, STAY),
		ON(LAYERS, layers_ready, STAY),
		ON(CONTINUE, go_on, STAY),
		ON(STOP, stop, KVR_TO(CLOSED)),
	},
	[CLOSED] = {
		ON(COPY, work, STAY),
		ON(ENCODE, work, STAY),
		ON(DECODE, work, STAY),
		ON(BEGUN, begun, STAY),
		ON(COPIED, done, STAY),
		ON(ENCODED, done, STAY),
		ON(DECODED, done, STAY),
		ON(PART_CANCEL, kvr_ignore, STAY),
		ON(LAYERS, kvr_ignore, STAY),
		ON(CONTINUE, go_on, STAY),
	},
};

const struct kvr_spec kvr_transfer_spec = {
	.name = "transfer",
	.state_name = state_name,
	.n_states = STATES,
	.self_size = sizeof(struct transfer),
	.table = table,
	.check = check,
	.fields = &kvr_transfer_fields,
};
