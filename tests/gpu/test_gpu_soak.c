/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines that put and get at once, cancel, are late, look layer by layer and read behind events, each
 * over a cache of its own: what came is what was put, and once an operation is quiet nothing of it
 * comes any more.
 *
 *   test_gpu_soak [--twin] [--seconds N]
 */
#include "gpu_check.h"
#include "gpu_engine.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A thread sanitizer takes a second for what takes ten milliseconds. */
#if defined(__SANITIZE_THREAD__)
enum { ENGINES = 3, ROUNDS = 1 };
#else
enum { ENGINES = 4, ROUNDS = 4 };
#endif

static uint32_t seconds;
static uint64_t until_ns;
static _Atomic uint32_t whole, broken_off, by_layer, behind; /* gets that ended so */

struct driver {
	struct kvr *kvr;
	struct gpu_engine e;
	uint64_t rand;
	char name[16];
	pthread_t thread;
};

static uint64_t
draw(struct driver *d, uint64_t below)
{
	return paged_draw(&d->rand, below);
}

static void
pass_us(uint64_t us)
{
	const struct timespec t = { .tv_nsec = (long)(us * 1000) };

	nanosleep(&t, NULL);
}

/* Until the library has nothing to do with the memory any more. Returns what the operation came to. */
static enum kvr_err
until_quiet(struct driver *d, kvr_op op)
{
	struct kvr_done done = { .size = sizeof(done) };
	enum kvr_err err = kvr_wait(d->kvr, op, 0, &done, NULL);

	if ((done.flags & KVR_DONE_QUIET) == 0) {
		enum kvr_err second = kvr_wait(d->kvr, op, 0, &done, NULL);

		ck_assert_int_eq(second, done.err);
		ck_assert_msg((done.flags & KVR_DONE_QUIET) != 0, "%s: %s", kvr_err_name(done.err), done.why);
	}
	return err;
}

static kvr_op
begin(struct driver *d, uint32_t kind, uint32_t flags, void *event, uint64_t us)
{
	const struct kvr_opts o = { .size = sizeof(o),
		.flags = flags,
		.until_ns = us == 0 ? bed_in_ms(120000) : bed_now_ns() + us * 1000 };
	kvr_op op;

	OK(gpu_engine_record(&d->e, kind, d->name, event, &o, &op));
	return op;
}

/* Cancelled or late, somewhere on its way: whatever it came to, its memory is the engine's again. */
static void
break_off(struct driver *d, uint32_t kind)
{
	bool late = draw(d, 2) == 0;
	kvr_op op = begin(d, kind, 0, NULL, late ? 1 + draw(d, 1500) : 0);

	if (!late) {
		pass_us(draw(d, 1200));
		(void)kvr_cancel(d->kvr, op);
	}
	enum kvr_err err = until_quiet(d, op);

	ck_assert_msg(err == KVR_OK || err == KVR_E_CANCELLED || err == KVR_E_TIMEOUT || err == KVR_E_STUCK ||
	        err == KVR_E_PARTIAL,
	    "%s", kvr_err_name(err));
	if (kind != KVR_GET)
		return;
	gpu_engine_poison(&d->e);
	pass_us(500 + draw(d, 1500));
	gpu_engine_is_poison(&d->e);
	atomic_fetch_add(&broken_off, err != KVR_OK);
}

static void
get_whole(struct driver *d)
{
	gpu_engine_moves(&d->e, KVR_GET, d->name);
	gpu_engine_came_back(&d->e);
	atomic_fetch_add(&whole, 1);
}

static void
get_by_layer(struct driver *d)
{
	kvr_op op = begin(d, KVR_GET, KVR_LAYERS, NULL, 0);

	for (uint32_t l = 0; l < d->e.w.pages.n_layers; l++)
		OK(kvr_layer_wait(d->kvr, op, l, 0, NULL));
	gpu_engine_came_back(&d->e);
	OK(until_quiet(d, op));
	atomic_fetch_add(&by_layer, 1);
}

static void
get_behind(struct driver *d)
{
	struct kvr_done done = { .size = sizeof(done) };
	void *event = gpu_event();
	kvr_op op = begin(d, KVR_GET, KVR_RECORD, event, 0);

	OK(kvr_wait(d->kvr, op, 0, &done, NULL));
	gpu_engine_came_back_behind(&d->e, event);
	if ((done.flags & KVR_DONE_QUIET) == 0)
		OK(kvr_wait(d->kvr, op, 0, &done, NULL));
	ck_assert((done.flags & KVR_DONE_QUIET) != 0);
	gpu_event_free(event);
	atomic_fetch_add(&behind, 1);
}

static void
round_of(struct driver *d)
{
	gpu_engine_renew(&d->e);
	if (draw(d, 3) == 0)
		break_off(d, KVR_PUT);
	gpu_engine_moves(&d->e, KVR_PUT, d->name);
	for (uint64_t n = 1 + draw(d, 4); n > 0; n--) {
		gpu_engine_poison(&d->e);
		switch (draw(d, 5)) {
		case 0:
		case 1: break_off(d, KVR_GET); break;
		case 2: get_by_layer(d); break;
		case 3: get_behind(d); break;
		default: get_whole(d); break;
		}
	}
	gpu_engine_poison(&d->e);
	get_whole(d);
}

static void *
drive(void *arg)
{
	struct driver *d = arg;

	for (uint32_t i = 0; seconds > 0 ? bed_now_ns() < until_ns : i < ROUNDS; i++)
		round_of(d);
	return NULL;
}

static void
soak(struct kvr *k)
{
	static struct driver d[ENGINES];

	for (uint32_t i = 0; i < ENGINES; i++) {
		d[i] = (struct driver){ .kvr = k, .rand = i + 1 };
		snprintf(d[i].name, sizeof(d[i].name), "e%u", (unsigned)i);
		if (i % 2 == 0)
			gpu_engine_open(&d[i].e, k, i + 1, 8U << i % 3);
		else
			gpu_engine_open_heads(&d[i].e, k, i + 1, 8U << i % 3);
	}
	until_ns = bed_in_ms(seconds * UINT64_C(1000));
	for (uint32_t i = 0; i < ENGINES; i++)
		ck_assert_int_eq(pthread_create(&d[i].thread, NULL, drive, &d[i]), 0);
	for (uint32_t i = 0; i < ENGINES; i++)
		pthread_join(d[i].thread, NULL);
	bed_close(k);
	for (uint32_t i = 0; i < ENGINES; i++)
		gpu_engine_close(&d[i].e);
}

START_TEST(in_the_host_beside_it)
{
	soak(gpu_open_store("memory://", ""));
}
END_TEST

START_TEST(in_files_sealed_and_encoded)
{
	char dir[] = "/tmp/kvr-soak-XXXXXX", url[64], command[96];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(url, sizeof(url), "fs://%s", dir);
	soak(gpu_open_store(url, ",\"format\":\"sealed\",\"serde\":\"planes\""));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

int
main(int argc, char **argv)
{
	const TTest *const tests[] = { in_the_host_beside_it, in_files_sealed_and_encoded };

	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "--seconds") == 0)
			seconds = (uint32_t)strtoul(argv[i + 1], NULL, 10);
	}
	gpu_open(argc, argv);
	printf("on %s\n", gpu_name());
	int rc = gpu_run("gpu.soak", tests, sizeof(tests) / sizeof(tests[0]));

	printf("gets: %u whole, %u by layer, %u behind an event, %u broken off\n", (unsigned)whole,
	    (unsigned)by_layer, (unsigned)behind, (unsigned)broken_off);
	return rc;
}
