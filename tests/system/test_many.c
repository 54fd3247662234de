/* SPDX-License-Identifier: Apache-2.0 */
/* Instances beside each other and one after the other: nothing of them stays. */
#include "kvr_system_bed.h"

#include <pthread.h>

enum { AT_ONCE = 4, EACH = 3000, WARM = 20 };

static struct kvr *
open_one(const char *dir)
{
	return bed_open("{'memory':{'staging':'4MiB','objects':'4MiB'},'trace':{'dir':'%s','size':'"
	                "1MiB','keep':2},"
	                "'tiers':[{'name':'ram','url':'memory://'},{'name':'disk','url':'fs://%s/"
	                "cache','serde':'zstd'}]}",
	    dir, dir);
}

static void
use(struct kvr *kvr, const char *name)
{
	struct bed_batch *b = bed_batch_new(name, 8, EACH);
	kvr_obj obj[8];

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	OK(kvr_batched_get_blocking(kvr, b->key, 8, 0, obj, b->err));
	for (int i = 0; i < 8; i++)
		OK(kvr_unref(kvr_get_allocator_backend(kvr), obj[i]));
	bed_batch_free(b);
}

START_TEST(two_hundred_lives_leave_nothing)
{
	/* A sanitizer sees what is left of one, and takes its time. */
	const int turns = bed_slowness() > 1 ? 60 : 200;
	char dir[64];
	struct bed_usage warm = { 0 }, end;

	bed_dir(dir, sizeof(dir));
	for (int i = 0; i < turns; i++) {
		struct kvr *kvr = open_one(dir);

		use(kvr, "turn");
		if (i % 3 == 0)
			kvr_free(kvr); /* without a close */
		else
			bed_close(kvr);
		if (i == WARM)
			bed_usage(&warm); /* allocators and nng have what they keep */
	}
	bed_usage(&end);
	printf("after %d and %d lives: threads %zu %zu, descriptors %zu %zu, maps %zu %zu, mapped "
	       "%zu %zu KiB\n",
	    WARM, turns, warm.threads, end.threads, warm.fds, end.fds, warm.maps, end.maps,
	    warm.mapped_kib, end.mapped_kib);
	MUST(end.threads == warm.threads, "%zu threads, then %zu", warm.threads, end.threads);
	MUST(end.fds == warm.fds, "%zu descriptors, then %zu", warm.fds, end.fds);
	if (bed_slowness() > 1)
		return; /* a sanitizer keeps what was freed for a while */
	MUST(end.maps <= warm.maps + 16, "%zu maps, then %zu", warm.maps, end.maps);
	MUST(end.mapped_kib <= warm.mapped_kib + 8192, "%zu KiB, then %zu", warm.mapped_kib,
	    end.mapped_kib);
}
END_TEST

static void *
one_of_many(void *arg)
{
	const char *dir = arg;
	char name[32];

	snprintf(name, sizeof(name), "t%lx", (unsigned long)pthread_self() >> 12 & 0xfffffU);
	for (int i = 0; i < 15; i++) {
		struct kvr *kvr = open_one(dir);

		use(kvr, name);
		bed_close(kvr);
	}
	return NULL;
}

START_TEST(instances_at_the_same_time)
{
	char dir[64];
	pthread_t thread[AT_ONCE];

	bed_dir(dir, sizeof(dir));
	for (int i = 0; i < AT_ONCE; i++)
		MUST(pthread_create(&thread[i], NULL, one_of_many, dir) == 0, "no thread");
	for (int i = 0; i < AT_ONCE; i++)
		pthread_join(thread[i], NULL);
	/* An object of one is nothing to the other. */
	struct kvr *one = open_one(dir), *two = open_one(dir);
	kvr_obj obj;

	OK(kvr_alloc(kvr_get_allocator_backend(one), NULL, 100, 0, &obj));
	use(two, "other");
	OK(kvr_unref(kvr_get_allocator_backend(one), obj));
	bed_close(one);
	use(two, "still");
	bed_close(two);
}
END_TEST

KVR_CHECK_MAIN("system.many", two_hundred_lives_leave_nothing, instances_at_the_same_time)
