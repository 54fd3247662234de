/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a TLS context with their own copies, and whether their files have changed. */
#ifndef KVR_TLS_FILES_H
#define KVR_TLS_FILES_H

#include "kvr_connector.h"

enum { KVR_TLS_CA, KVR_TLS_CRL, KVR_TLS_CERT, KVR_TLS_KEY, KVR_TLS_FILES_N };

/* Distinguishes versions of a file; a replaced file has another inode. */
struct kvr_tls_stamp {
	uint64_t device, inode, size;
	int64_t  changed_s, changed_ns;
};

struct kvr_tls_files {
	struct kvr_tls_opts  opts; /* with its own copies of the texts */
	struct kvr_tls_stamp stamp[KVR_TLS_FILES_N];
};

KVR_MUST_USE enum kvr_err kvr_tls_files_take(
    struct kvr_tls_files *ret, const struct kvr_tls_opts *, char *why, size_t why_cap);
void kvr_tls_files_drop(struct kvr_tls_files *);
/* The stamps now. A missing file has a stamp of zeros; reading it says why. */
void kvr_tls_files_look(const struct kvr_tls_files *, struct kvr_tls_stamp *ret);

/*
 * Calls read for path or, if path is a directory, for each of its files; those that begin with a
 * dot are left out. Stops at the first false.
 */
bool kvr_tls_files_each(const char *path, bool (*read)(const char *file, void *arg), void *arg);

#endif
