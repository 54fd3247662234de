/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every method of LMCache's RemoteBackend in every kind of trouble, cell by cell: what it answers,
 * how many callbacks come, and that all memory is back afterwards. Over a real server that is away,
 * stands still, has no such key, or refuses.
 */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"

#include <stdatomic.h>

KVR_NEEDS_REDIS

enum { LEN = 65536, SLOTS = 8, KEYS = 3, LATE_MS = 5000 };
enum trouble { AWAY, STILL, ABSENT, NO_MEMORY, REFUSES, OTHER_RANK, SCHEDULER };

/* k0 and k1 are stored, k2 is not; put is what a put writes, gone what is removed. */
static const char *const key[KEYS] = { "m@2@0@a@bfloat16", "m@2@0@b@bfloat16", "m@2@0@c@bfloat16" };
static const char *const key_of_rank_1[KEYS] = { "m@2@1@a@bfloat16", "m@2@1@b@bfloat16",
	"m@2@1@c@bfloat16" };

static const struct kvr_group group = {
	.dtype = KVR_DT_BFLOAT16, .n_dims = 4, .dim = { 2, 8, 32, 64 }
};
static const struct kvr_layout chunk = {
	.size = sizeof(chunk), .format = KVR_FMT_KV_2LTD, .n_groups = 1, .group = &group
};

struct world {
	enum trouble trouble;
	struct kvr_redis_server *server;
	struct kvr *k;
	const char *const *key;
	kvr_obj held[SLOTS + 1];
	_Atomic int n_called, called_err;
};

/* What a method answers, and how many leading keys or objects it gives. */
struct said {
	int32_t err;
	uint32_t n;
};

static struct kvr *
open_for(const char *url, enum trouble trouble)
{
	const struct kvr_identity who = { .size = sizeof(who),
		.keys = KVR_KEYS_LMCACHE,
		.world_size = 2,
		.worker_id = trouble == OTHER_RANK,
		.use_mla = trouble == OTHER_RANK,
		.role = trouble == SCHEDULER ? KVR_SCHEDULER : KVR_WORKER };
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"objects\":\"%uB\"},\"trace\":{\"dir\":\"none\"},"
	    "\"timeouts\":{\"put\":\"300ms\",\"blocking\":\"300ms\",\"lookup\":\"300ms\"},"
	    "\"tiers\":[{\"name\":\"far\",\"url\":\"%s\",\"format\":\"lmcache\",\"breaker\":{"
	    "\"faults\":1000}%s}]}",
	    SLOTS * LEN, url, trouble == REFUSES ? ",\"user\":\"kv\",\"password\":\"pw\"" : "");
	return bed_open(json, &who, &chunk, NULL);
}

static kvr_obj
make(struct kvr *k)
{
	kvr_obj obj = 0;

	OK(kvr_alloc(kvr_get_allocator_backend(k), &chunk, 0, KVR_NOW, &obj));
	return obj;
}

static void
store_two(const char *url)
{
	struct kvr *k = open_for(url, ABSENT);
	struct kvr_pool *pool = kvr_get_allocator_backend(k);

	for (int i = 0; i < 2; i++) {
		kvr_obj obj = make(k);
		kvr_op op;

		OK(kvr_submit_put_task(k, key[i], obj, NULL, NULL, &op));
		OK(kvr_wait(k, op, 0, NULL, NULL));
		OK(kvr_unref(pool, obj));
	}
	bed_close(k);
}

/* All slots of the pool: with it nothing is left, and afterwards it shows that nothing is lost. */
static void
hold_all(struct world *w)
{
	struct kvr_pool *pool = kvr_get_allocator_backend(w->k);

	for (int i = 0; i < SLOTS; i++)
		OK(kvr_alloc(pool, &chunk, 0, KVR_NOW, &w->held[i]));
	ERR(kvr_alloc(pool, &chunk, 0, KVR_NOW, &w->held[SLOTS]), KVR_E_NOMEM);
}

static void
let_all_go(struct world *w)
{
	for (int i = 0; i < SLOTS; i++)
		OK(kvr_unref(kvr_get_allocator_backend(w->k), w->held[i]));
}

