/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads from replicas, of real sentinels and a real cluster: that they go there, and that a replica
 * which is behind, spoilt, silent or gone costs no hit and gives no wrong byte.
 */
#include "kvr_cluster_set.h"
#include "kvr_redis_bed.h"
#include "kvr_sentinel_set.h"
#include "kvr_topology.h"

#include <poll.h>

KVR_NEEDS_CLUSTER

enum { N = 60, EACH = 3000 };

static void
all_are(struct bed *b, enum kvr_verb verb, struct load *l, int32_t want)
{
	bed_ok(b, verb, l->items, l->n);
	for (uint32_t i = 0; i < l->n; i++)
		bed_status(&l->items[i], want);
}

/* What was written before is in so many replicas too. */
static void
wait_replicas(struct kvr_raw *master, const char *own_key, int n)
{
	char line[64];
	kvr_raw_set(master, own_key, "x", 1);
	snprintf(line, sizeof(line), "WAIT %d 50000", n);
	ck_assert_int_ge(kvr_raw(master, line).n, n);
}

/* Whether the server has been asked for a value since CONFIG RESETSTAT. */
static bool
was_read(struct kvr_raw *raw)
{
	struct kvr_raw_reply r = kvr_raw(raw, "INFO commandstats");
	ck_assert_int_eq(r.kind, '$');
	return strstr((const char *)r.bytes, "cmdstat_get:") != NULL;
}

static void
reset(struct kvr_raw *raw)
{
	ck_assert_int_eq(kvr_raw(raw, "CONFIG RESETSTAT").kind, '+');
}

/* ---- sentinels ---- */

static struct kvr_sentinel_set *set;
static struct kvr_raw *data[KVR_SENTINEL_DATA];

static void
open_data(void)
{
	for (int i = 0; i < KVR_SENTINEL_DATA; i++)
		data[i] = kvr_raw_open(set->data[i]->port, KVR_SENTINEL_DATA_PASSWORD);
}

static struct kvr_store_opts
sentinel_opts(uint32_t format)
{
	struct kvr_store_opts o = bed_opts(set->url, format);
	o.password = KVR_SENTINEL_DATA_PASSWORD;
	o.sentinel.password = KVR_SENTINEL_PASSWORD;
	o.connect_ns = KVR_SEC(20);
	o.replicas = true;
	return o;
}

static void
each_replica(const char *line)
{
	for (int i = 1; i < KVR_SENTINEL_DATA; i++) {
		struct kvr_raw_reply r = kvr_raw(data[i], line);
		ck_assert_msg(r.kind == '+' || r.kind == ':', "%s: %s", line, (const char *)r.bytes);
	}
}

static void
reads_go_there(struct bed *b, struct load *l)
{
	for (int i = 0; i < KVR_SENTINEL_DATA; i++)
		reset(data[i]);
	load_get(b, l);
	all_are(b, KVR_VERB_EXISTS, l, KVR_OK);
	all_are(b, KVR_VERB_STAT, l, KVR_OK);
	ck_assert(!was_read(data[0]));
	ck_assert(was_read(data[1]) || was_read(data[2]));
}

/* The names of the first key; MARK only where it has one of its own. */
static const char *const value_of[] = { [KVR_FORMAT_LMCACHE] = "m@1@0@0@halfkv_bytes",
	[KVR_FORMAT_BARE] = "m@1@0@0@half",
	[KVR_FORMAT_SEALED] = "m@1@0@0@half@kvr%1" };

/* A replica that has lost a value, or half of one, or has another one under its name. */
static void
what_is_not_there_is_the_masters(struct bed *b, struct load *l, uint32_t format)
{
	char line[96];
	each_replica("CONFIG SET replica-read-only no");
	snprintf(line, sizeof(line), "DEL %s", value_of[format]);
	each_replica(line);
	load_get(b, l);
	/* Whoever finds a header alone deletes it, but not because of what a replica says. */
	load_get(b, l);
	all_are(b, KVR_VERB_EXISTS, l, KVR_OK);
	if (format != KVR_FORMAT_BARE) {
		snprintf(line, sizeof(line), "SET %s rubbish", value_of[format]);
		each_replica(line);
		load_get(b, l);
		all_are(b, KVR_VERB_STAT, l, KVR_OK);
	}
	snprintf(line, sizeof(line), "DEL %s", value_of[format]);
	each_replica(line);
	snprintf(line, sizeof(line), "LPUSH %s x", value_of[format]);
	each_replica(line);
	load_get(b, l);
	each_replica("CONFIG SET replica-read-only yes");
}

