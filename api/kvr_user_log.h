/* SPDX-License-Identifier: Apache-2.0 */
/* What the facade says, and how it reaches the log function of the caller. */
#ifndef KVR_USER_LOG_H
#define KVR_USER_LOG_H

#include "kvrelay.h"

#include "kvr_log.h"

typedef void kvr_user_log_fn(void *arg, int level, const char *line);

/* Where lines go without such a function: NULL, which is standard error, or nowhere. */
kvr_log_fn *kvr_log_default(void);
void kvr_log_to_user(void *kvr, enum kvr_log_level, const char *line);
/* The caller's function is not called any more; and nobody is in it, but who does not come out of it. */
void kvr_log_leave_user(struct kvr *);
void kvr_say(struct kvr *, enum kvr_log_level, const char *fmt, ...) KVR_PRINTF(3, 4);
/* Says it, as an error, and answers err. */
enum kvr_err kvr_bad(struct kvr *, enum kvr_err err, const char *fmt, ...) KVR_PRINTF(3, 4);

#endif
