/* SPDX-License-Identifier: Apache-2.0 */
/* A link's state, field by field, for people who read a replay. */
#include "kvr_link_own.h"

static const struct kvr_field field[] = {
	KVR_F(struct link, magic, HEX),
	KVR_F(struct link, tier, NUM),
	KVR_F(struct link, lane, NUM),
	KVR_F(struct link, places, NUM),
	KVR_F(struct link, n_parts, NUM),
	KVR_F(struct link, n_puts, NUM),
	KVR_F(struct link, told, NUM),
	KVR_F(struct link, stuck, NUM),
	KVR_F(struct link, watch_gen, NUM),
	KVR_F(struct link, probe, NUM),
	KVR_F(struct link, connect_ns, NS),
	KVR_F(struct link, stuck_ns, NS),
	KVR_F(struct link, watch_ns, AT),
	KVR_F(struct link, dial_ns, AT),
	KVR_F(struct link, ping_ns, AT),
	KVR_F(struct link, heard_ns, AT),
	KVR_F(struct link, silent_ns, NS),
	KVR_F(struct link, owes_ns, AT),
	KVR_FS(struct link, flight, given_ns, AT),
	KVR_FS(struct link, flight, until_ns, AT),
	KVR_FS(struct link, flight, part, NUM),
	KVR_FS(struct link, flight, verb, NUM),
	KVR_FS(struct link, flight, cancelled, NUM),
	KVR_FA(struct link, spare64, SPARE),
};

const struct kvr_fields kvr_link_fields = { field, KVR_LEN(field) };
