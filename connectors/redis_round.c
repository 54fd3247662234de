/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch over the nodes of a cluster. Each step of a verb is done for all items before the next
 * one begins, so a batch costs one round trip per step, whichever nodes its names are on. LMCache's
 * two names of a chunk lie on two nodes: first all payloads are written, then all headers.
 *
 * A step works on copies. If a node does not answer, or redirects to another node, the item is left
 * as it was and the step is repeated there: at most five times, and only while there is time.
 */
#include "kvr_redis_cluster.h"

#include <stdio.h>
#include <string.h>

struct round {
	struct kvr_cluster_lane *lane;
	enum kvr_verb verb;
	const struct kvr_redis_step *step;
	uint32_t n; /* items of the group */
	uint64_t until_ns;
	bool replicas; /* ask the replicas; only what they have counts */
	bool cancelled;
	bool pause; /* a node is not ready yet: wait before the next try */
};

static void
settle(struct round *r, uint32_t i, int32_t err)
{
	if (kvr_item_status(&r->lane->item[i]) == KVR_PENDING)
		kvr_item_done(&r->lane->item[i], err);
}

static void
find_slot(struct round *r, uint32_t i)
{
	struct kvr_cluster_lane *lane = r->lane;
	char name[KVR_REDIS_NAME_MAX];
	const char *end = kvr_redis_name(lane->front->store, &lane->item[i], r->step->name, name);
	lane->slot[i] = kvr_slot_of(name, (size_t)(end - name));
}

/* Finds the items that have something to do in this step; only their nodes are dialed. */
static void
begin(struct round *r)
{
	struct kvr_cluster_lane *lane = r->lane;
	lane->n_todo = 0;
	for (uint32_t i = 0; i < r->n; i++) {
		struct kvr_redis_note *note = &lane->note[i];
		note->asking = 0;
		note->redirect = KVR_REDIS_STAYS;
		note->parts = note->left =
		    kvr_redis_requests(r->step, lane->front, &lane->item[i], note);
		lane->sent_on[i] = 0;
		if (note->parts == 0)
			continue;
		find_slot(r, i);
		lane->todo[lane->n_todo++] = i;
	}
}

static bool
may_try(const struct round *r, uint8_t node)
{
	struct kvr_cluster_lane *lane = r->lane;
	struct kvr_url_host at;
	uint32_t gen;
	/* Not every master has a replica, or had one when it was asked. */
	if (r->replicas && !kvr_redis_map_node(lane->map, node, &at, &gen)) {
		kvr_redis_map_want_replica(lane->map, kvr_now_ns());
		return false;
	}
	return kvr_redis_map_may_try(
	    lane->map, node, lane->node[node].c != NULL, kvr_now_ns());
}

/* While a node is left alone, nothing else tells which one it is. */
static void
say_away(struct round *r, uint8_t node)
{
	struct kvr_connector *front = r->lane->front;
	struct kvr_url_host at;
	uint32_t gen;
	if (node == KVR_NO_NODE || !kvr_redis_map_node(r->lane->map, node, &at, &gen))
		snprintf(front->why, sizeof(front->why), "no node of the cluster has that slot");
	else
		snprintf(front->why, sizeof(front->why),
		    "%.100s:%u of the cluster does not answer and is left alone for a while", at.name,
		    (unsigned)at.port);
}

/* Finds a node for each item of the list; items without one leave the list. */
static void
route(struct round *r)
{
	struct kvr_cluster_lane *lane = r->lane;
	uint8_t may[KVR_REDIS_NODES];
	uint8_t owner[KVR_REDIS_GROUP];
	uint32_t n = 0;
	memset(may, 2, sizeof(may)); /* 2: not determined yet */
	kvr_redis_map_route(lane->map, lane->slot, r->n, owner);
	for (uint32_t t = 0; t < lane->n_todo; t++) {
		uint32_t i = lane->todo[t];
		uint8_t node = lane->note[i].asking ? lane->note[i].to : owner[i];
		if (node != KVR_NO_NODE && r->replicas)
			node = kvr_redis_map_replica(node);
		if (node != KVR_NO_NODE && may[node] == 2)
			may[node] = may_try(r, node);
		if (node != KVR_NO_NODE && may[node]) {
			lane->route[i] = node;
			lane->todo[n++] = i;
			continue;
		}
		if (node == KVR_NO_NODE && !r->replicas)
			kvr_redis_map_want(lane->map);
		say_away(r, node);
		settle(r, i, KVR_E_DOWN);
	}
	lane->n_todo = n;
}