static void
await(struct kvr *k, enum kvr_err err)
{
	uint64_t until_ns = bed_in_ms(20000);

	while (kvr_contains(k, key[0], false, 0) != err)
		ck_assert_uint_lt(bed_now_ns(), until_ns);
}

static void
begin(struct world *w, enum trouble trouble)
{
	static const char *const users[] = { "--user", "kv", "on", ">pw", "~*", "+auth", "+hello",
		"+ping", "+client", "+select", "+command", NULL };

	memset(w, 0, sizeof(*w));
	w->trouble = trouble;
	w->server = kvr_redis_server_start(NULL, trouble == REFUSES ? users : NULL);
	store_two(w->server->url);
	if (trouble == AWAY)
		kvr_redis_server_kill(w->server);
	w->k = open_for(w->server->url, trouble);
	w->key = trouble == OTHER_RANK ? key_of_rank_1 : key;
	if (trouble == AWAY)
		await(w->k, KVR_E_DOWN);
	if (trouble == NO_MEMORY)
		hold_all(w);
}

static void
end(struct world *w)
{
	uint64_t start_ns = bed_now_ns();

	if (w->trouble == NO_MEMORY) {
		let_all_go(w);
	}
	if (w->trouble != SCHEDULER) {
		hold_all(w);
		let_all_go(w);
	}
	OK(kvr_close(w->k, bed_in_ms(2000), KVR_ABORT, NULL));
	OK(kvr_close(w->k, bed_in_ms(2000), KVR_ABORT, NULL));
	ck_assert_uint_lt(bed_now_ns() - start_ns, LATE_MS * UINT64_C(1000000));
	ERR(kvr_contains(w->k, key[0], false, 0), KVR_E_SHUTDOWN);
	kvr_free(w->k);
	kvr_redis_server_stop(w->server);
}

/* ---- the methods ---- */

static struct said
contains(struct world *w)
{
	return (
	    struct said){ kvr_contains(w->k, w->key[w->trouble == ABSENT ? 2 : 0], false, 0), 0 };
}

static struct said
batched_contains(struct world *w)
{
	struct said s = { 0, 99 };

	s.err = kvr_batched_contains(w->k, w->key, KEYS, false, 0, &s.n);
	return s;
}

static struct said
wait_for(struct world *w, kvr_op op)
{
	struct kvr_done d = { .size = sizeof(d) };
	int32_t err = kvr_wait(w->k, op, 0, &d, NULL);

	return (struct said){ err, d.prefix };
}

static struct said
async_contains(struct world *w)
{
	kvr_op op;

	OK(kvr_batched_async_contains(w->k, "id", w->key, KEYS, false, NULL, &op));
	return wait_for(w, op);
}

static void
put_ended(void *arg, const struct kvr_done *done, const struct kvr_results *res)
{
	struct world *w = arg;

	(void)res;
	w->called_err = done->err;
	w->n_called++;
}

/* n: callbacks. The reference is dropped at once: the library has its own. */
static struct said
put(struct world *w, bool batched)
{
	struct kvr_pool *pool = kvr_get_allocator_backend(w->k);
	bool held = w->trouble == NO_MEMORY, none = w->trouble == SCHEDULER;
	kvr_obj obj = none ? 1 : held ? w->held[0] : make(w->k);
	const char *name = w->trouble == OTHER_RANK ? "m@2@1@d@bfloat16" : "m@2@0@d@bfloat16";
	int32_t err;

	w->n_called = 0;
	if (batched)
		err = kvr_batched_submit_put_task(w->k, &name, &obj, 1, put_ended, w, NULL);
	else
		err = kvr_submit_put_task(w->k, name, obj, put_ended, w, NULL);
	if (!held && !none)
		OK(kvr_unref(pool, obj));
	OK(kvr_quiet(w->k, bed_in_ms(20000), NULL));
	uint64_t until_ns = bed_in_ms(20000);

	while (err == KVR_OK && w->n_called == 0) /* it runs on a thread of its own */
		ck_assert_uint_lt(bed_now_ns(), until_ns);
	ck_assert(!kvr_exists_in_put_tasks(w->k, name));
	return (struct said){ err == KVR_OK ? w->called_err : err, (uint32_t)w->n_called };
}

