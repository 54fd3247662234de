/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_bench_gpu.h"
#include "kvr_copy_plan.h"
#include "kvr_paged_world.h"

#include <stdio.h>
#include <string.h>

struct far {
	struct paged_world w;
	struct kvr_pages pages;
	uint8_t *base[64], *memory;
};

/* Who copies, and what with. */
struct copies {
	const struct bench_gpu *b;
	const struct kvr_copy_ops *ops;
	struct kvr_copier *copier;
};

/* block 0: the chunk in one piece, as a cache that is one block. heads_first: a piece is one head of one token. */
static void
make_cache(const struct bench_gpu *b, struct far *f, uint32_t block, bool heads_first)
{
	struct paged_world *w = &f->w;

	memset(f, 0, sizeof(*f));
	w->seed = block + 1;
	w->pages = (struct kvr_pages){ .memfmt = KVR_MEMFMT_KV_2LTD,
		.n_layers = block == 0 ? 1 : b->layers,
		.n_planes = PLANES,
		.n_heads = 8,
		.head_bytes = ROW / 8,
		.block_tokens = block == 0 ? b->tokens * b->layers : block,
		.n_blocks = block == 0 ? 1 : b->tokens / block * 2 };
	paged_lay_out(w, PAGED_PER_PLANE, heads_first, 0);
	paged_choose_slots(w, block == 0 ? b->tokens * b->layers : b->tokens,
	    block == 0 ? b->tokens * b->layers : block, false);
	paged_find_runs(w);
	f->pages = w->pages;
	f->pages.base = f->base;
	f->memory = gpu_alloc(w->memory_len);
	gpu_put(f->memory, w->memory, w->memory_len);
	for (uint32_t i = 0; i < w->pages.n_layers * PLANES; i++)
		f->base[i] = f->memory + (w->base[i] - w->memory);
}

static void
free_cache(struct far *f)
{
	gpu_free(f->memory);
	paged_free(&f->w);
}

static void
must(enum kvr_err err, const char *why)
{
	if (err != KVR_OK)
		bench_gpu_die(why);
}

static void
begin(const struct copies *c, const struct far *f, enum kvr_way way)
{
	struct kvr_walk walk = { .pages = &f->pages,
		.runs = f->w.runs,
		.tokens = f->w.tokens,
		.chunk = c->b->pinned + (way == KVR_WAY_OUT ? c->b->chunk_len : 0) };
	struct kvr_piece piece[KVR_PLAN_PIECES];
	char why[128] = "";
	uint32_t n;

	while ((n = kvr_walk_next(&walk, piece, KVR_LEN(piece))) > 0)
		must(c->ops->copy(c->copier, way, piece, n, why, sizeof(why)), why);
	must(c->ops->mark(c->copier, way, why, sizeof(why)), why);
}

/* One copy each way that is wanted, begun together; at most so many marks as a way may have. */
static double
ours(const struct copies *c, const struct far *f, bool in, bool out, double *ret_begins)
{
	const bool wanted[KVR_WAYS] = { [KVR_WAY_IN] = in, [KVR_WAY_OUT] = out };
	uint32_t waiting[KVR_WAYS] = { 0 };
	uint64_t begin_ns = kvr_now_ns();
	char why[128] = "";

	for (uint32_t i = 0; i < c->b->copies; i++) {
		for (uint32_t way = 0; way < KVR_WAYS; way++) {
			uint64_t at_ns = kvr_now_ns();

			if (wanted[way])
				begin(c, f, (enum kvr_way)way);
			*ret_begins += (double)(kvr_now_ns() - at_ns) / 1e9;
			waiting[way] += wanted[way];
		}
		for (uint32_t way = 0; way < KVR_WAYS; way++) {
			while (waiting[way] > (i + 1 == c->b->copies ? 0 : 3)) {
				enum kvr_err err =
				    c->ops->poll(c->copier, (enum kvr_way)way, why, sizeof(why));

				if (err != KVR_E_UNFINISHED)
					must(err, why);
				waiting[way] -= err == KVR_OK;
			}
		}
	}
	return (double)(kvr_now_ns() - begin_ns) / 1e9;
}

static struct copies
make_copier(const struct bench_gpu *b, const struct kvr_copy_ops *ops)
{
	struct copies c = { .b = b, .ops = ops };
	char why[128] = "";

	must(ops->open(ops->current(), &c.copier, why, sizeof(why)), why);
	return c;
}

