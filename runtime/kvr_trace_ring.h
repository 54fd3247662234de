/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of a trace: records are written whole, old ones make room, readers are never misled. */
#ifndef KVR_TRACE_RING_H
#define KVR_TRACE_RING_H

#include "kvr_trace.h"

struct kvr_ring {
	struct kvr_trace_head *head; /* what readers see of it */
	uint8_t *base;
	uint64_t bytes;
	uint64_t written, oldest;     /* bytes ever */
	uint64_t write_at, oldest_at; /* the same two in the ring */
	uint64_t number;              /* of the last record */
};

/* A contiguous place of len bytes, a multiple of 8. Fill in its body before kvr_ring_end. */
struct kvr_rec *kvr_ring_begin(struct kvr_ring *, enum kvr_rec_kind, uint16_t actor, uint64_t len);
void kvr_ring_end(struct kvr_ring *, struct kvr_rec *, uint64_t len);

#endif
