/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fs_bed.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kvr_connectors.h"

void
kvr_fs_bed_make(struct kvr_fs_bed *b, uint32_t format)
{
	memset(b, 0, sizeof(*b));
	b->dir = kvr_tmp_dir_make();
	snprintf(b->url, sizeof(b->url), "fs://%s", b->dir);
	b->opts = (struct kvr_store_opts){ .tier = "bed", .url = b->url, .format = format,
		.n_groups = 1 };
	kvr_kick_open(&b->kick);
}

void
kvr_fs_bed_open(struct kvr_fs_bed *b)
{
	int err = kvr_fs_ops.open(&b->opts, &b->store, b->why, sizeof(b->why));

	ck_assert_msg(err == KVR_OK, "%s", b->why);
	err = kvr_fs_ops.dial(b->store, kvr_soon(), &b->kick, &b->lane, b->why, sizeof(b->why));
	ck_assert_msg(err == KVR_OK, "%s", b->why);
}

void
kvr_fs_bed_close(struct kvr_fs_bed *b)
{
	kvr_fs_ops.hang_up(b->lane);
	kvr_fs_ops.close(b->store);
	b->lane = NULL;
	b->store = NULL;
}

void
kvr_fs_bed_remove(struct kvr_fs_bed *b)
{
	kvr_fs_bed_close(b);
	kvr_kick_close(&b->kick);
	kvr_tmp_dir_remove();
}

int32_t
kvr_fs_bed_put(struct kvr_fs_bed *b, const char *key, size_t len, uint64_t number)
{
	uint8_t *buf = malloc(len + 1);

	kvr_fill(buf, len, number);
	int32_t status = kvr_put1(b->lane, &kvr_fs_ops, key, buf, len);
	free(buf);
	return status;
}

int32_t
kvr_fs_bed_get(struct kvr_fs_bed *b, const char *key, size_t len, uint64_t number)
{
	uint8_t *buf = calloc(1, len + 1);
	int32_t  status = kvr_get1(b->lane, &kvr_fs_ops, key, buf, len, 0, NULL);

	ck_assert(status != KVR_OK || kvr_filled(buf, len, number));
	free(buf);
	return status;
}

bool
kvr_fs_bed_has(struct kvr_fs_bed *b, const char *key)
{
	return kvr_ask1(b->lane, &kvr_fs_ops, KVR_VERB_EXISTS, key) == KVR_OK;
}

uint64_t
kvr_fs_bed_bytes(const struct kvr_fs_bed *b)
{
	struct dirent *entry;
	struct stat    st;
	uint64_t       sum = 0;
	DIR           *dir = opendir(b->dir);

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	closedir(dir);
	return sum;
}
