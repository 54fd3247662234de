/* SPDX-License-Identifier: Apache-2.0 */
/* A file store with one lane in a directory of its own. */
#ifndef KVR_FS_BED_H
#define KVR_FS_BED_H

#include "kvr_fs.h"
#include "kvr_subject.h"
#include "kvr_tmp_dir.h"

struct kvr_fs_bed {
	const char           *dir;
	char                  url[512];
	struct kvr_store_opts opts;
	struct kvr_store     *store;
	struct kvr_connector *lane;
	struct kvr_kick       kick;
	char                  why[512];
};

/* Only the directory and opts. */
void kvr_fs_bed_make(struct kvr_fs_bed *, uint32_t format);
void kvr_fs_bed_open(struct kvr_fs_bed *); /* and dial */
void kvr_fs_bed_close(struct kvr_fs_bed *);
void kvr_fs_bed_remove(struct kvr_fs_bed *); /* closes too */

int32_t kvr_fs_bed_put(struct kvr_fs_bed *, const char *key, size_t len, uint64_t number);
/* KVR_OK only when the bytes are those of number. */
int32_t kvr_fs_bed_get(struct kvr_fs_bed *, const char *key, size_t len, uint64_t number);
bool    kvr_fs_bed_has(struct kvr_fs_bed *, const char *key);
/* Of all files in the directory, whatever they are called. */
uint64_t kvr_fs_bed_bytes(const struct kvr_fs_bed *);

#endif
