/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the texts in the head of a trace file printable, whatever they are. */
#ifndef KVR_TRACE_CLEAN_H
#define KVR_TRACE_CLEAN_H

#include "kvr_trace.h"

/*
 * Build, instance, configuration and the names of actors: what is no text becomes a dot, and each
 * ends inside its place. The head must be sound; bytes: of the file, from its first on.
 */
void kvr_trace_clean(struct kvr_trace_head *, uint8_t *bytes);

#endif
