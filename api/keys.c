/* SPDX-License-Identifier: Apache-2.0 */
/* A key's text as the stores see it. */
#include "kvr_keys.h"

#include "kvr_instance.h"
#include "kvr_lmkey.h"

#include <string.h>

enum kvr_err
kvr_key_take(const struct kvr *k, const char *text, size_t len, char *ret, size_t room,
    uint32_t *ret_len, kvr_digest *ret_digest)
{
	struct kvr_lmkey key;
	size_t out = len;

	if (len == 0)
		return KVR_E_INVALID;
	if (len > KVR_KEY_MAX)
		return KVR_E_TOO_BIG;
	if (len >= room)
		return KVR_E_INVALID;
	if (k->parse_keys) {
		enum kvr_err err = kvr_lmkey_parse(text, len, &key);

		if (err == KVR_OK && k->rewrite)
			err = kvr_lmkey_worker0(&key, text, len, ret, room, &out);
		if (err != KVR_OK)
			return err;
	}
	if (!k->parse_keys || !k->rewrite)
		memcpy(ret, text, len);
	ret[out] = '\0';
	*ret_len = (uint32_t)out;
	*ret_digest = kvr_hash128(ret, out);
	return KVR_OK;
}
