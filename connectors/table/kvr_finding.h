/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody who examines a deployment finds, one thing at a time. */
#ifndef KVR_FINDING_H
#define KVR_FINDING_H

#include "kvr_base.h"

enum kvr_finding_level { KVR_FOUND_OK, KVR_FOUND_WARN, KVR_FOUND_FAIL };

struct kvr_finding {
	enum kvr_finding_level level;
	const char *topic;  /* "memory" */
	const char *text;   /* what is so */
	const char *advice; /* what to do about it; NULL: nothing */
};

/* Texts live for the call. None has a secret in it. */
typedef void kvr_finding_fn(void *arg, const struct kvr_finding *);

struct kvr_examination {
	uint64_t until_ns;
	uint64_t slot_bytes; /* of a full chunk; 0: not known */
	bool     writes;     /* values are written to the store */
	bool     expires;    /* with a time to live */
	kvr_finding_fn *found;
	void    *arg;
};

#endif
