/* SPDX-License-Identifier: Apache-2.0 */
/* redis-cluster:// over real nodes: names and places, slots that move, nodes that stand still. */
#include "kvr_cluster_set.h"
#include "kvr_redis_bed.h"
#include "kvr_topology.h"

KVR_NEEDS_CLUSTER

static const uint32_t formats[] = { KVR_FORMAT_LMCACHE, KVR_FORMAT_BARE, KVR_FORMAT_SEALED };

static void
up(struct bed *b, const char *scheme, uint32_t format)
{
	char url[192];
	snprintf(url, sizeof(url), "%s://%.160s", scheme, kvr_cluster_set->hosts);
	struct kvr_store_opts o = bed_opts(url, format);
	o.password = KVR_CLUSTER_PASSWORD;
	o.connect_ns = KVR_SEC(20); /* a second is not enough on a busy machine */
	kvr_cluster_flush();
	bed_up(b, &o);
}

static void
all_ok(const struct load *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		bed_status(&l->items[i], KVR_OK);
}

/* Every verb over a batch that is spread over all nodes. */
static void
check_verbs(struct bed *b)
{
	struct load l = load_new(300, 2000);
	bed_ok(b, KVR_VERB_PUT, l.items, l.n);
	all_ok(&l);
	bed_ok(b, KVR_VERB_EXISTS, l.items, l.n);
	all_ok(&l);
	load_get(b, &l);
	bed_ok(b, KVR_VERB_STAT, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++) {
		bed_status(&l.items[i], KVR_OK);
		ck_assert_uint_eq(l.items[i].len, l.len);
	}
	bed_ok(b, KVR_VERB_DEL, l.items, l.n / 2);
	bed_ok(b, KVR_VERB_DEL, l.items, l.n);
	bed_status(&l.items[0], KVR_E_MISS);
	bed_status(&l.items[l.n - 1], KVR_OK);
	bed_ok(b, KVR_VERB_STAT, l.items, 1);
	bed_status(&l.items[0], KVR_E_MISS);
	bed_ok(b, KVR_VERB_PING, NULL, 0);
	load_free(&l);
}

START_TEST(every_verb_in_every_layout)
{
	static const char *const schemes[] = { "redis-cluster", "valkey-cluster" };
	for (size_t s = 0; s < KVR_LEN(schemes); s++)
		for (size_t f = 0; f < KVR_LEN(formats); f++) {
			struct bed b;
			up(&b, schemes[s], formats[f]);
			check_verbs(&b);
			for (int node = 0; node < KVR_CLUSTER_MASTERS; node++) {
				struct kvr_raw *raw = kvr_cluster_raw(node);
				ck_assert_int_eq(kvr_raw(raw, "DBSIZE").n, 0);
				kvr_raw_close(raw);
			}
			bed_down(&b);
		}
}
END_TEST

/* Its nodes then send the map of the cluster with maps in it. */
START_TEST(resp3_is_spoken_with_every_node)
{
	char url[224];
	struct bed b;
	struct load l = load_new(60, 3000);
	snprintf(url, sizeof(url), "%s?protocol=3", kvr_cluster_set->url);
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_LMCACHE);
	o.password = KVR_CLUSTER_PASSWORD;
	o.connect_ns = KVR_SEC(20);
	kvr_cluster_flush();
	bed_up(&b, &o);
	ck_assert_str_eq(b.why, "");
	check_verbs(&b);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	for (int node = 0; node < KVR_CLUSTER_MASTERS; node++) {
		struct kvr_raw *raw = kvr_cluster_raw(node);
		struct kvr_raw_reply r = kvr_raw(raw, "CLIENT LIST TYPE normal");
		ck_assert_ptr_nonnull(strstr((const char *)r.bytes, "resp=3"));
		kvr_raw_close(raw);
	}
	load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
}
END_TEST

/* At the node whose slot it is, which refuses all others. */
static void
expect_name(const char *name, size_t len, const void *bytes)
{
	struct kvr_raw *raw = kvr_cluster_raw(kvr_cluster_owner(kvr_slot_of(name, strlen(name))));
	struct kvr_raw_reply r = kvr_raw_get(raw, name);
	ck_assert_msg(r.kind == '$' && r.len == len, "%s: %c of %zu bytes", name, r.kind, r.len);
	if (bytes != NULL)
		ck_assert_mem_eq(r.bytes, bytes, len);
	kvr_raw_close(raw);
}

