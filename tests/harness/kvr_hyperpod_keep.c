/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in POSIX shared memory, in as many fragments as the test wants, never two of them side by
 * side in order. A lease that ends by its time takes its object with it: the bytes are overwritten,
 * as they would be by whatever is stored there next.
 */
#include "kvr_hyperpod_own.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SCRIBBLE = 0xDB, GAP = 64 };

struct object {
	struct object *next;
	char  *name;
	size_t name_len, len;
	unsigned leases;
	size_t n;
	struct fragment fragment[FRAGMENTS_MAX];
};

struct lease {
	struct lease *next;
	struct object *object;
	unsigned long number;
	double end;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  moved;
static struct object  *objects;
static struct lease   *leases;
static unsigned long   last_number;
static char           *segment;
static size_t          capacity, top;

static double
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct timespec
as_time(double at)
{
	struct timespec t = { .tv_sec = (time_t)at };
	t.tv_nsec = (long)((at - (double)t.tv_sec) * 1e9);
	return t;
}

static void
scribble(struct object *take)
{
	for (size_t i = 0; i < take->n; i++)
		memset(segment + take->fragment[i].at, SCRIBBLE, take->fragment[i].len);
	free(take->name);
	free(take);
}

/* Under lock. */
static void
evict(struct object *o)
{
	struct object **at = &objects;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	scribble(o);
}

/* Under lock. Gone with its object when nobody else holds that. */
static void
end_lease(struct lease **at, int expired)
{
	struct lease *l = *at;
	struct object *o = l->object;
	*at = l->next;
	o->leases--;
	if (o->leases == 0 && (expired || atomic_load(&page->evict_released)))
		evict(o);
	atomic_fetch_add(expired ? &page->expired : &page->released, 1);
	free(l);
}

static void *
clock_main(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	for (;;) {
		double at = now() + 3600;
		for (struct lease **l = &leases; *l != NULL;) {
			if ((*l)->end <= now()) {
				end_lease(l, 1);
				continue;
			}
			at = (*l)->end < at ? (*l)->end : at;
			l = &(*l)->next;
		}
		struct timespec t = as_time(at);
		pthread_cond_timedwait(&moved, &lock, &t);
	}
	return NULL;
}

void
keep_begin(const char *name, size_t bytes)
{
	pthread_condattr_t attr;
	pthread_t thread;
	shm_unlink(name);
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	need(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, name);
	segment = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(segment != MAP_FAILED, "mmap");
	close(fd);
	capacity = bytes;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&moved, &attr);
	need(pthread_create(&thread, NULL, clock_main, NULL) == 0, "thread");
}

/* Space is given out once and in one direction: a test's daemon does not live long. */
struct object *
keep_room(size_t len)
{
	struct object *o = calloc(1, sizeof(*o));
	size_t piece = atomic_load(&page->fragment), first = atomic_load(&page->first_fragment);
	need(o != NULL, "memory");
	o->len = len;
	if (piece == 0 || len / piece >= FRAGMENTS_MAX - 2)
		piece = len / (FRAGMENTS_MAX - 2) + (piece == 0 ? len : 1);
	pthread_mutex_lock(&lock);
	for (size_t at = 0, n; at < len; at += n) {
		size_t left = len - at;
		n = at == 0 && first > 0 ? first : piece;
		n = n < left ? n : left;
		if (top + GAP + n > capacity) {
			pthread_mutex_unlock(&lock);
			keep_drop(o);
			return NULL;
		}
		o->fragment[o->n++] = (struct fragment){ top + GAP, n };
		top += GAP + n;
	}
	/* The other way round in memory: nobody may take two fragments for one. */
	for (size_t i = 0, at; i < o->n / 2; i++) {
		struct fragment *a = &o->fragment[i], *b = &o->fragment[o->n - 1 - i];
		if (a->len != b->len)
			continue;
		at = a->at;
		a->at = b->at;
		b->at = at;
	}
	pthread_mutex_unlock(&lock);
	return o;
}

void
keep_write(struct object *o, size_t at, const void *from, size_t len)
{
	const char *bytes = from;
	for (size_t i = 0; i < o->n && len > 0; i++) {
		size_t n = o->fragment[i].len;
		if (at >= n) {
			at -= n;
			continue;
		}
		n = n - at < len ? n - at : len;
		memcpy(segment + o->fragment[i].at + at, bytes, n);
		bytes += n;
		len -= n;
		at = 0;
	}
}

void
keep_drop(struct object *take)
{
	free(take->name);
	free(take);
}

/* Under lock. */
static struct object *
find(const char *name, size_t len)
{
	struct object *o = objects;
	while (o != NULL && (o->name_len != len || memcmp(o->name, name, len) != 0))
		o = o->next;
	return o;
}

int
keep_has(const char *name, size_t name_len)
{
	pthread_mutex_lock(&lock);
	int has = find(name, name_len) != NULL;
	pthread_mutex_unlock(&lock);
	return has;
}

int
keep_name(struct object *take, const char *name, size_t name_len)
{
	pthread_mutex_lock(&lock);
	int status = find(name, name_len) != NULL ? 409 : 200;
	if (status == 200) {
		take->name = malloc(name_len + 1);
		need(take->name != NULL, "memory");
		memcpy(take->name, name, name_len);
		take->name_len = name_len;
		take->next = objects;
		objects = take;
		pthread_cond_broadcast(&moved);
	}
	pthread_mutex_unlock(&lock);
	if (status == 409)
		keep_drop(take);
	return status;
}

static void
tell(const struct object *o, unsigned long number, char *ret, size_t cap)
{
	size_t len = (size_t)snprintf(ret, cap, "{\"id\":\"L-%lu\",\"offsets\":[", number);
	for (size_t i = 0; i < o->n; i++)
		len += (size_t)snprintf(ret + len, cap - len, "%s{\"offset\":%zu,\"len\":%zu}",
		    i > 0 ? "," : "", o->fragment[i].at, o->fragment[i].len);
	len += (size_t)snprintf(ret + len, cap - len, "]}");
	need(len < cap, "room for a lease");
}

int
keep_lease(const struct ask *ask, int wait, char *ret, size_t cap)
{
	double until = now() + (double)ask->timeout_ms / 1e3;
	struct timespec at = as_time(until);
	pthread_mutex_lock(&lock);
	struct object *o = find(ask->name, ask->name_len);
	while (o == NULL && wait && now() < until) {
		pthread_cond_timedwait(&moved, &lock, &at);
		o = find(ask->name, ask->name_len);
	}
	if (o != NULL) {
		struct lease *l = calloc(1, sizeof(*l));
		need(l != NULL, "memory");
		*l = (struct lease){ leases, o, ++last_number, now() + ask->ttl_s };
		leases = l;
		o->leases++;
		tell(o, l->number, ret, cap);
		atomic_fetch_add(&page->granted, 1);
		pthread_cond_broadcast(&moved);
	}
	pthread_mutex_unlock(&lock);
	return o != NULL;
}

int
keep_release(const char *id)
{
	char *end;
	unsigned long number = strncmp(id, "L-", 2) == 0 ? strtoul(id + 2, &end, 10) : 0;
	pthread_mutex_lock(&lock);
	struct lease **l = &leases;
	while (*l != NULL && (*l)->number != number)
		l = &(*l)->next;
	int has = *l != NULL;
	if (has)
		end_lease(l, 0);
	pthread_mutex_unlock(&lock);
	return has;
}
