/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cluster_set.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { READY_S = 90, KEYS_AT_ONCE = 32, KEY_MAX = 1024 };

struct kvr_cluster_set *kvr_cluster_set;

/* Not Check's macros where a program is only being set up: there is no test yet that could fail. */
static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "a cluster for a test: %s\n", what);
	abort();
}

struct kvr_raw *
kvr_cluster_raw(int node)
{
	return kvr_raw_open(kvr_cluster_set->node[node]->port, KVR_CLUSTER_PASSWORD);
}

static void
must(int node, const char *line)
{
	struct kvr_raw *raw = kvr_cluster_raw(node);
	struct kvr_raw_reply r = kvr_raw(raw, line);
	need(r.kind != '-', (const char *)r.bytes);
	kvr_raw_close(raw);
}

/* Whether the reply of a node to a command has all of these texts in it. */
static int
says(int node, const char *line, const char *a, const char *b)
{
	struct kvr_raw *raw = kvr_cluster_raw(node);
	struct kvr_raw_reply r = kvr_raw(raw, line);
	int yes = r.kind == '$' && strstr((const char *)r.bytes, a) != NULL &&
	          strstr((const char *)r.bytes, b) != NULL;
	kvr_raw_close(raw);
	return yes;
}

static void
wait_says(int node, const char *line, const char *a, const char *b)
{
	const struct timespec look = { .tv_nsec = 20000000 };
	time_t end = time(NULL) + READY_S;
	while (!says(node, line, a, b)) {
		need(time(NULL) < end, line);
		nanosleep(&look, NULL);
	}
}

int
kvr_cluster_owner(int slot)
{
	return slot * KVR_CLUSTER_MASTERS / KVR_CLUSTER_SLOTS;
}

/* With words of their own: a range in one command is not known to older servers. */
static void
add_slots(int node)
{
	struct kvr_raw_word *words = calloc(KVR_CLUSTER_SLOTS + 2, sizeof(*words));
	char(*text)[8] = calloc(KVR_CLUSTER_SLOTS, sizeof(*text));
	size_t n = 0;
	need(words != NULL && text != NULL, "memory");
	words[n++] = (struct kvr_raw_word){ "CLUSTER", 7 };
	words[n++] = (struct kvr_raw_word){ "ADDSLOTS", 8 };
	for (int slot = 0; slot < KVR_CLUSTER_SLOTS; slot++)
		if (kvr_cluster_owner(slot) == node) {
			size_t len = (size_t)snprintf(text[slot], sizeof(text[0]), "%d", slot);
			words[n++] = (struct kvr_raw_word){ text[slot], len };
		}
	struct kvr_raw *raw = kvr_cluster_raw(node);
	need(kvr_raw_words(raw, words, n).kind == '+', "ADDSLOTS");
	kvr_raw_close(raw);
	free(words);
	free(text);
}

static void
read_id(int node)
{
	struct kvr_raw *raw = kvr_cluster_raw(node);
	struct kvr_raw_reply r = kvr_raw(raw, "CLUSTER MYID");
	need(r.kind == '$', "MYID");
	snprintf(
	    kvr_cluster_set->id[node], sizeof(kvr_cluster_set->id[0]), "%s", (const char *)r.bytes);
	kvr_raw_close(raw);
}

/* Nodes meet where they speak as the cluster does. */
static uint16_t
port_of(int node)
{
	const struct kvr_tls_server *tls = kvr_cluster_set->tls[node];
	return tls != NULL ? tls->port : kvr_cluster_set->node[node]->port;
}

