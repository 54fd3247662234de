/* SPDX-License-Identifier: Apache-2.0 */
/* What a word of YAML without quotes is: a text, a number, a truth value or null. */
#ifndef KVR_YAML_PLAIN_H
#define KVR_YAML_PLAIN_H

#include "kvr_config_own.h"

/* From a TEXT node to what its text says, by the rules of YAML 1.1 as PyYAML keeps them. */
void kvr_yaml_plain(struct kvr_config_arena *, struct kvr_node *);

#endif