static void
store_name(const char *name, const void *bytes, size_t len)
{
	struct kvr_raw *raw = kvr_cluster_raw(kvr_cluster_owner(kvr_slot_of(name, strlen(name))));
	kvr_raw_set(raw, name, bytes, len);
	kvr_raw_close(raw);
}

/* What LMCache writes there, read and written by somebody else. */
static void
check_names(const char *scheme, const char *mark, const char *value)
{
	struct bed b;
	struct load l = load_new(1, 4000);
	uint8_t head[28];
	up(&b, scheme, KVR_FORMAT_LMCACHE);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	expect_name(value, l.len, l.bytes);
	expect_name(mark, sizeof(head), NULL);
	struct kvr_raw *raw = kvr_cluster_raw(kvr_cluster_owner(kvr_slot_of(mark, strlen(mark))));
	memcpy(head, kvr_raw_get(raw, mark).bytes, sizeof(head));
	kvr_raw_close(raw);
	kvr_cluster_flush();
	store_name(value, l.bytes, l.len);
	store_name(mark, head, sizeof(head));
	load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
}

START_TEST(names_are_those_of_lmcache)
{
	check_names("redis-cluster", "m@1@0@0@halfmetadata", "m@1@0@0@halfkv_bytes");
	check_names("valkey-cluster", "{m@1@0@0@half}:metadata", "{m@1@0@0@half}:kv_bytes");
	/* Two nodes there, one here. */
	ck_assert_uint_ne(
	    kvr_slot_of("m@1@0@0@halfmetadata", 20), kvr_slot_of("m@1@0@0@halfkv_bytes", 20));
	ck_assert_uint_eq(
	    kvr_slot_of("{m@1@0@0@half}:metadata", 23), kvr_slot_of("{m@1@0@0@half}:kv_bytes", 23));
}
END_TEST

/* A header whose payload is gone is deleted by whoever follows Redis' LMCache. */
START_TEST(half_a_chunk_is_a_miss)
{
	struct bed b;
	struct load l = load_new(1, 4000);
	const char *mark = "m@1@0@0@halfmetadata", *value = "m@1@0@0@halfkv_bytes";
	up(&b, "redis-cluster", KVR_FORMAT_LMCACHE);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	struct kvr_raw *raw = kvr_cluster_raw(kvr_cluster_owner(kvr_slot_of(value, strlen(value))));
	ck_assert_int_eq(kvr_raw(raw, "DEL m@1@0@0@halfkv_bytes").n, 1);
	kvr_raw_close(raw);
	bed_ok(&b, KVR_VERB_GET, l.items, 1);
	bed_status(&l.items[0], KVR_E_MISS);
	raw = kvr_cluster_raw(kvr_cluster_owner(kvr_slot_of(mark, strlen(mark))));
	ck_assert_int_eq(kvr_raw_get(raw, mark).kind, '0');
	kvr_raw_close(raw);
	bed_down(&b);
	load_free(&l);
}
END_TEST

/* The slot of the name that holds the payload of item i. */
static int
slot_of(const struct load *l, uint32_t i, uint32_t format)
{
	static const char *const behind[] = { [KVR_FORMAT_LMCACHE] = "kv_bytes",
		[KVR_FORMAT_BARE] = "",
		[KVR_FORMAT_SEALED] = "@kvr%1" };
	char name[64];
	int len = snprintf(name, sizeof(name), "%s%s", l->items[i].key, behind[format]);
	return kvr_slot_of(name, (size_t)len);
}

/* A slot goes to the next node while its keys are in use: before, on its way, and after. */
static void
check_move(uint32_t format)
{
	struct bed b;
	struct load l = load_new(60, 3000);
	int slot = slot_of(&l, 7, format), from = kvr_cluster_owner(slot);
	int to = (from + 1) % KVR_CLUSTER_MASTERS;
	up(&b, "redis-cluster", format);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	all_ok(&l);
	kvr_cluster_begin_move(slot, from, to);
	load_get(&b, &l); /* still there */
	kvr_cluster_move_keys(slot, from, to);
	load_get(&b, &l); /* ASK */
	bed_ok(&b, KVR_VERB_EXISTS, l.items, l.n);
	all_ok(&l);
	bed_ok(&b, KVR_VERB_STAT, l.items, l.n);
	all_ok(&l);
	bed_ok(&b, KVR_VERB_DEL, &l.items[7], 1);
	bed_status(&l.items[7], KVR_OK);
	load_fill(&l);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n); /* a new key goes to where the slot goes */
	all_ok(&l);
	load_get(&b, &l);
	kvr_cluster_end_move(slot, from, to);
	load_get(&b, &l); /* MOVED */
	kvr_cluster_move(slot, to, from);
	load_fill(&l);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	all_ok(&l);
	load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
}

