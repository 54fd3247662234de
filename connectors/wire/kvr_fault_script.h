/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time line of a rehearsed outage: what a store does wrong, and when.
 *
 *   # from    fault
 *   0s        delay 5ms to 20ms
 *   10s       error OOM 50% on put
 *   10s       flip 1%
 *   20s       down
 *   30s       pass
 *   60s       repeat
 *
 * Times count from the opening of the store and must not decrease. A line applies until the next
 * time; lines with the same time apply together. A fault without a percentage always happens.
 *
 *   pass                nothing is wrong
 *   down                no server: no connection can be made, existing ones are lost
 *   hang                no answer, but the connection does not end either
 *   delay T [to T]      every batch first waits that long
 *   drip SIZE/s         payload moves no faster than that
 *   drop [N%]           a batch does not reach the store, and the connection is lost
 *   reset [N%]          the connection is lost in the middle of a batch
 *   error CODE [N%]     a key gets an error, named as RESP does: OOM, LOADING, ...
 *   truncate [N%]       a value that is read ends early
 *   flip [N%]           one bit of a value that is read is flipped
 *   repeat              the time line starts again
 *   seed N              before all others: decides which batches and bytes are hit
 *
 * "on get,put,lookup,remove,size" after delay, drip, drop, reset, error and hang restricts them to
 * these. Nothing is ever written into a store that would not have been written without a script.
 */
#ifndef KVR_FAULT_SCRIPT_H
#define KVR_FAULT_SCRIPT_H

#include "kvr_base.h"

enum kvr_fault_kind {
	KVR_FAULT_PASS,
	KVR_FAULT_DOWN,
	KVR_FAULT_HANG,
	KVR_FAULT_DELAY,
	KVR_FAULT_DRIP,
	KVR_FAULT_DROP,
	KVR_FAULT_RESET,
	KVR_FAULT_ERROR,
	KVR_FAULT_TRUNCATE,
	KVR_FAULT_FLIP,
	KVR_FAULT_N
};

#define KVR_FAULTS_MAX 64U
#define KVR_FAULT_PPM  1000000U

/* Bits of `verbs`, named as in a script. */
enum {
	KVR_FAULT_ON_LOOKUP = 1,
	KVR_FAULT_ON_GET = 2,
	KVR_FAULT_ON_PUT = 4,
	KVR_FAULT_ON_REMOVE = 8,
	KVR_FAULT_ON_SIZE = 16,
	KVR_FAULT_ON_ALL = 31
};

struct kvr_fault {
	uint64_t at_ns;
	uint64_t least, most; /* DELAY: nanoseconds. DRIP: least is bytes per second */
	uint32_t kind;        /* enum kvr_fault_kind */
	uint32_t verbs;
	uint32_t ppm;  /* probability in millionths */
	uint32_t line; /* in the script, for messages */
	char code[16]; /* ERROR */
};

struct kvr_fault_script {
	uint64_t seed;
	uint64_t period_ns; /* 0: it does not repeat */
	uint32_t n, spare;
	struct kvr_fault fault[KVR_FAULTS_MAX];
};

/* What is wrong with a text; line and column are counted from 1. */
struct kvr_fault_wrong {
	uint32_t line, column;
	char what[160];
};

/* False: *ret_wrong says where and what. */
KVR_MUST_USE bool kvr_fault_script_parse(
    const char *text, size_t len, struct kvr_fault_script *ret, struct kvr_fault_wrong *ret_wrong);

/* The faults that apply that long after the opening: an array at *ret_first, and its length. */
uint32_t kvr_fault_script_now(
    const struct kvr_fault_script *, uint64_t since_ns, const struct kvr_fault **ret_first);

const char *kvr_fault_name(uint32_t kind); /* "delay" */

#endif
