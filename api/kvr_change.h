/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a configuration that are read at every use, and the texts that change them. */
#ifndef KVR_CHANGE_H
#define KVR_CHANGE_H

#include "kvrelay.h"

struct kvr_config;

void kvr_limits_set(struct kvr *, const struct kvr_config *);
bool kvr_sets_given(const char *const *set, uint32_t n); /* n texts, none of them NULL */

#endif
