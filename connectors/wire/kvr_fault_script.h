/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time line of a rehearsed outage: what a store does wrong, and from when on.
 *
 *   # from    fault
 *   0s        delay 5ms to 20ms
 *   10s       error OOM 50% on put
 *   10s       flip 1%
 *   20s       down
 *   30s       pass
 *   60s       repeat
 *
 * Times count from the opening of the store and do not go back. What a line says holds until the
 * next instant; lines of one instant hold together. A fault without a percentage always happens.
 *
 *   pass                nothing is wrong
 *   down                nobody is there: no connection comes up, those that are up are lost
 *   hang                no answer, and no end of the connection either
 *   delay T [to T]      every batch waits so long first
 *   drip SIZE/s         payload moves no faster than that
 *   drop [N%]           a batch does not reach the store, and the connection is lost
 *   reset [N%]          the connection is lost in the middle of a batch
 *   error CODE [N%]     a key is answered with an error, in the words of RESP: OOM, LOADING, ...
 *   truncate [N%]       a value that is read ends early
 *   flip [N%]           one bit of a value that is read is another one
 *   repeat              the time line begins again
 *   seed N              before all others: which batches and bytes are met
 *
 * "on get,put,lookup,remove,size" behind delay, drip, drop, reset, error and hang: only those.
 * Nothing is ever written into a store that would not have been written without a script.
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

/* Bits of `verbs`, in the words of a script. */
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
	uint64_t least, most; /* DELAY: nanoseconds. DRIP: least bytes a second */
	uint32_t kind;        /* enum kvr_fault_kind */
	uint32_t verbs;
	uint32_t ppm;  /* how many of a million it meets */
	uint32_t line; /* in the script, for messages */
	char code[16]; /* ERROR */
};

struct kvr_fault_script {
	uint64_t seed;
	uint64_t period_ns; /* 0: it does not repeat */
	uint32_t n, spare;
	struct kvr_fault fault[KVR_FAULTS_MAX];
};

/* What is wrong with a text, counted from 1. */
struct kvr_fault_wrong {
	uint32_t line, column;
	char what[160];
};

/* False: *ret_wrong says where and what. */
KVR_MUST_USE bool kvr_fault_script_parse(
    const char *text, size_t len, struct kvr_fault_script *ret, struct kvr_fault_wrong *ret_wrong);

/* What holds at that time after the opening: the count of faults behind *ret_first; 0: nothing. */
uint32_t kvr_fault_script_now(
    const struct kvr_fault_script *, uint64_t since_ns, const struct kvr_fault **ret_first);

const char *kvr_fault_name(uint32_t kind); /* "delay" */

#endif
