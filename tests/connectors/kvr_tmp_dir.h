/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for one test, and what one wants to know of directories. */
#ifndef KVR_TMP_DIR_H
#define KVR_TMP_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The path lives until the next call. Failure ends the test. */
const char *kvr_tmp_dir_make(void);
void        kvr_tmp_dir_remove(void); /* with all that is in it */

size_t kvr_dir_count(const char *path, const char *suffix); /* files whose name ends so */
void   kvr_file_write(const char *dir, const char *name, const void *at, size_t len);
/* -1: not there. Else its length; at most cap bytes are put at `at`. */
long   kvr_file_read(const char *dir, const char *name, void *at, size_t cap);

#endif