static void
join_all(void)
{
	char line[128];
	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++) {
		read_id(i);
		snprintf(line, sizeof(line), "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
		must(i, line);
		if (i < KVR_CLUSTER_MASTERS)
			add_slots(i);
		snprintf(line, sizeof(line), "CLUSTER MEET 127.0.0.1 %u", port_of(i));
		if (i > 0)
			must(0, line);
	}
	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++)
		wait_says(i, "CLUSTER INFO", "cluster_state:ok", "cluster_known_nodes:6");
	for (int i = KVR_CLUSTER_MASTERS; i < KVR_CLUSTER_MEMBERS; i++) {
		snprintf(line, sizeof(line), "CLUSTER REPLICATE %s",
		    kvr_cluster_set->id[i - KVR_CLUSTER_MASTERS]);
		must(i, line);
	}
	for (int i = KVR_CLUSTER_MASTERS; i < KVR_CLUSTER_MEMBERS; i++)
		wait_says(i, "INFO replication", "role:slave", "master_link_status:up");
}

/* While they meet: they then tell each other twice a second what they know. */
#define QUICK_MS "1000"
#define CLUSTER_ARGS                                                                               \
	"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",                         \
	    "--cluster-node-timeout", QUICK_MS, "--cluster-replica-validity-factor", "0",          \
	    "--cluster-replica-no-failover", "yes", "--repl-diskless-sync-delay", "0",             \
	    "--masterauth", KVR_CLUSTER_PASSWORD

static void
each(const char *line)
{
	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++)
		must(i, line);
}

/*
 * On a busy machine a node may be silent for longer than any short time, and the others then refuse
 * what all of them should serve. Whoever was given up a moment before is not taken back for long:
 * the set is well when all say so behind the change.
 */
static void
be_patient(void)
{
	for (int ok = 0; !ok;) {
		each("CONFIG SET cluster-node-timeout " QUICK_MS);
		for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++)
			wait_says(i, "CLUSTER INFO", "cluster_state:ok", "cluster_known_nodes:6");
		each("CONFIG SET cluster-node-timeout 600000");
		ok = 1;
		for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++)
			ok = ok && says(i, "CLUSTER INFO", "cluster_state:ok", "");
	}
}

static void
wait_known(int master, int by)
{
	char slots[1024];
	struct kvr_raw *raw = kvr_cluster_raw(master);
	struct kvr_raw_reply r = kvr_raw(raw, "CLUSTER NODES");
	const char *at = r.kind == '$' ? strstr((const char *)r.bytes, "myself,") : NULL;
	at = at != NULL ? strstr(at, " connected ") : NULL;
	need(at != NULL, "CLUSTER NODES");
	/* Only the master says which of them are on their way. */
	size_t len = strcspn(at, "[\n");
	while (len > 0 && at[len - 1] == ' ')
		len--;
	snprintf(slots, sizeof(slots), "%.*s", (int)len, at);
	kvr_raw_close(raw);
	wait_says(by, "CLUSTER NODES", slots, "");
}

void
kvr_cluster_wait_known(int master)
{
	wait_known(master, master + KVR_CLUSTER_MASTERS);
}

void
kvr_cluster_take_over(int master)
{
	must(master + KVR_CLUSTER_MASTERS, "CLUSTER FAILOVER TAKEOVER");
}

static void
start(const struct kvr_test_ca *ca, const char *name)
{
	static const char *const plain[] = { CLUSTER_ARGS, NULL };
	static const char *const over_tls[] = { CLUSTER_ARGS, "--tls-cluster", "yes",
		"--tls-replication", "yes", NULL };
	struct kvr_cluster_set *me = calloc(1, sizeof(*me));
	size_t len = 0;
	need(me != NULL, "memory");
	kvr_cluster_set = me;
	me->owner = getpid();
	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++) {
		if (ca != NULL)
			me->tls[i] =
			    kvr_tls_server_start(ca, name, "no", KVR_CLUSTER_PASSWORD, over_tls);
		me->node[i] = ca != NULL ? me->tls[i]->redis
		                         : kvr_redis_server_start(KVR_CLUSTER_PASSWORD, plain);
		len += (size_t)snprintf(me->hosts + len, sizeof(me->hosts) - len, "%s127.0.0.1:%u",
		    i == 0 ? "" : ",", port_of(i));
	}
	snprintf(me->url, sizeof(me->url), "%s-cluster://%s", ca != NULL ? "rediss" : "redis",
	    me->hosts);
	join_all();
	be_patient();
}

