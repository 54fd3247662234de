/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small pieces by way of the device's own memory: the kernel gathers them there, and a copy engine
 * takes them over the bus at once; or the reverse. A kernel that crosses the bus by itself holds
 * multiprocessors for as long as the bus takes, which the engine wants for its own work, and both
 * ways at once it reaches four fifths of what the copy engines do; inside the device the same bytes
 * are a twentieth of that time.
 *
 * Two streams of a way, so that one slot is filled while the other one is emptied. Whatever is
 * begun here ends on the way's own stream: who waits for that waits for all of it.
 */
#ifndef KVR_STAGE_H
#define KVR_STAGE_H

#include "kvr_device.h"
#include "kvr_kernel.h"
#include "kvr_limits.h"

struct CUstream_st; /* cudaStream_t and cudaEvent_t point to such */
struct CUevent_st;

struct kvr_stage {
	bool on; /* a copy may be asked for */
	uint64_t len; /* of a slot */
	struct CUstream_st *stream; /* of the first half */
	uint8_t *slot[KVR_DEVICE_STAGE_SLOTS];
	struct CUevent_st *full[KVR_DEVICE_STAGE_SLOTS], *empty[KVR_DEVICE_STAGE_SLOTS];
	bool used[KVR_DEVICE_STAGE_SLOTS];
	uint32_t next;
};

/* Where a call fails it stays off: speed is all that this costs. No error is left behind. */
void kvr_stage_open(struct kvr_stage *);
/* When the way's own stream is idle. Not after a reset. */
void kvr_stage_close(struct kvr_stage *);

/*
 * Begins to copy n pieces that lie side by side in the chunk, at most len bytes. Answers a
 * cudaError_t. Where a call fails, *ret_call names it; what was begun before it ends on the way's
 * stream all the same. From then on the stage is off, for a slot may be in use of which no event
 * tells.
 */
int kvr_stage_copy(struct kvr_stage *, enum kvr_way, const struct kvr_kernel_piece *, uint32_t n,
    struct CUstream_st *way, const char **ret_call);

#endif
