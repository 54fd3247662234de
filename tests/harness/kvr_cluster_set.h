/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real cluster of six nodes on free loopback ports: three masters with a third of the slots each,
 * and a replica of each. All want the password "secret". None of them gives another up, however
 * busy the machine is, nor takes over, until a test says so.
 *
 * It is started once for a test program, before main, by KVR_NEEDS_CLUSTER, and shared by its
 * tests, each of which is a process of its own. What one of them kills stays dead for those after
 * it.
 */
#ifndef KVR_HARNESS_CLUSTER_SET_H
#define KVR_HARNESS_CLUSTER_SET_H

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"
#include "kvr_test_ca.h"

enum { KVR_CLUSTER_MASTERS = 3, KVR_CLUSTER_MEMBERS = 6, KVR_CLUSTER_SLOTS = 16384 };

struct kvr_cluster_set {
	pid_t owner;                                        /* who started it and will stop it */
	struct kvr_redis_server *node[KVR_CLUSTER_MEMBERS]; /* the first three are the masters */
	char id[KVR_CLUSTER_MEMBERS][48];
	char hosts[160]; /* host:port of all six, with commas */
	char url[192];   /* redis-cluster://hosts */
	/* Of one that speaks TLS, among its nodes too; hosts and url are then those of TLS. */
	struct kvr_tls_server *tls[KVR_CLUSTER_MEMBERS];
};

/* Of this program; NULL in one that has not said KVR_NEEDS_CLUSTER. */
extern struct kvr_cluster_set *kvr_cluster_set;
#define KVR_CLUSTER_PASSWORD "secret"

void kvr_cluster_set_start(void);
/* NAME.pem of the authority is the certificate of all nodes. Keys are not moved in this one. */
void kvr_cluster_set_start_tls(const struct kvr_test_ca *, const char *name);
void kvr_cluster_set_stop(void); /* by whoever has not started it: nothing */

/*
 * The replica of that master does now, and asks nobody. It takes what slots it knows its master by,
 * so before the master dies it has to have heard of those that were moved lately.
 */
void kvr_cluster_wait_known(int master);
void kvr_cluster_take_over(int master);

struct kvr_raw *kvr_cluster_raw(int node);
/* On all masters that live; and whoever of the nodes stands still goes on. */
void kvr_cluster_flush(void);
/* The master that has the slot at first. */
int kvr_cluster_owner(int slot);

/* Resharding in its steps. The slot is then on its way, and single keys may be sent over. */
void kvr_cluster_begin_move(int slot, int from, int to);
void kvr_cluster_move_keys(int slot, int from, int to);
void kvr_cluster_end_move(int slot, int from, int to);
/* All of them. */
void kvr_cluster_move(int slot, int from, int to);

#define KVR_NEEDS_CLUSTER                                                                          \
	KVR_NEEDS_REDIS                                                                            \
	__attribute__((constructor)) static void kvr_needs_cluster(void)                           \
	{                                                                                          \
		kvr_needs_redis();                                                                 \
		kvr_cluster_set_start();                                                           \
	}                                                                                          \
	__attribute__((destructor)) static void kvr_ends_cluster(void)                             \
	{                                                                                          \
		kvr_cluster_set_stop();                                                            \
	}

#endif
