/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_why.h"

#include <stdarg.h>
#include <stdio.h>

enum kvr_err
kvr_refuse(const struct kvr_why *w, const char *fmt, ...)
{
	if (w->cap > 0) {
		va_list args;
		va_start(args, fmt);
		vsnprintf(w->at, w->cap, fmt, args);
		va_end(args);
	}
	return KVR_E_CONFIG;
}
