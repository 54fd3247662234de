/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identifies a writer: a hash over model, revision, engine and tenant as given, and their
 * positions.
 */
#include "kvr_fingerprint.h"

#include "kvr_config.h"
#include "kvr_hash.h"

#include <string.h>

uint64_t
kvr_fingerprint(const struct kvr_config *c, const char *engine, const char *salt)
{
	const char *part[] = { c->engine.model, c->engine.fingerprint, engine, salt };
	kvr_digest sum = { 0, 0 };
	bool any = false;

	for (uint32_t i = 0; i < KVR_LEN(part); i++) {
		uint64_t link[3] = { sum.lo, i, 0 };

		if (part[i] == NULL || part[i][0] == '\0')
			continue;
		any = true;
		link[2] = kvr_hash64(part[i], strlen(part[i]));
		sum = kvr_hash128(link, sizeof(link));
	}
	return !any ? 0 : sum.lo == 0 ? 1 : sum.lo;
}
