/* SPDX-License-Identifier: Apache-2.0 */
/* How operations are answered: duplicates, callbacks, an end in the middle. */
#include "kvr_system_bed.h"

#include "kvr_redis_server.h"

#include <pthread.h>
#include <time.h>

KVR_NEEDS_REDIS

enum { OPS = 32, KEYS = 4, EACH = 3000 };

#define FAR "{'timeouts':{'connect':'20s'},'trace':{'dir':'none'},'tiers':[{'name':'far','url':'%s','timeout':'60s'}]}"

/* The same key twice while the first is on its way: one write, one outcome, and it is said. */
START_TEST(a_put_of_a_key_that_is_being_put)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(FAR, server->url);
	struct bed_batch *b = bed_batch_new("dup", KEYS, EACH);
	struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };
	struct kvr_done first = { .size = sizeof(first) }, second = first;
	struct kvr_batch batch;
	kvr_op op[2];
	kvr_obj obj;

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	OK(kvr_alloc(kvr_get_allocator_backend(kvr), NULL, EACH, 0, &obj));
	MUST(!kvr_exists_in_put_tasks(kvr, b->key[0]), "it was complete");
	kvr_redis_server_pause(server);
	bed_describe(b, KVR_PUT, &batch);
	OK(kvr_submit(kvr, &batch, &o, &op[0]));
	OK(kvr_submit(kvr, &batch, &o, &op[1]));
	MUST(kvr_exists_in_put_tasks(kvr, b->key[0]), "it is on its way");
	ERR(kvr_submit_put_task(kvr, b->key[0], obj, NULL, NULL, NULL), KVR_E_DUPLICATE);
	kvr_redis_server_resume(server);
	OK(kvr_wait(kvr, op[0], 0, &first, NULL));
	OK(kvr_wait(kvr, op[1], 0, &second, NULL));
	MUST((first.flags & KVR_DONE_DUPLICATE) == 0, "the first is none");
	MUST((second.flags & KVR_DONE_DUPLICATE) != 0, "the second is one");
	MUST(!kvr_exists_in_put_tasks(kvr, b->key[0]), "it is over");
	OK(kvr_unref(kvr_get_allocator_backend(kvr), obj));
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	bed_close(kvr);
	bed_batch_free(b);
	kvr_redis_server_stop(server);
}
END_TEST

struct counter {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct kvr *kvr;
	int n, seen[OPS];
};

/* It may submit, and what waits is refused. */
static void
on_done(void *arg, const struct kvr_done *done, const struct kvr_results *results)
{
	struct counter *c = arg;
	uint64_t left;

	MUST(done->tag < OPS && done->n == KEYS, "tag %llu", (unsigned long long)done->tag);
	for (uint32_t i = 0; i < done->n; i++)
		MUST(results->err[done->first + i] == done->err, "key %u", i);
	enum kvr_err err = kvr_quiet(c->kvr, 0, &left);

	MUST(err == KVR_E_INVALID || err == KVR_E_SHUTDOWN, "%s", kvr_err_name(err));
	ERR(kvr_close(c->kvr, 0, KVR_DRAIN, NULL), KVR_E_INVALID);
	pthread_mutex_lock(&c->lock);
	c->n++;
	c->seen[done->tag]++;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

static void
submit_all(struct counter *c, struct bed_batch *b, uint32_t kind, uint64_t until_ns)
{
	struct kvr_batch batch;

	bed_describe(b, kind, &batch);
	for (uint64_t i = 0; i < OPS; i++) {
		const struct kvr_opts o = { .size = sizeof(o),
			.until_ns = until_ns,
			.tag = i,
			.done = on_done,
			.done_arg = c };

		OK(kvr_submit(c->kvr, &batch, &o, NULL));
	}
}

static void
each_once(struct counter *c)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += 60;
	pthread_mutex_lock(&c->lock);
	while (c->n < OPS)
		MUST(pthread_cond_timedwait(&c->moved, &c->lock, &at) == 0, "%d of %d", c->n, OPS);
	for (int i = 0; i < OPS; i++) {
		MUST(c->seen[i] == 1, "tag %d came %d times", i, c->seen[i]);
		c->seen[i] = 0;
	}
	c->n = 0;
	pthread_mutex_unlock(&c->lock);
}

START_TEST(callbacks_come_once_whatever_happens)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(FAR, server->url);
	struct bed_batch *b = bed_batch_new("cb", KEYS, EACH);
	struct counter c = { .kvr = kvr };

	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.moved, NULL);
	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	submit_all(&c, b, KVR_LOOKUP, 0);
	each_once(&c);
	/* At their deadline. */
	kvr_redis_server_pause(server);
	submit_all(&c, b, KVR_LOOKUP, bed_in_ms(100));
	each_once(&c);
	/* At the end of everything. */
	struct kvr_close_report r = { .size = sizeof(r) }, again = r;

	submit_all(&c, b, KVR_LOOKUP, bed_in_ms(60000));
	uint64_t start_ns = bed_now_ns();

	OK(kvr_close(kvr, bed_in_ms(10000), KVR_ABORT, &r));
	MUST(bed_now_ns() - start_ns < UINT64_C(9000000000), "close took its time");
	each_once(&c);
	MUST(r.dropped + r.finished >= 1 && r.stuck_threads == 0 && r.not_quiet == 0,
	    "%llu dropped, %u stuck", (unsigned long long)r.dropped, r.stuck_threads);
	OK(kvr_close(kvr, 0, KVR_DRAIN, &again));
	MUST(again.dropped == r.dropped && again.finished == r.finished, "another report");
	ERR(bed_put1(kvr, "x", 1), KVR_E_SHUTDOWN);
	kvr_free(kvr);
	bed_batch_free(b);
	kvr_redis_server_stop(server);
}
END_TEST

/* Results and objects can be fetched after the end. */
START_TEST(what_was_answered_can_be_fetched_after_close)
{
	struct kvr *kvr =
	    bed_open("{'trace':{'dir':'none'},'tiers':[{'name':'m','url':'memory://'}]}");
	struct kvr_pool *pool = kvr_get_allocator_backend(kvr);
	struct bed_batch *b = bed_batch_new("after", KEYS, EACH);
	struct kvr_obj_info info = { .size = sizeof(info) };
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_queue *queue;
	kvr_obj obj[KEYS] = { 0 };
	kvr_op op;

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	OK(kvr_queue_open(kvr, &queue));
	const struct kvr_opts o = { .size = sizeof(o), .queue = queue, .tag = 9 };
	const struct kvr_batch batch = {
		.size = sizeof(batch), .kind = KVR_GET, .n = KEYS, .key = b->key, .obj = obj
	};

	OK(kvr_submit(kvr, &batch, &o, &op));
	OK(kvr_close(kvr, 0, KVR_DRAIN, NULL));
	MUST(kvr_drain(queue, &d, 1, NULL) == 1 && d.tag == 9 && d.err == KVR_OK, "%s",
	    kvr_err_name(d.err));
	MUST(kvr_drain(queue, &d, 1, NULL) == 0, "it came twice");
	for (int i = 0; i < KEYS; i++) {
		OK(kvr_obj_look(pool, obj[i], &info));
		MUST(info.len == EACH && bed_wrong(info.at, EACH, b->key[i]) < 0, "%s", b->key[i]);
		OK(kvr_unref(pool, obj[i]));
	}
	kvr_free(kvr);
	bed_batch_free(b);
}
END_TEST

KVR_CHECK_MAIN("system.answers", a_put_of_a_key_that_is_being_put,
    callbacks_come_once_whatever_happens, what_was_answered_can_be_fetched_after_close)
