/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sentence in a place that may be too short for it. Messages about stores begin with an address
 * and end with what happened there; addresses in clouds are long, so the middle is left out.
 */
#ifndef KVR_FIT_H
#define KVR_FIT_H

#include <stddef.h>

/* cap: of ret, with the NUL; 0: nothing is written. ret and text do not overlap. */
void kvr_fit(char *ret, size_t cap, const char *text);

#endif