static struct said
put_one(struct world *w)
{
	return put(w, false);
}

static struct said
put_batch(struct world *w)
{
	return put(w, true);
}

static uint32_t
drop(struct world *w, const kvr_obj *obj, uint32_t n)
{
	uint32_t had = 0;

	for (uint32_t i = 0; i < n; i++) {
		had += obj[i] != 0;
		if (obj[i] != 0)
			OK(kvr_unref(kvr_get_allocator_backend(w->k), obj[i]));
	}
	return had;
}

static struct said
get_one(struct world *w)
{
	kvr_obj obj = 7;
	int32_t err = kvr_get_blocking(w->k, w->key[w->trouble == ABSENT ? 2 : 0], 0, &obj);

	return (struct said){ err, drop(w, &obj, 1) };
}

/* A miss in the middle; n: objects that came. */
static struct said
get_batch(struct world *w)
{
	const char *const holes[KEYS] = { w->key[0], w->key[2], w->key[1] };
	kvr_obj obj[KEYS] = { 7, 7, 7 };
	int32_t each[KEYS];
	int32_t err = kvr_batched_get_blocking(w->k, holes, KEYS, 0, obj, each);

	if (err == KVR_E_MISS)
		ck_assert(each[0] == KVR_OK && each[1] == KVR_E_MISS && each[2] == KVR_OK);
	return (struct said){ err, drop(w, obj, KEYS) };
}

static struct said
get_async(struct world *w)
{
	kvr_obj obj[KEYS] = { 0 };
	kvr_op op;
	int32_t err = kvr_batched_get_non_blocking(w->k, "id", w->key, KEYS, obj, NULL, &op);

	if (err != KVR_OK)
		return (struct said){ err, 0 };
	struct said s = wait_for(w, op);

	drop(w, obj, KEYS);
	return s;
}

/* What it removes is stored again, by the rank that may. */
static struct said
remove_one(struct world *w)
{
	struct said s = { kvr_remove(w->k, w->key[w->trouble == ABSENT ? 2 : 1], false, 0), 0 };

	if (s.err == KVR_OK) {
		ERR(kvr_contains(w->k, w->key[1], false, 0), KVR_E_MISS);
		store_two(w->server->url);
	}
	return s;
}

static struct said
pin_and_unpin(struct world *w)
{
	OK(kvr_unpin(w->k, w->key[0]));
	return (struct said){ kvr_pin(w->k, w->key[2]), 0 };
}

/* n: tiers that are up. */
static struct said
health(struct world *w)
{
	struct kvr_health h = { .size = sizeof(h) };
	int32_t err = kvr_health(w->k, &h);

	return (struct said){ err, h.n_up };
}

/* No keys are complete at once, whatever the trouble is. */
static struct said
no_keys(struct world *w)
{
	uint32_t n = 9;
	struct said s = { kvr_batched_contains(w->k, w->key, 0, false, 0, &n), 0 };

	ck_assert_uint_eq(n, 0);
	return s;
}

enum { METHODS = 11, TROUBLES = 7 };

