/* SPDX-License-Identifier: Apache-2.0 */
/* Slots are moved from node to node, and a master dies, while callers put and get. */
#include "kvr_drill.h"

#include "kvr_cluster_set.h"

KVR_NEEDS_CLUSTER

/* Much longer than a node may be silent, so that whoever waits for a lane comes to it on any machine. */
enum { FORMATS = 3, SLOTS = 120, BUDGET_MS = 10000 };
static const char *const format[FORMATS] = { "sealed", "lmcache", "bare" };

static struct kvr *kvr[FORMATS];
static struct kvr_drill *drill[FORMATS];

static void
begin(void)
{
	for (int i = 0; i < FORMATS; i++) {
		kvr[i] = bed_open(
		    "{'timeouts':{'connect':'1s'},'trace':{'dir':'none'},'tiers':[{'name':'far',"
		    "'url':'%s','password':'" KVR_CLUSTER_PASSWORD "','format':'%s'}]}",
		    kvr_cluster_set->url, format[i]);
		drill[i] = kvr_drill_start(kvr[i], "drill", 1, BUDGET_MS);
	}
}

static void
each(void (*what)(struct kvr_drill *))
{
	for (int i = 0; i < FORMATS; i++)
		what(drill[i]);
}

static void
say(const char *event)
{
	char text[96];

	for (int i = 0; i < FORMATS; i++) {
		snprintf(text, sizeof(text), "cluster, %s, %s", format[i], event);
		kvr_drill_say(drill[i], text);
	}
}

static void
end(void)
{
	for (int i = 0; i < FORMATS; i++) {
		kvr_drill_stop(drill[i]);
		bed_close(kvr[i]);
	}
}

/* Every key stays where it can be found, so every call must be whole. */
START_TEST(slots_move_under_load)
{
	begin();
	each(kvr_drill_wait_good);
	each(kvr_drill_mark);
	for (int slot = 0; slot < SLOTS; slot++) {
		/* From all over the map, or no key would be in most of them. */
		int s = slot * (KVR_CLUSTER_SLOTS / SLOTS), from = kvr_cluster_owner(s);

		kvr_cluster_move(s, from, (from + 1) % KVR_CLUSTER_MASTERS);
	}
	each(kvr_drill_wait_good);
	say("slots are moved");
	for (int i = 0; i < FORMATS; i++)
		MUST(kvr_drill_bad(drill[i]) == 0, "%s: %llu keys are not whole", format[i],
		    (unsigned long long)kvr_drill_bad(drill[i]));
	end();
}
END_TEST

/* "{tag}" whose keys all lie on that node, whatever stands behind the tag. */
static void
tag_of(int node, char *ret, size_t cap)
{
	struct kvr_raw *raw = kvr_cluster_raw(0);
	char line[64];
	int64_t slot = -1;

	for (int i = 0; slot < 0 || kvr_cluster_owner((int)slot) != node; i++) {
		snprintf(ret, cap, "{t%d}", i);
		snprintf(line, sizeof(line), "CLUSTER KEYSLOT %s", ret);
		slot = kvr_raw(raw, line).n;
	}
	kvr_raw_close(raw);
}

static void
begin_tagged(struct kvr *over, struct kvr_drill *ret[KVR_CLUSTER_MASTERS])
{
	char tag[16];

	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++) {
		tag_of(i, tag, sizeof(tag));
		ret[i] = kvr_drill_start(over, tag, 1, BUDGET_MS);
	}
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++)
		kvr_drill_wait_good(ret[i]);
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++)
		kvr_drill_mark(ret[i]);
}

static void
say_tagged(struct kvr_drill *const *at, const char *event)
{
	char text[96];

	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++) {
		snprintf(text, sizeof(text), "cluster, sealed, keys of node %d when %s", i, event);
		kvr_drill_say(at[i], text);
	}
}

static void
wait_health(struct kvr *over, const char *word)
{
	struct kvr_health h = { .size = sizeof(h) };

	for (uint64_t until_ns = bed_in_ms(30000); strncmp(h.why, word, strlen(word)) != 0;) {
		OK(kvr_health(over, &h));
		MUST(bed_now_ns() < until_ns, "health is %u: %s", h.ok, h.why);
	}
	MUST(h.n_up == 1, "the tier is not up");
}

/*
 * A node stands still, and nobody takes over. It costs a part of the time of those who wait for it
 * until it is known to be silent; then its callers are answered at once. Those whose keys lie on
 * other nodes wait for a lane at most, and miss nothing. It is found again when it goes on.
 */
START_TEST(a_node_stands_still)
{
	struct kvr_drill *at[KVR_CLUSTER_MASTERS];

	begin();
	begin_tagged(kvr[0], at);
	kvr_redis_server_pause(kvr_cluster_set->node[1]);
	kvr_drill_wait_bad(at[1]);
	kvr_drill_wait_good(at[0]);
	kvr_drill_wait_good(at[2]);
	MUST(kvr_drill_bad(at[1]) > 0, "it stands still and nobody notices");
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i += 2)
		MUST(kvr_drill_bad(at[i]) == 0, "node %d: %llu keys are not whole", i,
		    (unsigned long long)kvr_drill_bad(at[i]));
	wait_health(kvr[0], "tier far, one node: 127.0.0.1:");
	MUST(bed_logged("no memory") == 0, "a dial that is well has a remark");
	say_tagged(at, "1 stands still");
	kvr_redis_server_resume(kvr_cluster_set->node[1]);
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++) {
		kvr_drill_wait_good(at[i]);
		kvr_drill_stop(at[i]);
	}
	each(kvr_drill_wait_good);
	end();
}
END_TEST

/*
 * The nodes go on without one of them. Callers that have nothing to do with it, over the same
 * lanes, do not notice; all others are served again when its replica has taken over.
 */
START_TEST(a_master_dies)
{
	struct kvr_drill *at[KVR_CLUSTER_MASTERS];

	begin();
	begin_tagged(kvr[0], at);
	each(kvr_drill_wait_good);
	each(kvr_drill_mark);
	kvr_cluster_wait_known(0);
	kvr_redis_server_kill(kvr_cluster_set->node[0]);
	each(kvr_drill_wait_bad);
	kvr_cluster_take_over(0);
	each(kvr_drill_wait_good);
	say("a master is killed");
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++)
		kvr_drill_wait_good(at[i]);
	say_tagged(at, "0 is killed");
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++) {
		MUST((kvr_drill_bad(at[i]) > 0) == (i == 0), "node %d: %llu keys are not whole", i,
		    (unsigned long long)kvr_drill_bad(at[i]));
		kvr_drill_stop(at[i]);
	}
	end();
}
END_TEST

KVR_CHECK_MAIN("system.drill_cluster", slots_move_under_load, a_node_stands_still, a_master_dies)
