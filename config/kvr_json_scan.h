/* SPDX-License-Identifier: Apache-2.0 */
/* The first error in a document that is not valid JSON. */
#ifndef KVR_JSON_SCAN_H
#define KVR_JSON_SCAN_H

#include "kvr_tree.h"

struct kvr_json_bad {
	const char *at;   /* a position in the text, or its end */
	const char *what; /* static */
};

/* True: valid JSON, without NULs in texts and not nested deeper than the limit. */
bool kvr_json_scan(const char *text, size_t len, struct kvr_json_bad *ret_bad);

#endif
