/* SPDX-License-Identifier: Apache-2.0 */
/* The transfer actor's state, field by field, for people who read a replay. */
#include "kvr_transfer_own.h"

static const struct kvr_field field[] = {
	KVR_F(struct transfer, magic, HEX),
	KVR_F(struct transfer, places, NUM),
	KVR_F(struct transfer, n_serde, NUM),
	KVR_F(struct transfer, n_queued, NUM),
	KVR_F(struct transfer, n_busy, NUM),
	KVR_F(struct transfer, continuing, NUM),
	KVR_F(struct transfer, stopped, NUM),
	KVR_FA(struct transfer, head, NUM),
	KVR_FA(struct transfer, tail, NUM),
	KVR_FA(struct transfer, load, NUM),
	KVR_F(struct transfer, lost, NUM),
	KVR_F(struct transfer, closing, NUM),
	KVR_F(struct transfer, budget, NUM),
	KVR_FA(struct transfer, bytes, NUM),
	KVR_FA(struct transfer, spare, SPARE),
	KVR_FS(struct transfer, job, op, OP),
	KVR_FS(struct transfer, job, deadline_ns, AT),
	KVR_FS(struct transfer, job, part, NUM),
	KVR_FS(struct transfer, job, rows, NUM),
	KVR_FS(struct transfer, job, next, NUM),
	KVR_FS(struct transfer, job, prev, NUM),
	KVR_FS(struct transfer, job, n_rows, NUM),
	KVR_FS(struct transfer, job, type, NUM),
	KVR_FS(struct transfer, job, place, NUM),
	KVR_FS(struct transfer, job, hand, NUM),
	KVR_FS(struct transfer, job, list, NUM),
	KVR_FS(struct transfer, job, called, ERR),
	KVR_FS(struct transfer, job, spare, SPARE),
	KVR_FS(struct transfer, job, layer, NUM),
	KVR_FS(struct transfer, job, n_layers, NUM),
	KVR_FS(struct transfer, layers, op, OP),
	KVR_FS(struct transfer, layers, ready, NUM),
	KVR_FS(struct transfer, layers, of, NUM),
	KVR_FS(struct transfer, layers, spare, SPARE),
	{ "job[].word[]", offsetof(struct transfer, job[0].word), sizeof(uint64_t), KVR_FIELD_HEX,
		{ { KVR_PARTS_MAX, sizeof(struct job) }, { 3, sizeof(uint64_t) } } },
};

const struct kvr_fields kvr_transfer_fields = { field, KVR_LEN(field) };
