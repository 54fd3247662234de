/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of mock:// share. */
#ifndef KVR_MOCK_H
#define KVR_MOCK_H

#include "kvr_connector.h"

struct kvr_mock_pace {
	uint64_t capacity;    /* bytes */
	uint64_t peek_ns;     /* duration of a look at keys */
	uint64_t read_per_s;  /* bytes, shared by all lanes */
	uint64_t write_per_s;
};

/* KVR_E_CONFIG, and a sentence. */
KVR_MUST_USE enum kvr_err kvr_mock_pace_of(
    const char *url, struct kvr_mock_pace *ret, char *why, size_t why_cap);

#endif
