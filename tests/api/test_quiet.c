/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation that is broken off somewhere on its way, by a cancel or a deadline: once it is quiet,
 * nobody reads the payload of a put any more, and nobody writes into the place of a get. Over every
 * store, with several callers that share its lanes.
 */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CALLERS = 4, ROUNDS = 10, ROOM = 2 << 20, BAD = 0xa5 };

struct caller {
	struct kvr *kvr;
	uint32_t number;
	uint64_t rand;
	pthread_t thread;
	uint8_t *put, *got;
};

static _Atomic uint32_t n_broken_off;

static uint64_t
draw(struct caller *c, uint64_t below)
{
	c->rand = c->rand * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (c->rand >> 33) % below;
}

static void
pass_us(uint64_t us)
{
	const struct timespec t = { .tv_nsec = (long)(us * 1000) };

	nanosleep(&t, NULL);
}

static kvr_op
begin(struct caller *c, uint32_t kind, const char *key, uint8_t *at, uint64_t len, uint64_t us, uint32_t flags)
{
	void *place = at;
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = 1, .keys = key, .at = &place, .len = &len
	};
	const struct kvr_opts o = { .size = sizeof(o),
		.flags = flags,
		.until_ns = us == 0 ? bed_in_ms(120000) : bed_now_ns() + us * 1000 };
	kvr_op op;

	OK(kvr_submit(c->kvr, &b, &o, &op));
	return op;
}

static enum kvr_err
until_quiet(struct caller *c, kvr_op op)
{
	struct kvr_done d = { .size = sizeof(d) };
	enum kvr_err err = kvr_wait(c->kvr, op, 0, &d, NULL);

	if ((d.flags & KVR_DONE_QUIET) == 0)
		err = kvr_wait(c->kvr, op, 0, &d, NULL);
	ck_assert_msg((d.flags & KVR_DONE_QUIET) != 0, "%s: %s", kvr_err_name(err), d.why);
	return err;
}

/* By a cancel or a deadline, told at once or when the memory is free. */
static enum kvr_err
break_off(struct caller *c, uint32_t kind, const char *key, uint8_t *at, uint64_t len)
{
	bool late = draw(c, 2) == 0;
	uint32_t flags = draw(c, 3) == 0 ? KVR_EARLY : 0;
	kvr_op op = begin(c, kind, key, at, len, late ? 1 + draw(c, 2000) : 0, flags);

	if (!late) {
		pass_us(draw(c, 1500));
		(void)kvr_cancel(c->kvr, op);
	}
	enum kvr_err err = until_quiet(c, op);

	atomic_fetch_add(&n_broken_off, err == KVR_E_CANCELLED || err == KVR_E_TIMEOUT);
	return err;
}

static enum kvr_err
run(struct caller *c, uint32_t kind, const char *key, uint8_t *at, uint64_t len)
{
	return until_quiet(c, begin(c, kind, key, at, len, 0, 0));
}

static void
is_value(struct caller *c, uint64_t len, int seed)
{
	bed_same(c->got, len, (uint32_t)seed);
}

/* What a put that was broken off has written, or not, is what it was given, and not what is there now. */
static void
a_put(struct caller *c, const char *key, uint64_t len, int seed)
{
	bed_fill(c->put, len, (uint32_t)seed);
	enum kvr_err err = break_off(c, KVR_PUT, key, c->put, len);

	memset(c->put, BAD, len);
	for (int i = 0; i < 2; i++) {
		memset(c->got, BAD, len);
		enum kvr_err got = run(c, KVR_GET, key, c->got, len);

		if (got == KVR_OK)
			is_value(c, len, seed);
		else
			ck_assert_msg(got == KVR_E_MISS && err != KVR_OK, "%s after %s", kvr_err_name(got),
			    kvr_err_name(err));
		pass_us(draw(c, 500));
	}
	/* Again, whole; also while what is left of the first is still on its way. */
	bed_fill(c->put, len, (uint32_t)seed);
	OK(run(c, KVR_PUT, key, c->put, len));
	memset(c->put, BAD, len);
}

static void
a_get(struct caller *c, const char *key, uint64_t len, int seed)
{
	uint8_t *bad = c->put;

	memset(c->got, BAD, len);
	enum kvr_err err = break_off(c, KVR_GET, key, c->got, len);

	if (err == KVR_OK)
		is_value(c, len, seed);
	memset(c->got, BAD, len);
	memset(bad, BAD, len);
	pass_us(draw(c, 2000));
	ck_assert_msg(memcmp(c->got, bad, len) == 0, "something came after %s was quiet", kvr_err_name(err));
	OK(run(c, KVR_GET, key, c->got, len));
	is_value(c, len, seed);
}

static void *
call(void *arg)
{
	struct caller *c = arg;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t len = 1 + draw(c, draw(c, 3) == 0 ? ROOM : 100000);
		char key[32];

		snprintf(key, sizeof(key), "q-%u-%d", (unsigned)c->number, i);
		a_put(c, key, len, i);
		for (uint64_t n = 1 + draw(c, 3); n > 0; n--)
			a_get(c, key, len, i);
		ck_assert(run(c, KVR_REMOVE, key, NULL, len) == KVR_OK);
	}
	return NULL;
}

static void
callers(const char *url, const char *format)
{
	static struct caller c[CALLERS];
	char json[512];

	snprintf(json, sizeof(json),
	    "{\"memory\":{\"staging\":\"32MiB\"},\"tiers\":[{\"name\":\"a\",\"url\":\"%s\",\"format\":\"%s\","
	    "\"breaker\":{\"faults\":1000}}]}",
	    url, format);
	struct kvr *k = bed_open(json, NULL, NULL, NULL);

	for (uint32_t i = 0; i < CALLERS; i++) {
		c[i] = (struct caller){ .kvr = k, .number = i, .rand = i + 1 };
		c[i].put = malloc(ROOM);
		c[i].got = malloc(ROOM);
		ck_assert(c[i].put != NULL && c[i].got != NULL);
		ck_assert_int_eq(pthread_create(&c[i].thread, NULL, call, &c[i]), 0);
	}
	for (uint32_t i = 0; i < CALLERS; i++) {
		pthread_join(c[i].thread, NULL);
		free(c[i].put);
		free(c[i].got);
	}
	bed_close(k);
}

START_TEST(what_is_quiet_stays_so)
{
	KVR_EACH_STORE(bed, callers(kvr_store_bed_url(bed), "bare"));
	ck_assert_uint_gt(atomic_load(&n_broken_off), 0);
}
END_TEST

START_TEST(and_with_seals)
{
	KVR_EACH_STORE(bed, callers(kvr_store_bed_url(bed), "sealed"));
}
END_TEST

KVR_CHECK_MAIN("api.quiet", what_is_quiet_stays_so, and_with_seals)
