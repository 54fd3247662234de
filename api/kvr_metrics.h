/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics as text, and the operations that the router never saw. */
#ifndef KVR_METRICS_H
#define KVR_METRICS_H

#include "kvrelay.h"

#include "kvr_stats.h"

/* Counts an operation that the router never saw, and why. */
void kvr_refused(struct kvr *, uint32_t kind, int32_t err);
/* The text; free() it. NULL: no memory. *ret_len is without the NUL. */
char *kvr_metrics_take(struct kvr *, enum kvr_stats_form, size_t *ret_len);

#endif
