/* SPDX-License-Identifier: Apache-2.0 */
/* Who may send what to whom, and notes on broken rules. */
#include "kvr_trace_rule.h"

#include <inttypes.h>
#include <stdarg.h>

void
trace_breaks(struct trace_rule *r, const char *format, ...)
{
	va_list args;

	if (r->broken++ >= TRACE_TOLD_MAX)
		return;
	va_start(args, format);
	vsnprintf(r->told[r->broken - 1], sizeof(r->told[0]), format, args);
	va_end(args);
}

enum {
	API = 1,
	ROUTER = 2,
	TRANSFER = 4,
	METRICS = 8,
	TIER = 16,
	LINK = 32,
	HAND = 64,
	SELF = 128,
	DECIDERS = ROUTER | TRANSFER | METRICS | TIER | LINK
};

/* Who may send what to whom: at most four pairs per message. */
static const struct {
	uint8_t from, to;
} arrow[KVR_MSG_N][4] = {
	[KVR_MSG_START] = { { API, DECIDERS } },
	[KVR_MSG_CONFIG] = { { API, DECIDERS } },
	[KVR_MSG_STOP] = { { API, ROUTER }, { ROUTER, TIER | TRANSFER | METRICS }, { TIER, LINK } },
	[KVR_MSG_STOPPED] = { { HAND, LINK }, { LINK, TIER }, { TIER | TRANSFER | METRICS, ROUTER },
	    { ROUTER, API } },
	[KVR_MSG_TIMER] = { { DECIDERS, SELF } },
	[KVR_MSG_CONTINUE] = { { DECIDERS, SELF } },
	[KVR_MSG_SUBMIT] = { { API, ROUTER } },
	[KVR_MSG_SLICE] = { { ROUTER, SELF } },
	[KVR_MSG_CANCEL] = { { API, ROUTER } },
	[KVR_MSG_COMPLETE] = { { ROUTER, API } },
	[KVR_MSG_RELEASE] = { { ROUTER, API } },
	[KVR_MSG_PART] = { { ROUTER, TIER }, { TIER, LINK }, { LINK, HAND } },
	[KVR_MSG_PART_DONE] = { { HAND, LINK }, { LINK, TIER }, { TIER, ROUTER } },
	[KVR_MSG_PART_CANCEL] = { { ROUTER, TIER | TRANSFER }, { TIER, LINK }, { LINK, HAND } },
	[KVR_MSG_ENCODE] = { { ROUTER, TRANSFER }, { TRANSFER, HAND } },
	[KVR_MSG_ENCODED] = { { HAND, TRANSFER }, { TRANSFER, ROUTER } },
	[KVR_MSG_DECODE] = { { ROUTER, TRANSFER }, { TRANSFER, HAND } },
	[KVR_MSG_DECODED] = { { HAND, TRANSFER }, { TRANSFER, ROUTER } },
	[KVR_MSG_COPY] = { { ROUTER, TRANSFER }, { TRANSFER, HAND } },
	[KVR_MSG_BEGUN] = { { HAND, TRANSFER }, { TRANSFER, ROUTER } },
	[KVR_MSG_COPIED] = { { HAND, TRANSFER }, { TRANSFER, ROUTER } },
	[KVR_MSG_LAYERS] = { { API, TRANSFER } },
	[KVR_MSG_DIAL] = { { TIER, LINK }, { LINK, HAND } },
	[KVR_MSG_DIALED] = { { HAND, LINK } },
	[KVR_MSG_PING] = { { TIER, LINK }, { LINK, HAND } },
	[KVR_MSG_PONG] = { { HAND, LINK }, { LINK, TIER } },
	[KVR_MSG_HANG_UP] = { { TIER, LINK }, { LINK, HAND } },
	[KVR_MSG_LINK_STATE] = { { LINK, TIER } },
	[KVR_MSG_TIER_STATE] = { { TIER, ROUTER | METRICS } },
	[KVR_MSG_OP_STAT] = { { ROUTER, METRICS } },
	[KVR_MSG_COUNT] = { { DECIDERS, METRICS } },
	[KVR_MSG_PART_STAT] = { { TIER | ROUTER, METRICS } },
	[KVR_MSG_CANARY] = { { METRICS, API } },
	[KVR_MSG_CANARY_DONE] = { { API, METRICS } },
	[KVR_MSG_STAGE_STAT] = { { LINK | TRANSFER, METRICS } },
};

static uint8_t
kind_of(uint16_t id)
{
	if (id <= KVR_ID_API)
		return API;
	if (id == KVR_ID_ROUTER)
		return ROUTER;
	if (id == KVR_ID_TRANSFER)
		return TRANSFER;
	if (id == KVR_ID_METRICS)
		return METRICS;
	if (id >= KVR_ID_TIER && id < KVR_ID_LINK)
		return TIER;
	return id >= KVR_ID_LINK && id < KVR_ID_WORKER ? LINK : HAND;
}

static void
along(const struct kvr_msg *m, uint64_t step, struct trace_rule *r)
{
	char from[24], to[24];

	r->n++;
	for (size_t i = 0; i < KVR_LEN(arrow[0]); i++) {
		uint8_t ends = arrow[m->type][i].to;

		if ((arrow[m->type][i].from & kind_of(m->from)) != 0 &&
		    ((ends & kind_of(m->to)) != 0 || (ends == SELF && m->from == m->to)))
			return;
	}
	trace_breaks(r, "step %" PRIu64 ": %s from %s to %s", step, kvr_msg_info[m->type].name,
	    kvr_id_name(m->from, from, sizeof(from)), kvr_id_name(m->to, to, sizeof(to)));
}

void
trace_rule_arrows(const struct trace_model *m, struct trace_rule *r)
{
	for (uint64_t i = 0; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];

		along(&s->rec->msg, s->rec->step, r);
		for (uint32_t k = 0; k < s->n_fx; k++)
			along(&m->fx[s->fx + k].msg, s->rec->step, r);
	}
}
