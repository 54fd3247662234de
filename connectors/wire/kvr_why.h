/* SPDX-License-Identifier: Apache-2.0 */
/* Where to put the sentence that says why a URL or an option is refused. */
#ifndef KVR_WHY_H
#define KVR_WHY_H

#include "kvr_base.h"
#include "kvr_err.h"

struct kvr_why {
	char *at;
	size_t cap;
};

/* Writes it and returns CONFIG, so that a function can give up in one statement. */
enum kvr_err KVR_PRINTF(2, 3) kvr_refuse(const struct kvr_why *, const char *fmt, ...);

#endif
