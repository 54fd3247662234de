/* SPDX-License-Identifier: Apache-2.0 */
/* Where the sentence goes that says why a URL or an option is refused. */
#ifndef KVR_WHY_H
#define KVR_WHY_H

#include "kvr_base.h"
#include "kvr_err.h"

struct kvr_why {
	char *at;
	size_t cap;
};

/* CONFIG, for a function that gives up in the line that says why. */
enum kvr_err KVR_PRINTF(2, 3) kvr_refuse(const struct kvr_why *, const char *fmt, ...);

#endif
