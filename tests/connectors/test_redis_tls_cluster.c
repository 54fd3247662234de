/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rediss-cluster:// and valkeys-cluster:// over six real nodes that speak TLS with each other too:
 * the map and every redirection lead to ports of TLS, and each node is examined like any server.
 */
#include "kvr_tls_bed.h"

#include <poll.h>

#include "kvr_cluster_set.h"
#include "kvr_topology.h"

/* After the authorities, which the bed makes first. */
__attribute__((constructor)) static void
start_set(void)
{
	kvr_cluster_set_start_tls(ca, "server");
}

__attribute__((destructor)) static void
stop_set(void)
{
	kvr_cluster_set_stop();
}

enum { N = 60, EACH = 3000 };

static struct kvr_store_opts
cluster_opts(uint32_t format)
{
	struct kvr_store_opts o = bed_opts(kvr_cluster_set->url, format);
	o.password = KVR_CLUSTER_PASSWORD;
	o.tls.ca = kvr_test_ca_file(ca, "ca.pem");
	o.connect_ns = KVR_SEC(20);
	return o;
}

START_TEST(every_layout_goes_through)
{
	static const char *const schemes[] = { "rediss-cluster", "valkeys-cluster" };
	char url[224];
	for (size_t i = 0; i < KVR_LEN(schemes); i++)
		for (uint32_t format = KVR_FORMAT_LMCACHE; format <= KVR_FORMAT_SEALED; format++) {
			struct kvr_store_opts o = cluster_opts(format);
			struct bed b;
			snprintf(
			    url, sizeof(url), "%s://%.180s", schemes[i], kvr_cluster_set->hosts);
			o.url = url;
			bed_up(&b, &o);
			tls_round_trip(&b, N, EACH);
			bed_down(&b);
		}
}
END_TEST

/* Nor does anybody get in who does not speak TLS. */
START_TEST(nobody_is_believed_without_the_ca)
{
	struct kvr_store_opts o = cluster_opts(KVR_FORMAT_SEALED);
	o.tls.ca = kvr_test_ca_file(other_ca, "ca.pem");
	tls_refused(&o, KVR_E_AUTH, "unknown CA");
	o = cluster_opts(KVR_FORMAT_SEALED);
	char url[64];
	snprintf(url, sizeof(url), "redis-cluster://127.0.0.1:%u", kvr_cluster_set->tls[0]->port);
	o.url = url;
	o.tls.ca = NULL;
	o.connect_ns = KVR_SEC(30);
	tls_refused(&o, KVR_E_DOWN, "127.0.0.1:");
}
END_TEST

/* An empty slot goes to another node, so whoever asks the old one is sent on by its port of TLS. */
START_TEST(redirections_lead_to_ports_of_tls)
{
	struct kvr_store_opts o = cluster_opts(KVR_FORMAT_SEALED);
	struct load l = load_new(N, EACH);
	struct bed b;
	char name[64];
	kvr_cluster_flush();
	bed_up(&b, &o);
	for (uint32_t i = 0; i < 6; i++) {
		int len = snprintf(name, sizeof(name), "%s@kvr%%1", l.items[i].key);
		int slot = kvr_slot_of(name, (size_t)len), from = kvr_cluster_owner(slot);
		int to = (from + 1) % KVR_CLUSTER_MASTERS;
		kvr_cluster_begin_move(slot, from, to);
		bed_ok(&b, KVR_VERB_PUT, &l.items[i], 1); /* ASK */
		bed_status(&l.items[i], KVR_OK);
		kvr_cluster_end_move(slot, from, to);
		bed_ok(&b, KVR_VERB_EXISTS, &l.items[i], 1); /* MOVED */
		bed_status(&l.items[i], KVR_OK);
	}
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
}
END_TEST

/* Last, for it costs the set a master. Its replica takes over, at a port of TLS. */
START_TEST(a_master_dies_and_its_replica_is_found)
{
	struct kvr_store_opts o = cluster_opts(KVR_FORMAT_SEALED);
	struct load l = load_new(N, EACH);
	struct bed b;
	uint32_t n_ok = 0;
	o.replicas = true;
	bed_up(&b, &o);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	load_get(&b, &l);
	kvr_cluster_wait_known(0);
	kvr_redis_server_kill(kvr_cluster_set->node[0]);
	kvr_cluster_take_over(0);
	for (uint64_t end_ns = bed_in(BED_LONG); n_ok < l.n; poll(NULL, 0, 20)) {
		ck_assert_msg(kvr_now_ns() < end_ns, "%u of %u, %s", n_ok, l.n, b.ops->why(b.lane));
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		n_ok = 0;
		for (uint32_t i = 0; i < l.n; i++)
			n_ok += kvr_item_status(&l.items[i]) == KVR_OK;
	}
	load_get(&b, &l);
	bed_down(&b);
	load_free(&l);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_tls_cluster", every_layout_goes_through,
    nobody_is_believed_without_the_ca, redirections_lead_to_ports_of_tls,
    a_master_dies_and_its_replica_is_found)
