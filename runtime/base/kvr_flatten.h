/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server or a file says, as a piece of one line. Bytes that a terminal takes for commands
 * become blanks: those below the blank, DEL, and in UTF-8 the code points from 128 to 159.
 */
#ifndef KVR_FLATTEN_H
#define KVR_FLATTEN_H

#include <stddef.h>

static inline void
kvr_flatten(char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)at[i];
		unsigned char next = i + 1 < len ? (unsigned char)at[i + 1] : 0;

		if (c < ' ' || c == 0x7f)
			at[i] = ' ';
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			at[i] = at[i + 1] = ' ';
	}
}

#endif