void
kvr_cluster_set_start(void)
{
	start(NULL, NULL);
}

void
kvr_cluster_set_start_tls(const struct kvr_test_ca *ca, const char *name)
{
	start(ca, name);
}

void
kvr_cluster_set_stop(void)
{
	struct kvr_cluster_set *me = kvr_cluster_set;
	if (me == NULL || me->owner != getpid())
		return;
	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++) {
		if (me->tls[i] != NULL)
			kvr_tls_server_stop(me->tls[i]);
		else
			kvr_redis_server_stop(me->node[i]);
	}
	free(me);
	kvr_cluster_set = NULL;
}

void
kvr_cluster_flush(void)
{
	/* A test that has failed may have left one standing still, and each after it would wait for it. */
	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++)
		if (kvr_cluster_set->node[i]->pid != 0)
			kvr_redis_server_resume(kvr_cluster_set->node[i]);
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++)
		if (kvr_cluster_set->node[i]->pid != 0)
			must(i, "FLUSHALL");
}

/* ---- resharding ---- */

static void
set_slot(int node, int slot, const char *what, int other)
{
	char line[128];
	snprintf(
	    line, sizeof(line), "CLUSTER SETSLOT %d %s %s", slot, what, kvr_cluster_set->id[other]);
	must(node, line);
}

void
kvr_cluster_begin_move(int slot, int from, int to)
{
	set_slot(to, slot, "IMPORTING", from);
	set_slot(from, slot, "MIGRATING", to);
}

void
kvr_cluster_end_move(int slot, int from, int to)
{
	set_slot(to, slot, "NODE", to);
	set_slot(from, slot, "NODE", to);
	/* Whoever asks another node for the map would be sent to where the slot was. */
	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++) {
		wait_known(to, i);
		wait_known(from, i);
	}
}

/* False: no key is left there. */
static int
move_some(struct kvr_raw *raw, int slot, int to)
{
	static const char *const head[] = { "MIGRATE", "127.0.0.1", NULL, "", "0", "5000",
		"REPLACE", "AUTH", KVR_CLUSTER_PASSWORD, "KEYS" };
	enum { HEAD = sizeof(head) / sizeof(head[0]) };
	char line[64], port[8], key[KEYS_AT_ONCE][KEY_MAX];
	struct kvr_raw_word words[HEAD + KEYS_AT_ONCE];
	snprintf(port, sizeof(port), "%u", kvr_cluster_set->node[to]->port);
	for (size_t i = 0; i < HEAD; i++) {
		const char *word = head[i] != NULL ? head[i] : port;
		words[i] = (struct kvr_raw_word){ word, strlen(word) };
	}
	snprintf(line, sizeof(line), "CLUSTER GETKEYSINSLOT %d %d", slot, KEYS_AT_ONCE);
	struct kvr_raw_reply r = kvr_raw(raw, line);
	need(r.kind == '*', "GETKEYSINSLOT");
	int n = atoi((const char *)r.bytes);
	for (int i = 0; i < n; i++) {
		r = kvr_raw_more(raw);
		need(r.kind == '$' && r.len < KEY_MAX, "a key");
		memcpy(key[i], r.bytes, r.len);
		words[HEAD + i] = (struct kvr_raw_word){ key[i], r.len };
	}
	if (n == 0)
		return 0;
	r = kvr_raw_words(raw, words, HEAD + (size_t)n);
	need(r.kind == '+', (const char *)r.bytes); /* NOKEY too: somebody has deleted them */
	return 1;
}

void
kvr_cluster_move_keys(int slot, int from, int to)
{
	struct kvr_raw *raw = kvr_cluster_raw(from);
	while (move_some(raw, slot, to))
		;
	kvr_raw_close(raw);
}

void
kvr_cluster_move(int slot, int from, int to)
{
	kvr_cluster_begin_move(slot, from, to);
	kvr_cluster_move_keys(slot, from, to);
	kvr_cluster_end_move(slot, from, to);
}
