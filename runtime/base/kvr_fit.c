/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fit.h"

#include <stdio.h>
#include <string.h>

#define GAP "..."

void
kvr_fit(char *ret, size_t cap, const char *text)
{
	size_t len = strlen(text), gap = sizeof(GAP) - 1;

	if (len < cap || cap <= 4 * gap) {
		if (cap > 0)
			snprintf(ret, cap, "%s", text);
		return;
	}
	size_t head = (cap - 1 - gap) / 3, tail = cap - 1 - gap - head;

	memcpy(ret, text, head);
	memcpy(ret + head, GAP, gap);
	memcpy(ret + head + gap, text + len - tail, tail + 1);
}
