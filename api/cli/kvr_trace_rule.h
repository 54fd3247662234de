/* SPDX-License-Identifier: Apache-2.0 */
/* A rule that `kvrelay trace check` looks at, and what breaks it. */
#ifndef KVR_TRACE_RULE_H
#define KVR_TRACE_RULE_H

#include "kvr_trace_cmd.h"

enum { TRACE_TOLD_MAX = 5 };

struct trace_rule {
	const char *name;
	uint64_t n, broken; /* times that it was looked at, and that it did not hold */
	char unknown[512];  /* why the trace does not say whether it holds; "": it does */
	char told[TRACE_TOLD_MAX][200];
};

void trace_breaks(struct trace_rule *, const char *format, ...) KVR_PRINTF(2, 3);
/* trace_rule.c: no message against an arrow. */
void trace_rule_arrows(const struct trace_model *, struct trace_rule *);

#endif
