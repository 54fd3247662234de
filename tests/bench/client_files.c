/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client that a tier of files is compared with: open, pwrite, close and rename, so that nobody
 * sees half a file; open, pread and close. With several threads each takes every n-th file.
 */
#include "kvr_measure.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS_MAX = 4, NAME = BENCH_KEY + 16 };
enum act { PUT, GET, LOOK, END };

struct hand {
	struct files *files;
	uint32_t first;
	pthread_t thread;
	sem_t go, done;
};

struct files {
	int dir, direct;
	uint32_t threads;
	enum act act;
	const struct bench_work *work;
	struct hand hand[THREADS_MAX];
};

static void
put_one(const struct files *f, uint32_t i)
{
	const struct bench_work *w = f->work;
	char tmp[NAME];

	snprintf(tmp, sizeof(tmp), "%s.tmp", w->key[i]);
	int fd = openat(f->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | f->direct, 0644);

	for (uint64_t at = 0; fd >= 0 && at < w->len[i];) {
		ssize_t n = pwrite(fd, (uint8_t *)w->at[i] + at, w->len[i] - at, (off_t)at);

		if (n <= 0)
			bench_give_up("raw files", "a file cannot be written");
		at += (uint64_t)n;
	}
	if (fd < 0 || close(fd) != 0 || renameat(f->dir, tmp, f->dir, w->key[i]) != 0)
		bench_give_up("raw files", "a file cannot be written");
}

static void
get_one(const struct files *f, uint32_t i)
{
	const struct bench_work *w = f->work;
	int fd = openat(f->dir, w->key[i], O_RDONLY | O_CLOEXEC | f->direct);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size != w->len[i])
		bench_give_up("raw files", "a file is not as long as it was written");
	for (uint64_t at = 0; at < w->len[i];) {
		ssize_t n = pread(fd, (uint8_t *)w->at[i] + at, w->len[i] - at, (off_t)at);

		if (n <= 0)
			bench_give_up("raw files", "a file cannot be read");
		at += (uint64_t)n;
	}
	close(fd);
}

static void
look_one(const struct files *f, uint32_t i)
{
	if (faccessat(f->dir, f->work->key[i], F_OK, 0) != 0)
		bench_give_up("raw files", "a file that was written is not there");
}

static void
work_on(const struct files *f, uint32_t first)
{
	for (uint32_t i = first; i < f->work->n; i += f->threads) {
		if (f->act == PUT)
			put_one(f, i);
		else if (f->act == GET)
			get_one(f, i);
		else
			look_one(f, i);
	}
}

static void *
hand_main(void *arg)
{
	struct hand *h = arg;

	for (;;) {
		while (sem_wait(&h->go) != 0)
			;
		if (h->files->act == END)
			return NULL;
		work_on(h->files, h->first);
		sem_post(&h->done);
	}
}

static void
run(struct files *f, const struct bench_work *w, enum act act)
{
	f->work = w;
	f->act = act;
	for (uint32_t i = 1; i < f->threads; i++)
		sem_post(&f->hand[i].go);
	work_on(f, 0);
	for (uint32_t i = 1; i < f->threads; i++)
		while (sem_wait(&f->hand[i].done) != 0)
			;
}

static void
files_put(void *self, const struct bench_work *w)
{
	run(self, w, PUT);
}

static void
files_get(void *self, const struct bench_work *w)
{
	run(self, w, GET);
}

static void
files_look(void *self, const struct bench_work *w)
{
	run(self, w, LOOK);
}

static void
files_close(void *self)
{
	struct files *f = self;

	f->act = END;
	for (uint32_t i = 1; i < f->threads; i++) {
		sem_post(&f->hand[i].go);
		pthread_join(f->hand[i].thread, NULL);
		sem_destroy(&f->hand[i].go);
		sem_destroy(&f->hand[i].done);
	}
	close(f->dir);
	free(f);
}

struct bench_client
files_open(const char *name, const char *dir, uint32_t threads, bool direct)
{
	struct files *f = calloc(1, sizeof(*f));

	if (f == NULL || threads > THREADS_MAX)
		bench_give_up("raw files", "no memory");
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->direct = direct ? O_DIRECT : 0;
	f->threads = threads;
	for (uint32_t i = 1; i < threads; i++) {
		struct hand *h = &f->hand[i];

		h->files = f;
		h->first = i;
		if (sem_init(&h->go, 0, 0) != 0 || sem_init(&h->done, 0, 0) != 0 ||
		    pthread_create(&h->thread, NULL, hand_main, h) != 0)
			bench_give_up("raw files", "no thread");
	}
	return (struct bench_client){ .name = name,
		.self = f,
		.put = files_put,
		.get = files_get,
		.look = files_look,
		.close = files_close };
}