static const struct row {
	const char *name;
	struct said (*call)(struct world *);
	struct said want[TROUBLES];
} matrix[METHODS] = {
#define E(err, n)                                                                                  \
	{                                                                                          \
		KVR_E_##err, n                                                                     \
	}
#define FINE(n)                                                                                    \
	{                                                                                          \
		KVR_OK, n                                                                          \
	}
	/* AWAY, STILL, ABSENT, NO_MEMORY, REFUSES, OTHER_RANK, SCHEDULER */
	{ "contains", contains,
	    { E(DOWN, 0), E(TIMEOUT, 0), E(MISS, 0), FINE(0), E(AUTH, 0), FINE(0), FINE(0) } },
	{ "batched_contains", batched_contains,
	    { E(DOWN, 0), E(TIMEOUT, 0), FINE(2), FINE(2), E(AUTH, 0), FINE(2), FINE(2) } },
	{ "batched_async_contains", async_contains,
	    { E(DOWN, 0), E(TIMEOUT, 0), E(MISS, 2), E(MISS, 2), E(AUTH, 0), E(MISS, 2),
	        E(MISS, 2) } },
	{ "submit_put_task", put_one,
	    { E(DOWN, 0), E(TIMEOUT, 1), FINE(1), FINE(1), E(AUTH, 1), E(SKIPPED_MLA, 0),
	        E(UNSUPPORTED, 0) } },
	{ "batched_submit_put_task", put_batch,
	    { E(DOWN, 0), E(TIMEOUT, 1), FINE(1), FINE(1), E(AUTH, 1), E(SKIPPED_MLA, 0),
	        E(UNSUPPORTED, 0) } },
	{ "get_blocking", get_one,
	    { E(DOWN, 0), E(TIMEOUT, 0), E(MISS, 0), E(NOMEM, 0), E(AUTH, 0), FINE(1),
	        E(UNSUPPORTED, 0) } },
	{ "batched_get_blocking", get_batch,
	    { E(DOWN, 0), E(TIMEOUT, 0), E(MISS, 2), E(NOMEM, 0), E(AUTH, 0), E(MISS, 2),
	        E(UNSUPPORTED, 0) } },
	{ "batched_get_non_blocking", get_async,
	    { E(DOWN, 0), E(TIMEOUT, 0), E(MISS, 2), E(NOMEM, 0), E(AUTH, 0), E(MISS, 2),
	        E(UNSUPPORTED, 0) } },
	{ "remove", remove_one,
	    { E(DOWN, 0), E(TIMEOUT, 0), E(MISS, 0), FINE(0), E(AUTH, 0), FINE(0), FINE(0) } },
	{ "pin", pin_and_unpin, { FINE(0), FINE(0), FINE(0), FINE(0), FINE(0), FINE(0), FINE(0) } },
	{ "no keys", no_keys, { FINE(0), FINE(0), FINE(0), FINE(0), FINE(0), FINE(0), FINE(0) } },
#undef E
#undef FINE
};

/* Each call begins with a connection that lives, and then the server stands still. */
static void
stand_still(struct world *w)
{
	kvr_redis_server_resume(w->server);
	await(w->k, KVR_OK);
	kvr_redis_server_pause(w->server);
}

static void
column(enum trouble trouble)
{
	struct world w;

	begin(&w, trouble);
	for (int i = 0; i < METHODS; i++) {
		const struct row *r = &matrix[i];

		if (trouble == STILL)
			stand_still(&w);
		uint64_t start_ns = bed_now_ns();
		struct said said = r->call(&w);
		const struct said *want = &r->want[trouble];

		ck_assert_msg(said.err == want->err && said.n == want->n,
		    "%s: %s and %u, not %s and %u", r->name, kvr_err_name(said.err), said.n,
		    kvr_err_name(want->err), want->n);
		ck_assert_msg(bed_now_ns() - start_ns < LATE_MS * UINT64_C(1000000), "%s", r->name);
	}
	if (trouble == STILL)
		kvr_redis_server_resume(w.server);
	struct said h = health(&w);

	ck_assert_int_eq(h.err, KVR_OK);
	if (trouble != STILL)
		ck_assert_uint_eq(h.n, trouble == AWAY ? 0 : 1);
	end(&w);
}

START_TEST(of_a_store_that_is_away)
{
	column(AWAY);
}
END_TEST

START_TEST(of_a_store_that_stands_still)
{
	column(STILL);
}
END_TEST

START_TEST(of_a_key_that_is_absent)
{
	column(ABSENT);
}
END_TEST

START_TEST(of_a_pool_that_is_empty)
{
	column(NO_MEMORY);
}
END_TEST

START_TEST(of_a_store_that_refuses)
{
	column(REFUSES);
}
END_TEST

START_TEST(of_another_rank_of_an_mla_model)
{
	column(OTHER_RANK);
}
END_TEST

START_TEST(of_a_scheduler)
{
	column(SCHEDULER);
}
END_TEST

KVR_CHECK_MAIN("api.matrix", of_a_store_that_is_away, of_a_store_that_stands_still,
    of_a_key_that_is_absent, of_a_pool_that_is_empty, of_a_store_that_refuses,
    of_another_rank_of_an_mla_model, of_a_scheduler)
