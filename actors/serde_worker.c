/* SPDX-License-Identifier: Apache-2.0 */
/* The serde pool: a part comes in, each of its rows is worked on, the part goes back. */
#include "kvr_actors.h"
#include "kvr_workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kvr_hand {
	const struct kvr_work *work;
	struct kvr_mailbox    *mailbox;
	struct kvr_thread     *thread;
	struct kvr_codec      *codec;
	uint16_t               id;
};

/* Bytes of one element if all groups agree, else 1. */
static uint32_t
dtype_bytes(const struct kvr_ledger *ledger, const struct kvr_key *key)
{
	const struct kvr_meta *meta = &ledger->ops[key->op].meta;
	uint32_t bytes = meta->n_groups == 0 ? 1 : kvr_dtype_size(meta->group[0].dtype);

	for (uint32_t g = 1; g < meta->n_groups; g++) {
		if (kvr_dtype_size(meta->group[g].dtype) != bytes)
			return 1;
	}
	return bytes;
}

/* Stored unencoded: straight from its memory, or from a copy where that must not be used. */
static void
leave_raw(const struct kvr_ledger *ledger, struct kvr_row *row, const void *from, uint32_t other,
    bool keep)
{
	if (other != 0) {
		row->buf = other;
		row->flags |= KVR_ROW_STAGED;
	} else if (keep) {
		memcpy(kvr_ledger_staging(ledger, row->buf), from, row->len);
		row->flags |= KVR_ROW_STAGED;
	}
}

static void
encode_row(struct kvr_hand *hand, struct kvr_row *row, const struct kvr_msg *msg)
{
	const struct kvr_ledger *ledger = hand->work->ledger;
	const struct kvr_key *key = &ledger->keys[row->key];
	/* Without the flag, body's bytes are the digest. */
	bool back = (row->flags & KVR_ROW_SECOND) != 0;
	uint32_t other = back ? row->body.other : 0;
	const void *from = back ? kvr_ledger_staging(ledger, other) : key->at;
	struct kvr_span into = { kvr_ledger_staging(ledger, row->buf),
		(size_t)msg->ENCODE.slot_pages * KVR_PAGE };
	size_t n = kvr_codec_encode(hand->codec, (enum kvr_serde_id)msg->ENCODE.serde,
	    dtype_bytes(ledger, key), (struct kvr_const_span){ from, row->len }, into);

	memset(&row->body, 0, sizeof(row->body));
	row->body.raw_len = row->len;
	if (n == 0) {
		leave_raw(ledger, row, from, other, msg->ENCODE.keep_staged != 0);
		return;
	}
	row->body.serde = msg->ENCODE.serde;
	row->flags |= KVR_ROW_STAGED | KVR_ROW_ENCODED;
	row->len = (uint32_t)n;
}

static void
decode_row(struct kvr_hand *hand, struct kvr_row *row, const struct kvr_msg *msg)
{
	const struct kvr_ledger *ledger = hand->work->ledger;
	const struct kvr_key *key = &ledger->keys[row->key];
	bool second = (row->flags & KVR_ROW_SECOND) != 0;
	uint64_t room = second ? (uint64_t)msg->DECODE.slot_pages * KVR_PAGE : key->room;
	struct kvr_const_span stored = { kvr_ledger_staging(ledger, row->buf), row->len };

	if (row->err != KVR_OK)
		return;
	if (row->body.raw_len > room) {
		row->err = KVR_E_LENGTH;
		return;
	}
	row->err = (int8_t)kvr_codec_decode(hand->codec, row->body.serde, stored,
	    second ? kvr_ledger_staging(ledger, row->body.other) : key->at, row->body.raw_len);
}

static void
reply(struct kvr_hand *hand, const struct kvr_msg *msg, uint64_t since_ns)
{
	struct kvr_msg m = kvr_work_answer(
	    msg, msg->type == KVR_MSG_ENCODE ? KVR_MSG_ENCODED : KVR_MSG_DECODED, hand->id);

	/* ENCODED and DECODED have the same fields. */
	m.DECODED.err = KVR_OK;
	m.DECODED.took_us = kvr_work_took_us(since_ns);
	kvr_work_post(hand->work, &m);
}

/* False after STOP. */
static bool
work_on(struct kvr_hand *hand, const struct kvr_msg *msg)
{
	struct kvr_row *rows = &hand->work->ledger->rows[msg->rows];
	uint64_t start_ns = kvr_now_ns();

	if (msg->type == KVR_MSG_STOP)
		return false;
	for (uint32_t i = 0; i < msg->n_rows; i++) {
		if (msg->type == KVR_MSG_ENCODE)
			encode_row(hand, &rows[i], msg);
		else
			decode_row(hand, &rows[i], msg);
	}
	reply(hand, msg, start_ns);
	return true;
}

static void
hand_main(void *arg)
{
	struct kvr_hand *hand = arg;
	struct kvr_msg msg;

	do {
		while (kvr_mailbox_take(hand->mailbox, UINT64_MAX, &msg) != KVR_OK)
			;
	} while (work_on(hand, &msg));
}

static void
hand_free(struct kvr_hand *hand)
{
	if (hand->mailbox != NULL)
		kvr_mailbox_close(hand->mailbox);
	kvr_codec_free(hand->codec);
	free(hand);
}

enum kvr_err
kvr_serde_start(const struct kvr_work *work, uint32_t number, struct kvr_hand **ret)
{
	struct kvr_hand *hand = calloc(1, sizeof(*hand));
	char name[96];

	if (hand == NULL)
		return KVR_E_NOMEM;
	hand->work = work;
	hand->id = (uint16_t)(KVR_ID_SERDE + number);
	hand->codec = kvr_codec_new();
	snprintf(name, sizeof(name), "%s.serde-%u", work->instance, number);
	/* As much as the transfer actor gives out at a time, and the STOP. */
	if (hand->codec == NULL ||
	    kvr_mailbox_open(name, KVR_SERDE_PLACES + 1, NULL, NULL, &hand->mailbox) != KVR_OK) {
		hand_free(hand);
		return KVR_E_NOMEM;
	}
	kvr_domain_attach(work->domain, hand->id, hand->mailbox);
	snprintf(name, sizeof(name), "kvr-serde-%u", number);
	if (kvr_thread_start(name, hand_main, hand, &hand->thread) != KVR_OK) {
		hand_free(hand);
		return KVR_E_NOMEM;
	}
	*ret = hand;
	return KVR_OK;
}

void
kvr_hand_end(struct kvr_hand *hand)
{
	const struct kvr_msg stop = { .type = KVR_MSG_STOP };

	KVR_CHECK(kvr_mailbox_post(hand->mailbox, &stop) == KVR_OK);
}

void
kvr_hand_join(struct kvr_hand *take)
{
	KVR_CHECK(kvr_thread_join(take->thread, UINT64_MAX) == KVR_OK);
	hand_free(take);
}
