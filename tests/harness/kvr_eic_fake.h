/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EIC's library for tests, a shared object with an in-memory store behind the interface of adapters
 * (connectors/kvr_eic_sdk.h). What a test turns on it finds with dlsym: kvr_eic_fake. What that
 * interface does not allow is a deviation: memory that is said to be registered and is not, or lies
 * in it and is not said to, registered twice or never taken back, more keys than there may be.
 */
#ifndef KVR_HARNESS_EIC_FAKE_H
#define KVR_HARNESS_EIC_FAKE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum kvr_eic_fake_call {
	KVR_EIC_FAKE_MSET,
	KVR_EIC_FAKE_MGET,
	KVR_EIC_FAKE_MEXIST,
	KVR_EIC_FAKE_MDEL,
	KVR_EIC_FAKE_CALLS
};

struct kvr_eic_fake {
	_Atomic int32_t  fail_open, fail_reg;
	_Atomic int32_t  fail[KVR_EIC_FAKE_CALLS]; /* what the call answers */
	_Atomic int32_t  code[KVR_EIC_FAKE_CALLS]; /* and what for each every-th key */
	_Atomic uint32_t every; /* 0: for none */
	_Atomic int32_t  longer; /* bytes that mget says a value has more than it has */
	_Atomic uint32_t hold, held; /* no call returns while hold is set; so many wait */
	_Atomic int64_t  passed_s; /* time that has passed for values with a TTL */
	_Atomic uint32_t clients, calls;
	_Atomic uint32_t regs, unregs, direct; /* direct: buffers that lay in registered memory */
	_Atomic uint32_t deviations;
	char  first_deviation[160];
	void *reg_at; /* NULL: nothing is registered */
	uint64_t reg_len;
	int64_t last_ttl_s;
	char last_ns[64], endpoint[128], instance_id[64], flag_file[128], log_dir[128];
	int32_t trans_type, log_level;
};

#endif
