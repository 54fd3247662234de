/* SPDX-License-Identifier: Apache-2.0 */
/* The first mistake in a document that is no JSON. */
#ifndef KVR_JSON_SCAN_H
#define KVR_JSON_SCAN_H

#include "kvr_tree.h"

struct kvr_json_bad {
	const char *at;   /* in the text, or its end */
	const char *what; /* static */
};

/* True: it is JSON, without NUL in a text and not nested deeper than the limit. */
bool kvr_json_scan(const char *text, size_t len, struct kvr_json_bad *ret_bad);

#endif
