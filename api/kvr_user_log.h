/* SPDX-License-Identifier: Apache-2.0 */
/* What the facade logs, and how it reaches the caller's log function. */
#ifndef KVR_USER_LOG_H
#define KVR_USER_LOG_H

#include "kvrelay.h"

#include "kvr_log.h"

#include <pthread.h>

typedef void kvr_user_log_fn(void *arg, int level, const char *line);

/* Lines that wait for the notifier: see user_log.c. */
struct kvr_put_off_line {
	int  level;
	char text[KVR_LOG_LINE];
};
struct kvr_put_off {
	pthread_mutex_t lock;
	bool     told; /* the notifier was told, or is handling them */
	uint32_t first, n;
	struct kvr_put_off_line line[32];
};

/* Where lines go without such a function: NULL means standard error; or nowhere. */
kvr_log_fn *kvr_log_default(void);
void kvr_log_to_user(void *kvr, enum kvr_log_level, const char *line);
/* The notifier logs the lines that others had to put off. */
void kvr_log_put_off(struct kvr *);
/*
 * From now on the caller's function is not called, and no thread is in it, except one that hangs
 * there.
 */
void kvr_log_leave_user(struct kvr *);
/* Without a limit: a few lines in the life of an instance, and a warning of the configuration. */
void kvr_say(struct kvr *, enum kvr_log_level, const char *fmt, ...) KVR_PRINTF(3, 4);
/*
 * Logs it as an error, and returns err. Wrong calls come in thousands, from loops: those of one
 * instance share one limit.
 */
enum kvr_err kvr_bad(struct kvr *, enum kvr_err err, const char *fmt, ...) KVR_PRINTF(3, 4);

#endif
