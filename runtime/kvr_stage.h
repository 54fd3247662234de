/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small pieces by way of the device's own memory: the kernel gathers them there, and a copy engine
 * takes them over the bus; or the reverse. A kernel that crosses the bus by itself holds
 * multiprocessors for as long as the bus takes, which the engine wants for its own work, and both
 * ways at once it reaches three fifths of what the copy engines do; inside the device the same bytes
 * are a twentieth of that time.
 *
 * Two streams of a way, so that one slot is filled while the other one is emptied. Whatever is
 * begun here ends on the way's own stream: who waits for that waits for all of it. A stream for each
 * slot would have been two calls less, and was slower: a copy engine takes longer from one stream's
 * copy to another's than to the next of the same, and that is what keeps this below the bus' speed.
 */
#ifndef KVR_STAGE_H
#define KVR_STAGE_H

#include "kvr_bus.h"
#include "kvr_copy_plan.h"
#include "kvr_kernel.h"
#include "kvr_limits.h"

struct CUevent_st; /* cudaEvent_t points to such */

enum { KVR_STAGE_PIECES = KVR_PLAN_PIECES };

struct kvr_stage {
	bool on; /* pieces may be added */
	uint64_t len; /* of a slot, which has room for one more piece */
	uint32_t most; /* pieces of a launch */
	struct CUstream_st *stream; /* of the first half */
	uint8_t *slot[KVR_DEVICE_STAGE_SLOTS];
	struct CUevent_st *full[KVR_DEVICE_STAGE_SLOTS], *empty[KVR_DEVICE_STAGE_SLOTS];
	bool used[KVR_DEVICE_STAGE_SLOTS];
	uint32_t next; /* slot */
	/* What that is to have: pieces as the kernel finds them there, and what of it is one in the chunk. */
	uint32_t n;
	uint64_t filled;
	const uint8_t *end; /* of the last piece, in the chunk */
	struct kvr_piece piece[KVR_STAGE_PIECES];
	struct kvr_bus bus;
};

/* Where a call fails it stays off: speed is all that this costs. No error is left behind. */
void kvr_stage_open(struct kvr_stage *, uint32_t most);
/* When the way's own stream is idle. Not after a reset. */
void kvr_stage_close(struct kvr_stage *);

/* Whether the slot has room for it too; one that is empty has, for any up to KVR_PIECE_TILE. */
bool kvr_stage_has_room(const struct kvr_stage *, const struct kvr_piece *);
void kvr_stage_add(struct kvr_stage *, enum kvr_way, const struct kvr_piece *);

/*
 * Begins to copy what has been added, if anything, and forgets it. Answers a cudaError_t. Where a
 * call fails, *ret_call names it; what was begun before it ends on the way's stream all the same.
 * From then on the stage is off, for a slot may be in use of which no event tells.
 */
int kvr_stage_go(struct kvr_stage *, enum kvr_way, struct CUstream_st *way, bool *batches,
    const char **ret_call);
/* Forgets what has been added. */
void kvr_stage_forget(struct kvr_stage *);

#endif
