/* SPDX-License-Identifier: Apache-2.0 */
/* What a submission checks of a batch and fills into the tables. */
#ifndef KVR_BATCH_H
#define KVR_BATCH_H

#include "kvrelay.h"

struct kvr_call;

/* The members that a batch had before device memory was supported: older callers keep working. */
#define KVR_BATCH_LEAST offsetof(struct kvr_batch, ready)

/* Fills ledger, rows and sides of a call from a checked batch. The batch's obj is written last. */
KVR_MUST_USE enum kvr_err kvr_batch_fill(struct kvr *, struct kvr_call *, const struct kvr_batch *);
/* Makes the checks that need no resources. ret_text: bytes of all key texts with their NULs. */
KVR_MUST_USE enum kvr_err kvr_batch_check(struct kvr *, const struct kvr_batch *,
    uint64_t *ret_text);
/* Gives back the references of the first n keys, and frees the objects that were made for them. */
void kvr_batch_unfill(struct kvr *, struct kvr_call *, const struct kvr_batch *, uint32_t n);
/* Sets the objects of a call to what its rows say. */
void kvr_batch_objects(struct kvr *, struct kvr_call *, bool quiet, bool first);
void kvr_note_length(struct kvr *, uint64_t len);
/*
 * The operation's flags for these places; at and len must be checked before. INVALID, UNSUPPORTED.
 */
KVR_MUST_USE enum kvr_err kvr_places_check(struct kvr *, const struct kvr_batch *,
    uint32_t *ret_flags);

/* Whether a batch with KVR_LAYERS is valid; its tokens must be checked before. */
KVR_MUST_USE enum kvr_err kvr_layers_check(struct kvr *, const struct kvr_batch *, uint32_t flags);
/* Called before the operation begins. */
void kvr_layers_begin(struct kvr *, struct kvr_call *, const struct kvr_batch *);

#endif
