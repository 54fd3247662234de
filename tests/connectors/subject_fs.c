/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_subject.h"

#include <stdio.h>

#include "kvr_connectors.h"
#include "kvr_tmp_dir.h"

static char url[1024];

static void
begin(struct kvr_store_opts *opts)
{
	/* Not there yet, nor its parent: both are made. */
	snprintf(url, sizeof(url), "fs://%s/made/here", kvr_tmp_dir_make());
	opts->url = url;
}

static void
begin_counted(struct kvr_store_opts *opts)
{
	begin(opts);
	opts->capacity = KVR_MIB(200);
	opts->free_floor = 4096;
}

static void
begin_split(struct kvr_store_opts *opts)
{
	const char *dir = kvr_tmp_dir_make();

	/* With the host and port that LMCache's parser demands. */
	snprintf(url, sizeof(url), "fs://host:1%s/p0,%s/p1,%s/p2", dir, dir, dir);
	opts->url = url;
}

static void
begin_direct(struct kvr_store_opts *opts)
{
	begin(opts);
	opts->direct = true;
}

static void
begin_headless(struct kvr_store_opts *opts)
{
	begin(opts);
	opts->no_chunk_meta = true;
	opts->tmp_dir = "tmp";
}

static void
end(void)
{
	kvr_tmp_dir_remove();
}

#define FS(n, f, b) \
	.name = (n), .ops = &kvr_fs_ops, .format = (f), .begin = (b), .end = end, .outlives = true

const struct kvr_subject kvr_subjects[] = {
	{ FS("fs sealed", KVR_FORMAT_SEALED, begin), .any_key = true, .keeps_shape = true,
	    .keeps_raw = true },
	{ FS("fs sealed, counted", KVR_FORMAT_SEALED, begin_counted), .any_key = true,
	    .keeps_shape = true, .keeps_raw = true },
	{ FS("fs sealed, split", KVR_FORMAT_SEALED, begin_split), .any_key = true,
	    .keeps_shape = true, .keeps_raw = true },
	{ FS("fs sealed, direct", KVR_FORMAT_SEALED, begin_direct), .any_key = true,
	    .keeps_shape = true, .keeps_raw = true },
	{ FS("fs bare", KVR_FORMAT_BARE, begin) },
	{ FS("fs lmcache", KVR_FORMAT_LMCACHE, begin), .keeps_shape = true },
	{ FS("fs lmcache, split", KVR_FORMAT_LMCACHE, begin_split), .keeps_shape = true },
	{ FS("fs lmcache, no header, tmp_dir", KVR_FORMAT_LMCACHE, begin_headless) },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
