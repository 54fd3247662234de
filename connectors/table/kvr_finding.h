/* SPDX-License-Identifier: Apache-2.0 */
/* What the examination of a deployment finds, one item at a time. */
#ifndef KVR_FINDING_H
#define KVR_FINDING_H

#include "kvr_base.h"

enum kvr_finding_level { KVR_FOUND_OK, KVR_FOUND_WARN, KVR_FOUND_FAIL };

struct kvr_finding {
	enum kvr_finding_level level;
	const char *topic;  /* "memory" */
	const char *text;   /* what was found */
	const char *advice; /* what to do about it; NULL: nothing */
};

/* The texts live for the duration of the call and contain no secret. */
typedef void kvr_finding_fn(void *arg, const struct kvr_finding *);

struct kvr_examination {
	uint64_t until_ns;
	uint64_t slot_bytes; /* of a full chunk; 0: unknown */
	bool     writes;     /* values are written to the store */
	bool     expires;    /* they have a time to live */
	kvr_finding_fn *found;
	void    *arg;
};

#endif
