/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file may rely on: fixed-width types, checks that are on in every build, and a few
 * macros.
 *
 * A failed check is a bug in this program, never bad input: bad input is an error from kvr_err.h.
 */
#ifndef KVR_BASE_H
#define KVR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KVR_MUST_USE __attribute__((warn_unused_result))
/* Rarely called: the compiler moves code that leads here out of the way of the usual path. */
#define KVR_COLD __attribute__((cold))
#define KVR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args))) KVR_COLD
#define KVR_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KVR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define KVR_MAX(a, b) ((a) > (b) ? (a) : (b))

#define KVR_KIB(n) ((uint64_t)(n) << 10)
#define KVR_MIB(n) ((uint64_t)(n) << 20)
#define KVR_MS(n) ((uint64_t)(n) * UINT64_C(1000000))
#define KVR_SEC(n) ((uint64_t)(n) * UINT64_C(1000000000))

/* Four ASCII letters, readable in a hex dump; the first field of a struct behind a void pointer. */
#define KVR_MAGIC(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/*
 * Never returns to its caller. It aborts, unless the thread has set a function by kvr_on_panic:
 * while a decider steps, that is a jump back to the domain, which then poisons the instance.
 */
_Noreturn KVR_COLD void kvr_panic(const char *file, int line, const char *what);

/* Called by kvr_panic before it aborts; it may jump away. One per thread; NULL: just abort. */
typedef void kvr_panic_fn(void *arg, const char *file, int line, const char *what);
void kvr_on_panic(kvr_panic_fn *fn, void *arg);

/* On in every build. */
#define KVR_CHECK(x) \
	do { \
		if (__builtin_expect(!(x), 0)) \
			kvr_panic(__FILE__, __LINE__, #x); \
	} while (0)

/* A branch that is never taken. */
#define KVR_WRONG(why) kvr_panic(__FILE__, __LINE__, why)

/* A check that ought to be an error. scripts/tidy.py counts these; a release has none. */
#define KVR_TODO_ERROR(x) KVR_CHECK(x)

/* a implies b. */
#define KVR_IMPLIES(a, b) (!(a) || (b))

/* The first lines of every function that gets its state as a void pointer. */
#define KVR_SELF(type, var, ptr, mag) \
	type *var = (ptr); \
	KVR_CHECK(var != NULL); \
	KVR_CHECK(var->magic == (mag))

struct kvr_span {
	void  *at;
	size_t len;
};

struct kvr_const_span {
	const void *at;
	size_t      len;
};

/* CLOCK_MONOTONIC. Deciders may not call this (it is not on their list of symbols). */
uint64_t kvr_now_ns(void);
/* CLOCK_REALTIME, which people set: only for what they read. */
uint64_t kvr_real_now_ns(void);

/* The timeout of poll() for an absolute time: rounded up, 0 when it has passed, at most an hour. */
int kvr_poll_ms(uint64_t until_ns);

#endif
