/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server stands still, dies and comes back under load from several threads. What is promised:
 * every call returns by its deadline, every operation is answered once, no byte is wrong, memory is
 * not touched after its completion, nothing is lost of the pool, and service comes back by itself.
 *
 * Lateness counts from the deadline to the return of the call, so it has the scheduler of a busy
 * machine in it; LATE_MS is what is allowed.
 */
#include "kvr_system_bed.h"

#include "kvr_redis_server.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

KVR_NEEDS_REDIS

enum { THREADS = 4, KEYS = 8, EACH = 65536, BUDGET_MS = 250, LATE_MS = 5000, OBJECTS = 64 };

static const char *const one_tier =
    "{'memory':{'staging':'16MiB','objects':'4MiB','slot_size':'64KiB'},'timeouts':{'connect':'"
    "300ms'},"
    "'trace':{'dir':'none'},'tiers':[{'name':'far','url':'%s','format':'%s',"
    "'breaker':{'faults':2,'backoff_min':'20ms','backoff_max':'100ms'}}]}";

/* What the threads have seen; the test waits for it to move. */
struct load {
	struct kvr *kvr;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint64_t good, bad, worst_late_ns;
	bool stop;
	pthread_t thread[THREADS];
	uint32_t n;
};

static void
note(struct load *l, bool good, uint64_t until_ns)
{
	uint64_t now_ns = bed_now_ns(), late_ns = now_ns > until_ns ? now_ns - until_ns : 0;

	pthread_mutex_lock(&l->lock);
	if (good)
		l->good++;
	else
		l->bad++;
	if (late_ns > l->worst_late_ns)
		l->worst_late_ns = late_ns;
	pthread_cond_broadcast(&l->moved);
	pthread_mutex_unlock(&l->lock);
}

static bool
stopped(struct load *l)
{
	pthread_mutex_lock(&l->lock);
	bool stop = l->stop;

	pthread_mutex_unlock(&l->lock);
	return stop;
}

/* More than now by n, of good ones or of bad ones; bounded by a minute. */
static void
wait_for(struct load *l, const uint64_t *what, uint64_t n, const char *name)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += 60;
	pthread_mutex_lock(&l->lock);
	uint64_t goal = *what + n;

	while (*what < goal) {
		int late = pthread_cond_timedwait(&l->moved, &l->lock, &at);

		MUST(late == 0 || *what >= goal, "no %s: %llu good, %llu bad", name,
		    (unsigned long long)l->good, (unsigned long long)l->bad);
	}
	pthread_mutex_unlock(&l->lock);
}

/* After the completion memory is the caller's: what it writes there stays. */
static void
mark_memory(struct bed_batch *b)
{
	memset(b->memory, 0xe7, b->n * b->each);
}

static void
check_mark(const struct bed_batch *b)
{
	for (size_t i = 0; i < b->n * b->each; i++)
		MUST(b->memory[i] == 0xe7, "byte %zu was written after the completion", i);
}

static void *
blocking_caller(void *arg)
{
	struct load *l = arg;

	pthread_mutex_lock(&l->lock);
	uint32_t number = l->n++;

	pthread_mutex_unlock(&l->lock);
	char name[32];

	snprintf(name, sizeof(name), "caller-%u", number);
	struct bed_batch *b = bed_batch_new(name, KEYS, EACH);

	mark_memory(b);
	for (uint32_t turn = 0; !stopped(l); turn++) {
		uint64_t until_ns = bed_in_ms(BUDGET_MS);

		check_mark(b);
		enum kvr_err err =
		    bed_run(l->kvr, b, turn % 2 == 0 ? KVR_PUT : KVR_GET, 0, until_ns);

		MUST(b->done.op != 0 && b->done.n == KEYS, "refused: %s", kvr_err_name(err));
		/* A restarted server is empty: a miss is an answer. */
		note(l, err == KVR_OK || err == KVR_E_MISS, until_ns);
		mark_memory(b);
	}
	bed_batch_free(b);
	return NULL;
}

/* Objects of the pool: each is dropped once, whatever became of its key. */
static void *
object_caller(void *arg)
{
	struct load *l = arg;
	struct kvr_pool *pool = kvr_get_allocator_backend(l->kvr);
	struct bed_batch *b = bed_batch_new("caller-0", KEYS, EACH);
	kvr_obj obj[KEYS];

	while (!stopped(l)) {
		uint64_t until_ns = bed_in_ms(BUDGET_MS);
		enum kvr_err err =
		    kvr_batched_get_blocking(l->kvr, b->key, KEYS, until_ns, obj, b->err);

		note(l, err == KVR_OK || err == KVR_E_MISS, until_ns);
		for (int i = 0; i < KEYS; i++) {
			struct kvr_obj_info info = { .size = sizeof(info) };

			MUST((obj[i] != 0) == (b->err[i] == KVR_OK), "object %d of %s", i,
			    kvr_err_name(b->err[i]));
			if (obj[i] == 0)
				continue;
			OK(kvr_obj_look(pool, obj[i], &info));
			MUST(info.len == EACH && bed_wrong(info.at, EACH, b->key[i]) < 0,
			    "%s is wrong", b->key[i]);
			OK(kvr_unref(pool, obj[i]));
		}
	}
	bed_batch_free(b);
	return NULL;
}