static void
check_sentinel(uint32_t format)
{
	struct load l = load_new(N, EACH);
	struct kvr_store_opts o = sentinel_opts(format);
	struct bed b;
	ck_assert_int_eq(kvr_raw(data[0], "FLUSHALL").kind, '+');
	bed_up(&b, &o);
	all_are(&b, KVR_VERB_GET, &l, KVR_E_MISS);
	all_are(&b, KVR_VERB_PUT, &l, KVR_OK);
	load_get(&b, &l); /* there or not yet there */
	wait_replicas(data[0], "own", 2);
	reads_go_there(&b, &l);
	what_is_not_there_is_the_masters(&b, &l, format);
	all_are(&b, KVR_VERB_DEL, &l, KVR_OK);
	wait_replicas(data[0], "own", 2);
	all_are(&b, KVR_VERB_GET, &l, KVR_E_MISS);
	bed_down(&b);
	load_free(&l);
}

/* Silence costs half of what a caller has, and no hit; so does a replica that dies. */
static void
check_lost_replicas(void)
{
	struct load l = load_new(N, EACH);
	struct kvr_store_opts o = sentinel_opts(KVR_FORMAT_SEALED);
	struct bed b;
	o.connect_ns = KVR_SEC(2); /* which the master must not need, on any machine */
	for (int tries = 0;; tries++) { /* a dial may take longer on a busy machine */
		if (bed_try(&b, &o, bed_in(BED_LONG)) == KVR_OK)
			break;
		bed_down(&b);
		ck_assert_int_lt(tries, 100);
	}
	all_are(&b, KVR_VERB_PUT, &l, KVR_OK);
	wait_replicas(data[0], "own", 2);
	load_get(&b, &l);
	for (int i = 1; i < KVR_SENTINEL_DATA; i++)
		kvr_redis_server_pause(set->data[i]);
	load_get(&b, &l);
	load_get(&b, &l);
	for (int i = 1; i < KVR_SENTINEL_DATA; i++)
		kvr_redis_server_resume(set->data[i]);
	/* Found again by reading. */
	for (uint64_t end_ns = bed_in(BED_LONG); ; poll(NULL, 0, 5)) {
		ck_assert_uint_lt(kvr_now_ns(), end_ns);
		reset(data[0]);
		load_get(&b, &l);
		if (!was_read(data[0]))
			break;
	}
	for (int i = 1; i < KVR_SENTINEL_DATA; i++)
		kvr_redis_server_kill(set->data[i]);
	load_get(&b, &l);
	all_are(&b, KVR_VERB_EXISTS, &l, KVR_OK);
	bed_down(&b);
	load_free(&l);
}

/* In one test, for the set takes seconds to come up. */
START_TEST(behind_sentinels)
{
	set = kvr_sentinel_set_start();
	open_data();
	for (uint32_t format = KVR_FORMAT_LMCACHE; format <= KVR_FORMAT_SEALED; format++)
		check_sentinel(format);
	check_lost_replicas();
	for (int i = 0; i < KVR_SENTINEL_DATA; i++)
		kvr_raw_close(data[i]);
	kvr_sentinel_set_stop(set);
}
END_TEST

/* ---- a cluster ---- */

static void
wait_all(void)
{
	/* A key of each master's own. */
	static const char *const own[KVR_CLUSTER_MASTERS] = { "own0", "own1", "own2" };
	for (int i = 0; i < KVR_CLUSTER_MASTERS; i++) {
		struct kvr_raw *raw = kvr_cluster_raw(i);
		wait_replicas(raw, own[i], 1);
		kvr_raw_close(raw);
	}
}

static bool
any_read(int from, int to)
{
	bool any = false;
	for (int i = from; i < to; i++) {
		struct kvr_raw *raw = kvr_cluster_raw(i);
		any |= was_read(raw);
		reset(raw);
		kvr_raw_close(raw);
	}
	return any;
}

