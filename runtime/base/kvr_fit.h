/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sentence in a place that may be too short for it. Messages about stores say where, what, what to do
 * and details, in this order. Addresses in clouds are long, so the longest words lose their middles
 * first, and then the sentence its end.
 */
#ifndef KVR_FIT_H
#define KVR_FIT_H

#include <stddef.h>

/* cap: of ret, with the NUL; 0: nothing is written. ret may be text; of it 511 bytes count. */
void kvr_fit(char *ret, size_t cap, const char *text);

#endif