/* Several at once in a queue: each tag comes back exactly once. */
static void *
queue_caller(void *arg)
{
	enum { DEPTH = 8 };
	struct load *l = arg;
	struct kvr_queue *queue;
	struct bed_batch *b[DEPTH];
	bool out[DEPTH] = { false };
	uint32_t n_out = 0;
	uint64_t until_ns[DEPTH] = { 0 };

	OK(kvr_queue_open(l->kvr, &queue));
	for (uint32_t i = 0; i < DEPTH; i++) {
		char name[32];

		snprintf(name, sizeof(name), "queued-%u", i);
		b[i] = bed_batch_new(name, KEYS, 4096);
	}
	while (n_out > 0 || !stopped(l)) {
		for (uint32_t i = 0; i < DEPTH && !stopped(l); i++) {
			struct kvr_opts o = { .size = sizeof(o),
				.until_ns = bed_in_ms(BUDGET_MS),
				.tag = i,
				.queue = queue };
			struct kvr_batch batch;

			if (out[i])
				continue;
			bed_describe(b[i], i % 2 == 0 ? KVR_PUT : KVR_LOOKUP, &batch);
			for (uint32_t k = 0; k < KEYS; k++)
				bed_fill(b[i]->at[k], 4096, b[i]->key[k]);
			OK(kvr_submit(l->kvr, &batch, &o, NULL));
			until_ns[i] = o.until_ns;
			out[i] = true;
			n_out++;
		}
		struct kvr_done done[DEPTH] = { { .size = sizeof(done[0]) } };
		int n = kvr_drain(queue, done, DEPTH, NULL);

		MUST(n >= 0, "%s", kvr_err_name(n));
		if (n == 0) {
			struct pollfd p = { .fd = kvr_queue_fd(queue), .events = POLLIN };

			MUST(poll(&p, 1, 20000) == 1, "%u operations and no completion", n_out);
		}
		for (int i = 0; i < n; i++) {
			uint64_t tag = done[i].tag;

			MUST(tag < DEPTH && out[tag], "tag %llu came twice",
			    (unsigned long long)tag);
			out[tag] = false;
			n_out--;
			note(l, done[i].err == KVR_OK || done[i].err == KVR_E_MISS, until_ns[tag]);
		}
	}
	for (uint32_t i = 0; i < DEPTH; i++)
		bed_batch_free(b[i]);
	return NULL;
}

static void
start_load(struct load *l, struct kvr *kvr)
{
	void *(*const callers[THREADS])(
	    void *) = { blocking_caller, blocking_caller, object_caller, queue_caller };

	*l = (struct load){ .kvr = kvr };
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->moved, NULL);
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_create(&l->thread[i], NULL, callers[i], l) == 0, "no thread");
}

static void
stop_load(struct load *l, const char *what)
{
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_mutex_unlock(&l->lock);
	for (int i = 0; i < THREADS; i++)
		pthread_join(l->thread[i], NULL);
	printf("%s: %llu good, %llu bad, worst lateness %.3f ms\n", what,
	    (unsigned long long)l->good, (unsigned long long)l->bad,
	    (double)l->worst_late_ns / 1e6);
	MUST(l->worst_late_ns < LATE_MS * bed_slowness() * 1000000U, "%llu ms late",
	    (unsigned long long)(l->worst_late_ns / 1000000U));
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->moved);
}

/* All objects that the pool can have can be had. */
static void
check_pool(struct kvr *kvr)
{
	struct kvr_pool *pool = kvr_get_allocator_backend(kvr);
	kvr_obj obj[OBJECTS];
	kvr_obj more;

	for (int i = 0; i < OBJECTS; i++)
		OK(kvr_alloc(pool, NULL, EACH, KVR_NOW, &obj[i]));
	ERR(kvr_alloc(pool, NULL, EACH, KVR_NOW, &more), KVR_E_NOMEM);
	for (int i = 0; i < OBJECTS; i++)
		OK(kvr_unref(pool, obj[i]));
}

static void
check_whole(struct kvr *kvr)
{
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t left;

	OK(kvr_quiet(kvr, bed_in_ms(30000), &left));
	OK(kvr_health(kvr, &h));
	MUST(h.in_flight == 0 && h.not_quiet == 0, "%llu in flight",
	    (unsigned long long)h.in_flight);
	check_pool(kvr);
}

static void
outages(const char *format)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(one_tier, server->url, format);
	struct load l;

	start_load(&l, kvr);
	wait_for(&l, &l.good, 50, "service at the beginning");
	for (int round = 0; round < 3; round++) {
		kvr_redis_server_pause(server);
		wait_for(&l, &l.bad, 30, "failure while it stands still");
		kvr_redis_server_resume(server);
		wait_for(&l, &l.good, 50, "service after standing still");
		kvr_redis_server_kill(server);
		wait_for(&l, &l.bad, 100, "failure while it is dead");
		kvr_redis_server_restart(server);
		wait_for(&l, &l.good, 50, "service after its death");
	}
	stop_load(&l, format);
	check_whole(kvr);
	bed_close(kvr);
	kvr_redis_server_stop(server);
}

START_TEST(outages_under_load_sealed)
{
	outages("sealed");
}
END_TEST

START_TEST(outages_under_load_bare)
{
	outages("bare");
}
END_TEST

KVR_CHECK_MAIN("system.outage", outages_under_load_sealed, outages_under_load_bare)
