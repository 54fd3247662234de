/* SPDX-License-Identifier: Apache-2.0 */
/* A time line of faults, as it happens to the bytes of connections: kvr_bad_net's. */
#ifndef KVR_HARNESS_NET_FAULTS_H
#define KVR_HARNESS_NET_FAULTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "kvr_fault_script.h"

struct kvr_net_faults {
	struct kvr_fault_script script;
	uint64_t begun_ns, rand;
};

/* What becomes of bytes that the server sent at once. */
struct kvr_net_chunk {
	bool hang, reset;
	uint64_t due_ns; /* not before */
	uint64_t left;   /* bytes until the connection ends; UINT64_MAX: it does not */
	uint64_t rate;   /* bytes a second; 0: no limit */
	uint64_t since_ns, sent;
};

/* False: it is wrong, and stderr has the reason. */
bool kvr_net_faults_parse(struct kvr_net_faults *ret, const char *text);
bool kvr_net_faults_down(const struct kvr_net_faults *);

/* Decides about len bytes, and flips a bit of them when one is to be flipped. */
void kvr_net_faults_meet(
    struct kvr_net_faults *, char *bytes, size_t len, struct kvr_net_chunk *ret);
/* How many of len bytes may go now; -1: the connection ends. */
ssize_t kvr_net_chunk_room(const struct kvr_net_chunk *, size_t len);
void kvr_net_chunk_sent(struct kvr_net_chunk *, size_t n);

/* For kvr_command_swap: whether the next command shall fail, and in whose name. */
int kvr_net_faults_hit_command(void *faults);
const char *kvr_net_faults_code(const struct kvr_net_faults *);

#endif
