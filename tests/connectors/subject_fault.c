/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store that fails on purpose, with scripts that let nothing fail: it must be as if it were not
 * there.
 */
#include "kvr_subject.h"

#include <stdio.h>
#include <string.h>

#include "kvr_connectors.h"
#include "kvr_redis_server.h"
#include "kvr_tmp_dir.h"

KVR_NEEDS_REDIS

static struct kvr_redis_server *server;
static char path[256], url[300];

static void
script(struct kvr_store_opts *opts, const char *text)
{
	const char *dir = kvr_tmp_dir_make();

	kvr_file_write(dir, "faults", text, strlen(text));
	snprintf(path, sizeof(path), "%s/faults", dir);
	snprintf(url, sizeof(url), "fs://%s/values", dir);
	opts->faults = path;
	opts->url = url;
}

static void
begin_later(struct kvr_store_opts *opts)
{
	script(opts, "60min down\n");
	opts->url = "memory://";
}

static void
begin_fs(struct kvr_store_opts *opts)
{
	script(opts, "0s pass\n60min down\n");
}

/* Chances of none in a hundred, a wait of almost nothing, item by item at the speed of memory. */
static void
begin_harmless(struct kvr_store_opts *opts)
{
	script(opts,
	    "seed 7\n0s delay 1us to 20us\n0s drip 64GiB/s\n0s drop 0%\n0s reset 0%\n0s flip 0%\n"
	    "0s truncate 0%\n0s error OOM 0%\n");
	server = kvr_redis_server_start(NULL, NULL);
	opts->url = server->url;
}

static void
end(void)
{
	kvr_redis_server_stop(server);
	server = NULL;
	kvr_tmp_dir_remove();
}

#define AROUND(n, o, f, b)                                                                         \
	.name = (n), .ops = &kvr_fault_ops, .inner = &(o), .format = (f), .begin = (b), .end = end

const struct kvr_subject kvr_subjects[] = {
	{ AROUND("faults around memory bare", kvr_memory_ops, KVR_FORMAT_BARE, begin_later),
	    .any_key = true, .keeps_shape = true, .keeps_raw = true },
	{ AROUND("faults around fs sealed", kvr_fs_ops, KVR_FORMAT_SEALED, begin_fs),
	    .any_key = true, .keeps_shape = true, .keeps_raw = true, .outlives = true },
	{ AROUND("faults without harm around redis sealed", kvr_redis_ops, KVR_FORMAT_SEALED,
	      begin_harmless),
	    .any_key = true, .keeps_shape = true, .keeps_raw = true, .outlives = true },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
