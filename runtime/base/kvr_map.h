/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of zero bytes that are sized for the worst case: address space without reserved memory, of
 * which only the pages that are touched cost anything.
 */
#ifndef KVR_MAP_H
#define KVR_MAP_H

#include "kvr_base.h"

/* NULL: there is no such address space. */
KVR_MUST_USE void *kvr_map(size_t bytes);
void kvr_unmap(void *take, size_t bytes); /* NULL is fine */

#endif
