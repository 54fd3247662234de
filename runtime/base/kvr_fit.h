/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fits a sentence into a buffer that may be too short. Messages about stores say where, what, what
 * to do and details, in this order. Addresses in clouds are long, so the longest words lose their
 * middles first, and only then is the end of the sentence cut.
 */
#ifndef KVR_FIT_H
#define KVR_FIT_H

#include <stddef.h>

/* cap: bytes of ret with the NUL; 0: writes nothing. Reads 511 bytes of text, which ret may be. */
void kvr_fit(char *ret, size_t cap, const char *text);

#endif
