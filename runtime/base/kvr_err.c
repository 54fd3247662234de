/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_err.h"

struct entry {
	const char *name, *text;
	uint8_t     stream, blame, pass;
};

/* Index is the negated error, so the list must stay without gaps. */
static const struct entry entry[] = {
	[0] = { "OK", "ok", KVR_STREAM_KEEP, KVR_BLAME_NONE, 0 },
#define X(name, value, stream, blame, pass, text) \
	[-(value)] = { #name, text, KVR_STREAM_##stream, KVR_BLAME_##blame, pass },
	KVR_ERR_TABLE(X)
#undef X
};

static const struct entry unknown = { "?", "unknown error", KVR_STREAM_CLOSE, KVR_BLAME_LANE, 0 };

static const struct entry *
find(int32_t err)
{
	if (err > 0 || err <= -(int32_t)KVR_LEN(entry))
		return &unknown;
	return &entry[-err];
}

const char *
kvr_err_name(int32_t err)
{
	return find(err)->name;
}

const char *
kvr_err_text(int32_t err)
{
	return find(err)->text;
}

bool
kvr_err_may_pass(int32_t err)
{
	return find(err)->pass != 0;
}

enum kvr_stream
kvr_err_stream(int32_t err)
{
	return (enum kvr_stream)find(err)->stream;
}

enum kvr_blame
kvr_err_blame(int32_t err)
{
	return (enum kvr_blame)find(err)->blame;
}
