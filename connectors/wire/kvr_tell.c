/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tell.h"

#include <stdarg.h>
#include <stdio.h>

void
kvr_tell(const struct kvr_examination *e, enum kvr_finding_level level, const char *topic,
    const char *advice, const char *fmt, ...)
{
	char text[500];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	const struct kvr_finding found = {
		.level = level, .topic = topic, .text = text, .advice = advice
	};
	e->found(e->arg, &found);
}
