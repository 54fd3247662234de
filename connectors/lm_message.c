/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_lm.h"
#include "kvr_le.h"

#include <string.h>

enum { YES = 200, NO = 400 };
/* What LMCache's own client sends if there is no payload; its server always parses these two. */
enum { NO_PAYLOAD_FORMAT = 1, NO_PAYLOAD_DTYPE = 2 };

void
kvr_lm_ask(uint8_t ret[KVR_LM_ASK_LEN], enum kvr_lm_command command, const uint8_t *head,
    struct kvr_const_span prefix, struct kvr_const_span key)
{
	KVR_CHECK(prefix.len + key.len <= KVR_LM_KEY_MAX);
	memset(ret, 0, 36);
	kvr_le32_put(ret, (uint32_t)command);
	if (head != NULL) {
		/* The location is in the middle of what other stores keep in one piece. */
		memcpy(ret + 4, head, 12);
		memcpy(ret + 20, head + 12, 16);
	} else {
		kvr_le32_put(ret + 8, NO_PAYLOAD_FORMAT);
		kvr_le32_put(ret + 12, NO_PAYLOAD_DTYPE);
	}
	memset(ret + 36, ' ', KVR_LM_KEY_MAX);
	memcpy(ret + 36, prefix.at, prefix.len);
	memcpy(ret + 36 + prefix.len, key.at, key.len);
}

static enum kvr_err
check_code(struct kvr_sock *s, uint32_t code)
{
	if (code == YES || code == NO)
		return KVR_OK;
	return kvr_stream_fail(s, KVR_E_PROTO,
	    "an answer with the code %u (0x%08x), not 200 or 400: is this an LMCache server?", code,
	    code);
}

enum kvr_err
kvr_lm_read_tell(struct kvr_sock *s, size_t ahead, struct kvr_lm_tell *ret)
{
	uint8_t at[KVR_LM_TELL_LEN];
	size_t have = 0;
	while (have < sizeof(at)) {
		size_t n = 0;
		enum kvr_err err = kvr_stream_read(s, at + have, sizeof(at) - have, ahead, &n);
		bool had_code = have >= 4;
		have += n;
		/*
		 * A web server sends less than a whole answer and then waits for us, so check the
		 * code early.
		 */
		if (err == KVR_OK && !had_code && have >= 4)
			err = check_code(s, kvr_le32(at));
		if (err != KVR_OK)
			return err;
	}
	uint32_t len = kvr_le32(at + 4);
	bool yes = kvr_le32(at) == YES;
	if (yes && len > INT32_MAX)
		return kvr_stream_fail(
		    s, KVR_E_PROTO,
		    "an answer that announces %d payload bytes: is this an LMCache server?",
		    (int32_t)len);
	ret->yes = yes;
	ret->len = len;
	memcpy(ret->head, at + 4, KVR_LM_HEAD_LEN);
	return KVR_OK;
}
