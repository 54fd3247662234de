/* SPDX-License-Identifier: Apache-2.0 */
/* Which jobs wait for a hand or for layers, which is next, and answers to those that get none. */
#include "kvr_transfer_own.h"

#include <string.h>

uint64_t
kvr_transfer_bytes(const struct job *j)
{
	struct kvr_msg msg;

	memcpy(msg.word, j->word, sizeof(msg.word));
	return msg.COPY.bytes;
}

bool
kvr_transfer_has_more_layers(const struct transfer *me, const struct job *j)
{
	return by_layers(j) && j->layer + j->n_layers < me->layers[j->op & UINT32_MAX].of;
}

static struct job *
at(struct transfer *me, uint16_t link)
{
	return link == 0 ? NULL : &me->job[link - 1];
}

void
kvr_transfer_enqueue(struct transfer *me, struct kvr_out *out, struct job *j)
{
	uint32_t i = j->list;
	struct job *before = at(me, me->tail[i]);
	uint16_t link = (uint16_t)(j - me->job + 1);

	j->place = PLACE_QUEUED;
	j->prev = me->tail[i];
	if (before != NULL) {
		kvr_touch(out, before, sizeof(*before));
		before->next = link;
	} else {
		me->head[i] = link;
	}
	me->tail[i] = link;
	me->n_queued++;
}

void
kvr_transfer_wait_for_layers(struct transfer *me, struct kvr_out *out, struct job *j)
{
	if (j->called != 0) {
		kvr_transfer_answer(out, j, j->called, 0);
		return;
	}
	j->layer = (uint16_t)(j->layer + j->n_layers);
	j->n_layers = 0;
	j->hand = 0;
	kvr_transfer_enqueue(me, out, j);
}

static void
take_out(struct transfer *me, struct kvr_out *out, struct job *j)
{
	uint32_t i = j->list;
	struct job *before = at(me, j->prev), *after = at(me, j->next);

	kvr_touch(out, j, sizeof(*j));
	if (before != NULL) {
		kvr_touch(out, before, sizeof(*before));
		before->next = j->next;
	} else {
		me->head[i] = j->next;
	}
	if (after != NULL) {
		kvr_touch(out, after, sizeof(*after));
		after->prev = j->prev;
	} else {
		me->tail[i] = j->prev;
	}
	j->next = j->prev = 0;
	me->n_queued--;
}

void
kvr_transfer_answer(struct kvr_out *out, struct job *j, int32_t err, uint32_t took_us)
{
	/* ENCODED, DECODED and COPIED have the same fields. */
	struct kvr_msg msg = { .type = j->type == KVR_MSG_COPY     ? KVR_MSG_COPIED
		                       : j->type == KVR_MSG_ENCODE ? KVR_MSG_ENCODED
		                                                   : KVR_MSG_DECODED,
		.n_rows = j->n_rows,
		.op = j->op,
		.deadline_ns = j->deadline_ns,
		.rows = j->rows,
		.part = j->part,
		.COPIED = { .err = err, .took_us = took_us } };

	memset(j, 0, sizeof(*j));
	kvr_send(out, KVR_ID_ROUTER, &msg);
}

void
kvr_transfer_drop(struct transfer *me, struct kvr_out *out, struct job *j, int32_t err)
{
	take_out(me, out, j);
	kvr_transfer_answer(out, j, err, 0);
}

/* In order, and within the budget of bytes; a part that is alone may exceed it. */
static bool
way_is_open(const struct transfer *me, uint32_t way, const struct job *j)
{
	if (me->load[way] == 0)
		return true;
	return me->load[way] < me->places && kvr_transfer_bytes(j) <= me->budget &&
	    me->bytes[way] <= me->budget - kvr_transfer_bytes(j);
}

/* The least busy hand that has a place; HANDS: none. */
static uint32_t
hand_for(const struct transfer *me, const struct job *j)
{
	uint32_t best = HAND_SERDE;
	uint32_t way = j->list == LIST_LAYERS          ? (uint32_t)HAND_IN
	               : j->list == LIST_DEVICE_LAYERS ? (uint32_t)HAND_DEVICE_IN
	                                               : j->list;

	if (j->list != LIST_SERDE)
		return way_is_open(me, way, j) ? way : (uint32_t)HANDS;
	for (uint32_t i = 1; i < me->n_serde; i++) {
		if (me->load[HAND_SERDE + i] < me->load[best])
			best = HAND_SERDE + i;
	}
	return me->load[best] < KVR_SERDE_PLACES ? best : (uint32_t)HANDS;
}

