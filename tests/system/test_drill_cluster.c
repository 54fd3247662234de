/* SPDX-License-Identifier: Apache-2.0 */
/* Slots are moved from node to node, and a master dies, while callers put and get. */
#include "kvr_drill.h"

#include "kvr_cluster_set.h"

KVR_NEEDS_CLUSTER

enum { FORMATS = 3, SLOTS = 120 };
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
		drill[i] = kvr_drill_start(kvr[i], "drill", 1, 500);
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

/*
 * The nodes go on without one of them. Callers that have nothing to do with it, over the same
 * lanes, do not notice; all others are served again when its replica has taken over.
 */
START_TEST(a_master_dies)
{
	struct kvr_drill *at[KVR_CLUSTER_MASTERS];
	char text[96];

	for (int i = 0; i < KVR_CLUSTER_MEMBERS; i++) {
		struct kvr_raw *raw = kvr_cluster_raw(i);

		MUST(kvr_raw(raw, "CONFIG SET cluster-require-full-coverage no").kind == '+', "no");
		kvr_raw_close(raw);
	}
	begin();
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++) {
		tag_of(i, text, sizeof(text));
		at[i] = kvr_drill_start(kvr[0], text, 1, 500);
	}
	each(kvr_drill_wait_good);
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++)
		kvr_drill_wait_good(at[i]);
	each(kvr_drill_mark);
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++)
		kvr_drill_mark(at[i]);
	kvr_redis_server_kill(kvr_cluster_set->node[0]);
	each(kvr_drill_wait_bad);
	each(kvr_drill_wait_good);
	say("a master is killed");
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++) {
		kvr_drill_wait_good(at[i]);
		snprintf(
		    text, sizeof(text), "cluster, sealed, keys of node %d when 0 is killed", i);
		kvr_drill_say(at[i], text);
		MUST((kvr_drill_bad(at[i]) > 0) == (i == 0), "node %d: %llu keys are not whole", i,
		    (unsigned long long)kvr_drill_bad(at[i]));
		kvr_drill_stop(at[i]);
	}
	end();
}
END_TEST

KVR_CHECK_MAIN("system.drill_cluster", slots_move_under_load, a_master_dies)
