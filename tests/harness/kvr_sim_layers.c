/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines that compute while their layers come and go. The engine of a put says at times of its
 * own, and in any order, how many layers it has; to the copy worker that of a get is told of each.
 */
#include "kvr_sim_hands.h"

static uint32_t
layers_of(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	return kvr_sim_live(sim, msg, "layers of an operation that is not open")->layers;
}

/* ---- puts ---- */

void
kvr_sim_layers_asked(struct kvr_sim *sim, struct sim_asked *a, const struct kvr_sim_ask *ask)
{
	struct sim_event word = { .kind = SIM_WORD, .msg = { .op = a->answer.op } };

	if ((ask->flags & KVR_OPF_LAYERS) == 0)
		return;
	KVR_CHECK(ask->layers > 0);
	a->layers = ask->layers;
	uint64_t turn = kvr_sim_rand(sim, ask->layers);

	for (uint32_t i = 0; i < ask->layers && ask->kind == KVR_OP_PUT; i++) {
		uint64_t after_ns = kvr_sim_rand(sim, ask->layers_ns + 1);

		word.msg.LAYERS.ready = (uint16_t)((i + turn) % ask->layers + 1);
		word.msg.LAYERS.of = (uint16_t)ask->layers;
		kvr_sim_at(sim, sim->now_ns + after_ns, &word);
	}
}

/* The facade passes it on as long as the operation is not over. */
void
kvr_sim_layers_word(struct kvr_sim *sim, const struct kvr_msg *word)
{
	struct kvr_msg msg = { .type = KVR_MSG_LAYERS, .from = KVR_ID_API, .op = word->op };
	struct sim_asked *a = kvr_sim_find(sim, word->op);

	if (a == NULL || (a->answer.done_bits & KVR_DONEB_QUIET) != 0)
		return;
	a->ready = KVR_MAX(a->ready, word->LAYERS.ready);
	msg.LAYERS.ready = word->LAYERS.ready;
	msg.LAYERS.of = word->LAYERS.of;
	kvr_sim_post(sim, KVR_ID_TRANSFER, &msg);
}

uint64_t
kvr_sim_layers_in(
    struct kvr_sim *sim, const struct kvr_row *row, const struct kvr_msg *msg, uint64_t whole)
{
	struct sim_layers *have = &sim->api->stage_layers[row->buf];
	uint32_t end = msg->COPY.layer + (uint32_t)msg->COPY.n_layers;

	if (have->part != msg->part)
		*have = (struct sim_layers){ .part = msg->part };
	if (have->n != msg->COPY.layer || msg->COPY.n_layers == 0 || end > layers_of(sim, msg))
		kvr_sim_broken(sim, "a layer is fetched twice, or one before it is not");
	have->n = end;
	/* With a layer missing it is something else, whoever believes it. */
	return end == layers_of(sim, msg) ? whole : ~whole - end;
}

/* ---- gets ---- */

static bool
takes_part(const struct kvr_sim *sim, const struct kvr_row *row)
{
	return row->err == KVR_OK && row->len <= sim->api->keys[row->key].room;
}

/* Told once, in order, while the memory is the library's, and of what the store was given. */
void
kvr_sim_layers_out(struct kvr_sim *sim, const struct kvr_row *row, uint32_t end)
{
	struct sim_key *key = &sim->api->keys[row->key];

	if (!takes_part(sim, row))
		return;
	(void)kvr_sim_lent(sim, row);
	if (key->landed >= end)
		return; /* what was told stays told, also if another tier gives the same once more */
	if (sim->api->stage[row->buf] != kvr_sim_content(key->name))
		kvr_sim_broken(sim, "a layer is told of that is not what was put");
	key->landed = (uint16_t)end;
}

void
kvr_sim_layers_land(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	if (kvr_sim_holder_of(sim, msg->part) != msg->to)
		kvr_sim_broken(sim, "a layer comes of a part that the copy worker does not hold");
	for (uint32_t i = 0; i < msg->n_rows; i++)
		kvr_sim_layers_out(sim, &sim->rows[msg->rows + i], msg->COPY.layer);
}

/* Of a device that fails some layers come before it does, or none. */
static void
land_one_by_one(struct kvr_sim *sim, const struct kvr_msg *msg, uint64_t from_ns, uint64_t to_ns)
{
	const struct kvr_sim_hands *hands = &sim->api->hands;
	struct sim_event land = { .kind = SIM_LAND, .msg = *msg };
	uint32_t n = layers_of(sim, msg), most = n - 1;

	if (msg->COPY.device != 0 && (hands->lost || hands->breaks != 0))
		most = hands->lost ? 0 : (uint32_t)kvr_sim_rand(sim, n);
	for (uint32_t i = 1; i <= most; i++) {
		land.msg.COPY.layer = (uint16_t)i;
		kvr_sim_at(sim, from_ns + (to_ns - from_ns) * i / n, &land);
	}
}

void
kvr_sim_layers_take(
    struct kvr_sim *sim, const struct kvr_msg *msg, uint64_t from_ns, uint64_t to_ns)
{
	if (msg->COPY.by_layer == 0 || sim->api->n_asked == 0)
		return;
	const struct sim_asked *a =
	    kvr_sim_live(sim, msg, "layers of an operation that is not open");

	if ((a->answer.flags & KVR_OPF_LAYERS) == 0)
		kvr_sim_broken(sim, "somebody goes layer by layer who did not ask for it");
	if (msg->COPY.to_caller != 0)
		land_one_by_one(sim, msg, from_ns, to_ns);
	else if (msg->COPY.layer + (uint32_t)msg->COPY.n_layers > a->ready)
		kvr_sim_broken(sim, "a layer is fetched before its engine has it");
}
