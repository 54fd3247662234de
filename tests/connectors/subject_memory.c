/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_subject.h"

#include "kvr_connectors.h"

static void
begin(struct kvr_store_opts *opts)
{
	opts->url = "memory://";
}

static void
end(void)
{
}

#define MEMORY(n, f) \
	{ .name = (n), .ops = &kvr_memory_ops, .format = (f), .any_key = true, \
	  .keeps_shape = true, .keeps_raw = true, .begin = begin, .end = end }

const struct kvr_subject kvr_subjects[] = {
	MEMORY("memory bare", KVR_FORMAT_BARE),
	MEMORY("memory sealed", KVR_FORMAT_SEALED),
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