START_TEST(slots_move_while_they_are_used)
{
	for (size_t f = 0; f < KVR_LEN(formats); f++)
		check_move(formats[f]);
}
END_TEST

/* Values of several pieces, of which each is a command of its own. */
static void
check_pieces(uint32_t format)
{
	struct bed b;
	struct load l = load_new(3, (size_t)KVR_MIB(9));
	int slot = slot_of(&l, 1, format), from = kvr_cluster_owner(slot);
	int to = (from + 1) % KVR_CLUSTER_MASTERS;
	up(&b, "redis-cluster", format);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	kvr_cluster_begin_move(slot, from, to);
	kvr_cluster_move_keys(slot, from, to);
	load_get(&b, &l);
	kvr_cluster_end_move(slot, from, to);
	load_get(&b, &l);
	kvr_cluster_move(slot, to, from);
	load_get(&b, &l);
	bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
	bed_down(&b);
	load_free(&l);
}

START_TEST(large_values_follow_their_slot)
{
	for (size_t f = 0; f < KVR_LEN(formats); f++)
		check_pieces(formats[f]);
}
END_TEST

static enum kvr_err
run_for(struct bed *b, enum kvr_verb verb, struct load *l, uint64_t ns)
{
	for (uint32_t i = 0; i < l->n; i++)
		atomic_store(&l->items[i].status, KVR_PENDING);
	return b->ops->run(b->lane, verb, l->items, l->n, bed_in(ns));
}

/* Items of the node are err, all others OK and right. */
static void
check_split(struct load *l, uint32_t format, int sick, int32_t err, int32_t or_err)
{
	for (uint32_t i = 0; i < l->n; i++) {
		bool hit = kvr_cluster_owner(slot_of(l, i, format)) == sick;
		int32_t is = kvr_item_status(&l->items[i]);
		ck_assert_msg(hit ? is == err || is == or_err : is == KVR_OK, "%s is %s",
		    l->items[i].key, kvr_err_name(is));
		ck_assert(hit || load_same(l, i));
	}
}

/* It costs its own keys: first their deadline, and then nothing but an answer at once. */
START_TEST(a_node_that_stands_still_costs_its_own_keys)
{
	struct bed b;
	struct load l = load_new(90, 2000);
	char url[192];
	snprintf(url, sizeof(url), "%s", kvr_cluster_set->url);
	struct kvr_store_opts o = bed_opts(url, KVR_FORMAT_SEALED);
	o.password = KVR_CLUSTER_PASSWORD;
	o.connect_ns = KVR_SEC(3);
	kvr_cluster_flush();
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	kvr_redis_server_pause(kvr_cluster_set->node[1]);
	load_wipe(&l);
	ck_assert_int_eq(run_for(&b, KVR_VERB_GET, &l, KVR_SEC(8)), KVR_OK);
	check_split(&l, KVR_FORMAT_SEALED, 1, KVR_E_TIMEOUT, KVR_E_TIMEOUT);
	/* It has been silent for longer than a dial may take. */
	uint64_t start_ns = kvr_now_ns();
	load_wipe(&l);
	ck_assert_int_eq(run_for(&b, KVR_VERB_GET, &l, BED_LONG), KVR_OK);
	check_split(&l, KVR_FORMAT_SEALED, 1, KVR_E_DOWN, KVR_E_DOWN);
	ck_assert_uint_lt(kvr_now_ns() - start_ns, KVR_SEC(10));
	/* Of six nodes somebody has to look for one. */
	snprintf(url, sizeof(url), "127.0.0.1:%u", kvr_cluster_set->node[1]->port);
	ck_assert_msg(strstr(b.ops->why(b.lane), url) != NULL, "%s", b.ops->why(b.lane));
	kvr_redis_server_resume(kvr_cluster_set->node[1]);
	/* Found again by a call, without anybody else's help. */
	for (uint64_t end_ns = bed_in(BED_LONG);;) {
		ck_assert_uint_lt(kvr_now_ns(), end_ns);
		ck_assert_int_eq(run_for(&b, KVR_VERB_EXISTS, &l, BED_LONG), KVR_OK);
		uint32_t n_ok = 0;
		for (uint32_t i = 0; i < l.n; i++)
			n_ok += kvr_item_status(&l.items[i]) == KVR_OK;
		if (n_ok == l.n)
			break;
	}
	load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
}
END_TEST

