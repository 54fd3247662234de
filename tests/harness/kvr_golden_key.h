/* SPDX-License-Identifier: Apache-2.0 */
/* What the golden keys need beyond JSON: integers of any length, tags that may be numbers. */
#ifndef KVR_HARNESS_GOLDEN_KEY_H
#define KVR_HARNESS_GOLDEN_KEY_H

#include "kvr_golden.h"

/* Lowest byte first; enough for what a key can hold. */
struct kvr_big {
	uint8_t byte[256];
	bool minus;
};

/* Digits of base 10 or 16 with what Python allows around them. */
struct kvr_big kvr_big_read(const char *at, size_t len, unsigned base);

/* The name (0) or the value (1) of a tag as text; scratch is for values that are numbers. */
const char *kvr_golden_tag(const struct kvr_golden *tag, unsigned which, char scratch[32]);

#endif
