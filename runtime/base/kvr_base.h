/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file of the house may assume: fixed-width types, checks that stay on, and the two
 * attributes that the rest relies on.
 *
 * A failed check is a bug in this program, never bad input: bad input is an error from kvr_err.h.
 */
#ifndef KVR_BASE_H
#define KVR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KVR_MUST_USE __attribute__((warn_unused_result))
/* Rarely called: the way there is kept out of the cache lines of the way past it. */
#define KVR_COLD __attribute__((cold))
#define KVR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args))) KVR_COLD
#define KVR_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KVR_MIN(a, b) ((a) < (b) ? (a) : (b))
#define KVR_MAX(a, b) ((a) > (b) ? (a) : (b))

#define KVR_KIB(n) ((uint64_t)(n) << 10)
#define KVR_MIB(n) ((uint64_t)(n) << 20)
#define KVR_MS(n) ((uint64_t)(n) * UINT64_C(1000000))
#define KVR_SEC(n) ((uint64_t)(n) * UINT64_C(1000000000))

/* Four ASCII letters, readable in a hex dump; the first field of what crosses a void pointer. */
#define KVR_MAGIC(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/*
 * Never returns to its caller. What it does is set per process by kvr_on_panic: abort (default)
 * or, inside a decider's step, a jump back to the domain, which then poisons the instance.
 */
_Noreturn KVR_COLD void kvr_panic(const char *file, int line, const char *what);

/* Called by kvr_panic before it aborts; may jump away instead. Per thread; NULL: just abort. */
typedef void kvr_panic_fn(void *arg, const char *file, int line, const char *what);
void kvr_on_panic(kvr_panic_fn *fn, void *arg);

/* On in every build. */
#define KVR_CHECK(x) \
	do { \
		if (__builtin_expect(!(x), 0)) \
			kvr_panic(__FILE__, __LINE__, #x); \
	} while (0)

/* A branch that cannot be. */
#define KVR_WRONG(why) kvr_panic(__FILE__, __LINE__, why)

/* Ought to be an error and is not one yet. scripts/tidy.py counts these; a release has none. */
#define KVR_TODO_ERROR(x) KVR_CHECK(x)

/* a implies b. */
#define KVR_IMPLIES(a, b) (!(a) || (b))

/* First line of every function that is handed a void pointer to its state. */
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

/* What poll() wants for an absolute instant: rounded up, 0 when it has passed, at most an hour. */
int kvr_poll_ms(uint64_t until_ns);

#endif
