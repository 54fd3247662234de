/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_rig.h"

#include <string.h>

void
kvr_rig_defaults(struct kvr_rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->tier = (struct kvr_tier_config){ .version = 1,
		.size = sizeof(rig->tier),
		.n_links = 3,
		.n_control = 1,
		.places = 2,
		.faults = 5,
		.backoff_min_ns = KVR_MS(100),
		.backoff_max_ns = KVR_SEC(10),
		.connect_ns = KVR_SEC(1),
		.seed = 1 };
	rig->link = (struct kvr_link_config){ .version = 1,
		.size = sizeof(rig->link),
		.connect_ns = KVR_SEC(1),
		.stuck_ns = KVR_SEC(2) };
}

static void
part_done(struct kvr_rig *rig, const struct kvr_msg *msg)
{
	uint32_t slot = KVR_PART_SLOT(msg->part);
	struct kvr_rig_part *p = &rig->part[slot];

	KVR_CHECK(slot < KVR_PARTS_MAX && p->id == msg->part && p->answers == 0);
	KVR_CHECK(msg->rows == p->rows && msg->n_rows == p->n_rows);
	KVR_CHECK(msg->PART_DONE.verb == p->verb && msg->PART_DONE.tier == rig->tier.tier);
	KVR_CHECK(msg->PART_DONE.err != KVR_E_UNFINISHED);
	p->answers++;
	p->err = msg->PART_DONE.err;
	p->n_ok = msg->PART_DONE.n_ok;
	p->lane = msg->PART_DONE.lane;
	p->answered_ns = kvr_sim_now(rig->sim);
	rig->n_open--;
	rig->n_answered++;
}

/* Its last word: all that was given before the end is answered. What comes later is, too. */
static void
stopped(struct kvr_rig *rig)
{
	KVR_CHECK(rig->stopped == 0);
	rig->stopped++;
	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++) {
		const struct kvr_rig_part *p = &rig->part[i];

		KVR_CHECK(p->id == 0 || p->answers == 1 || p->number >= rig->n_given_at_stop);
	}
}

static void
outside(void *arg, struct kvr_sim *sim, const struct kvr_msg *msg)
{
	struct kvr_rig *rig = arg;

	(void)sim;
	if (msg->to == KVR_ID_METRICS && msg->type == KVR_MSG_PART_STAT) {
		uint32_t n = msg->PART_STAT.n,
		         rest = n - msg->PART_STAT.n_ok - msg->PART_STAT.n_miss;

		KVR_CHECK(msg->PART_STAT.n_ok + msg->PART_STAT.n_miss <= n);
		KVR_CHECK((rest > 0) == (msg->PART_STAT.err != KVR_OK));
		rig->stat_n += n;
		rig->stat_ok += msg->PART_STAT.n_ok;
		rig->stat_miss += msg->PART_STAT.n_miss;
		rig->stat_err += msg->PART_STAT.dropped ? 0 : rest;
		rig->stat_dropped += msg->PART_STAT.dropped ? rest : 0;
	} else if (msg->to == KVR_ID_METRICS && msg->type == KVR_MSG_COUNT) {
		rig->count[msg->COUNT.what] += msg->COUNT.n;
	} else if (msg->to == KVR_ID_ROUTER && msg->type == KVR_MSG_PART_DONE) {
		part_done(rig, msg);
	} else if (msg->to == KVR_ID_ROUTER && msg->type == KVR_MSG_TIER_STATE) {
		rig->tier_state = msg->TIER_STATE.state;
		rig->links_up = msg->TIER_STATE.links_up;
	} else if (msg->to == KVR_ID_ROUTER && msg->type == KVR_MSG_STOPPED) {
		stopped(rig);
	} else {
		KVR_CHECK(msg->to == KVR_ID_METRICS &&
		    (msg->type == KVR_MSG_TIER_STATE || msg->type == KVR_MSG_STAGE_STAT));
	}
}

void
kvr_rig_open(struct kvr_rig *rig, const struct kvr_sim_options *options)
{
	struct kvr_sim_options o = *options;
	uint16_t tier = KVR_ID_TIER_OF(rig->tier.tier);

	o.outside = outside;
	o.arg = rig;
	rig->sim = kvr_sim_new(&o);
	rig->link.tier = rig->tier.tier;
	rig->link.places = rig->tier.places;
	for (uint32_t i = 0; i < rig->tier.n_links; i++) {
		uint16_t id = KVR_ID_LINK_OF(rig->tier.tier, i);

		rig->link.lane = i;
		kvr_sim_add(rig->sim, id, &kvr_link_spec);
		kvr_sim_start(rig->sim, id, &rig->link, sizeof(rig->link), i);
	}
	kvr_sim_add(rig->sim, tier, &kvr_tier_spec);
	kvr_sim_start(rig->sim, tier, &rig->tier, sizeof(rig->tier), rig->tier.seed);
}

void
kvr_rig_close(struct kvr_rig *rig)
{
	kvr_sim_verify(rig->sim);
	kvr_sim_free(rig->sim);
}

static uint32_t
free_slot(struct kvr_rig *rig, uint32_t n)
{
	bool wide = n > KVR_PART_KEYS;
	uint32_t first = wide ? (uint32_t)KVR_PARTS_SMALL : 0;
	uint32_t count = wide ? (uint32_t)KVR_PARTS_WIDE : (uint32_t)KVR_PARTS_SMALL;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = first + rig->next[wide]++ % count;

		if (rig->part[slot].id == 0 || rig->part[slot].answers > 0)
			return slot;
	}
	KVR_WRONG("a test gives more parts than there are");
}

