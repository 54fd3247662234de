/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library makes of a device beside raw copies of page-locked memory, in one run in which
 * they take turns: copies alone, in one piece and in pages of several sizes, one way and both; and
 * through whole instances, beside the slower of a raw copy and the same put from the host's memory.
 *
 *   bench_gpu [--quick] [--twin]
 *
 * 77 and a line where there is no device. --twin: the host in its place, which says nothing about
 * speed and shows that the program works.
 */
#include "kvrelay.h"

#include "gpu_bed.h"
#include "kvr_paged_world.h"
#include "kvr_redis_server.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS_MAX = 9, ROW = 2048, LAYERS = 32, PLANES = 2 };

static uint32_t rounds = 9, copies = 16, tokens = 512; /* tokens of a chunk: 64 MiB */
static struct kvr_copier *copier;
static uint8_t *pinned;
static size_t chunk_len;

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_gpu: %s\n", what);
	exit(1);
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *of, uint32_t n)
{
	qsort(of, n, sizeof(*of), by_size);
	return of[n / 2];
}

/* ---- copies alone ---- */

/* block 0: the chunk in one piece, as a cache that is one block. */
static void
make_cache(struct paged_world *w, uint32_t block)
{
	memset(w, 0, sizeof(*w));
	w->seed = block + 1;
	w->pages = (struct kvr_pages){ .memfmt = KVR_FMT_KV_2LTD,
		.n_layers = block == 0 ? 1 : LAYERS,
		.n_planes = PLANES,
		.n_heads = 8,
		.head_bytes = ROW / 8,
		.block_tokens = block == 0 ? tokens * LAYERS : block,
		.n_blocks = block == 0 ? 1 : tokens / block * 2 };
	paged_lay_out(w, PAGED_PER_PLANE, false, 0);
	paged_choose_slots(
	    w, block == 0 ? tokens * LAYERS : tokens, block == 0 ? tokens * LAYERS : block, false);
	paged_find_runs(w);
}

struct far {
	struct kvr_pages pages;
	uint8_t *base[64], *memory;
};

static struct kvr_walk
walk_of(const struct far *f, const struct paged_world *w, uint8_t *chunk)
{
	return (struct kvr_walk){
		.pages = &f->pages, .runs = w->runs, .tokens = w->tokens, .chunk = chunk
	};
}

/* One copy each way that is wanted, begun together; at most so many marks as a way may have. */
static double
ours(const struct far *f, const struct paged_world *w, bool in, bool out)
{
	const struct kvr_copy_ops *ops = gpu_device()->copy;
	struct kvr_piece piece[512];
	uint64_t begin_ns = kvr_now_ns();
	uint32_t waiting[KVR_WAYS] = { 0 }, n;
	char why[128] = "";

	for (uint32_t i = 0; i < copies; i++) {
		for (uint32_t way = 0; way < KVR_WAYS; way++) {
			struct kvr_walk walk =
			    walk_of(f, w, pinned + (way == KVR_WAY_OUT ? chunk_len : 0));

			if (!(way == KVR_WAY_IN ? in : out))
				continue;
			while ((n = kvr_walk_next(&walk, piece, KVR_LEN(piece))) > 0)
				need(ops->copy(copier, (enum kvr_way)way, piece, n, why,
				         sizeof(why)) == KVR_OK,
				    why);
			need(ops->mark(copier, (enum kvr_way)way, why, sizeof(why)) == KVR_OK, why);
			waiting[way]++;
		}
		for (uint32_t way = 0; way < KVR_WAYS; way++) {
			while (waiting[way] > (i + 1 == copies ? 0 : 3)) {
				enum kvr_err err =
				    ops->poll(copier, (enum kvr_way)way, why, sizeof(why));

				need(err == KVR_OK || err == KVR_E_UNFINISHED, why);
				waiting[way] -= err == KVR_OK;
			}
		}
	}
	return (double)(kvr_now_ns() - begin_ns) / 1e9;
}

static void
race_copies(uint32_t block, uint8_t *raw_device)
{
	static const char *const way[] = { "from device", "to device", "both ways" };
	struct paged_world w;
	struct far f;

	make_cache(&w, block);
	f.pages = w.pages;
	f.pages.base = f.base;
	f.memory = gpu_alloc(w.memory_len);
	for (uint32_t i = 0; i < w.pages.n_layers * PLANES; i++)
		f.base[i] = f.memory + (w.base[i] - w.memory);
	for (uint32_t k = 0; k < 3; k++) {
		double raw[ROUNDS_MAX], mine[ROUNDS_MAX];
		double bytes = (double)chunk_len * copies * (k == 2 ? 2 : 1);

		for (uint32_t r = 0; r < rounds; r++) {
			raw[r] = gpu_raw(raw_device, pinned, chunk_len, copies, k == 0, k == 2);
			mine[r] = ours(&f, &w, k != 1, k != 0);
		}
		double of_raw = median(raw, rounds), of_mine = median(mine, rounds);
		char what[32] = "one piece";

		if (block != 0)
			snprintf(what, sizeof(what), "pieces of %u KiB", block * ROW / 1024);
		printf("%-18s %-12s %7.2f GB/s raw %7.2f GB/s  %.2f of raw\n", what, way[k],
		    bytes / of_mine / 1e9, bytes / of_raw / 1e9, of_raw / of_mine);
	}
	gpu_free(f.memory);
	paged_free(&w);
}

/* ---- through an instance ---- */

enum { CHUNKS = 8 };