/* Copies the items so that those of one node are contiguous, and makes one job per node. */
static uint32_t
pack(struct round *r)
{
	struct kvr_cluster_lane *lane = r->lane;
	size_t head = lane->front->store->lm_head_len;
	uint32_t n_jobs = 0, at = 0;
	for (uint32_t node = 0; node < KVR_REDIS_NODES; node++) {
		uint32_t from = at;
		for (uint32_t t = 0; t < lane->n_todo; t++) {
			uint32_t i = lane->todo[t];
			if (lane->route[i] != node)
				continue;
			lane->index[at] = i;
			lane->away[at] = lane->item[i];
			lane->away_note[at] = lane->note[i];
			if (head > 0)
				memcpy(lane->away_heads + at * head, lane->heads + i * head, head);
			at++;
		}
		if (at == from)
			continue;
		lane->job[n_jobs++] = (struct kvr_redis_job){ .lane = lane,
			.step = r->step,
			.item = lane->away + from,
			.note = lane->away_note + from,
			.heads = lane->away_heads + from * head,
			.n = at - from,
			.node = (uint8_t)node,
			.until_ns = r->until_ns };
	}
	return n_jobs;
}

static void
accept(struct round *r, uint32_t i, uint32_t at)
{
	struct kvr_cluster_lane *lane = r->lane;
	size_t head = lane->front->store->lm_head_len;
	lane->item[i] = lane->away[at];
	lane->note[i] = lane->away_note[at];
	if (head > 0)
		memcpy(lane->heads + i * head, lane->away_heads + at * head, head);
}

/* True: repeat the step for this item. */
static bool
sent_on(struct round *r, uint32_t i, uint32_t at)
{
	struct kvr_cluster_lane *lane = r->lane;
	const struct kvr_redis_note *away = &lane->away_note[at];
	/* A node named by a replica is only asked when the masters are. */
	if (away->redirect == KVR_REDIS_SICK || r->replicas) {
		settle(r, i, KVR_E_DOWN);
		return false;
	}
	if (lane->sent_on[i]++ == KVR_REDIS_SENT_ON_MAX) {
		settle(r, i, KVR_E_DOWN);
		return false;
	}
	lane->note[i].asking = away->redirect == KVR_REDIS_ASK;
	lane->note[i].to = away->to;
	r->pause |= away->redirect == KVR_REDIS_AGAIN;
	return true;
}

/* The same for an item whose connection ended before its reply arrived. */
static bool
cut_off(struct round *r, const struct kvr_redis_job *job, uint32_t i)
{
	struct kvr_cluster_lane *lane = r->lane;
	bool lost = job->err == KVR_E_DOWN || job->err == KVR_E_PROTO;
	if (job->err == KVR_E_CANCELLED) {
		r->cancelled = true;
		return false;
	}
	/*
	 * The server may have closed an idle connection long ago. A delete is not repeated: its
	 * second answer would be a miss.
	 */
	if (lost && !job->was_fresh && !lane->retried[i] && r->verb != KVR_VERB_DEL) {
		lane->retried[i] = true;
		return true;
	}
	settle(r, i, lost ? KVR_E_DOWN : job->err);
	return false;
}

static void
collect(struct round *r, const struct kvr_redis_job *job)
{
	struct kvr_cluster_lane *lane = r->lane;
	for (uint32_t k = 0; k < job->n; k++) {
		uint32_t at = (uint32_t)(job->item - lane->away) + k, i = lane->index[at];
		const struct kvr_redis_note *away = &lane->away_note[at];
		bool again = false;
		if (away->redirect != KVR_REDIS_STAYS)
			again = sent_on(r, i, at);
		else if (away->left > 0)
			again = cut_off(r, job, i);
		else
			accept(r, i, at);
		if (again)
			lane->todo[lane->n_todo++] = i;
	}
	if (job->why[0] != '\0')
		memcpy(lane->front->why, job->why, sizeof(lane->front->why));
}

