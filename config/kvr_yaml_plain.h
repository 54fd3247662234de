/* SPDX-License-Identifier: Apache-2.0 */
/* What an unquoted word of YAML is: a text, a number, a truth value or null. */
#ifndef KVR_YAML_PLAIN_H
#define KVR_YAML_PLAIN_H

#include "kvr_config_own.h"

/*
 * Turns a TEXT node into what its text means, by the rules of YAML 1.1 as PyYAML implements them.
 */
void kvr_yaml_plain(struct kvr_config_arena *, struct kvr_node *);

#endif