static void
cluster_up(struct bed *b, uint32_t format, uint64_t connect_ns)
{
	struct kvr_store_opts o = bed_opts(kvr_cluster_set->url, format);
	o.password = KVR_CLUSTER_PASSWORD;
	o.connect_ns = connect_ns;
	o.replicas = true;
	kvr_cluster_flush();
	bed_up(b, &o);
}

/* A node names its replicas when it has heard of them, and is asked again until it does. */
static void
wait_replicas_read(struct bed *b, struct load *l)
{
	for (uint64_t end_ns = bed_in(BED_LONG);; poll(NULL, 0, 20)) {
		(void)any_read(0, KVR_CLUSTER_MEMBERS);
		load_get(b, l);
		if (!any_read(0, KVR_CLUSTER_MASTERS))
			break;
		ck_assert_uint_lt(kvr_now_ns(), end_ns);
	}
	ck_assert(any_read(KVR_CLUSTER_MASTERS, KVR_CLUSTER_MEMBERS));
}

START_TEST(in_a_cluster)
{
	for (uint32_t format = KVR_FORMAT_LMCACHE; format <= KVR_FORMAT_SEALED; format++) {
		struct load l = load_new(N, EACH);
		struct bed b;
		cluster_up(&b, format, KVR_SEC(20));
		all_are(&b, KVR_VERB_GET, &l, KVR_E_MISS);
		all_are(&b, KVR_VERB_PUT, &l, KVR_OK);
		load_get(&b, &l);
		wait_all();
		wait_replicas_read(&b, &l);
		all_are(&b, KVR_VERB_EXISTS, &l, KVR_OK);
		all_are(&b, KVR_VERB_STAT, &l, KVR_OK);
		bed_ok(&b, KVR_VERB_DEL, l.items, 1);
		wait_all();
		bed_ok(&b, KVR_VERB_GET, l.items, l.n);
		bed_status(&l.items[0], KVR_E_MISS);
		bed_status(&l.items[1], KVR_OK);
		bed_down(&b);
		load_free(&l);
	}
}
END_TEST

/* A replica follows its master's slots, and says so. */
START_TEST(slots_that_move)
{
	struct load l = load_new(N, EACH);
	struct bed b;
	cluster_up(&b, KVR_FORMAT_SEALED, KVR_SEC(20));
	all_are(&b, KVR_VERB_PUT, &l, KVR_OK);
	wait_all();
	wait_replicas_read(&b, &l);
	for (uint32_t i = 0; i < 8; i++) {
		char name[64];
		int len = snprintf(name, sizeof(name), "%s@kvr%%1", l.items[i].key);
		int slot = kvr_slot_of(name, (size_t)len), from = kvr_cluster_owner(slot);
		int to = (from + 1) % KVR_CLUSTER_MASTERS;
		kvr_cluster_begin_move(slot, from, to);
		kvr_cluster_move_keys(slot, from, to);
		load_get(&b, &l);
		kvr_cluster_end_move(slot, from, to);
		load_get(&b, &l);
	}
	bed_down(&b);
	load_free(&l);
}
END_TEST

START_TEST(replicas_of_a_cluster_that_are_silent_or_gone)
{
	struct load l = load_new(N, EACH);
	struct bed b;
	cluster_up(&b, KVR_FORMAT_SEALED, KVR_SEC(3));
	all_are(&b, KVR_VERB_PUT, &l, KVR_OK);
	wait_all();
	wait_replicas_read(&b, &l);
	kvr_redis_server_pause(kvr_cluster_set->node[KVR_CLUSTER_MASTERS]);
	uint64_t until_ns = bed_in(BED_LONG);
	load_get(&b, &l);
	ck_assert_uint_lt(kvr_now_ns(), until_ns);
	load_get(&b, &l);
	kvr_redis_server_resume(kvr_cluster_set->node[KVR_CLUSTER_MASTERS]);
	load_get(&b, &l);
	for (int i = KVR_CLUSTER_MASTERS; i < KVR_CLUSTER_MEMBERS; i++)
		kvr_redis_server_kill(kvr_cluster_set->node[i]);
	load_get(&b, &l);
	all_are(&b, KVR_VERB_STAT, &l, KVR_OK);
	bed_down(&b);
	load_free(&l);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_replica", behind_sentinels, in_a_cluster, slots_that_move,
    replicas_of_a_cluster_that_are_silent_or_gone)
