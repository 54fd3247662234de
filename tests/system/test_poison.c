/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An invariant breaks while operations run: the instance is dead, the process and other instances
 * live, every operation is answered DEAD, memory comes back, and the trace tells what happened.
 * The broken message is posted below the facade, which is why this test sees more than kvrelay.h.
 */
#include "kvr_system_bed.h"

#include "kvr_instance.h"
#include "kvr_redis_server.h"
#include "kvr_system.h"
#include "kvr_trace_view.h"

#include <dirent.h>
#include <pthread.h>

KVR_NEEDS_REDIS

enum { OPS = 16, KEYS = 4, EACH = 5000, THREADS = 3 };

/* A part that nobody sent comes back to the router. */
static void
break_it(struct kvr *kvr)
{
	struct kvr_msg m = { .type = KVR_MSG_PART_DONE,
		.from = KVR_ID_TIER_OF(0),
		.to = KVR_ID_ROUTER,
		.part = 77 };

	uint64_t until_ns = bed_in_ms(20000);

	while (kvr_system_post(kvr->system, &m) != KVR_E_DEAD) /* it may be another thread's to step */
		MUST(bed_now_ns() < until_ns, "it lives");
}

static const char *
only_file(const char *dir, char *ret, size_t cap)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	MUST(d != NULL, "%s", dir);
	ret[0] = '\0';
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		MUST(ret[0] == '\0', "two files in %s", dir);
		snprintf(ret, cap, "%s/%s", dir, e->d_name);
	}
	closedir(d);
	MUST(ret[0] != '\0', "no trace in %s", dir);
	return ret;
}

static void
check_trace(const char *dir)
{
	char path[512], why[256] = "";
	struct kvr_trace_view *view;
	bool panic = false, step = false;

	OK(kvr_trace_view_open(only_file(dir, path, sizeof(path)), &view, why, sizeof(why)));
	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		if (r->kind == KVR_REC_MARK && kvr_rec_mark(r)->mark == KVR_MARK_PANIC)
			panic = true;
		if (r->kind == KVR_REC_STEP && kvr_rec_step(r)->after == KVR_STATE_BROKEN) {
			step = true;
			MUST(kvr_rec_step(r)->msg.type == KVR_MSG_PART_DONE &&
			         kvr_rec_step(r)->msg.part == 77,
			    "another step");
		}
	}
	MUST(panic && step, "panic %d, the step %d", panic, step);
	kvr_trace_view_free(view);
}

struct caller {
	struct kvr *kvr;
	pthread_t thread;
	int number;
};

/* Goes on until it is told that the instance is dead. */
static void *
call_until_dead(void *arg)
{
	struct caller *c = arg;
	char name[32];

	snprintf(name, sizeof(name), "c%d", c->number);
	struct bed_batch *b = bed_batch_new(name, KEYS, EACH);
	enum kvr_err err = KVR_OK;

	for (int i = 0; err != KVR_E_DEAD; i++) {
		err = bed_run(c->kvr, b, i % 2 == 0 ? KVR_PUT : KVR_GET, 0, bed_in_ms(20000));
		MUST(err == KVR_OK || err == KVR_E_DEAD, "%s", kvr_err_name(err));
	}
	bed_batch_free(b);
	return NULL;
}

static void
check_dead(struct kvr *kvr)
{
	struct kvr_health h = { .size = sizeof(h) };
	uint64_t left;

	ERR(bed_put1(kvr, "x", 10), KVR_E_DEAD);
	ERR(bed_get1(kvr, "x", 10, NULL), KVR_E_DEAD);
	ERR(kvr_contains(kvr, "x", false, 0), KVR_E_DEAD);
	ERR(kvr_quiet(kvr, bed_in_ms(5000), &left), KVR_E_DEAD);
	OK(kvr_health(kvr, &h));
	MUST(h.ok == 0 && h.why[0] != '\0', "health is ok");
}

START_TEST(a_broken_invariant_ends_the_instance_and_nothing_else)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct bed_batch *b = bed_batch_new("held", KEYS, EACH);
	char dir[64];
	struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };
	struct kvr_batch batch;
	struct caller caller[THREADS];
	kvr_op op[OPS];
	kvr_obj obj;

	bed_dir(dir, sizeof(dir));
	struct kvr *other =
	    bed_open("{'trace':{'dir':'none'},'tiers':[{'name':'m','url':'memory://'}]}");
	struct kvr *kvr = bed_open("{'on_panic':'poison','trace':{'dir':'%s','size':'1MiB'},'"
	                           "memory':{'staging':'4MiB','objects':'4MiB'},"
	                           "'tiers':[{'name':'m','url':'memory://"
	                           "'},{'name':'far','url':'%s','write':'never','timeout':'60s'}]}",
	    dir, server->url);

	OK(kvr_alloc(kvr_get_allocator_backend(kvr), NULL, EACH, 0, &obj));
	for (int i = 0; i < THREADS; i++) {
		caller[i] = (struct caller){ .kvr = kvr, .number = i };
		MUST(pthread_create(&caller[i].thread, NULL, call_until_dead, &caller[i]) == 0,
		    "no thread");
	}
	/* These wait for a server that stands still. */
	kvr_redis_server_pause(server);
	bed_describe(b, KVR_GET, &batch);
	for (int i = 0; i < OPS; i++)
		OK(kvr_submit(kvr, &batch, &o, &op[i]));
	break_it(kvr);
	uint64_t start_ns = bed_now_ns();

	for (int i = 0; i < OPS; i++) {
		struct kvr_done d = { .size = sizeof(d) };

		ERR(kvr_wait(kvr, op[i], bed_in_ms(30000), &d, NULL), KVR_E_DEAD);
		MUST((d.flags & KVR_DONE_QUIET) != 0, "operation %d is not quiet", i);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(caller[i].thread, NULL);
	printf("everything is answered %.1f ms after the break\n",
	    (double)(bed_now_ns() - start_ns) / 1e6);
	check_dead(kvr);
	check_trace(dir);
	OK(kvr_unref(kvr_get_allocator_backend(kvr), obj));
	kvr_redis_server_resume(server);
	struct kvr_close_report r = { .size = sizeof(r) };
	enum kvr_err err = kvr_close(kvr, bed_in_ms(20000), KVR_DRAIN, &r);

	MUST((err == KVR_OK || err == KVR_E_DEAD) && r.stuck_threads == 0, "%s, %u threads",
	    kvr_err_name(err), r.stuck_threads);
	kvr_free(kvr);
	/* The neighbour has not noticed. */
	OK(bed_put1(other, "x", 100));
	OK(bed_get1(other, "x", 100, NULL));
	bed_close(other);
	bed_batch_free(b);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(a_dead_instance_is_freed_and_opened_again)
{
	struct bed_usage warm = { 0 }, end;

	for (int i = 0; i < 20; i++) {
		struct kvr *kvr = bed_open("{'trace':{'dir':'none'},'memory':{'staging':'4MiB'},'"
		                           "tiers':[{'name':'m','url':'memory://'}]}");

		OK(bed_put1(kvr, "x", 100));
		break_it(kvr);
		check_dead(kvr);
		kvr_free(kvr);
		if (i == 4)
			bed_usage(&warm);
	}
	bed_usage(&end);
	MUST(end.threads == warm.threads && end.fds == warm.fds,
	    "%zu threads then %zu, %zu descriptors then %zu", warm.threads, end.threads, warm.fds,
	    end.fds);
}
END_TEST

KVR_CHECK_MAIN("system.poison", a_broken_invariant_ends_the_instance_and_nothing_else,
    a_dead_instance_is_freed_and_opened_again)
