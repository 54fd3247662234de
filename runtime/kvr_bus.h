/* SPDX-License-Identifier: Apache-2.0 */
/* Straight copies between a device and page-locked memory, collected for one call. */
#ifndef KVR_BUS_H
#define KVR_BUS_H

#include "kvr_device.h"

struct CUstream_st; /* cudaStream_t points to such */

enum { KVR_BUS_COPIES = 256 };

struct kvr_bus {
	uint32_t n;
	void *to[KVR_BUS_COPIES], *from[KVR_BUS_COPIES];
	size_t len[KVR_BUS_COPIES];
};

/* far: in the device's memory. There is room for one more. */
void kvr_bus_add(struct kvr_bus *, enum kvr_way, uint8_t *chunk, uint8_t *far, uint64_t len);

/*
 * Begins all of them, and forgets them. Answers a cudaError_t; where a call fails, *ret_call names
 * it. batches: cudaMemcpyBatchAsync is there, as far as is known.
 */
int kvr_bus_go(struct kvr_bus *, enum kvr_way, struct CUstream_st *, bool *batches, const char **ret_call);

#endif
