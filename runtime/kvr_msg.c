/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_msg.h"

#include <stdio.h>
#include <string.h>

const struct kvr_msg_info kvr_msg_info[KVR_MSG_N] = {
#define X(name_, rows_, owner_, fields) \
	[KVR_MSG_##name_] = { #name_, #fields, KVR_ROWS_##rows_, KVR_OWNER_##owner_, \
		sizeof(((struct kvr_msg *)0)->name_) },
	KVR_MSG_TABLE(X)
#undef X
};

#define X(name, rows, owner, fields) \
	_Static_assert(sizeof(((struct kvr_msg *)0)->name) <= 24, #name " does not fit");
KVR_MSG_TABLE(X)
#undef X

const char *const kvr_op_kind_name[KVR_OP_N] = { "lookup", "get", "put", "remove", "size",
	"prefetch" };
const char *const kvr_link_state_name[KVR_LINK_STATES] = { "DOWN", "DIALING", "HALF_OPEN", "UP",
	"CLOSED" };
const char *const kvr_tier_state_name[KVR_TIER_STATES] = { "OPENING", "UP", "COOLING", "PROBING",
	"CLOSED" };

uint64_t
kvr_msg_hash(void)
{
	uint64_t d = sizeof(struct kvr_row);

	for (unsigned m = 0; m < KVR_MSG_N; m++) {
		const struct kvr_msg_info *info = &kvr_msg_info[m];
		const uint8_t way[2] = { info->rows, info->owner };

		d = kvr_hash64_seed(info->name, strlen(info->name), d);
		d = kvr_hash64_seed(info->fields, strlen(info->fields), d);
		d = kvr_hash64_seed(way, sizeof(way), d);
	}
	return d;
}

const char *
kvr_id_name(uint16_t id, char *ret, size_t cap)
{
	static const char *const single[] = {
		[KVR_ID_NONE] = "nobody",
		[KVR_ID_API] = "api",
		[KVR_ID_ROUTER] = "router",
		[KVR_ID_TRANSFER] = "transfer",
		[KVR_ID_METRICS] = "metrics",
		[KVR_ID_COPY] = "copy",
		[KVR_ID_NOTIFIER] = "notifier",
	};
	unsigned lane;

	if (id < KVR_LEN(single)) {
		snprintf(ret, cap, "%s", single[id]);
	} else if (id < KVR_ID_TIER) {
		snprintf(ret, cap, "serde %u", (unsigned)(id - KVR_ID_SERDE));
	} else if (id < KVR_ID_LINK) {
		snprintf(ret, cap, "tier %u", (unsigned)(id - KVR_ID_TIER));
	} else if (id < KVR_ID_N) {
		bool worker = id >= KVR_ID_WORKER;

		lane = (unsigned)(id - (worker ? KVR_ID_WORKER : KVR_ID_LINK));
		snprintf(ret, cap, "%s %u.%u", worker ? "worker" : "link",
		    lane / KVR_LANES_MAX, lane % KVR_LANES_MAX);
	} else {
		snprintf(ret, cap, "actor %u", (unsigned)id);
	}
	return ret;
}
