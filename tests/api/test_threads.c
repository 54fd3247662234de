/* SPDX-License-Identifier: Apache-2.0 */
/* Many callers at once, in all three ways of being told, and an end in the middle of it. */
#include "kvr_api_bed.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

enum { CALLERS = 4, ROUNDS = KVR_ROUNDS(150), KEYS = 5, LEN = 20000 };

struct caller {
	struct kvr *k;
	pthread_t id;
	int number;
	bool until_shutdown;
	_Atomic int told;
	int accepted;
	char in[KEYS][LEN], out[KEYS][LEN];
};

static void
told(void *arg, const struct kvr_done *d, const struct kvr_results *r)
{
	(void)d;
	(void)r;
	atomic_fetch_add((_Atomic int *)arg, 1);
}

static void
batch_of(struct caller *c, uint32_t kind, int round, char *keys, struct kvr_batch *ret, void **at,
    uint64_t *len)
{
	char *text = keys;

	for (int i = 0; i < KEYS; i++) {
		text += sprintf(text, "caller-%d/round-%d/%d", c->number, round % 7, i) + 1;
		at[i] = kind == KVR_PUT ? c->in[i] : c->out[i];
		len[i] = LEN;
	}
	*ret = (struct kvr_batch){
		.size = sizeof(*ret), .kind = kind, .n = KEYS, .keys = keys, .at = at, .len = len
	};
}

static void
ask_and_be_told(struct caller *c, const char *keys, struct kvr_queue *q)
{
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_LOOKUP, .n = KEYS, .keys = keys
	};
	const struct kvr_opts by_call = {
		.size = sizeof(by_call), .done = told, .done_arg = &c->told
	};
	const struct kvr_opts by_queue = { .size = sizeof(by_queue), .queue = q };
	struct kvr_done d = { .size = sizeof(d) };
	struct pollfd p = { .fd = kvr_queue_fd(q), .events = POLLIN };
	kvr_op op;

	if (kvr_submit(c->k, &b, &by_call, NULL) == KVR_OK)
		c->accepted++;
	(void)!kvr_submit(c->k, &b, NULL, NULL); /* nobody asks */
	if (kvr_submit(c->k, &b, &by_queue, &op) == KVR_OK) {
		ck_assert_int_eq(poll(&p, 1, 30000), 1);
		ck_assert_int_eq(kvr_drain(q, &d, 1, NULL), 1);
		ck_assert_uint_eq(d.op, op);
	}
}

static void *
call(void *arg)
{
	struct caller *c = arg;
	char keys[KEYS * 40];
	void *at[KEYS];
	uint64_t len[KEYS];
	struct kvr_batch b;
	struct kvr_queue *q;
	enum kvr_err err = kvr_queue_open(c->k, &q);

	if (err == KVR_E_SHUTDOWN)
		return NULL;
	OK(err);
	for (int round = 0; c->until_shutdown || round < ROUNDS; round++) {
		for (int i = 0; i < KEYS; i++)
			bed_fill(c->in[i], LEN, (uint32_t)(c->number * 1000 + round * 10 + i));
		batch_of(c, KVR_PUT, round, keys, &b, at, len);
		err = kvr_run(c->k, &b, NULL, NULL, NULL);
		if (c->until_shutdown && err != KVR_OK)
			break;
		OK(err);
		batch_of(c, KVR_GET, round, keys, &b, at, len);
		err = kvr_run(c->k, &b, NULL, NULL, NULL);
		if (c->until_shutdown && err != KVR_OK)
			break;
		OK(err);
		for (int i = 0; i < KEYS; i++)
			bed_same(c->out[i], LEN, (uint32_t)(c->number * 1000 + round * 10 + i));
		ask_and_be_told(c, keys, q);
	}
	if (c->until_shutdown)
		ck_assert_msg(err == KVR_E_SHUTDOWN, "%s", kvr_err_name(err));
	return NULL;
}

static struct caller *
start(struct kvr *k, bool until_shutdown)
{
	struct caller *c = calloc(CALLERS, sizeof(*c));

	ck_assert_ptr_nonnull(c);
	for (int i = 0; i < CALLERS; i++) {
		c[i].k = k;
		c[i].number = i;
		c[i].until_shutdown = until_shutdown;
		ck_assert_int_eq(pthread_create(&c[i].id, NULL, call, &c[i]), 0);
	}
	return c;
}

static void
finish(struct caller *c)
{
	for (int i = 0; i < CALLERS; i++)
		pthread_join(c[i].id, NULL);
}

