/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that tests may look up:
 *
 *   two.test     127.0.0.2, 127.0.0.1
 *   mixed.test   127.0.0.2, 127.0.0.3, ::1
 *   six.test     ::1, 127.0.0.1
 *   four.test    127.0.0.2, 127.0.0.3, 127.0.0.4, ::1
 *   stuck.test   127.0.0.1, once kvr_names_stuck_fd is readable
 *   broken.test  the resolver fails
 *
 * Numbers are looked up as ever, and no other name is there.
 */
#ifndef KVR_NAMES_H
#define KVR_NAMES_H

#include <stdatomic.h>

extern int         kvr_names_stuck_fd;
extern _Atomic int kvr_names_n_stuck; /* look-ups that hang */

#endif
