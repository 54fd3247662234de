/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facade's log lines, and the caller's log function. One thread at a time is in that function.
 * If it did not return, all others would wait for it, including deciders and kvr_close. So nobody
 * waits for long, and lines are lost instead.
 *
 * What a thread that steps deciders logs, about changes of state, is put off for the notifier. If
 * it were logged at once, a log function that does not return would keep the domain's guard, and
 * with it the whole instance and kvr_close. So would one that takes a lock of the caller's while
 * another thread of the caller's holds that lock and submits.
 */
#include "kvr_user_log.h"

#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_notify.h"
#include "kvr_thread.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static void
say(struct kvr *k, struct kvr_log_site *site, enum kvr_log_level level, const char *fmt,
    va_list args)
{
	KVR_UNCANCELLED;
	char line[512];

	if (level > k->log.level)
		return;
	vsnprintf(line, sizeof(line), fmt, args);
	kvr_log_write(&k->log, site, level, 0, kvr_now_ns(), "%s", line);
}

void
kvr_say(struct kvr *k, enum kvr_log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(k, NULL, level, fmt, args);
	va_end(args);
}

enum kvr_err
kvr_bad(struct kvr *k, enum kvr_err err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(k, &k->wrong_calls, KVR_LOG_ERROR, fmt, args);
	va_end(args);
	return err;
}

/* ---- without a log function of the caller's ---- */

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
 * Checked before the library opens its first file, and never again: if standard error is closed,
 * that file gets its number, and lines would be written into a trace or to a store.
 */
kvr_log_fn *
kvr_log_default(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, look);
	return closed ? nowhere : NULL;
}

/* ---- the caller's log function ---- */

/* How long a line waits for the one before it. */
static const uint64_t patience_ns = KVR_SEC(1);

/* False: a thread is in it and does not return. Once that is known, nobody waits for it. */
static bool
take_turn(struct kvr *k)
{
	if (kvr_lock_try(&k->log_turn))
		return true;
	if (atomic_load(&k->log_hangs))
		return false;
	if (kvr_lock_until(&k->log_turn, kvr_now_ns() + patience_ns))
		return true;
	atomic_store(&k->log_hangs, true);
	/* If this fails, the other thread is still in there, and resets log_hangs when it leaves. */
	return kvr_lock_try(&k->log_turn);
}

static void
end_turn(struct kvr *k)
{
	atomic_store(&k->log_hangs, false);
	kvr_unlock(&k->log_turn);
}

static void
say_lost(struct kvr *k, kvr_user_log_fn *fn)
{
	uint32_t lost = atomic_exchange(&k->log_lost, 0);
	char text[160];

	if (lost == 0)
		return;
	snprintf(text, sizeof(text),
	    "kvrelay: warn: %" PRIu32
	    " lines are lost: the log function, or a callback before it, did not return",
	    lost);
	fn(k->user_log_arg, KVR_LOG_WARN, text);
}

static void
hand_over(struct kvr *k, int level, const char *line)
{
	if (!take_turn(k)) {
		atomic_fetch_add(&k->log_lost, 1);
		return;
	}
	kvr_user_log_fn *fn = atomic_load(&k->user_log);

	if (fn != NULL) {
		say_lost(k, fn);
		fn(k->user_log_arg, level, line);
	}
	end_turn(k);
}

/* ---- lines that are put off ---- */

static void
put_off(struct kvr *k, int level, const char *line)
{
	struct kvr_put_off *p = &k->put_off;
	bool tell = false;

	pthread_mutex_lock(&p->lock);
	if (p->n == KVR_LEN(p->line)) {
		atomic_fetch_add(&k->log_lost, 1);
	} else {
		struct kvr_put_off_line *to = &p->line[(p->first + p->n++) % KVR_LEN(p->line)];

		to->level = level;
		snprintf(to->text, sizeof(to->text), "%s", line);
		tell = !p->told;
		p->told = true;
	}
	pthread_mutex_unlock(&p->lock);
	if (tell)
		kvr_notifier_log(k);
}

static bool
pop(struct kvr_put_off *p, struct kvr_put_off_line *ret)
{
	pthread_mutex_lock(&p->lock);
	bool any = p->n > 0;

	p->told = any; /* one message is enough until all lines are logged */
	if (any) {
		*ret = p->line[p->first];
		p->first = (p->first + 1) % (uint32_t)KVR_LEN(p->line);
		p->n--;
	}
	pthread_mutex_unlock(&p->lock);
	return any;
}

void
kvr_log_put_off(struct kvr *k)
{
	struct kvr_put_off_line line;

	while (pop(&k->put_off, &line))
		hand_over(k, line.level, line.text);
}

void
kvr_log_to_user(void *arg, enum kvr_log_level level, const char *line)
{
	if (kvr_wakes_held())
		put_off(arg, (int)level, line);
	else
		hand_over(arg, (int)level, line);
}

/* Threads that are left behind may return some day and log something. */
void
kvr_log_leave_user(struct kvr *k)
{
	bool mine = take_turn(k);

	atomic_store(&k->user_log, NULL);
	if (mine)
		end_turn(k);
}
