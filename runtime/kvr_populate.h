/* SPDX-License-Identifier: Apache-2.0 */
/* Makes and maps pages before anybody writes to them, so that no write faults. */
#ifndef KVR_POPULATE_H
#define KVR_POPULATE_H

#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* 0, or -1 and errno: EINVAL from a kernel that cannot do it. The content of the pages stays. */
static inline int
kvr_populate(void *at, size_t len)
{
	return madvise(at, len, MADV_POPULATE_WRITE);
}

#endif
