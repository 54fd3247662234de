/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the audit share. */
#ifndef KVR_AUDIT_H
#define KVR_AUDIT_H

#include <pthread.h>

#include "kvr_index.h"
#include "kvr_tls_lib.h"

/*
 * LMCache's map grows without bound; this one forgets the oldest key, which is then not compared.
 */
enum { KVR_AUDIT_SUMS = 65536 };

/* The sums of what this process has put, for all lanes. */
struct kvr_audit_sums {
	pthread_mutex_t lock;
	struct kvr_index index;
};

KVR_MUST_USE enum kvr_err kvr_audit_sums_open(struct kvr_audit_sums *); /* KVR_E_NOMEM */
void kvr_audit_sums_close(struct kvr_audit_sums *);
void kvr_audit_sums_set(struct kvr_audit_sums *, const char *key, uint32_t key_len,
    const uint8_t bytes[KVR_SHA256_LEN]);
void kvr_audit_sums_forget(struct kvr_audit_sums *, const char *key, uint32_t key_len);
/* False also for an unknown key. */
bool kvr_audit_sums_differ(struct kvr_audit_sums *, const char *key, uint32_t key_len,
    const uint8_t bytes[KVR_SHA256_LEN]);

#endif
