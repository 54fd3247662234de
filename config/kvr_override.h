/* SPDX-License-Identifier: Apache-2.0 */
/* Applies "path=value" to a configuration, while it is loaded or later. */
#ifndef KVR_OVERRIDE_H
#define KVR_OVERRIDE_H

#include "kvr_config_own.h"

void kvr_override(struct kvr_load *, const char *path_is_value);
/*
 * The directory of path (NULL: the current one); "" stands for "/". False: it cannot be determined.
 */
#define KVR_DIR_MAX 4096U
bool kvr_directory(const char *path, char *ret_dir);

#endif