/*
 * However much time the caller has: what it waits for in vain, others wait for the lane. Of a short
 * time a quarter is left when the node is given up, of a long one all but what a dial may take.
 */
START_TEST(a_silent_node_does_not_keep_the_lane)
{
	static const uint64_t connect_ns[] = { KVR_SEC(3), KVR_SEC(60) };
	static const uint64_t budget_ns[] = { BED_LONG, KVR_SEC(5) };
	struct load l = load_new(90, 2000);
	kvr_cluster_flush();
	for (size_t i = 0; i < KVR_LEN(connect_ns); i++) {
		struct bed b;
		struct kvr_store_opts o = bed_opts(kvr_cluster_set->url, KVR_FORMAT_SEALED);
		o.password = KVR_CLUSTER_PASSWORD;
		o.connect_ns = connect_ns[i];
		bed_up(&b, &o);
		load_fill(&l);
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		kvr_redis_server_pause(kvr_cluster_set->node[1]);
		load_wipe(&l);
		uint64_t until_ns = bed_in(budget_ns[i]);
		ck_assert_int_eq(run_for(&b, KVR_VERB_GET, &l, budget_ns[i]), KVR_OK);
		ck_assert_uint_lt(kvr_now_ns(), until_ns);
		check_split(&l, KVR_FORMAT_SEALED, 1, KVR_E_TIMEOUT, KVR_E_TIMEOUT);
		ck_assert_ptr_nonnull(strstr(b.ops->why(b.lane), "silent for "));
		kvr_redis_server_resume(kvr_cluster_set->node[1]);
		bed_down(&b);
	}
	load_free(&l);
}
END_TEST

/* Connections that the server has closed meanwhile are made again, and nobody notices. */
START_TEST(connections_that_lay_idle_are_made_again)
{
	struct bed b;
	struct load l = load_new(60, 500);
	up(&b, "redis-cluster", KVR_FORMAT_LMCACHE);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	for (int node = 0; node < KVR_CLUSTER_MASTERS; node++) {
		struct kvr_raw *raw = kvr_cluster_raw(node);
		ck_assert_int_eq(kvr_raw(raw, "CLIENT KILL TYPE normal").kind, ':');
		kvr_raw_close(raw);
	}
	load_get(&b, &l);
	load_fill(&l);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	all_ok(&l);
	bed_down(&b);
	load_free(&l);
}
END_TEST

START_TEST(a_deadline_and_a_kick_end_a_batch)
{
	struct bed b;
	struct load l = load_new(60, 2000);
	up(&b, "redis-cluster", KVR_FORMAT_SEALED);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	atomic_store(&b.kick.target, b.kick.current);
	ck_assert_int_eq(run_for(&b, KVR_VERB_GET, &l, BED_LONG), KVR_E_CANCELLED);
	atomic_store(&b.kick.target, 0);
	ck_assert_int_eq(
	    b.ops->run(b.lane, KVR_VERB_GET, l.items, l.n, kvr_now_ns() - 1), KVR_E_TIMEOUT);
	bed_status(&l.items[0], KVR_PENDING);
	load_get(&b, &l); /* and the lane is as good as before */
	bed_down(&b);
	load_free(&l);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_cluster", every_verb_in_every_layout,
    resp3_is_spoken_with_every_node, names_are_those_of_lmcache, half_a_chunk_is_a_miss,
    slots_move_while_they_are_used, large_values_follow_their_slot,
    a_node_that_stands_still_costs_its_own_keys, a_silent_node_does_not_keep_the_lane,
    connections_that_lay_idle_are_made_again, a_deadline_and_a_kick_end_a_batch)
