/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of `kvrelay trace check`, and what broke it. */
#ifndef KVR_TRACE_RULE_H
#define KVR_TRACE_RULE_H

#include "kvr_trace_cmd.h"

enum { TRACE_TOLD_MAX = 5 };

struct trace_rule {
	const char *name;
	uint64_t n, broken; /* checks made, checks failed */
	char unknown[512];  /* why the trace does not tell whether it holds; "": it does */
	char told[TRACE_TOLD_MAX][200];
};

void trace_breaks(struct trace_rule *, const char *format, ...) KVR_PRINTF(2, 3);
/* trace_rule.c: every message follows an allowed arrow. */
void trace_rule_arrows(const struct trace_model *, struct trace_rule *);

#endif
