/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_log.h"

#include "kvr_flatten.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_name[] = {
	[KVR_LOG_ERROR] = "error",
	[KVR_LOG_WARN] = "warn",
	[KVR_LOG_INFO] = "info",
	[KVR_LOG_DEBUG] = "debug",
};

/*
 * Two threads at the edge of a second may both begin a new one, and some more lines than the burst
 * are written: that is cheaper than a lock per call.
 */
static bool
may_write(struct kvr_log_site *s, uint64_t now_ns, uint32_t *ret_suppressed)
{
	uint64_t begun = atomic_load(&s->window_ns);

	if (begun == 0 || now_ns - begun >= KVR_SEC(1)) {
		if (atomic_compare_exchange_strong(&s->window_ns, &begun, now_ns))
			atomic_store(&s->count, 0);
	}
	if (atomic_fetch_add(&s->count, 1) >= KVR_LOG_BURST) {
		atomic_fetch_add(&s->suppressed, 1);
		return false;
	}
	*ret_suppressed = atomic_exchange(&s->suppressed, 0);
	return true;
}

static size_t
advance(size_t n, int wrote, size_t cap)
{
	return wrote < 0 ? n : KVR_MIN(n + (size_t)wrote, cap - 1);
}

/*
 * The writer may hold the deciders' guard, so it must not wait for a reader: a pipe that nobody
 * empties would hold up every operation, and one whose reader is gone would end the process by
 * SIGPIPE.
 */
static bool
would_take_a_line(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

/* One write, so that lines of several threads do not mix. */
static void
write_line(char *line, size_t n)
{
	line[n++] = '\n';
	ssize_t wrote = write(STDERR_FILENO, line, n);
	(void)wrote;
}

static void
to_standard_error(char *line, size_t n)
{
	static _Atomic uint32_t lost;
	char text[96];

	if (!would_take_a_line()) {
		atomic_fetch_add(&lost, 1);
		return;
	}
	uint32_t before = atomic_exchange(&lost, 0);

	if (before > 0) {
		int len = snprintf(text, sizeof(text) - 1,
		    "kvrelay: warn: %" PRIu32 " lines are lost: standard error did not take them", before);

		write_line(text, (size_t)len);
	}
	write_line(line, n);
}

void
kvr_log_write(const struct kvr_log *log, struct kvr_log_site *site, enum kvr_log_level level,
    uint64_t op, uint64_t now_ns, const char *format, ...)
{
	enum { ROOM = KVR_LOG_LINE - 64 }; /* the rest is for the count of suppressed lines */
	char line[KVR_LOG_LINE + 1];
	uint32_t suppressed = 0;
	va_list args;

	if (site != NULL && !may_write(site, now_ns, &suppressed))
		return;
	size_t n = advance(0, snprintf(line, ROOM, "kvrelay: %s: ", level_name[level]), ROOM);
	if (op != 0)
		n = advance(n,
		    snprintf(
		        line + n, ROOM - n, "op %" PRIu32 ".%" PRIu64 ": ", (uint32_t)op, op >> 32),
		    ROOM);
	va_start(args, format);
	n = advance(n, vsnprintf(line + n, ROOM - n, format, args), ROOM);
	va_end(args);
	if (suppressed > 0)
		n = advance(n,
		    snprintf(line + n, KVR_LOG_LINE - n, " (%" PRIu32 " lines like it not shown)",
		        suppressed),
		    KVR_LOG_LINE);
	/* One line stays one line, whatever a server's message contains. */
	kvr_flatten(line, n);
	if (log->fn != NULL)
		log->fn(log->arg, level, line);
	else
		to_standard_error(line, n);
}
