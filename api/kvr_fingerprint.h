/* SPDX-License-Identifier: Apache-2.0 */
/* Identifies the writer of a sealed value by a number that its readers compare. */
#ifndef KVR_FINGERPRINT_H
#define KVR_FINGERPRINT_H

#include <stdint.h>

struct kvr_config;

/* A hash of what a sealed value must match besides its shape; 0: nothing was given. */
uint64_t kvr_fingerprint(const struct kvr_config *, const char *engine, const char *salt);

#endif
