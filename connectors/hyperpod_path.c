/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths as LMCache's client sends them: the client encodes everything but letters, digits and
 * "_.-~", and the HTTP library below it decodes again what a path may contain literally, except '+'
 * and '/'.
 */
#include "kvr_hyperpod.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Every byte of a prefix, a key and a bucket may become three bytes. */
_Static_assert(3 * (KVR_HP_PREFIX_MAX + KVR_KEY_LEN_MAX + KVR_HP_BUCKET_MAX) + 128 <=
        KVR_HTTPC_URL_MAX,
    "every path fits");

static bool
stays(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("_.-~!$&'()*,:;=@", c) != NULL);
}

static char *
encoded(char *to, const char *from, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)from[i];
		if (stays(from[i])) {
			*to++ = from[i];
			continue;
		}
		*to++ = '%';
		*to++ = hex[byte >> 4];
		*to++ = hex[byte & 15];
	}
	*to = '\0';
	return to;
}

enum kvr_err
kvr_hp_object_path(
    const struct kvr_store *s, const char *key, uint32_t key_len, char *ret, const char **why)
{
	size_t prefix_len = strlen(s->prefix);
	/* Encoded or not, these two are path segments with a meaning, and lead to another path. */
	if (prefix_len == 0 && (key_len == 1 || key_len == 2) && memcmp(key, "..", key_len) == 0) {
		*why = "a HyperPod daemon cannot have a key \".\" or \"..\"";
		return KVR_E_UNSUPPORTED;
	}
	KVR_CHECK(key_len <= KVR_KEY_LEN_MAX);
	char *to = stpcpy(ret, "/v1/kv/");
	to = encoded(to, s->bucket, strlen(s->bucket));
	*to++ = '/';
	to = encoded(to, s->prefix, prefix_len);
	encoded(to, key, key_len);
	return KVR_OK;
}

void
kvr_hp_lease_path(char *path, uint64_t wait_ms, uint64_t ttl_ms)
{
	char ttl[32];
	int len = snprintf(ttl, sizeof(ttl), "%" PRIu64 ".%03u", ttl_ms / 1000,
	    (unsigned)(ttl_ms % 1000));
	/*
	 * A float as Python prints it: at least one digit after the point, no other zeros at the
	 * end.
	 */
	while (ttl[len - 1] == '0' && ttl[len - 2] != '.')
		ttl[--len] = '\0';
	sprintf(path + strlen(path), "/leases?timeout_ms=%" PRIu64 "&ttl_s=%s", wait_ms, ttl);
}

void
kvr_hp_release_path(const char *id, char *ret)
{
	char *to = stpcpy(ret, "/v1/leases/");
	to = encoded(to, id, strlen(id));
	stpcpy(to, "/release");
}
