/* SPDX-License-Identifier: Apache-2.0 */
/* A child after fork gets FORKED from every call, at once, and its parent does not notice. */
#include "kvr_api_bed.h"

#include <sys/wait.h>
#include <unistd.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

/* In the child: exits with the number of the first line that is wrong. */
#define CHILD(call)                                                                                \
	do {                                                                                       \
		if ((int)(call) != (int)KVR_E_FORKED)                                              \
			_exit(__LINE__ & 0xff ? __LINE__ & 0xff : 1);                              \
	} while (0)
#define CHILD_SAYS(what)                                                                           \
	do {                                                                                       \
		if (!(what))                                                                       \
			_exit(__LINE__ & 0xff ? __LINE__ & 0xff : 1);                              \
	} while (0)

struct bed {
	struct kvr *k;
	struct kvr_pool *p;
	struct kvr_queue *q;
	struct kvr_cache *cache;
	kvr_obj obj;
	kvr_op op;
};

/* Key texts have nothing to do with an instance. */
static void
child_formats(void)
{
	struct kvr_key_parts p = { .size = sizeof(p) };
	char text[KVR_KEY_MAX + 1], scratch[4096];

	CHILD_SAYS(kvr_key_parse("m@1@0@ff@half", &p, scratch, sizeof(scratch)) == KVR_OK);
	CHILD_SAYS(kvr_key_format(&p, text, sizeof(text)) == KVR_OK);
	CHILD_SAYS(strcmp(text, "m@1@0@ff@half") == 0);
}

static void
child_calls(struct bed *b)
{
	const struct kvr_batch batch = {
		.size = sizeof(batch), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
	};
	const char *key = "k";
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_obj_info i = { .size = sizeof(i) };
	struct kvr_health h = { .size = sizeof(h) };
	const struct kvr_options o = { .size = sizeof(o), .config_text = MEMORY };
	struct kvr_queue *q;
	struct kvr_cache *cache;
	struct kvr *k;
	kvr_op op;
	uint32_t n;
	uint64_t ns;

	CHILD(kvr_open(&o, 0, &k, NULL, 0));
	CHILD(kvr_submit(b->k, &batch, NULL, &op));
	CHILD(kvr_run(b->k, &batch, NULL, NULL, NULL));
	CHILD(kvr_wait(b->k, b->op, 0, NULL, NULL));
	CHILD(kvr_cancel(b->k, b->op));
	CHILD(kvr_cancel_request(b->k, "r"));
	CHILD(kvr_quiet(b->k, 0, NULL));
	CHILD(kvr_queue_open(b->k, &q));
	CHILD(kvr_drain(b->q, &d, 1, NULL));
	CHILD_SAYS(kvr_queue_fd(b->q) == -1);
	kvr_queue_wake(b->q);
	CHILD(kvr_alloc(b->p, NULL, 1, 0, &b->obj));
	CHILD(kvr_ref(b->p, b->obj));
	CHILD(kvr_unref(b->p, b->obj));
	CHILD(kvr_obj_pin(b->p, b->obj, true));
	CHILD(kvr_obj_shrink(b->p, b->obj, 1));
	CHILD(kvr_obj_look(b->p, b->obj, &i));
	CHILD_SAYS(kvr_get_allocator_backend(b->k) == NULL);
	CHILD(kvr_contains(b->k, key, false, 0));
	CHILD(kvr_batched_contains(b->k, &key, 1, false, 0, &n));
	CHILD_SAYS(!kvr_exists_in_put_tasks(b->k, key));
	CHILD(kvr_submit_put_task(b->k, key, b->obj, NULL, NULL, NULL));
	CHILD(kvr_batched_submit_put_task(b->k, &key, &b->obj, 1, NULL, NULL, NULL));
	CHILD(kvr_get_blocking(b->k, key, 0, &b->obj));
	CHILD(kvr_batched_get_blocking(b->k, &key, 1, 0, &b->obj, NULL));
	CHILD_SAYS(!kvr_support_batched_async_contains(b->k));
	CHILD_SAYS(!kvr_support_batched_get_non_blocking(b->k));
	CHILD(kvr_batched_async_contains(b->k, "l", &key, 1, false, NULL, &op));
	CHILD(kvr_batched_get_non_blocking(b->k, "l", &key, 1, &b->obj, NULL, &op));
	CHILD(kvr_pin(b->k, key));
	CHILD(kvr_unpin(b->k, key));
	CHILD(kvr_remove(b->k, key, false, 0));
	CHILD(kvr_set_layout(b->k, NULL));
	CHILD(kvr_change(b->k, NULL, 0, NULL, 0));
	CHILD(kvr_memory_register(b->k, &d, sizeof(d), 0));
	CHILD(kvr_memory_unregister(b->k, &d));
	CHILD(kvr_cache_open(b->k, NULL, &cache));
	CHILD(kvr_cache_close(b->cache));
	CHILD(kvr_cache_close(NULL));
	CHILD(kvr_layer_wait(b->k, b->op, 0, 0, &n));
	CHILD(kvr_layer_ready(b->k, b->op, 0, NULL));
	CHILD(kvr_health(b->k, &h));
	CHILD_SAYS(kvr_metrics_snapshot(b->k, KVR_METRICS_JSON, NULL, 0) == 0);
	CHILD(kvr_estimate(b->k, 1, 1, &ns));
	CHILD(kvr_close(b->k, 0, KVR_ABORT, NULL));
	kvr_free(b->k);
	CHILD_SAYS(strcmp(kvr_err_name(KVR_E_FORKED), "FORKED") == 0); /* these work everywhere */
	CHILD_SAYS(kvr_version() != 0 && kvr_has("memory"));
	CHILD_SAYS(kvr_err_may_pass(KVR_E_BUSY) && strlen(kvr_err_text(KVR_E_FORKED)) > 0);
	child_formats();
	_exit(0);
}

