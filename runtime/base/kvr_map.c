/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_map.h"

#include <sys/mman.h>

void *
kvr_map(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

void
kvr_unmap(void *take, size_t bytes)
{
	if (take != NULL)
		munmap(take, bytes);
}