uint32_t
kvr_rig_give(struct kvr_rig *rig, const struct kvr_rig_ask *ask)
{
	uint32_t slot = free_slot(rig, ask->n);
	struct kvr_rig_part *p = &rig->part[slot];
	struct kvr_msg msg = { .type = KVR_MSG_PART,
		.from = KVR_ID_ROUTER,
		.n_rows = (uint16_t)ask->n,
		.op = rig->n_given + 1,
		.deadline_ns = ask->deadline_ns,
		.part = slot | ++rig->gen[slot] << 16 };

	msg.rows = kvr_part_rows(msg.part);
	msg.PART.bytes =
	    ask->verb == KVR_VERB_GET || ask->verb == KVR_VERB_PUT ? ask->n * ask->len : 0;
	msg.PART.verb = (uint8_t)ask->verb;
	msg.PART.cls = (uint8_t)ask->cls;
	msg.PART.refuse = ask->refuse;
	msg.PART.tier = (uint8_t)rig->tier.tier;
	for (uint32_t i = 0; i < ask->n; i++)
		*kvr_sim_rows(rig->sim, msg.rows + i) = (struct kvr_row){ .len = ask->len,
			.key = (uint32_t)ask->key + i,
			.err = KVR_PENDING,
			.where = KVR_NOWHERE };
	*p = (struct kvr_rig_part){ .id = msg.part,
		.rows = msg.rows,
		.n_rows = ask->n,
		.number = rig->n_given,
		.verb = msg.PART.verb,
		.given_ns = kvr_sim_now(rig->sim) };
	rig->n_open++;
	rig->n_given++;
	kvr_sim_post(rig->sim, KVR_ID_TIER_OF(rig->tier.tier), &msg);
	return slot;
}

uint32_t
kvr_rig_get(struct kvr_rig *rig, uint64_t deadline_ns)
{
	kvr_sim_stored(rig->sim, rig->tier.tier, 1, 4096, 0);
	return kvr_rig_give(rig, &(struct kvr_rig_ask){ .verb = KVR_VERB_GET,
	                             .cls = KVR_CLASS_GET,
	                             .n = 1,
	                             .len = 4096,
	                             .deadline_ns = deadline_ns });
}

void
kvr_rig_cancel(struct kvr_rig *rig, uint32_t slot, int32_t reason)
{
	struct kvr_msg msg = {
		.type = KVR_MSG_PART_CANCEL, .from = KVR_ID_ROUTER, .part = rig->part[slot].id
	};

	msg.PART_CANCEL.reason = reason;
	msg.PART_CANCEL.tier = (uint8_t)rig->tier.tier;
	kvr_sim_post(rig->sim, KVR_ID_TIER_OF(rig->tier.tier), &msg);
}

void
kvr_rig_stop(struct kvr_rig *rig)
{
	rig->n_given_at_stop = rig->n_given;
	kvr_sim_post(rig->sim, KVR_ID_TIER_OF(rig->tier.tier),
	    &(struct kvr_msg){ .type = KVR_MSG_STOP, .from = KVR_ID_ROUTER });
}

void
kvr_rig_says(
    struct kvr_rig *rig, uint32_t lane, enum kvr_link_state state, int32_t err, bool was_up)
{
	struct kvr_msg msg = { .type = KVR_MSG_LINK_STATE,
		.from = KVR_ID_LINK_OF(rig->tier.tier, lane) };

	msg.LINK_STATE.lane = (uint8_t)lane;
	msg.LINK_STATE.state = (uint8_t)state;
	msg.LINK_STATE.err = err;
	msg.LINK_STATE.blame = (uint8_t)(err == KVR_OK ? KVR_BLAME_NONE : kvr_err_blame(err));
	msg.LINK_STATE.was_up = was_up;
	kvr_sim_post(rig->sim, KVR_ID_TIER_OF(rig->tier.tier), &msg);
	kvr_sim_run(rig->sim, kvr_sim_now(rig->sim));
}

uint64_t
kvr_rig_sent(const struct kvr_rig *rig, enum kvr_msg_type type)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < rig->tier.n_links; i++)
		n += kvr_sim_seen(rig->sim, KVR_ID_WORKER_OF(0, i), type);
	return n;
}

uint32_t
kvr_rig_tier(const struct kvr_rig *rig)
{
	return kvr_sim_state(rig->sim, KVR_ID_TIER_OF(rig->tier.tier));
}

void
kvr_rig_settled(struct kvr_rig *rig)
{
	uint64_t keys = 0;

	for (uint32_t i = 0; i < KVR_PARTS_MAX; i++)
		KVR_CHECK(rig->part[i].id == 0 || rig->part[i].answers == 1);
	KVR_CHECK(rig->n_open == 0 && rig->n_given == rig->n_answered);
	KVR_CHECK(kvr_sim_parts_out(rig->sim) == 0);
	keys = rig->stat_ok + rig->stat_miss + rig->stat_err + rig->stat_dropped;
	KVR_CHECK(keys == rig->stat_n);
	kvr_sim_verify(rig->sim);
}

void
kvr_rig_end(struct kvr_rig *rig)
{
	kvr_rig_stop(rig);
	kvr_sim_run(rig->sim, kvr_sim_now(rig->sim) + KVR_SEC(30));
	KVR_CHECK(rig->stopped == 1);
	kvr_rig_settled(rig);
	kvr_rig_close(rig);
}