/* Waits, longer each time, but never past the deadline or a kick. */
static void
pause_for(const struct round *r, uint32_t nth)
{
	uint64_t end_ns = kvr_now_ns() + (KVR_MS(2) << nth);
	(void)kvr_stream_wait(-1, 0, KVR_MIN(end_ns, r->until_ns), r->lane->kick);
}

static void
make_step(struct round *r)
{
	struct kvr_cluster_lane *lane = r->lane;
	begin(r);
	for (uint32_t nth = 0; lane->n_todo > 0 && !r->cancelled; nth++) {
		if (kvr_redis_map_due(lane->map, kvr_now_ns()))
			(void)kvr_cluster_look(lane, r->until_ns);
		route(r);
		uint32_t n_jobs = pack(r);
		r->pause = false;
		lane->n_todo = 0;
		kvr_redis_crew_run(
		    lane->crew, kvr_redis_job_run, lane->job, sizeof(lane->job[0]), n_jobs);
		for (uint32_t j = 0; j < n_jobs; j++)
			collect(r, &lane->job[j]);
		if (lane->n_todo > 0 && r->pause)
			pause_for(r, nth);
	}
}

static void
take_in(struct round *r, const struct kvr_item *items)
{
	struct kvr_cluster_lane *lane = r->lane;
	memset(lane->note, 0, r->n * sizeof(lane->note[0]));
	memset(lane->retried, 0, r->n * sizeof(lane->retried[0]));
	for (uint32_t i = 0; i < r->n; i++)
		lane->item[i] = items[i];
}

static void
give_back(struct round *r, struct kvr_item *items)
{
	for (uint32_t i = 0; i < r->n; i++) {
		const struct kvr_item *from = &r->lane->item[i];
		if (kvr_item_status(&items[i]) != KVR_PENDING)
			continue;
		items[i].len = from->len;
		items[i].raw_len = from->raw_len;
		items[i].serde = from->serde;
		if (kvr_item_status(from) != KVR_PENDING)
			kvr_item_done(&items[i], kvr_item_status(from));
	}
}

static enum kvr_err
run_group(struct kvr_cluster_lane *lane, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns, bool replicas)
{
	const struct kvr_redis_plan *plan = kvr_redis_verbs[verb](lane->front->store);
	struct round r = { .lane = lane,
		.verb = verb,
		.n = n,
		.until_ns = until_ns,
		.replicas = replicas };
	take_in(&r, items);
	lane->front->from_replica = replicas;
	for (uint32_t i = 0; i < plan->n && !r.cancelled; i++) {
		r.step = plan->step[i];
		make_step(&r);
	}
	lane->front->from_replica = false;
	give_back(&r, items);
	return r.cancelled ? KVR_E_CANCELLED : KVR_OK;
}

static enum kvr_err
pass(struct kvr_connector *front, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	return run_group(front->cluster, verb, items, n, until_ns, true);
}

/* If no node at all answers, the tier must know, because it decides what happens then. */
static enum kvr_err
check_lost(struct kvr_cluster_lane *lane)
{
	struct kvr_connector *front = lane->front;
	if (!kvr_redis_map_lost(lane->map, kvr_now_ns()))
		return KVR_OK;
	char why[sizeof(front->why)];
	memcpy(why, front->why, sizeof(why));
	snprintf(
	    front->why, sizeof(front->why), "no node of the cluster answers; last: %.200s", why);
	return KVR_E_DOWN;
}

enum kvr_err
kvr_cluster_run(struct kvr_cluster_lane *lane, enum kvr_verb verb, struct kvr_item *items,
    uint32_t n, uint64_t until_ns)
{
	enum kvr_err err = KVR_OK;
	if (lane->kick != NULL && kvr_kicked(lane->kick))
		return KVR_E_CANCELLED;
	if (kvr_now_ns() >= until_ns)
		return KVR_E_TIMEOUT;
	for (uint32_t at = 0; at < n && err == KVR_OK; at += KVR_REDIS_GROUP) {
		uint32_t some = KVR_MIN(n - at, KVR_REDIS_GROUP);
		err = kvr_redis_ask_replicas(lane->front, verb, items + at, some, until_ns, pass);
		if (err == KVR_OK)
			err = run_group(lane, verb, items + at, some, until_ns, false);
	}
	return err == KVR_OK ? check_lost(lane) : err;
}
