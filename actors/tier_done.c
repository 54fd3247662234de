/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back from a lane: what it says about the store, and whether it is tried again. */
#include "kvr_tier_own.h"

#include <string.h>

struct tally {
	uint32_t n_ok, n_miss, n_key, n_store;
	uint32_t n_bad; /* of n_key: the seal was broken */
	uint32_t n_away; /* one dead node of many */
	int32_t  err; /* the first error of a row */
	/* Of puts: the longest value that was taken, the shortest without room; 0: none. */
	uint32_t taken, refused;
	uint64_t bytes;
};

/*
 * What the rows say. A full store counts against nothing, because it can still be read. A row that
 * is DOWN in a part that is OK comes from one dead node of many, and must not open the breaker over
 * the others.
 */
static struct tally
tally(const struct kvr_event *ev)
{
	struct tally t = { .n_ok = 0 };
	uint8_t verb = ev->msg.PART_DONE.verb;

	for (uint32_t i = 0; i < ev->msg.n_rows; i++) {
		const struct kvr_row *row = &ev->rows[i];

		if (row->err == KVR_OK) {
			t.n_ok++;
			if (verb == KVR_VERB_GET || verb == KVR_VERB_PUT)
				t.bytes += row->len;
			if (verb == KVR_VERB_PUT)
				t.taken = KVR_MAX(t.taken, row->len);
			continue;
		}
		if (row->err == KVR_E_MISS) {
			t.n_miss++;
			continue;
		}
		enum kvr_blame blame = kvr_err_blame(row->err);

		if (row->err == KVR_PENDING)
			continue;
		if (t.err == KVR_OK)
			t.err = row->err;
		t.n_bad += row->err == KVR_E_CORRUPT;
		t.n_away += row->err == KVR_E_DOWN;
		if (verb == KVR_VERB_PUT && row->err == KVR_E_NOSPACE)
			t.refused = t.refused == 0 ? row->len : KVR_MIN(t.refused, row->len);
		t.n_key += blame == KVR_BLAME_KEY;
		t.n_store += blame >= KVR_BLAME_LANE && row->err != KVR_E_NOSPACE &&
		    row->err != KVR_E_DOWN;
	}
	return t;
}

/* Counts for or against the store; what closed the connection was counted with the link. */
static void
judge(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, const struct tally *t)
{
	int32_t err = ev->msg.PART_DONE.err;
	uint8_t verb = ev->msg.PART_DONE.verb;

	if (err != KVR_OK && kvr_err_stream(err) == KVR_STREAM_CLOSE)
		return;
	if (verb == KVR_VERB_PUT && t->n_ok > 0)
		kvr_tier_took_put(me);
	kvr_tier_room(me, t->taken, t->refused);
	if (t->n_away > 0)
		me->away_ns = ev->now_ns;
	if (t->n_ok + t->n_miss + t->n_key > 0) {
		me->faults = 0;
		me->backoff_ns = 0;
	} else if (t->n_store > 0 && kvr_refuses_writes((enum kvr_verb)verb, t->err)) {
		if (verb == KVR_VERB_PUT)
			kvr_tier_refused_put(me, ev, out);
	} else if (t->n_store > 0) {
		kvr_tier_fault(me, ev, out, t->err);
	} else if (err != KVR_OK && err != KVR_E_NOSPACE && kvr_err_blame(err) >= KVR_BLAME_LANE) {
		kvr_tier_fault(me, ev, out, err);
	}
}

/* The one answer to the router, and the report to metrics. */
static void
answer(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct part *p,
    const struct tally *t, int32_t err)
{
	struct kvr_msg done = ev->msg, stat = { .type = KVR_MSG_PART_STAT, .op = p->op };
	bool all = t->n_ok + t->n_miss == p->n_rows;

	done.op = p->op;
	done.deadline_ns = p->deadline_ns;
	done.PART_DONE.err = err;
	done.PART_DONE.n_ok = t->n_ok;
	done.PART_DONE.bytes += p->moved;
	done.PART_DONE.verb = p->verb;
	done.PART_DONE.cls = p->cls;
	stat.PART_STAT.tier = (uint8_t)me->config.tier;
	stat.PART_STAT.verb = p->verb;
	stat.PART_STAT.err = (int8_t)(all ? KVR_OK : t->err != KVR_OK ? t->err : err);
	stat.PART_STAT.n = p->n_rows;
	stat.PART_STAT.n_ok = (uint16_t)t->n_ok;
	stat.PART_STAT.n_miss = (uint16_t)t->n_miss;
	stat.PART_STAT.took_us = ev->msg.PART_DONE.took_us;
	stat.PART_STAT.bytes = t->bytes;
	stat.PART_STAT.waited_us = kvr_tier_waited(ev->now_ns, p, ev->msg.PART_DONE.took_us);
	kvr_tier_health_note(me, out, p, stat.PART_STAT.err);
	memset(p, 0, sizeof(*p));
	if (t->n_bad > 0)
		kvr_tier_count(me, out, KVR_COUNT_VERIFY_FAILED, t->n_bad);
	kvr_send(out, KVR_ID_ROUTER, &done);
	kvr_send(out, KVR_ID_METRICS, &stat);
}

/*
 * True when the part goes back into the queue. UNFINISHED means that it was not begun, so trying
 * again costs nothing. After a lost connection there is one more try for what gives the same result
 * when done twice. A delete does not: its second answer would be a miss.
 */
static bool
again(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct part *p)
{
	int32_t err = ev->msg.PART_DONE.err;
	bool lost = err == KVR_E_DOWN || err == KVR_E_PROTO;
	bool open = me->state == KVR_TIER_UP || me->state == KVR_TIER_OPENING;

	if (err == KVR_E_UNFINISHED && p->reason == KVR_OK)
		return true; /* in every state the pump knows what to do with it */
	if (!lost || !open || p->retried || p->reason != KVR_OK || p->verb == KVR_VERB_DEL ||
	    (p->deadline_ns != 0 && p->deadline_ns <= ev->now_ns))
		return false;
	p->retried = 1;
	p->after = me->conn;
	kvr_tier_count(me, out, KVR_COUNT_RETRIED, 1);
	return true;
}

/* The reason of whoever asked for the end, not that of the worker that was kicked. */
static int32_t
reason_of(const struct tier *me, const struct part *p, int32_t err)
{
	if (err != KVR_E_UNFINISHED && err != KVR_E_CANCELLED)
		return err;
	if (p->reason != KVR_OK)
		return p->reason;
	return me->state == KVR_TIER_CLOSED ? KVR_E_SHUTDOWN : err;
}

void
kvr_tier_done(struct tier *me, const struct kvr_event *ev, struct kvr_out *out, struct part *p)
{
	struct tally t = tally(ev);

	judge(me, ev, out, &t);
	if (again(me, ev, out, p)) {
		p->moved += (uint32_t)ev->msg.PART_DONE.bytes;
		p->n_ok = (uint16_t)t.n_ok;
		kvr_tier_enqueue(me, out, p);
	} else {
		answer(me, ev, out, p, &t, reason_of(me, p, ev->msg.PART_DONE.err));
	}
}
