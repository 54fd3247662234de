/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every error of the list comes out of some call. Those that a store has to cause are caused by the
 * fake router here; the real stores cause them in tests/connectors and tests/system.
 */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#include <sys/wait.h>
#include <unistd.h>

enum { OPS = 64 };
#define MEMORY "{\"limits\":{\"ops\":64},\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

enum { LAST = -KVR_E_DEVICE };
static bool seen[LAST + 1];

static void
see(int32_t err, int32_t want)
{
	ck_assert_msg(err == want, "%s instead of %s", kvr_err_name(err), kvr_err_name(want));
	seen[-err] = true;
}

static const struct kvr_batch ask = {
	.size = sizeof(ask), .kind = KVR_LOOKUP, .n = 1, .keys = "k"
};

/* What a store says of a key reaches the caller as it is: as the call's value and in each array. */
static void
of_stores(struct kvr *k)
{
	const int32_t said[] = { KVR_E_DOWN, KVR_E_PROTO, KVR_E_CORRUPT, KVR_E_IDENTITY,
		KVR_E_PARTIAL, KVR_E_NOSPACE, KVR_E_AUTH, KVR_E_REFUSED, KVR_E_LENGTH,
		KVR_E_EXISTS, KVR_E_DEVICE };
	int32_t err = 0;
	struct kvr_results r = { .size = sizeof(r), .cap = 1, .err = &err };
	struct kvr_done d = { .size = sizeof(d) };

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		kvr_fake_fail(said[i]);
		see(kvr_run(k, &ask, NULL, &d, &r), said[i]);
		ck_assert_int_eq(err, said[i]);
		ck_assert_int_eq(d.err, said[i]);
	}
	kvr_fake_fail(0);
}

static void
of_calls(struct kvr *k)
{
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	const struct kvr_batch two = {
		.size = sizeof(two), .kind = KVR_LOOKUP, .n = 2, .keys = "x\0y"
	};
	const struct kvr_opts prefix = { .size = sizeof(prefix), .flags = KVR_PREFIX };
	int32_t err[2];
	struct kvr_results r = { .size = sizeof(r), .cap = 2, .err = err };
	kvr_obj obj;

	see(kvr_run(k, &(struct kvr_batch){ .size = sizeof(ask) }, NULL, NULL, NULL), KVR_OK);
	see(kvr_run(k, &two, &prefix, NULL, &r), KVR_E_MISS);
	see(err[1], KVR_E_UNASKED);
	r.cap = 1;
	see(kvr_run(k, &two, NULL, NULL, &r), KVR_E_TOO_SMALL);
	see(kvr_run(k, NULL, NULL, NULL, NULL), KVR_E_INVALID);
	OK(kvr_alloc(p, NULL, 1, 0, &obj));
	OK(kvr_unref(p, obj));
	see(kvr_unref(p, obj), KVR_E_STALE);
	see(kvr_alloc(p, NULL, SIZE_MAX / 2, 0, &obj), KVR_E_TOO_BIG);
	see(kvr_alloc(NULL, NULL, 1, 0, &obj), KVR_E_UNSUPPORTED);
	enum kvr_err last = KVR_OK;
	while (last == KVR_OK)
		last = kvr_alloc(p, NULL, 1 << 20, KVR_NOW, &obj);
	see(last, KVR_E_NOMEM);
}

static void
of_time(struct kvr *k)
{
	const struct kvr_opts soon = { .size = sizeof(soon), .until_ns = bed_in_ms(5) };
	char at[1] = { 0 };
	const struct kvr_batch put = { .size = sizeof(put),
		.kind = KVR_PUT,
		.n = 1,
		.keys = "k",
		.at = &(void *const){ at },
		.len = &(const uint64_t){ 1 } };
	kvr_op op[OPS], more;
	enum kvr_err err = KVR_OK;
	int n = 0;

	kvr_fake_hold(true);
	see(kvr_run(k, &ask, &soon, NULL, NULL), KVR_E_TIMEOUT);
	OK(kvr_submit(k, &put, NULL, &op[n++]));
	see(kvr_submit_put_task(k, "k", 1, NULL, NULL, &more), KVR_E_STALE);
	while (n < OPS && (err = kvr_submit(k, &ask, NULL, &op[n])) == KVR_OK)
		n++;
	see(err == KVR_OK ? kvr_submit(k, &ask, NULL, &more) : err, KVR_E_BUSY);
	see(kvr_wait(k, op[1], KVR_NOW, NULL, NULL), KVR_E_UNFINISHED);
	OK(kvr_cancel(k, op[1]));
	see(kvr_wait(k, op[1], 0, NULL, NULL), KVR_E_CANCELLED);
	kvr_fake_hold(false);
	for (int i = 0; i < n; i++) {
		if (i != 1)
			OK(kvr_wait(k, op[i], 0, NULL, NULL));
	}
}

static void
of_puts(struct kvr *k)
{
	kvr_obj obj;

	OK(kvr_alloc(kvr_get_allocator_backend(k), NULL, 1, 0, &obj));
	kvr_fake_hold(true);
	OK(kvr_submit_put_task(k, "d", obj, NULL, NULL, NULL));
	see(kvr_submit_put_task(k, "d", obj, NULL, NULL, NULL), KVR_E_DUPLICATE);
	kvr_fake_hold(false);
	OK(kvr_unref(kvr_get_allocator_backend(k), obj));
}

static void
of_ranks(void)
{
	const struct kvr_identity who = { .size = sizeof(who),
		.keys = KVR_KEYS_LMCACHE,
		.world_size = 2,
		.worker_id = 1,
		.use_mla = 1 };
	struct kvr *k = bed_open(MEMORY, &who, NULL, NULL);

	see(kvr_submit_put_task(k, "m@2@1@ff@half", 1, NULL, NULL, NULL), KVR_E_SKIPPED_MLA);
	bed_close(k);
}

static void
of_ends(struct kvr *k)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(-(int)kvr_run(k, &ask, NULL, NULL, NULL));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	see(-WEXITSTATUS(status), KVR_E_FORKED);
	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	see(kvr_run(k, &ask, NULL, NULL, NULL), KVR_E_SHUTDOWN);
	kvr_free(k);
	k = bed_open(MEMORY, NULL, NULL, NULL);
	kvr_fake_die();
	see(kvr_run(k, &ask, NULL, NULL, NULL), KVR_E_DEAD);
	kvr_free(k);
	k = bed_open(MEMORY, NULL, NULL, NULL);
	kvr_fake_stuck(1);
	see(kvr_close(k, bed_in_ms(10), KVR_ABORT, NULL), KVR_E_STUCK);
	kvr_free(k);
}

START_TEST(every_error_comes_out_of_some_call)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL), *none;
	const struct kvr_options o = { .size = sizeof(o), .config_text = "{}" };

	see(kvr_open(&o, 0, &none, NULL, 0), KVR_E_CONFIG);
	of_stores(k);
	of_puts(k);
	of_calls(k);
	of_time(k); /* last: it fills the instance up */
	bed_close(k);
	of_ranks();
	of_ends(bed_open(MEMORY, NULL, NULL, NULL));
	for (int i = 0; i <= LAST; i++)
		ck_assert_msg(seen[i], "nobody answers %s", kvr_err_name(-i));
}
END_TEST

KVR_CHECK_MAIN("api.errors", every_error_comes_out_of_some_call)