static double
timed(struct kvr *k, const struct kvr_batch *b)
{
	struct kvr_done d = { .size = sizeof(d) };
	uint64_t begin_ns = kvr_now_ns();
	enum kvr_err err = kvr_run(k, b, NULL, &d, NULL);

	need(err == KVR_OK, d.why[0] != '\0' ? d.why : kvr_err_name(err));
	return (double)(kvr_now_ns() - begin_ns) / 1e9;
}

/* A get and a put of all chunks from the device, from the host's memory, and copied raw. */
static void
race_store(const char *name, const char *url, uint8_t *raw_device)
{
	char json[512], why[256] = "";
	const char *key[CHUNKS] = { "b/0", "b/1", "b/2", "b/3", "b/4", "b/5", "b/6", "b/7" };
	uint64_t each = (uint64_t)tokens / CHUNKS * ROW * LAYERS * PLANES, len[CHUNKS];
	int32_t block[64];
	void *at[CHUNKS], *base = raw_device;
	struct kvr *k;
	const struct kvr_cache_shape shape = { .size = sizeof(shape),
		.order = KVR_CACHE_BLOCKS,
		.format = KVR_FMT_KV_2LTD,
		.dtype = KVR_DT_BFLOAT16,
		.n_layers = LAYERS,
		.n_planes = PLANES,
		.n_heads = 8,
		.head_size = 128,
		.block_tokens = 16,
		.n_blocks = tokens / 16,
		.n_base = 1,
		.base = &base,
		.memory = gpu_is_twin() ? KVR_MEMORY_HOST : KVR_MEMORY_DEVICE };
	struct kvr_tokens t = { .size = sizeof(t), .n = tokens / 16, .block = block };

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"256MiB\",\"device\":\"%s\"},\"log\":{\"level\":\"warn\"},"
	    "\"tiers\":[{\"name\":\"a\",\"url\":\"%s\",\"format\":\"bare\"}]}",
	    gpu_is_twin() ? "none" : "cuda", url);
	const struct kvr_options o = { .size = sizeof(o), .config_text = json };

	need(kvr_open(&o, 0, &k, why, sizeof(why)) == KVR_OK, why);
	need(kvr_cache_open(k, &shape, &t.cache) == KVR_OK, "kvr_cache_open");
	for (uint32_t i = 0; i < CHUNKS; i++) {
		len[i] = each;
		at[i] = pinned + i * each;
	}
	for (uint32_t i = 0; i < t.n; i++)
		block[i] = (int32_t)i;
	for (uint32_t kind = KVR_PUT; kind + 1 > KVR_GET; kind--) {
		double host[ROUNDS_MAX], dev[ROUNDS_MAX], raw[ROUNDS_MAX];
		const struct kvr_batch from_host = { .size = sizeof(from_host),
			.kind = kind,
			.n = CHUNKS,
			.key = key,
			.at = at,
			.len = len };
		const struct kvr_batch from_dev = { .size = sizeof(from_dev),
			.kind = kind,
			.n = CHUNKS,
			.key = key,
			.len = len,
			.tokens = &t };

		for (uint32_t r = 0; r < rounds; r++) {
			host[r] = timed(k, &from_host);
			dev[r] = timed(k, &from_dev);
			raw[r] = gpu_raw(raw_device, pinned, chunk_len, 1, kind == KVR_PUT, false);
		}
		double h = median(host, rounds), d = median(dev, rounds), c = median(raw, rounds);

		printf("%-10s %-3s %7.2f GB/s, store alone %7.2f, copy alone %7.2f  %.2f of the "
		       "slower\n",
		    name, kind == KVR_PUT ? "put" : "get", (double)chunk_len / d / 1e9,
		    (double)chunk_len / h / 1e9, (double)chunk_len / c / 1e9, KVR_MAX(h, c) / d);
	}
	need(kvr_close(k, 0, KVR_DRAIN, NULL) == KVR_OK, "kvr_close");
	kvr_free(k);
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
race_stores(uint8_t *raw_device)
{
	char dir[] = "/dev/shm/kvrelay-bench-XXXXXX", url[96];

	race_store("memory", "memory://", raw_device);
	need(mkdtemp(dir) != NULL, "no directory in /dev/shm");
	snprintf(url, sizeof(url), "fs://%s", dir);
	race_store("tmpfs", url, raw_device);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (kvr_redis_server_missing()) {
		printf("redis      not run: %s is not installed\n", kvr_redis_server_program());
		return;
	}
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

	race_store("redis", server->url, raw_device);
	kvr_redis_server_stop(server);
}

int
main(int argc, char **argv)
{
	static const uint32_t blocks[] = { 0, 32, 16, 8, 4 };

	gpu_open(argc, argv);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			rounds = 3;
			copies = 4;
			tokens = 128;
		} else if (strcmp(argv[i], "--twin") != 0) {
			fprintf(stderr, "usage: bench_gpu [--quick] [--twin]\n");
			return 2;
		}
	}
	chunk_len = (size_t)tokens * ROW * LAYERS * PLANES;
	printf("on %s\n", gpu_name());
	copier = gpu_copier();
	pinned = gpu_pin(2 * chunk_len);
	memset(pinned, 1, 2 * chunk_len);
	uint8_t *raw_device = gpu_alloc(2 * chunk_len);

	gpu_put(raw_device, pinned, 2 * chunk_len);
	for (size_t i = 0; i < KVR_LEN(blocks); i++)
		race_copies(blocks[i], raw_device);
	race_stores(raw_device);
	gpu_device()->copy->close(copier);
	gpu_free(raw_device);
	gpu_unpin(pinned, 2 * chunk_len);
	return 0;
}
