/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tls_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool
copy(const char *from, const char **ret)
{
	*ret = from != NULL ? strdup(from) : NULL;
	return from == NULL || *ret != NULL;
}

enum kvr_err
kvr_tls_files_take(
    struct kvr_tls_files *ret, const struct kvr_tls_opts *o, char *why, size_t why_cap)
{
	struct kvr_tls_files f = { .opts = { .no_verify = o->no_verify,
		.no_host_check = o->no_host_check } };
	bool all = copy(o->ca, &f.opts.ca);

	if (o->key != NULL && o->cert == NULL) {
		snprintf(why, why_cap, "tls.key: a key is of no use without tls.cert");
		kvr_tls_files_drop(&f);
		return KVR_E_CONFIG;
	}
	if (o->crl != NULL && o->no_verify) {
		snprintf(why, why_cap, "tls.crl: of no use where no certificate is verified");
		kvr_tls_files_drop(&f);
		return KVR_E_CONFIG;
	}
	all = copy(o->crl, &f.opts.crl) && all;
	all = copy(o->cert, &f.opts.cert) && all;
	all = copy(o->key != NULL ? o->key : o->cert, &f.opts.key) && all;
	all = copy(o->server_name, &f.opts.server_name) && all;
	if (!all) {
		snprintf(why, why_cap, "no memory for TLS");
		kvr_tls_files_drop(&f);
		return KVR_E_NOMEM;
	}
	*ret = f;
	return KVR_OK;
}

static void
drop(const char **text)
{
	free((void *)(uintptr_t)*text);
	*text = NULL;
}

void
kvr_tls_files_drop(struct kvr_tls_files *f)
{
	drop(&f->opts.ca);
	drop(&f->opts.crl);
	drop(&f->opts.cert);
	drop(&f->opts.key);
	drop(&f->opts.server_name);
}

bool
kvr_tls_files_each(const char *path, bool (*read)(const char *file, void *arg), void *arg)
{
	char file[4096];
	struct stat st;
	bool on = true;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return read(path, arg);
	for (const struct dirent *d; on && (d = readdir(dir)) != NULL;) {
		int len = snprintf(file, sizeof(file), "%s/%s", path, d->d_name);

		if (d->d_name[0] == '.' || len < 0 || (size_t)len >= sizeof(file))
			continue;
		if (stat(file, &st) != 0 || S_ISREG(st.st_mode))
			on = read(file, arg);
	}
	closedir(dir);
	return on;
}

/* A sum, which does not depend on the order: a directory may list its files in any order. */
static bool
add_file(const char *file, void *arg)
{
	struct kvr_tls_stamp *sum = arg;
	struct stat st;

	if (stat(file, &st) != 0)
		return true;
	sum->inode += (uint64_t)st.st_ino;
	sum->size += (uint64_t)st.st_size;
	sum->changed_s += st.st_mtim.tv_sec;
	sum->changed_ns += st.st_mtim.tv_nsec;
	return true;
}

void
kvr_tls_files_look(const struct kvr_tls_files *f, struct kvr_tls_stamp *ret)
{
	const char *const path[KVR_TLS_FILES_N] = { [KVR_TLS_CA] = f->opts.ca,
		[KVR_TLS_CRL] = f->opts.crl, [KVR_TLS_CERT] = f->opts.cert,
		[KVR_TLS_KEY] = f->opts.key };

	/* Stamps are compared as bytes, so padding must be written too. */
	memset(ret, 0, sizeof(*ret) * KVR_TLS_FILES_N);
	for (uint32_t i = 0; i < KVR_TLS_FILES_N; i++) {
		struct stat st;

		if (path[i] == NULL || stat(path[i], &st) != 0)
			continue;
		ret[i].device = st.st_dev;
		ret[i].inode = st.st_ino;
		ret[i].size = (uint64_t)st.st_size;
		ret[i].changed_s = st.st_mtim.tv_sec;
		ret[i].changed_ns = st.st_mtim.tv_nsec;
		/* Overwriting a list in place does not change its directory. */
		if (i == KVR_TLS_CRL && S_ISDIR(st.st_mode))
			(void)kvr_tls_files_each(path[i], add_file, &ret[i]);
	}
}
