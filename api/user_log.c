/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the facade says, and the caller's log function. One thread at a time is in it, which all others
 * would wait for, deciders and kvr_close among them, if it did not return; so nobody waits for long, and
 * lines are lost instead.
 */
#include "kvr_user_log.h"

#include "kvr_instance.h"
#include "kvr_thread.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* Calls that are wrong come in thousands, from loops: they share one place, which is rationed. */
static void
say(struct kvr *k, enum kvr_log_level level, const char *fmt, va_list args)
{
	static struct kvr_log_site site;
	char line[512];

	if (level > k->log.level)
		return;
	vsnprintf(line, sizeof(line), fmt, args);
	kvr_log_write(&k->log, &site, level, 0, kvr_now_ns(), "%s", line);
}

void
kvr_say(struct kvr *k, enum kvr_log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(k, level, fmt, args);
	va_end(args);
}

enum kvr_err
kvr_bad(struct kvr *k, enum kvr_err err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(k, KVR_LOG_ERROR, fmt, args);
	va_end(args);
	return err;
}

/* ---- without a function of the caller's ---- */

static bool closed;

static void
look(void)
{
	closed = fcntl(STDERR_FILENO, F_GETFD) < 0;
}

static void
nowhere(void *arg, enum kvr_log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/*
 * Asked before the library opens its first file, and never again: where standard error is closed, that
 * file gets its number, and the lines would be written into a trace, or to a store.
 */
kvr_log_fn *
kvr_log_default(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, look);
	return closed ? nowhere : NULL;
}

/* ---- the caller's ---- */

/* How long a line waits for the one before it. */
static const uint64_t patience_ns = KVR_SEC(1);

/* Under log_lock. False: somebody is in it and stays there. Who comes when that is known does not wait. */
static bool
wait_free(struct kvr *k)
{
	uint64_t until_ns = kvr_now_ns() + patience_ns;

	while (k->log_busy && !k->log_hangs) {
		if (!kvr_cond_wait(&k->log_bell, &k->log_lock, until_ns))
			k->log_hangs = k->log_busy;
	}
	return !k->log_busy;
}

/* The function, for whoever may call it now; NULL: nobody may. Lines that were lost are told of first. */
static kvr_user_log_fn *
enter(struct kvr *k, uint32_t *ret_lost)
{
	kvr_user_log_fn *fn = NULL;

	pthread_mutex_lock(&k->log_lock);
	if (wait_free(k)) {
		fn = k->user_log;
		*ret_lost = k->log_lost;
		k->log_lost = 0;
		k->log_busy = fn != NULL;
	} else {
		k->log_lost++;
	}
	pthread_mutex_unlock(&k->log_lock);
	return fn;
}

static void
leave(struct kvr *k)
{
	pthread_mutex_lock(&k->log_lock);
	k->log_busy = k->log_hangs = false;
	pthread_cond_signal(&k->log_bell);
	pthread_mutex_unlock(&k->log_lock);
}

void
kvr_log_to_user(void *arg, enum kvr_log_level level, const char *line)
{
	struct kvr *k = arg;
	uint32_t lost = 0;
	kvr_user_log_fn *fn = enter(k, &lost);

	if (fn == NULL)
		return;
	if (lost > 0) {
		char text[128];

		snprintf(text, sizeof(text),
		    "kvrelay: warn: %" PRIu32 " lines are lost: the log function did not return", lost);
		fn(k->user_log_arg, KVR_LOG_WARN, text);
	}
	fn(k->user_log_arg, (int)level, line);
	leave(k);
}

/* Threads that are left behind come back some day, and have something to say then. */
void
kvr_log_leave_user(struct kvr *k)
{
	pthread_mutex_lock(&k->log_lock);
	(void)wait_free(k);
	k->user_log = NULL;
	pthread_mutex_unlock(&k->log_lock);
}
