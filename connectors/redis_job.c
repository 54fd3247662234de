/* SPDX-License-Identifier: Apache-2.0 */
/* One step of a batch at one node of a cluster, over the lane's connection to it. */
#include "kvr_dial.h"
#include "kvr_redis_cluster.h"

#include <stdio.h>
#include <string.h>

void
kvr_cluster_drop(struct kvr_cluster_lane *lane, uint8_t node)
{
	struct kvr_connector *c = lane->node[node].c;
	if (c != NULL)
		c->note = NULL; /* belongs to the group, not to the connector */
	if (c != NULL)
		c->heads = NULL;
	kvr_redis_connector_free(c);
	lane->node[node].c = NULL;
}

/*
 * Records a failed dial. TIMEOUT: the caller's time was up before the node's own, so the node is
 * only noted as silent.
 */
static enum kvr_err
dial_failed(struct kvr_cluster_lane *lane, uint8_t node, enum kvr_err err, uint64_t since_ns)
{
	uint64_t now_ns = kvr_now_ns();
	if (err == KVR_E_CANCELLED)
		return err;
	if (err == KVR_E_TIMEOUT) {
		kvr_redis_map_silent(lane->map, node, now_ns - since_ns, lane->try_ns, now_ns);
		return err;
	}
	kvr_redis_map_bad(lane->map, node, now_ns);
	return err == KVR_E_AUTH || err == KVR_E_NOMEM ? err : KVR_E_DOWN;
}

static enum kvr_err
dial(struct kvr_cluster_lane *lane, uint8_t node, uint64_t until_ns, char *why, size_t why_cap)
{
	const struct kvr_url_host *at = &lane->node[node].at;
	uint64_t now_ns = kvr_now_ns();
	const struct kvr_dial d = kvr_dial_begin(lane->try_ns, until_ns);
	char whose[KVR_DIAL_WHOSE];
	struct kvr_connector *c = kvr_redis_connector_new(lane->front->store, false);
	enum kvr_err err = KVR_E_NOMEM;
	if (c != NULL)
		err = kvr_redis_connect(c, at->name, at->port, d.until_ns, lane->kick);
	/* Without READONLY a replica redirects every read to its master. */
	if (err == KVR_OK && node >= KVR_NODES_MAX)
		err = kvr_redis_demand(
		    &c->s, 1, (const char *const[]){ "READONLY" }, KVR_E_REFUSED);
	if (err == KVR_OK) {
		c->peer = at;
		lane->node[node].c = c;
		lane->node[node].fresh = true;
		return KVR_OK;
	}
	err = kvr_dial_blame(&d, err, whose);
	snprintf(why, why_cap, "%.100s:%u: %s%s", at->name, (unsigned)at->port,
	    c != NULL ? c->s.why : "no memory for a connection", whose);
	kvr_redis_connector_free(c);
	return dial_failed(lane, node, err, now_ns);
}

enum kvr_err
kvr_cluster_connection(struct kvr_cluster_lane *lane, uint8_t node, uint64_t until_ns,
    struct kvr_connector **ret, char *why, size_t why_cap)
{
	struct kvr_cluster_node *n = &lane->node[node];
	uint32_t gen = 0;
	enum kvr_err err = KVR_OK;
	if (!kvr_redis_map_node(lane->map, node, &n->at, &gen)) {
		snprintf(why, why_cap, "the node has left the cluster since");
		return KVR_E_DOWN;
	}
	if (n->c != NULL && n->gen != gen)
		kvr_cluster_drop(lane, node);
	n->gen = gen;
	if (n->c == NULL)
		err = dial(lane, node, until_ns, why, why_cap);
	*ret = n->c;
	return err;
}

/*
 * How long a node may be silent: three quarters of the caller's time, or a quarter if it was silent
 * before. The rest is for others that wait for the lane and whose nodes may be fine.
 */
static uint64_t
patience(const struct kvr_redis_job *job)
{
	uint64_t now_ns = kvr_now_ns();
	uint64_t left_ns = job->until_ns > now_ns ? job->until_ns - now_ns : 0;
	bool doubted = kvr_redis_map_doubted(job->lane->map, job->node);
	return KVR_MAX(left_ns / 4 * (doubted ? 1 : 3), UINT64_C(1));
}

static enum kvr_err
run_step(struct kvr_redis_job *job, struct kvr_connector *c)
{
	c->note = job->note;
	c->heads = job->heads;
	c->why[0] = '\0';
	uint64_t limit_ns = c->store->connect_ns;
	c->s.patience_ns = patience(job);
	/* And no longer than a new connection may take, if that is limited. */
	if (limit_ns > 0)
		c->s.patience_ns = KVR_MIN(c->s.patience_ns, limit_ns);
	enum kvr_err err = kvr_stream_ask(&c->s, job->until_ns, KVR_STREAM_AHEAD);
	if (err == KVR_OK)
		err = kvr_redis_step(c, job->step, job->item, job->n);
	/* All items have their status, but the connection can no longer be used. */
	if (err == KVR_OK && c->signed_out)
		err = kvr_stream_fail(&c->s, KVR_E_AUTH, "%s", c->why);
	return err;
}

static bool
any_done(const struct kvr_redis_job *job)
{
	for (uint32_t i = 0; i < job->n; i++)
		if (job->note[i].left < job->note[i].parts)
			return true;
	return false;
}

/* For a node being dialled: it had a share of the operation's time, not the time of a dial. */
static void
say_share(struct kvr_redis_job *job, uint64_t since_ns)
{
	size_t len = strlen(job->why);
	snprintf(job->why + len, sizeof(job->why) - len, " (after %llu ms of the call's own time)",
	    (unsigned long long)((kvr_now_ns() - since_ns) / KVR_MS(1)));
}

void
kvr_redis_job_run(void *at)
{
	struct kvr_redis_job *job = at;
	struct kvr_cluster_lane *lane = job->lane;
	struct kvr_connector *c = NULL;
	uint64_t since_ns = kvr_now_ns();
	job->why[0] = '\0';
	job->was_fresh = true;
	job->err = kvr_cluster_connection(
	    lane, job->node, since_ns + patience(job), &c, job->why, sizeof(job->why));
	if (job->err == KVR_E_TIMEOUT)
		say_share(job, since_ns);
	if (job->err != KVR_OK)
		return;
	const struct kvr_url_host *host = &lane->node[job->node].at;
	job->was_fresh = lane->node[job->node].fresh;
	lane->node[job->node].fresh = false;
	job->err = run_step(job, c);
	const char *why = job->err != KVR_OK ? c->s.why : c->why;
	if (why[0] != '\0')
		snprintf(job->why, sizeof(job->why), "%.60s:%u: %.170s", host->name,
		    (unsigned)host->port, why);
	if (job->err == KVR_OK || any_done(job))
		kvr_redis_map_good(lane->map, job->node);
	else if (job->err == KVR_E_TIMEOUT)
		kvr_redis_map_silent(
		    lane->map, job->node, kvr_now_ns() - since_ns, lane->try_ns, kvr_now_ns());
	else
		kvr_redis_map_want(lane->map);
	if (job->err != KVR_OK)
		kvr_cluster_drop(lane, job->node);
}
