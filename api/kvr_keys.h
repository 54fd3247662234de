/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of keys as a caller gives them. */
#ifndef KVR_KEYS_H
#define KVR_KEYS_H

#include "kvrelay.h"

#include "kvr_hash.h"

/*
 * The one place where a key's text is judged and rewritten. len is strnlen(text, KVR_KEY_MAX + 1);
 * INVALID when it and its end do not fit into room bytes. No rewriting makes a key longer.
 */
KVR_MUST_USE enum kvr_err kvr_key_take(const struct kvr *, const char *text, size_t len, char *ret,
    size_t room, uint32_t *ret_len, kvr_digest *ret_digest);

#endif
