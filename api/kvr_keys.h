/* SPDX-License-Identifier: Apache-2.0 */
/* Key texts as a caller gives them. */
#ifndef KVR_KEYS_H
#define KVR_KEYS_H

#include "kvrelay.h"

#include "kvr_hash.h"

/*
 * The only place where a key's text is checked and rewritten. len is strnlen(text, KVR_KEY_MAX +
 * 1). INVALID if the text and its NUL do not fit into room bytes. Rewriting never makes a key
 * longer.
 */
KVR_MUST_USE enum kvr_err kvr_key_take(const struct kvr *, const char *text, size_t len, char *ret,
    size_t room, uint32_t *ret_len, kvr_digest *ret_digest);

#endif
