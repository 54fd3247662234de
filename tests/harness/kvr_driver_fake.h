/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test says that CUDA's driver answers, and what it was asked. The library with it is found
 * under the driver's own name, by the path that the test's environment gives.
 */
#ifndef KVR_DRIVER_FAKE_H
#define KVR_DRIVER_FAKE_H

#include <cuda.h>

struct kvr_driver_fake {
	CUresult answer, exchange;
	unsigned int type;
	unsigned char managed;
	int device;
	CUstreamCaptureMode mode; /* the thread's */
	/* What was asked. */
	CUdeviceptr at;
	void *unlocked;
	CUstreamCaptureMode mode_then; /* when it was unlocked */
};

#endif
