/* SPDX-License-Identifier: Apache-2.0 */
/* Serde and copy workers, and the memory that they and stores move payloads between. */
#include "kvr_sim_hands.h"

#define ENCODED_AS(serde) (UINT64_C(0xe4c0de0000000000) + (serde))

uint64_t
kvr_sim_api_name(const struct kvr_sim *sim, uint32_t key)
{
	if (sim->api == NULL)
		return (uint64_t)key + 1;
	if (sim->api->keys[key].name == 0)
		kvr_sim_broken(sim, "a key slot is used that nobody has taken");
	return sim->api->keys[key].name;
}

uint64_t *
kvr_sim_lent(struct kvr_sim *sim, const struct kvr_row *row)
{
	struct sim_key *key = &sim->api->keys[row->key];

	if (key->name == 0 || key->quiet)
		kvr_sim_broken(sim, "a caller's memory is touched that is not lent any more");
	if (key->taken_back)
		kvr_sim_broken(sim, "a put is read after its caller was told that it may be overwritten");
	return &key->memory;
}

/* A span of the caller's, for whoever is not the copy worker. */
static uint64_t *
memory_of(struct kvr_sim *sim, const struct kvr_row *row)
{
	if (sim->api->keys[row->key].paged)
		kvr_sim_broken(sim, "somebody takes a paged cache for a span of memory");
	return kvr_sim_lent(sim, row);
}

static uint64_t *
stage_of(struct kvr_sim *sim, uint32_t buf)
{
	if (buf == 0 || buf >= SIM_STAGES)
		kvr_sim_broken(sim, "a staging slot that does not exist");
	return &sim->api->stage[buf];
}

uint64_t *
kvr_sim_api_place(struct kvr_sim *sim, const struct kvr_row *row)
{
	if (sim->api == NULL)
		return &sim->plain;
	return row->flags & KVR_ROW_STAGED ? stage_of(sim, row->buf) : memory_of(sim, row);
}

static void
encode(struct kvr_sim *sim, struct kvr_row *row, const struct kvr_msg *msg)
{
	bool second = row->flags & KVR_ROW_SECOND;
	uint32_t other = second ? row->body.other : 0;
	uint64_t value = second ? *stage_of(sim, other) : *memory_of(sim, row);
	bool raw = kvr_sim_chance(sim, sim->api->hands.raw);

	row->body.raw_len = row->len;
	row->body.serde = 0;
	row->body.other = row->body.spare = 0;
	if (!raw) {
		row->body.serde = msg->ENCODE.serde;
		row->flags |= KVR_ROW_STAGED | KVR_ROW_ENCODED;
		row->len = row->len / 2 + 1;
		*stage_of(sim, row->buf) = value ^ ENCODED_AS(msg->ENCODE.serde);
	} else if (other != 0) {
		row->buf = other;
		row->flags |= KVR_ROW_STAGED;
	} else if (msg->ENCODE.keep_staged) {
		row->flags |= KVR_ROW_STAGED;
		*stage_of(sim, row->buf) = value;
	}
}

static void
decode(struct kvr_sim *sim, struct kvr_row *row)
{
	bool second = row->flags & KVR_ROW_SECOND;
	bool corrupts = kvr_sim_chance(sim, sim->api->hands.corrupts);
	uint32_t serde = row->body.serde;

	if (row->err != KVR_OK)
		return;
	if (!second && row->body.raw_len > sim->api->keys[row->key].room) {
		row->err = KVR_E_LENGTH;
		return;
	}
	uint64_t value = *stage_of(sim, row->buf) ^ (serde == 0 ? 0 : ENCODED_AS(serde));

	if (corrupts)
		row->err = KVR_E_CORRUPT;
	else if (second)
		*stage_of(sim, row->body.other) = value;
	else
		*memory_of(sim, row) = value;
}

static void
copy(struct kvr_sim *sim, struct kvr_row *row, const struct kvr_msg *msg)
{
	bool to_caller = msg->COPY.to_caller != 0;
	bool layers = msg->COPY.by_layer != 0 && sim->api->n_asked > 0;

	if (to_caller && row->err == KVR_OK && row->len > sim->api->keys[row->key].room) {
		row->err = KVR_E_LENGTH;
	} else if (to_caller && row->err == KVR_OK) {
		*kvr_sim_lent(sim, row) = *stage_of(sim, row->buf);
		if (layers)
			kvr_sim_layers_out(sim, row, kvr_sim_live(sim, msg, "a copy")->layers);
	} else if (!to_caller) {
		uint64_t whole = *kvr_sim_lent(sim, row);

		*stage_of(sim, row->buf) =
		    layers ? kvr_sim_layers_in(sim, row, msg, whole) : whole;
		row->flags |= KVR_ROW_STAGED;
	}
}

/* A copy of the device's that fails leaves the rows as they were: nobody knows what has arrived. */
static bool
breaks(struct kvr_sim *sim, const struct kvr_msg *msg, struct kvr_msg *answer)
{
	const struct kvr_sim_hands *hands = &sim->api->hands;

	if (msg->type != KVR_MSG_COPY || msg->COPY.device == 0)
		return false;
	if (!hands->lost && (hands->breaks == 0 || !kvr_sim_chance(sim, hands->breaks)))
		return false;
	answer->COPIED.err = KVR_E_DEVICE;
	answer->COPIED.lost = hands->lost;
	return true;
}

/* The rows are by then as they will be. A device that is lost has said nothing but that. */
static void
begin(struct kvr_sim *sim, const struct kvr_msg *msg, struct kvr_msg *answer)
{
	kvr_sim_tells(sim, msg, SIM_COPY_BEGUN);
	if (msg->COPY.device != 0 && sim->api->hands.lost)
		return;
	for (uint32_t i = 0; i < msg->n_rows && msg->COPY.to_caller != 0; i++) {
		struct kvr_row *row = &sim->rows[msg->rows + i];

		if (row->err == KVR_OK && row->len > sim->api->keys[row->key].room)
			row->err = KVR_E_LENGTH;
	}
	answer->type = KVR_MSG_BEGUN;
	kvr_sim_reply(sim, msg->to, msg->from, answer);
}

void
kvr_sim_api_serve(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	struct kvr_msg answer = { .n_rows = msg->n_rows,
		.op = msg->op,
		.cause = msg->cause,
		.deadline_ns = msg->deadline_ns,
		.rows = msg->rows,
		.part = msg->part };

	if (kvr_sim_holder_of(sim, msg->part) != msg->to)
		kvr_sim_broken(sim, "a serde or copy worker has a part that it does not hold");
	if (msg->type == KVR_MSG_BEGUN) {
		begin(sim, msg, &answer);
		return;
	}
	bool broken = breaks(sim, msg, &answer);

	for (uint32_t i = 0; i < msg->n_rows && !broken; i++) {
		struct kvr_row *row = &sim->rows[msg->rows + i];

		if (msg->type == KVR_MSG_ENCODE)
			encode(sim, row, msg);
		else if (msg->type == KVR_MSG_DECODE)
			decode(sim, row);
		else
			copy(sim, row, msg);
	}
	if (msg->type == KVR_MSG_COPY && msg->COPY.tells != 0)
		kvr_sim_tells(sim, msg, SIM_COPY_OVER);
	answer.type = msg->type == KVR_MSG_ENCODE ? KVR_MSG_ENCODED :
	    msg->type == KVR_MSG_DECODE		  ? KVR_MSG_DECODED :
						    KVR_MSG_COPIED;
	kvr_sim_reply(sim, msg->to, msg->from, &answer);
}
