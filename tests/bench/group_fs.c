/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tier of files beside system calls with as many threads: on tmpfs, where copying is all there
 * is, on a disk through the page cache, and past it.
 *
 * On tmpfs the goals are a matter of hundredths, and there raw and kvrelay, each with the threads
 * that were best, then take turns by themselves (group pairs; group_bulk.c says why).
 */
#include "kvr_measure.h"
#include "kvr_median.h"

#include <fcntl.h>
#include <unistd.h>

enum { CLIENTS = 7, RAWS = 3 }; /* first the raw ones, then as many of kvrelay with bare values */
enum { WRITE, READ, VERBS };

static const char *const verb_name[VERBS] = { "write", "read" };

struct racer {
	struct bench_client client;
	bool takes[VERBS];
	double gbps[VERBS][BENCH_PAIRS_MAX]; /* of each round */
};

/* warm: batches before those that count, for a lane that slept through the others' turns. */
struct stage {
	const char *group;
	uint32_t warm, batches, rounds;
};

struct fs {
	struct bench *bench;
	struct bench_work *work;
	const char *where;
	struct racer racer[CLIENTS];
	uint64_t seed;
};

static const struct shape {
	const char *name;
	uint32_t n;
	uint64_t len;
} shapes[] = { { "64x1MiB", 64, BENCH_MIB(1) }, { "16x4MiB", 16, BENCH_MIB(4) } },
  quick_shape = { "16x1MiB", 16, BENCH_MIB(1) }, tiny_shape = { "4x64KiB", 4, BENCH_KIB(64) };

static void
tell(struct fs *me, const struct stage *stage, const struct shape *s, int verb, struct racer *r,
    uint32_t round, const struct bench_use *u)
{
	uint32_t ops = s->n * stage->batches;
	double gb = (double)ops * (double)s->len / 1e9, gbps = gb / ((double)u->ns / 1e9);
	const char *who = r->client.name, *group = stage->group;
	char what[64];

	snprintf(what, sizeof(what), "%s %s, %s", verb_name[verb], s->name, me->where);
	bench_tell(me->bench, group, what, "GB/s", who, round, gbps);
	bench_tell(me->bench, group, what, "client s/GB", who, round, u->cpu_s / gb);
	bench_tell(me->bench, group, what, "faults/op", who, round, (double)u->faults / ops);
	r->gbps[verb][round - 1] = gbps;
}

static void
batches(const struct fs *me, const struct bench_client *c, int verb, uint32_t n)
{
	for (; n > 0; n--)
		(verb == READ ? c->get : c->put)(c->self, me->work);
}

static void
turn(struct fs *me, const struct stage *stage, const struct shape *s, struct racer *r,
    uint32_t round)
{
	const struct bench_client *c = &r->client;

	bench_work_set(me->work, c->name[0] == 'r' ? "raw" : "own", s->n, s->len);
	bench_work_fill(me->work, ++me->seed);
	for (int verb = WRITE; verb < VERBS; verb++) {
		struct bench_use used;

		/* Who only reads has written what he reads. */
		batches(me, c, verb, r->takes[verb] ? stage->warm : verb == WRITE);
		if (!r->takes[verb])
			continue;
		if (verb == READ)
			bench_work_wipe(me->work);
		bench_use_now(me->bench, &used);
		batches(me, c, verb, stage->batches);
		used = bench_use_since(me->bench, &used);
		if (round > 0)
			tell(me, stage, s, verb, r, round, &used);
	}
	bench_work_compare(me->work, me->seed, c->name);
}

static void
race(struct fs *me, const struct stage *stage, const struct shape *s)
{
	for (uint32_t i = 0; i < CLIENTS; i++)
		me->racer[i].takes[WRITE] = me->racer[i].takes[READ] = true;
	for (uint32_t round = 0; round <= stage->rounds; round++)
		for (uint32_t i = 0; i < CLIENTS; i++)
			turn(me, stage, s, &me->racer[(i + round) % CLIENTS], round);
}

/* Of RAWS from the first on, by what the race's rounds say. */
static struct racer
best_of(struct fs *me, uint32_t first, int verb, const char *name)
{
	struct racer best = { .takes = { false } };
	double most = 0;

	for (uint32_t i = first; i < first + RAWS; i++) {
		double gbps = kvr_median(me->racer[i].gbps[verb], (int)me->bench->rounds);

		if (i == first || gbps > most) {
			best.client = me->racer[i].client;
			most = gbps;
		}
	}
	best.takes[verb] = true;
	if (name != NULL)
		best.client.name = name;
	return best;
}

static void
pairs(struct fs *me, const struct shape *s)
{
	const struct stage stage = { "pairs", 1, 1, bench_pair_rounds(me->bench) };
	static struct racer racer[VERBS][2];

	for (int verb = WRITE; verb < VERBS; verb++) {
		racer[verb][0] = best_of(me, 0, verb, NULL);
		racer[verb][1] = best_of(me, RAWS, verb, "kvrelay");
	}
	for (uint32_t round = 0; round <= stage.rounds; round++)
		for (int verb = WRITE; verb < VERBS; verb++)
			for (uint32_t i = 0; i < 2; i++)
				turn(me, &stage, s, &racer[verb][(i + round) % 2], round);
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
	const struct bench_client clients[CLIENTS] = { files_open("raw 1t", dir, 1, direct),
		files_open("raw 2t", dir, 2, direct), files_open("raw 4t", dir, 4, direct),
		kvrelay_open_files("kvrelay 1", dir, direct, "bare", 1),
		kvrelay_open_files("kvrelay 2", dir, direct, "bare", 2),
		kvrelay_open_files("kvrelay 4", dir, direct, "bare", 4),
		kvrelay_open_files("sealed 2", dir, direct, "sealed", 2) };
	bool on_tmpfs = above == b->tmpfs, full = b->size == BENCH_FULL;
	/* A disk is waited for longer than a lane that has slept. */
	const struct stage stage = { "fs", on_tmpfs && full, on_tmpfs && full ? 2 : 1, b->rounds };

	me = (struct fs){ .bench = b, .work = w, .where = where };
	for (uint32_t i = 0; i < CLIENTS; i++)
		me.racer[i].client = clients[i];
	for (size_t s = 0; s < n; s++) {
		race(&me, &stage, &shape[s]);
		if (on_tmpfs)
			pairs(&me, &shape[s]);
	}
	for (uint32_t i = 0; i < CLIENTS; i++)
		clients[i].close(clients[i].self);
}

void
bench_fs(struct bench *b)
{
	struct bench_work *w = bench_work_new();

	bool tiny = b->size == BENCH_TINY, full = b->size == BENCH_FULL;
	/* A disk takes its time, also with little. */
	const struct shape *some = full ? shapes : tiny ? &tiny_shape : &quick_shape;
	size_t n = full ? BENCH_LEN(shapes) : 1;

	in_place(b, w, "tmpfs", b->tmpfs, false, tiny ? some : shapes, n);
	in_place(b, w, "disk", b->dir, false, some, n);
	in_place(b, w, "O_DIRECT", b->dir, true, some, n);
	bench_work_free(w);
}
