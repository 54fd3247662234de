/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line a call, for people: "kvrelay: warn: op 7.1: dial redis://a:6379 failed: refused". Lower
 * case, no full stop, values after a space. Deciders never log: their steps are in the trace.
 *
 *   error  something was given up        warn   worse than it should be, and it goes on
 *   info   a few per connection          debug  one per operation
 *
 * Each place in the code may write KVR_LOG_BURST lines a second. Further lines are only counted,
 * and the next line that is written says how many there were. Such a place is shared by all
 * instances of the process, so what comes seldom by itself, and must be told of each, has no limit.
 */
#ifndef KVR_LOG_H
#define KVR_LOG_H

#include "kvr_base.h"

enum kvr_log_level { KVR_LOG_ERROR, KVR_LOG_WARN, KVR_LOG_INFO, KVR_LOG_DEBUG, KVR_LOG_NONE = -1 };
enum { KVR_LOG_BURST = 10, KVR_LOG_LINE = 1024 };

/* line: no newline, valid during this call only. Any thread, several at once. */
typedef void kvr_log_fn(void *arg, enum kvr_log_level, const char *line);

struct kvr_log {
	enum kvr_log_level level; /* less important lines are not made; NONE: no lines at all */
	kvr_log_fn        *fn;    /* NULL: standard error; lines that would block there are dropped
	                             and counted */
	void              *arg;
};

/* State of one place in the code; zero at first. */
struct kvr_log_site {
	_Atomic uint64_t window_ns; /* when the running second began */
	_Atomic uint32_t count;     /* lines in it */
	_Atomic uint32_t suppressed;
};

/* site NULL: no limit. */
void kvr_log_write(const struct kvr_log *, struct kvr_log_site *, enum kvr_log_level, uint64_t op,
    uint64_t now_ns, const char *format, ...) KVR_PRINTF(6, 7);

/* kvr_log(log, WARN, op, "dial %s failed: %s", url, why); op 0: no operation. */
#define kvr_log(log_, level_, op_, ...) \
	do { \
		static struct kvr_log_site kvr_log_site_here; \
		kvr_log_at(log_, &kvr_log_site_here, level_, op_, __VA_ARGS__); \
	} while (0)
/* The same with a site of the caller's; NULL: every line, for what comes seldom by itself. */
#define kvr_log_at(log_, site_, level_, op_, ...) \
	do { \
		const struct kvr_log *kvr_log_to = (log_); \
		if ((int)KVR_LOG_##level_ <= (int)kvr_log_to->level) \
			kvr_log_write(kvr_log_to, (site_), KVR_LOG_##level_, (op_), kvr_now_ns(), \
			    __VA_ARGS__); \
	} while (0)

#endif
