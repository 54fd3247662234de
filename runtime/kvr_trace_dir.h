/* SPDX-License-Identifier: Apache-2.0 */
/* The directory in which instances keep their traces and pages, and what others left there. */
#ifndef KVR_TRACE_DIR_H
#define KVR_TRACE_DIR_H

#include <stddef.h>
#include <sys/stat.h>

/* `asked`, or this user's folder in /dev/shm for NULL and "auto". */
const char *kvr_trace_dir_path(const char *asked, char *ret, size_t cap);
/* Opens it, and makes it if it is missing. -1: why says what is wrong with it. */
int kvr_trace_dir_open(
    const char *asked, char *ret_path, size_t path_cap, char *why, size_t why_cap);
/* Opens and locks a file of this user's that no process has locked; -1: it is no such file. */
int kvr_trace_dir_take_dead(int dir, const char *name, struct stat *ret);

#endif
