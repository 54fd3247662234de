/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tier of files beside system calls with as many threads: on tmpfs, where copying is all there
 * is, on a disk through the page cache, and past it.
 */
#include "kvr_measure.h"

#include <fcntl.h>
#include <unistd.h>

enum { CLIENTS = 7 };
/*
 * How many batches of a turn count on tmpfs: one takes 15 to 40 ms, and a lane that slept through the
 * others' turns needs a part of it to come back. A disk is waited for longer than that.
 */
enum { BATCHES = 4 };

struct fs {
	struct bench *bench;
	struct bench_work *work;
	const char *where;
	uint32_t batches; /* of a turn */
	struct bench_client client[CLIENTS];
	uint64_t seed;
};

static const struct shape {
	const char *name;
	uint32_t n;
	uint64_t len;
} shapes[] = { { "64x1MiB", 64, BENCH_MIB(1) }, { "16x4MiB", 16, BENCH_MIB(4) } },
  quick_shape = { "16x1MiB", 16, BENCH_MIB(1) }, tiny_shape = { "4x64KiB", 4, BENCH_KIB(64) };

static void
turn(struct fs *me, const struct shape *s, const struct bench_client *c, uint32_t round)
{
	uint32_t ops = s->n * me->batches;
	double gb = (double)ops * (double)s->len / 1e9;

	bench_work_set(me->work, c->name[0] == 'r' ? "raw" : "own", s->n, s->len);
	bench_work_fill(me->work, ++me->seed);
	for (int reads = 0; reads < 2; reads++) {
		struct bench_use used;
		char what[64];

		if (reads)
			bench_work_wipe(me->work);
		bench_use_now(me->bench, &used);
		for (uint32_t k = me->batches; k > 0; k--)
			(reads ? c->get : c->put)(c->self, me->work);
		used = bench_use_since(me->bench, &used);
		snprintf(
		    what, sizeof(what), "%s %s, %s", reads ? "read" : "write", s->name, me->where);
		if (round == 0)
			continue;
		bench_tell(
		    me->bench, "fs", what, "GB/s", c->name, round, gb / ((double)used.ns / 1e9));
		bench_tell(me->bench, "fs", what, "client s/GB", c->name, round, used.cpu_s / gb);
		bench_tell(
		    me->bench, "fs", what, "faults/op", c->name, round, (double)used.faults / ops);
	}
	bench_work_compare(me->work, me->seed, c->name);
}

/* Some file systems have no way past the page cache, and tmpfs has none to go past. */
static bool
takes_direct(const char *dir)
{
	char path[BENCH_PATH + 8];

	snprintf(path, sizeof(path), "%s/probe", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0644);

	if (fd >= 0)
		close(fd);
	(void)unlink(path);
	return fd >= 0;
}

static void
in_place(struct bench *b, struct bench_work *w, const char *where, const char *above, bool direct,
    const struct shape *shape, size_t n)
{
	static struct fs me;
	char dir[BENCH_PATH];

	bench_dir_make(dir, above, where);
	if (direct && !takes_direct(dir)) {
		bench_not_run(where, "this file system has no way past the page cache");
		return;
	}
	me = (struct fs){ .bench = b,
		.work = w,
		.where = where,
		.batches = above == b->tmpfs && b->size == BENCH_FULL ? BATCHES : 1,
		.client = { files_open("raw 1t", dir, 1, direct),
		    files_open("raw 2t", dir, 2, direct), files_open("raw 4t", dir, 4, direct),
		    kvrelay_open_files("kvrelay 1", dir, direct, "bare", 1),
		    kvrelay_open_files("kvrelay 2", dir, direct, "bare", 2),
		    kvrelay_open_files("kvrelay 4", dir, direct, "bare", 4),
		    kvrelay_open_files("sealed 2", dir, direct, "sealed", 2) } };
	for (size_t s = 0; s < n; s++)
		for (uint32_t round = 0; round <= b->rounds; round++)
			for (uint32_t i = 0; i < CLIENTS; i++)
				turn(&me, &shape[s], &me.client[(i + round) % CLIENTS], round);
	for (uint32_t i = 0; i < CLIENTS; i++)
		me.client[i].close(me.client[i].self);
}

void
bench_fs(struct bench *b)
{
	struct bench_work *w = bench_work_new();

	bool tiny = b->size == BENCH_TINY, full = b->size == BENCH_FULL;
	/* A disk takes its time, also with little. */
	const struct shape *some = full ? shapes : tiny ? &tiny_shape : &quick_shape;
	size_t n = full ? BENCH_LEN(shapes) : 1;

	in_place(
	    b, w, "tmpfs", b->tmpfs, false, tiny ? some : shapes, tiny ? 1 : BENCH_LEN(shapes));
	in_place(b, w, "disk", b->dir, false, some, n);
	in_place(b, w, "O_DIRECT", b->dir, true, some, n);
	bench_work_free(w);
}
