/* SPDX-License-Identifier: Apache-2.0 */
/* What a submission checks of a batch, and fills into the tables. */
#ifndef KVR_BATCH_H
#define KVR_BATCH_H

#include "kvrelay.h"

struct kvr_call;

/* What a batch had before it knew of devices' memory: callers that were compiled then go on. */
#define KVR_BATCH_LEAST offsetof(struct kvr_batch, ready)

/* Fills ledger, rows and sides of a call from a checked batch. obj of the batch is written last. */
KVR_MUST_USE enum kvr_err kvr_batch_fill(struct kvr *, struct kvr_call *, const struct kvr_batch *);
/* Checks what can be said before anything is taken. ret_text: bytes with all NULs. */
KVR_MUST_USE enum kvr_err kvr_batch_check(struct kvr *, const struct kvr_batch *,
    uint64_t *ret_text);
/* The first n keys give their references back, and what was made for them goes. */
void kvr_batch_unfill(struct kvr *, struct kvr_call *, const struct kvr_batch *, uint32_t n);
/* The objects of a call have what the rows say. */
void kvr_batch_objects(struct kvr *, struct kvr_call *, bool quiet, bool first);
void kvr_note_length(struct kvr *, uint64_t len);
/* Flags of an operation whose places these are; at and len were checked. INVALID, UNSUPPORTED. */
KVR_MUST_USE enum kvr_err kvr_places_check(struct kvr *, const struct kvr_batch *,
    uint32_t *ret_flags);

/* Whether a batch may go layer by layer, when it is said to; its tokens were checked. */
KVR_MUST_USE enum kvr_err kvr_layers_check(struct kvr *, const struct kvr_batch *, uint32_t flags);
/* Before the operation begins. */
void kvr_layers_begin(struct kvr *, struct kvr_call *, const struct kvr_batch *);

#endif