static void
wait_child(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: line %d, signal %d",
	    WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

START_TEST(a_child_is_told)
{
	const struct kvr_batch batch = {
		.size = sizeof(batch), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
	};
	static char memory[64];
	void *const base[] = { memory };
	const struct kvr_cache_shape shape = BED_CACHE(base, 64, 1);
	struct bed b = { .k = bed_open(MEMORY, NULL, NULL, NULL) };

	b.p = kvr_get_allocator_backend(b.k);
	OK(kvr_queue_open(b.k, &b.q));
	OK(kvr_alloc(b.p, NULL, 1000, 0, &b.obj));
	OK(kvr_submit(b.k, &batch, NULL, &b.op));
	OK(kvr_cache_open(b.k, &shape, &b.cache));
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		child_calls(&b);
	wait_child(pid);
	ERR(kvr_wait(b.k, b.op, 0, NULL, NULL), KVR_E_MISS);
	ERR(kvr_run(b.k, &batch, NULL, NULL, NULL), KVR_E_MISS);
	bed_close(b.k);
	/* Closed and freed, it still counts: the queue library's threads are not in the child. */
	pid = fork();
	if (pid == 0) {
		const struct kvr_options o = { .size = sizeof(o), .config_text = MEMORY };
		char why[256];

		CHILD(kvr_open(&o, 0, &b.k, why, sizeof(why)));
		CHILD_SAYS(strstr(why, "fork") != NULL);
		_exit(0);
	}
	wait_child(pid);
}
END_TEST

START_TEST(a_child_of_somebody_who_never_opened_may_open)
{
	pid_t pid = fork();

	if (pid == 0) {
		const struct kvr_options o = { .size = sizeof(o), .config_text = MEMORY };
		struct kvr *k;

		CHILD_SAYS(kvr_open(&o, 0, &k, NULL, 0) == KVR_OK);
		kvr_free(k);
		_exit(0);
	}
	wait_child(pid);
	bed_close(bed_open(MEMORY, NULL, NULL, NULL));
}
END_TEST

KVR_CHECK_MAIN("api.fork", a_child_is_told, a_child_of_somebody_who_never_opened_may_open)
