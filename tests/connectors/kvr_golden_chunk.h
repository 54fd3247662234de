/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk of the golden data: key, layout, payload. */
#ifndef KVR_GOLDEN_CHUNK_H
#define KVR_GOLDEN_CHUNK_H

#include <string.h>

#include "kvr_check.h"
#include "kvr_connector.h"
#include "kvr_golden.h"

struct chunk {
	struct kvr_meta meta, expected;
	struct kvr_item item;
	uint8_t        *payload;
	size_t          len;
};

static inline uint32_t
memfmt_of(const char *name)
{
	for (uint32_t code = 0; kvr_memfmt_name(code) != NULL; code++)
		if (strcmp(kvr_memfmt_name(code), name) == 0)
			return code;
	ck_abort_msg("memory format %s is not known", name);
	return 0;
}

static inline struct chunk
chunk_of(const struct kvr_golden *entry)
{
	struct chunk c = { 0 };
	const char *dtype = kvr_golden_text_of(entry, "dtype");
	c.meta.memfmt = memfmt_of(kvr_golden_text_of(entry, "fmt"));
	c.meta.n_groups = 1;
	int code = kvr_dtype_find(dtype, strlen(dtype));
	ck_assert_int_ge(code, 0);
	c.meta.group[0].dtype = (uint32_t)code;
	KVR_GOLDEN_EACH(dim, kvr_golden_get(entry, "shape"))
		c.meta.group[0].dim[c.meta.group[0].n_dims++] = (uint64_t)kvr_golden_int(dim);
	c.expected = c.meta;
	c.payload = kvr_golden_hex_of(entry, "payload_hex", &c.len);
	c.item.key = kvr_golden_text_of(entry, "key");
	c.item.key_len = (uint32_t)strlen(c.item.key);
	c.item.raw_len = c.len;
	c.item.span = (struct kvr_span){ c.payload, c.len };
	return c;
}

#endif
