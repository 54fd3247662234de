/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine whose pages are of 64 KiB, as many with arm64 have: mappings begin and end at such
 * pages, and a call for an address between two is refused. For a test that kvr_test_big_pages
 * links.
 */
#ifndef KVR_BIG_PAGES_H
#define KVR_BIG_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define KVR_BIG_PAGE UINT64_C(65536)

extern bool kvr_big_pages; /* off at first: the machine is as it is */
/* While they were on: calls that were refused, and bytes that are mapped by now beyond what was before. */
extern _Atomic uint32_t kvr_big_pages_refused;
extern _Atomic int64_t kvr_big_pages_mapped;

#endif
