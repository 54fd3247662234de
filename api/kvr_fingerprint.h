/* SPDX-License-Identifier: Apache-2.0 */
/* Who wrote a sealed value, as a number that its readers compare. */
#ifndef KVR_FINGERPRINT_H
#define KVR_FINGERPRINT_H

#include <stdint.h>

struct kvr_config;

/* Of what a sealed value must agree on beside its shape; 0: nothing was said. */
uint64_t kvr_fingerprint(const struct kvr_config *, const char *engine, const char *salt);

#endif
