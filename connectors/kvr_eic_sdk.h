/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kvrelay needs of EIC's client library, as a C interface. The vendor's SDK is closed and
 * comes with its images, so kvrelay reaches it through an adapter: a shared object that includes
 * this header, links the SDK and exports one function,
 *
 *     const struct kvr_eic_sdk *kvr_eic_sdk(void);
 *
 * It is loaded when the first connection is made: from the tier's eic.library, or by the name
 * KVR_EIC_LIBRARY from the loader's search path. What the members correspond to in the SDK:
 *
 *     open    Client(), InitOption{log_dir, log_level, transport_type, flag_file}, init()
 *     reg     register_memory(buffers, MemoryInfo{type, cuda_id})
 *     mset    mset(keys, buffers, SetOption{ns, ttl_second})
 *     mget    mget(keys, GetOption{ns}, buffers)
 *     mexist  mexist(keys, ExistOption{ns})
 *     mdel    mdel(keys, DelOption{ns})
 *
 * Several threads may make the four calls with keys at once; an adapter whose SDK cannot do that
 * must lock. They may block as long as the SDK does: they are never given a caller's memory, only
 * staging, which is host memory. connectors/adapter has an adapter over the SDK's Python module.
 */
#ifndef KVR_EIC_SDK_H
#define KVR_EIC_SDK_H

#include <stddef.h>
#include <stdint.h>

#define KVR_EIC_ABI 2U
#define KVR_EIC_LIBRARY "libkvr_eic.so"
#define KVR_EIC_KEYS_MAX 256U /* per call */

enum kvr_eic_trans { KVR_EIC_TCP = 0, KVR_EIC_RDMA = 2, KVR_EIC_GDR = 3 };

/* Texts may be NULL: not given. They live as long as the client. */
struct kvr_eic_options {
	uint32_t    size; /* of this struct, as kvrelay knows it */
	int32_t     log_level;
	int32_t     trans_type;  /* enum kvr_eic_trans */
	uint32_t    spare;
	const char *instance_id; /* UUID of the cluster */
	const char *endpoint;    /* "host:port;host:port" */
	const char *log_dir, *flag_file;
};

/* The result for one key, in codes[]. */
enum kvr_eic_code {
	KVR_EIC_OK = 0,
	KVR_EIC_NOT_EXIST = 1,
	KVR_EIC_NO_SPACE = 2,
	KVR_EIC_TIMEOUT = 3,
	KVR_EIC_FAILED = 4, /* any other */
	KVR_EIC_NO_KEY = 5  /* the SDK cannot have keys like this one */
};

struct kvr_eic_buffer {
	void    *at;  /* mset: only read */
	/* mget: in: room; out: length of the value, if the SDK tells; if longer, room has its start. */
	uint64_t len;
	uint32_t registered; /* 1: lies entirely in the memory passed to reg */
	uint32_t spare;
};

struct kvr_eic_sdk {
	uint32_t abi;  /* KVR_EIC_ABI */
	uint32_t size; /* of this struct, as the adapter knows it */

	/*
	 * 0: success. Otherwise why has a sentence. The four calls with keys return 0 if codes[]
	 * has a result for each key; otherwise the call itself failed and codes[] means nothing.
	 */
	int (*open)(const struct kvr_eic_options *, void **ret_client, char *why, size_t why_cap);
	void (*close)(void *client);
	/* ns "": none. ttl_s -1: none. Keys end with a NUL. */
	int (*mset)(void *client, const char *ns, int64_t ttl_s, uint32_t n,
	    const char *const *keys, const struct kvr_eic_buffer *, int32_t *codes);
	int (*mget)(void *client, const char *ns, uint32_t n, const char *const *keys,
	    struct kvr_eic_buffer *, int32_t *codes);
	int (*mexist)(
	    void *client, const char *ns, uint32_t n, const char *const *keys, int32_t *codes);
	int (*mdel)(
	    void *client, const char *ns, uint32_t n, const char *const *keys, int32_t *codes);

	/*
	 * With KVR_EIC_GDR: memory for direct transfers. reg is called once, between open and the
	 * first call with keys; unreg after the last one. reg returns what open does; NULL: this
	 * adapter has no GDR. unreg NULL: the registration ends with the client.
	 */
	int (*reg)(void *client, void *at, uint64_t len, char *why, size_t why_cap);
	void (*unreg)(void *client, void *at, uint64_t len);
};

typedef const struct kvr_eic_sdk *kvr_eic_sdk_fn(void);

#endif