/* How many more layers of a part a hand may have now. */
static uint32_t
n_ready(const struct transfer *me, const struct job *j)
{
	const struct layers *l = &me->layers[j->op & UINT32_MAX];

	return l->op == j->op && l->ready > j->layer ? (uint32_t)l->ready - j->layer : 0;
}

static void
give(struct transfer *me, struct kvr_out *out, struct job *j, uint32_t hand)
{
	struct kvr_msg msg = { .type = j->type,
		.n_rows = j->n_rows,
		.op = j->op,
		.deadline_ns = j->deadline_ns,
		.rows = j->rows,
		.part = j->part };

	take_out(me, out, j);
	j->place = PLACE_HAND;
	j->hand = (uint8_t)hand;
	me->load[hand]++;
	me->n_busy++;
	if (hand < HAND_SERDE)
		me->bytes[hand] += kvr_transfer_bytes(j);
	memcpy(msg.word, j->word, sizeof(msg.word));
	if (by_layers(j)) {
		j->n_layers = (uint16_t)n_ready(me, j);
		msg.COPY.layer = j->layer;
		msg.COPY.n_layers = j->n_layers;
		/* A part's copies have begun when those of its last layer have. */
		if (kvr_transfer_has_more_layers(me, j))
			msg.COPY.tells = 0;
	}
	kvr_send(out,
	    hand < HAND_SERDE ? (uint16_t)KVR_ID_COPY
	                      : (uint16_t)(KVR_ID_SERDE + hand - HAND_SERDE),
	    &msg);
}

static bool
is_for_device(const struct job *j)
{
	return j->list == LIST_DEVICE_IN || j->list == LIST_DEVICE_OUT || j->list == LIST_DEVICE_LAYERS;
}

/* Why the job will never get a hand; KVR_OK: it will. */
static int32_t
refusal(const struct transfer *me, const struct kvr_event *ev, const struct job *j)
{
	if (me->closing)
		return KVR_E_SHUTDOWN;
	if (me->lost && is_for_device(j))
		return KVR_E_DEVICE;
	return j->deadline_ns != 0 && j->deadline_ns <= ev->now_ns ? KVR_E_TIMEOUT : KVR_OK;
}

/* Each part by itself: one whose engine is slow does not hold up the others. */
static void
pump_layers(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out, uint32_t list)
{
	uint16_t next = 0;

	for (uint16_t link = me->head[list]; link != 0 && out->n < PUMP_MAX; link = next) {
		struct job *j = at(me, link);
		int32_t err = refusal(me, ev, j);
		uint32_t hand = hand_for(me, j);

		next = j->next;
		if (err != KVR_OK)
			kvr_transfer_drop(me, out, j, err);
		else if (hand < HANDS && n_ready(me, j) > 0)
			give(me, out, j, hand);
	}
}

static void
pump(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out, uint32_t list)
{
	while (me->head[list] != 0 && out->n < PUMP_MAX) {
		struct job *j = at(me, me->head[list]);
		int32_t err = refusal(me, ev, j);
		uint32_t hand = hand_for(me, j);

		if (err != KVR_OK)
			kvr_transfer_drop(me, out, j, err);
		else if (hand < HANDS)
			give(me, out, j, hand);
		else
			break;
	}
}

void
kvr_transfer_pump(struct transfer *me, const struct kvr_event *ev, struct kvr_out *out)
{
	/* These first: they hold staging for as long as the engine computes. */
	for (uint32_t i = LIST_LAYERS; i < LISTS; i++)
		pump_layers(me, ev, out, i);
	for (uint32_t i = 0; i < LIST_LAYERS; i++)
		pump(me, ev, out, i);
	if (out->n >= PUMP_MAX && me->n_queued > 0 && !me->continuing) {
		me->continuing = 1;
		kvr_send(out, KVR_ID_TRANSFER, &(struct kvr_msg){ .type = KVR_MSG_CONTINUE });
	}
	if (me->closing && !me->stopped && me->n_queued + me->n_busy == 0) {
		me->stopped = 1;
		kvr_send(out, KVR_ID_ROUTER, &(struct kvr_msg){ .type = KVR_MSG_STOPPED });
	}
}