static void
race(const struct copies *c, const struct far *f, uint32_t way, struct bench_gpu_race *of)
{
	static const char *const name[] = { "from device", "to device", "both ways" };
	const struct bench_gpu *b = c->b;

	of->way = name[way];
	of->bytes = (double)b->chunk_len * b->copies * (way == 2 ? 2 : 1);
	/* The first one loads and maps, on both sides. */
	for (int r = -1; r < (int)b->rounds; r++) {
		double raw = gpu_raw(b->device, b->pinned, b->chunk_len, b->copies, way == 0, way == 2);
		double begins = 0.0, mine = ours(c, f, way != 1, way != 0, &begins);

		of->raw[r < 0 ? 0 : r] = raw;
		of->mine[r < 0 ? 0 : r] = mine;
		of->begins[r < 0 ? 0 : r] = begins;
	}
	bench_gpu_tell(b, of);
}

void
bench_gpu_copies(const struct bench_gpu *b)
{
	static const uint32_t blocks[] = { 0, 32, 16, 8, 4 };
	struct copies c = make_copier(b, gpu_device()->copy);

	for (size_t i = 0; i < KVR_LEN(blocks); i++) {
		char what[32] = "one piece";
		struct far f;

		make_cache(b, &f, blocks[i], false);
		if (blocks[i] != 0)
			snprintf(what, sizeof(what), "pieces of %u KiB", blocks[i] * ROW / 1024);
		for (uint32_t way = 0; way < 3; way++) {
			struct bench_gpu_race of = {
				.group = "copies", .what = what, .must = 0.9, .aim = 0.97
			};

			race(&c, &f, way, &of);
		}
		free_cache(&f);
	}
	c.ops->close(c.copier);
}

/* Caches whose blocks have heads outermost, which chunks have innermost. No goal: launches limit it, not the bus. */
void
bench_gpu_heads(const struct bench_gpu *b)
{
	struct copies c = make_copier(b, gpu_device()->copy);
	char what[32];
	struct far f;

	make_cache(b, &f, 16, true);
	snprintf(what, sizeof(what), "pieces of %u bytes", ROW / 8);
	for (uint32_t way = 0; way < 3; way++) {
		struct bench_gpu_race of = { .group = "heads", .what = what };

		race(&c, &f, way, &of);
	}
	free_cache(&f);
	c.ops->close(c.copier);
}

#ifdef KVR_BENCH_BOUNDARY
static const struct kvr_copy_ops *const ways[] = { &bench_gpu_engine, &bench_gpu_single, &bench_gpu_kernel,
	&bench_gpu_stage };
static const char *const way_name[] = { "by engine", "one by one", "by kernel", "by staging" };
enum { BY_KERNEL = 2 };

/* The ways from the first on, with pieces of block tokens. */
static void
race_ways(const struct bench_gpu *b, uint32_t first, uint32_t block, const char *group, uint64_t len)
{
	struct far f;

	make_cache(b, &f, block, false);
	for (uint32_t k = first; k < KVR_LEN(ways); k++) {
		struct copies c = make_copier(b, ways[k]);
		char what[32];

		snprintf(what, sizeof(what), "%u KiB %s", (unsigned)(len / 1024), way_name[k]);
		for (uint32_t way = 0; way < 3; way++) {
			struct bench_gpu_race of = { .group = group, .what = what };

			race(&c, &f, way, &of);
		}
		c.ops->close(c.copier);
	}
	free_cache(&f);
}

static void
race_all(const struct bench_gpu *b)
{
	static const uint32_t blocks[] = { 2, 4, 8, 16, 32, 64 }, few[] = { 64, 128, 256, 512, 1024 };
	struct bench_gpu some = *b; /* most of these are slow, and it is to be seen by how much */

	some.rounds = KVR_MIN(b->rounds, 5u);
	some.copies = KVR_MIN(b->copies, 8u);
	for (size_t i = 0; i < KVR_LEN(blocks); i++) {
		if (blocks[i] <= b->tokens)
			race_ways(&some, 0, blocks[i], "boundary", (uint64_t)blocks[i] * ROW);
	}
	some.layers = 1;
	some.copies = 8 * b->copies;
	for (size_t i = 0; i < KVR_LEN(few); i++) {
		some.tokens = few[i] * 1024 / (ROW * PLANES);
		some.chunk_len = (size_t)few[i] * 1024;
		race_ways(&some, BY_KERNEL, 4, "few", some.chunk_len);
	}
}
#endif

void
bench_gpu_boundary(const struct bench_gpu *b)
{
#ifdef KVR_BENCH_BOUNDARY
	if (!gpu_is_twin()) {
		race_all(b);
		return;
	}
#else
	(void)b;
#endif
	bench_gpu_not_run("boundary", "there is no device, or no kernel was built");
}
