/* SPDX-License-Identifier: Apache-2.0 */
#include "kvrelay.h"

#include "kvr_bench_gpu.h"
#include "kvr_redis_server.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CHUNKS = 8, TMPFS_MIB = 256, BLOCKS_MAX = 64 };

static const char *const key[CHUNKS] = { "b/0", "b/1", "b/2", "b/3", "b/4", "b/5", "b/6", "b/7" };

struct engine {
	const struct bench_gpu *b;
	struct kvr *kvr;
	struct kvr_tokens tokens;
	int32_t block[BLOCKS_MAX];
	uint64_t len[CHUNKS];
	void *at[CHUNKS]; /* the same in the host's memory */
};

static double
timed(struct kvr *k, const struct kvr_batch *b)
{
	struct kvr_done d = { .size = sizeof(d) };
	uint64_t begin_ns = kvr_now_ns();
	enum kvr_err err = kvr_run(k, b, NULL, &d, NULL);

	if (err != KVR_OK)
		bench_gpu_die(d.why[0] != '\0' ? d.why : kvr_err_name(err));
	return (double)(kvr_now_ns() - begin_ns) / 1e9;
}

static void
open_engine(struct engine *e, const struct bench_gpu *b, const char *url)
{
	char json[512], why[256] = "";
	void *base = b->device;
	const struct kvr_cache_shape shape = { .size = sizeof(shape),
		.order = KVR_CACHE_BLOCKS,
		.format = KVR_FMT_KV_2LTD,
		.dtype = KVR_DT_BFLOAT16,
		.n_layers = LAYERS,
		.n_planes = PLANES,
		.n_heads = 8,
		.head_size = 128,
		.block_tokens = 16,
		.n_blocks = b->tokens / 16,
		.n_base = 1,
		.base = &base,
		.memory = gpu_is_twin() ? KVR_MEMORY_HOST : KVR_MEMORY_DEVICE };

	memset(e, 0, sizeof(*e));
	e->b = b;
	e->tokens = (struct kvr_tokens){
		.size = sizeof(e->tokens), .n = b->tokens / 16, .block = e->block
	};
	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"256MiB\",\"device\":\"%s\"},\"log\":{\"level\":\"warn\"},"
	    "\"tiers\":[{\"name\":\"a\",\"url\":\"%s\",\"format\":\"bare\"}]}",
	    gpu_is_twin() ? "none" : "cuda", url);
	const struct kvr_options o = { .size = sizeof(o), .config_text = json };

	if (kvr_open(&o, 0, &e->kvr, why, sizeof(why)) != KVR_OK)
		bench_gpu_die(why);
	if (kvr_cache_open(e->kvr, &shape, &e->tokens.cache) != KVR_OK)
		bench_gpu_die("kvr_cache_open");
	for (uint32_t i = 0; i < CHUNKS; i++) {
		e->len[i] = b->chunk_len / CHUNKS;
		e->at[i] = b->pinned + i * e->len[i];
	}
	for (uint32_t i = 0; i < e->tokens.n; i++)
		e->block[i] = (int32_t)i;
}

/* All chunks from or to the device, from or to the host's memory, and copied raw. */
static void
race(struct engine *e, uint32_t kind, const char *name)
{
	const struct bench_gpu *b = e->b;
	struct bench_gpu_race of = { .group = "stores",
		.what = name,
		.way = kind == KVR_PUT ? "put from device" : "get to device",
		.bytes = (double)b->chunk_len,
		.must = 0.9,
		.aim = 0.97 };
	const struct kvr_batch host = { .size = sizeof(host),
		.kind = kind,
		.n = CHUNKS,
		.key = key,
		.at = e->at,
		.len = e->len };
	const struct kvr_batch device = { .size = sizeof(device),
		.kind = kind,
		.n = CHUNKS,
		.key = key,
		.len = e->len,
		.tokens = &e->tokens };

	for (int r = -1; r < (int)b->rounds; r++) {
		uint32_t i = r < 0 ? 0 : (uint32_t)r;

		of.stage[0][i] = timed(e->kvr, &host);
		of.mine[i] = timed(e->kvr, &device);
		of.stage[1][i] = gpu_raw(b->device, b->pinned, b->chunk_len, 1, kind == KVR_PUT, false);
		of.raw[i] = KVR_MAX(of.stage[0][i], of.stage[1][i]);
	}
	bench_gpu_tell(b, &of);
}

static void
race_store(const struct bench_gpu *b, const char *name, const char *url)
{
	struct engine e;

	open_engine(&e, b, url);
	race(&e, KVR_PUT, name);
	race(&e, KVR_GET, name);
	if (kvr_close(e.kvr, 0, KVR_DRAIN, NULL) != KVR_OK)
		bench_gpu_die("kvr_close");
	kvr_free(e.kvr);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
race_tmpfs(const struct bench_gpu *b)
{
	char dir[] = "/dev/shm/kvrelay-bench-XXXXXX", url[96];
	struct statvfs fs;

	/* A container's is often of 64 MiB. */
	if (statvfs("/dev/shm", &fs) != 0 || fs.f_bavail * fs.f_frsize >> 20 < TMPFS_MIB ||
	    mkdtemp(dir) == NULL) {
		bench_gpu_not_run("tmpfs", "/dev/shm has no room for 256 MiB");
		return;
	}
	snprintf(url, sizeof(url), "fs://%s", dir);
	race_store(b, "tmpfs", url);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
bench_gpu_stores(const struct bench_gpu *b)
{
	if (b->tokens / 16 > BLOCKS_MAX)
		bench_gpu_die("more blocks than there is room for");
	race_store(b, "memory", "memory://");
	race_tmpfs(b);
	if (kvr_redis_server_missing()) {
		bench_gpu_not_run("redis", "redis-server is not installed");
		return;
	}
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

	race_store(b, "redis", server->url);
	kvr_redis_server_stop(server);
}
