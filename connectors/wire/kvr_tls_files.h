/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a TLS context as it keeps them, and whether its files are still the same. */
#ifndef KVR_TLS_FILES_H
#define KVR_TLS_FILES_H

#include "kvr_connector.h"

enum { KVR_TLS_CA, KVR_TLS_CRL, KVR_TLS_CERT, KVR_TLS_KEY, KVR_TLS_FILES_N };

/* What tells one version of a file from the next; a replaced one has another inode. */
struct kvr_tls_stamp {
	uint64_t device, inode, size;
	int64_t  changed_s, changed_ns;
};

struct kvr_tls_files {
	struct kvr_tls_opts  opts; /* with texts of its own */
	struct kvr_tls_stamp stamp[KVR_TLS_FILES_N];
};

KVR_MUST_USE enum kvr_err kvr_tls_files_take(
    struct kvr_tls_files *ret, const struct kvr_tls_opts *, char *why, size_t why_cap);
void kvr_tls_files_drop(struct kvr_tls_files *);
/* Stamps of now. A file that is not there has a stamp of zeroes: reading it says why. */
void kvr_tls_files_look(const struct kvr_tls_files *, struct kvr_tls_stamp *ret);

/*
 * read for path, or for each file of the directory that it is; those that begin with a dot are
 * left out. Stops at the first false.
 */
bool kvr_tls_files_each(const char *path, bool (*read)(const char *file, void *arg), void *arg);

#endif
