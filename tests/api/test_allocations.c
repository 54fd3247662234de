/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation in steady state allocates nothing and frees nothing: not on the caller's thread, not
 * on the library's, not in nng, hiredis or xxHash below it. All of the process's calls are counted.
 */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"

#include <stdatomic.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static _Atomic uint64_t n_allocated, n_freed;

void *
malloc(size_t n)
{
	atomic_fetch_add(&n_allocated, 1);
	return __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	atomic_fetch_add(&n_allocated, 1);
	return __libc_calloc(n, size);
}

void *
realloc(void *at, size_t n)
{
	atomic_fetch_add(&n_allocated, 1);
	return __libc_realloc(at, n);
}

void *
aligned_alloc(size_t align, size_t n)
{
	atomic_fetch_add(&n_allocated, 1);
	return __libc_memalign(align, n);
}

void
free(void *at)
{
	if (at != NULL)
		atomic_fetch_add(&n_freed, 1);
	__libc_free(at);
}

enum { KEYS = 8, LEN = 96 * 1024, ROUNDS = 40, TRIES = 12 };

static struct {
	char text[KEYS][48];
	const char *key[KEYS];
	void *at[KEYS];
	uint64_t len[KEYS];
	uint8_t bytes[KEYS][LEN];
} work;

static void
run(struct kvr *k, enum kvr_kind kind, uint32_t n)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = n,
		.key = work.key,
		.at = work.at,
		.len = work.len };
	struct kvr_done done = { .size = sizeof(done) };
	enum kvr_err err = kvr_run(k, &b, NULL, &done, NULL);

	if (err != KVR_OK) /* the macros of the test library may allocate */
		ck_abort_msg("%s: %s", kvr_err_name(err), done.why);
}

static void
all_kinds(struct kvr *k)
{
	static const enum kvr_kind kind[] = { KVR_PUT, KVR_LOOKUP, KVR_GET };

	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		run(k, kind[i], 1);
		run(k, kind[i], KEYS);
	}
}

/* kept: how often a store allocates for a value that it keeps. */
static void
steady(const char *config, uint64_t kept)
{
	struct kvr *k = bed_open(config, NULL, NULL, NULL);

	for (uint32_t i = 0; i < KEYS; i++) {
		snprintf(work.text[i], sizeof(work.text[i]), "llama@1@0@75bcd%u@bfloat16", i);
		work.key[i] = work.text[i];
		work.at[i] = work.bytes[i];
		work.len[i] = LEN;
		/* As bf16 of one exponent: it shrinks. */
		for (uint32_t b = 0; b < LEN; b++)
			work.bytes[i][b] = (uint8_t)(b % 2 == 0 ? b * 37 + i : 0x3f);
	}
	uint64_t allocated, freed;
	int tries = 0;

	kept *= ROUNDS * (1 + KEYS);
	/*
	 * Steady it is only when every lane has its connection and every serde thread has worked
	 * once. On a busy machine the last of them comes to that late, and only then allocates what
	 * it keeps.
	 */
	do {
		allocated = n_allocated;
		freed = n_freed;
		for (int i = 0; i < ROUNDS; i++)
			all_kinds(k);
		allocated = n_allocated - allocated;
		freed = n_freed - freed;
	} while ((allocated != kept || freed != kept) && ++tries < TRIES);
	bed_close(k);
	ck_assert_msg(tries < TRIES, "%s: %d rounds allocated %llu times and freed %llu times", config, ROUNDS,
	    (unsigned long long)allocated, (unsigned long long)freed);
}

START_TEST(they_are_counted)
{
	uint64_t allocated = n_allocated, freed = n_freed;
	void *volatile at = malloc(1);

	at = realloc(at, 100);
	free(at);
	ck_assert_uint_ge(n_allocated, allocated + 2);
	ck_assert_uint_ge(n_freed, freed + 1);
}
END_TEST

/* Its values are on the heap, a put value's entry in place of the one before; that is all. */
START_TEST(memory_allocates_what_it_keeps)
{
	steady("{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}", 1);
}
END_TEST

START_TEST(redis_allocates_nothing)
{
	static const char *const how[] = { "\"format\":\"bare\"", "\"format\":\"lmcache\"",
		"\"format\":\"sealed\"", "\"format\":\"sealed\",\"serde\":\"planes\"",
		"\"format\":\"sealed\",\"serde\":\"zstd\"" };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	char config[256];

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		snprintf(config, sizeof(config), "{\"tiers\":[{\"name\":\"a\",\"url\":\"%s\",%s}]}",
		    server->url, how[i]);
		steady(config, 0);
	}
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN(
    "api.allocations", they_are_counted, memory_allocates_what_it_keeps, redis_allocates_nothing)

#else

int
main(void)
{
	printf("api.allocations: a sanitizer's allocator cannot be stood in front of: not run\n");
	return 77;
}

#endif
