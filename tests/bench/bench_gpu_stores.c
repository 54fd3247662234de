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

/* A prefix of 2,048 tokens in 32 chunks of 8 MiB. By one chunk alone nothing can run beside anything else. */
enum { CHUNKS = 32, BLOCKS_MAX = 128 };

static const char *const key[CHUNKS] = { "b/00", "b/01", "b/02", "b/03", "b/04", "b/05", "b/06", "b/07", "b/08",
	"b/09", "b/10", "b/11", "b/12", "b/13", "b/14", "b/15", "b/16", "b/17", "b/18", "b/19", "b/20", "b/21",
	"b/22", "b/23", "b/24", "b/25", "b/26", "b/27", "b/28", "b/29", "b/30", "b/31" };

struct engine {
	const struct bench_gpu *b;
	struct kvr *kvr;
	uint8_t *device, *pinned; /* all chunks */
	uint64_t all_len;
	uint32_t block_tokens;
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
open_engine(struct engine *e, const char *url)
{
	char json[512], why[256] = "";
	void *base = e->device;
	const struct kvr_cache_shape shape = { .size = sizeof(shape),
		.order = KVR_CACHE_BLOCKS,
		.format = KVR_FMT_KV_2LTD,
		.dtype = KVR_DT_BFLOAT16,
		.n_layers = LAYERS,
		.n_planes = PLANES,
		.n_heads = 8,
		.head_size = 128,
		.block_tokens = e->block_tokens,
		.n_blocks = (uint32_t)e->tokens.n,
		.n_base = 1,
		.base = &base,
		.memory = gpu_is_twin() ? KVR_MEMORY_HOST : KVR_MEMORY_DEVICE };

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"256MiB\",\"device\":\"%s\"},\"log\":{\"level\":\"warn\"},"
	    "\"tiers\":[{\"name\":\"a\",\"url\":\"%s\",\"format\":\"bare\"}]}",
	    gpu_is_twin() ? "none" : "cuda", url);
	const struct kvr_options o = { .size = sizeof(o), .config_text = json };

	if (kvr_open(&o, 0, &e->kvr, why, sizeof(why)) != KVR_OK)
		bench_gpu_die(why);
	if (kvr_cache_open(e->kvr, &shape, &e->tokens.cache) != KVR_OK)
		bench_gpu_die("kvr_cache_open");
}

/* n chunks from or to the device, from or to the host's memory, and copied raw. */
static void
race(struct engine *e, uint32_t kind, uint32_t n, const char *store)
{
	const struct bench_gpu *b = e->b;
	uint64_t len = n * e->len[0];
	struct kvr_tokens tokens = e->tokens;
	char what[32];
	struct bench_gpu_race of = { .group = "stores",
		.what = what,
		.way = kind == KVR_PUT ? "put from device" : "get to device",
		.bytes = (double)len,
		.must = n > 1 ? 0.9 : 0.0,
		.aim = 0.97 };
	const struct kvr_batch host = {
		.size = sizeof(host), .kind = kind, .n = n, .key = key, .at = e->at, .len = e->len
	};
	const struct kvr_batch device = {
		.size = sizeof(device), .kind = kind, .n = n, .key = key, .len = e->len, .tokens = &tokens
	};

	tokens.n = e->tokens.n / CHUNKS * n;
	snprintf(what, sizeof(what), "%s, %u", store, n);
	for (int r = -1; r < (int)b->rounds; r++) {
		uint32_t i = r < 0 ? 0 : (uint32_t)r;

		of.stage[0][i] = timed(e->kvr, &host);
		of.mine[i] = timed(e->kvr, &device);
		of.stage[1][i] = gpu_raw(e->device, e->pinned, len, 1, kind == KVR_PUT, false);
		of.raw[i] = KVR_MAX(of.stage[0][i], of.stage[1][i]);
	}
	bench_gpu_tell(b, &of);
}

static void
race_store(struct engine *e, const char *name, const char *url)
{
	open_engine(e, url);
	race(e, KVR_PUT, CHUNKS, name);
	race(e, KVR_GET, CHUNKS, name);
	race(e, KVR_PUT, 1, name);
	race(e, KVR_GET, 1, name);
	if (kvr_close(e->kvr, 0, KVR_DRAIN, NULL) != KVR_OK)
		bench_gpu_die("kvr_close");
	kvr_free(e->kvr);
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
race_tmpfs(struct engine *e)
{
	char dir[] = "/dev/shm/kvrelay-bench-XXXXXX", url[96];
	struct statvfs fs;

	/* A container's is often of 64 MiB, and a file is replaced by a whole one. */
	if (statvfs("/dev/shm", &fs) != 0 || fs.f_bavail * fs.f_frsize < 2 * e->all_len || mkdtemp(dir) == NULL) {
		bench_gpu_not_run("tmpfs", "/dev/shm has no room for twice the bytes");
		return;
	}
	snprintf(url, sizeof(url), "fs://%s", dir);
	race_store(e, "tmpfs", url);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
bench_gpu_stores(const struct bench_gpu *b)
{
	static struct engine e;
	uint32_t tokens = b->tokens * 4;

	e.b = b;
	e.all_len = (uint64_t)tokens * ROW * LAYERS * PLANES;
	e.block_tokens = KVR_MIN(tokens / CHUNKS, 16u);
	e.tokens = (struct kvr_tokens){
		.size = sizeof(e.tokens), .n = tokens / e.block_tokens, .block = e.block
	};
	if (e.tokens.n > BLOCKS_MAX || e.tokens.n % CHUNKS != 0)
		bench_gpu_die("blocks and chunks do not fit together");
	e.pinned = gpu_pin(e.all_len);
	memset(e.pinned, 1, e.all_len);
	e.device = gpu_alloc(e.all_len);
	gpu_put(e.device, e.pinned, e.all_len);
	for (uint32_t i = 0; i < CHUNKS; i++) {
		e.len[i] = e.all_len / CHUNKS;
		e.at[i] = e.pinned + i * e.len[i];
	}
	for (uint32_t i = 0; i < e.tokens.n; i++)
		e.block[i] = (int32_t)i;
	race_store(&e, "memory", "memory://");
	race_tmpfs(&e);
	if (kvr_redis_server_missing()) {
		bench_gpu_not_run("redis", "redis-server is not installed");
	} else {
		struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

		race_store(&e, "redis", server->url);
		kvr_redis_server_stop(server);
	}
	gpu_free(e.device);
	gpu_unpin(e.pinned, e.all_len);
}