START_TEST(many_callers)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct caller *c = start(k, false);
	struct kvr_health h = { .size = sizeof(h) };

	finish(c);
	OK(kvr_quiet(k, 0, NULL));
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.in_flight, 0);
	bed_close(k); /* after it every callback has been made */
	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(c[i].told, c[i].accepted);
	free(c);
}
END_TEST

static void
end_in_the_middle(uint32_t mode)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct caller *c = start(k, true);
	struct kvr_close_report r = { .size = sizeof(r) };

	while (c[0].told < 5)
		OK(kvr_quiet(k, 0, NULL));
	OK(kvr_close(k, bed_in_ms(20000), mode, &r));
	finish(c);
	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(c[i].told, c[i].accepted);
	ck_assert_uint_eq(r.not_quiet, 0);
	kvr_free(k);
	free(c);
}

START_TEST(drained_in_the_middle)
{
	end_in_the_middle(KVR_DRAIN);
}
END_TEST

START_TEST(aborted_in_the_middle)
{
	end_in_the_middle(KVR_ABORT);
}
END_TEST

/* Two threads put one key at once: one is told DUPLICATE or shares the outcome, none is lost. */
struct rival {
	struct kvr *k;
	pthread_t id;
	kvr_obj obj;
	_Atomic int *told;
	int accepted, duplicate;
};

static void *
put_the_same(void *arg)
{
	struct rival *r = arg;

	for (int i = 0; i < 200; i++) {
		enum kvr_err err =
		    kvr_submit_put_task(r->k, "the key", r->obj, told, r->told, NULL);

		ck_assert_msg(err == KVR_OK || err == KVR_E_DUPLICATE, "%s", kvr_err_name(err));
		r->accepted += err == KVR_OK;
		r->duplicate += err == KVR_E_DUPLICATE;
	}
	return NULL;
}

START_TEST(two_put_one_key)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	_Atomic int n = 0;
	struct rival r[2] = { { .k = k, .told = &n }, { .k = k, .told = &n } };

	for (int i = 0; i < 2; i++) {
		struct kvr_obj_info info = { .size = sizeof(info) };

		OK(kvr_alloc(p, NULL, 100000, 0, &r[i].obj));
		OK(kvr_obj_look(p, r[i].obj, &info));
		memset(info.at, i, info.len);
		ck_assert_int_eq(pthread_create(&r[i].id, NULL, put_the_same, &r[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(r[i].id, NULL);
	OK(kvr_quiet(k, 0, NULL));
	ck_assert(!kvr_exists_in_put_tasks(k, "the key"));
	OK(kvr_contains(k, "the key", false, 0));
	for (int i = 0; i < 2; i++)
		OK(kvr_unref(p, r[i].obj));
	bed_close(k);
	ck_assert_int_eq(n, r[0].accepted + r[1].accepted);
	ck_assert_int_eq(r[0].accepted + r[1].accepted + r[0].duplicate + r[1].duplicate, 400);
}
END_TEST

/* A log function that waits for somebody else: for a lock, say, that a thread has that submits. */
struct trap {
	_Atomic int in, let_go, gave_up;
};

static void
into_trap(void *arg, int level, const char *line)
{
	struct trap *t = arg;
	uint64_t until_ns = bed_in_ms(30000);

	(void)level;
	if (strstr(line, " to UP") == NULL)
		return;
	t->in = 1;
	while (!t->let_go && bed_now_ns() < until_ns)
		nanosleep(&(const struct timespec){ .tv_nsec = 1000000 }, NULL);
	t->gave_up = !t->let_go;
}

START_TEST(who_waits_in_the_log_function_holds_up_no_operation)
{
	static const char *const set[] = { "on_panic=abort", "log.level=info" };
	static struct trap t;
	const struct kvr_options o = { .size = sizeof(o),
		.config_text = MEMORY,
		.log = into_trap,
		.log_arg = &t,
		.set = set,
		.n_set = 2 };
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_LOOKUP, .n = 1, .keys = "k" };
	struct kvr *k = NULL;

	OK(kvr_open(&o, 0, &k, NULL, 0));
	while (!t.in)
		nanosleep(&(const struct timespec){ .tv_nsec = 1000000 }, NULL);
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_MISS);
	ck_assert_int_eq(t.gave_up, 0);
	t.let_go = 1;
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN(
    "api.threads", many_callers, drained_in_the_middle, aborted_in_the_middle, two_put_one_key,
    who_waits_in_the_log_function_holds_up_no_operation)
