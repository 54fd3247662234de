/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_stores.h"

#include "kvr_check.h"
#include "kvr_redis_server.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>

struct kvr_store_bed {
	enum kvr_store_kind kind;
	char dir[64], url[96];
	struct kvr_redis_server *server;
};

struct kvr_store_bed *
kvr_store_bed_open(enum kvr_store_kind kind)
{
	struct kvr_store_bed *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	b->kind = kind;
	if (kind == KVR_STORE_REDIS && kvr_redis_server_missing()) {
		fprintf(stderr, "without redis: redis-server is not installed\n");
		free(b);
		return NULL;
	}
	if (kind == KVR_STORE_REDIS) {
		b->server = kvr_redis_server_start(NULL, NULL);
		snprintf(b->url, sizeof(b->url), "%s", b->server->url);
	} else if (kind == KVR_STORE_FS) {
		snprintf(b->dir, sizeof(b->dir), "/tmp/kvr-api-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(b->dir));
		snprintf(b->url, sizeof(b->url), "fs://%s", b->dir);
	} else {
		snprintf(b->url, sizeof(b->url), "memory://");
	}
	return b;
}

const char *
kvr_store_bed_url(const struct kvr_store_bed *b)
{
	return b->url;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void
kvr_store_bed_close(struct kvr_store_bed *take)
{
	if (take->server != NULL)
		kvr_redis_server_stop(take->server);
	if (take->dir[0] != '\0')
		nftw(take->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(take);
}
