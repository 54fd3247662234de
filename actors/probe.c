/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a store works, tested as its users would: a small value is written, read back, compared
 * and deleted. The key belongs to this lane alone, so that no other process meets it. The filter
 * that lets only one rank write is bypassed, because every rank wants to know.
 *
 * The canary (api/canary.c) makes the same round trip, but cannot replace this one: it goes through
 * the router as calls do, and while LMCache's health check has shut the tier nothing gets through
 * there. Nor can this one replace the canary, which must show that router, serdes and formats work.
 */
#include "kvr_workers.h"

#include <stdio.h>
#include <string.h>

enum { PROBE_LEN = 4096, PROBE_KEY = 80 };

struct probe {
	const struct kvr_connector_ops *ops;
	struct kvr_connector *connector;
	uint64_t until_ns;
	bool ended; /* the connection */
	char key[PROBE_KEY];
};

/* Returns the outcome of the key. */
static int32_t
one(struct probe *p, enum kvr_verb verb, void *at)
{
	struct kvr_meta meta = { 0 };
	struct kvr_item item = { .key = p->key,
		.key_len = (uint32_t)strlen(p->key),
		.span = { at, at == NULL ? 0 : PROBE_LEN },
		.raw_len = PROBE_LEN,
		.meta = &meta };

	atomic_init(&item.status, KVR_PENDING);
	enum kvr_err err = p->ops->run(p->connector, verb, &item, 1, p->until_ns);

	p->ended = err != KVR_OK;
	return err != KVR_OK ? (int32_t)err : kvr_item_status(&item);
}

static void
fill(uint8_t *at, const char *key)
{
	uint64_t word = kvr_hash64(key, strlen(key));

	for (uint32_t i = 0; i < PROBE_LEN; i += sizeof(word)) {
		memcpy(at + i, &word, sizeof(word));
		word = word * UINT64_C(6364136223846793005) + 1;
	}
}

int32_t
kvr_probe(const struct kvr_connector_ops *ops, struct kvr_connector *connector, uint64_t salt,
    uint64_t until_ns, bool *ret_ended)
{
	struct probe p = { .ops = ops, .connector = connector, .until_ns = until_ns };
	uint8_t wrote[PROBE_LEN], read[PROBE_LEN] = { 0 };

	/* A store that takes only LMCache's keys takes this one, too. */
	snprintf(p.key, sizeof(p.key), "kvrelay.probe@1@0@%llx@uint8", (unsigned long long)salt);
	fill(wrote, p.key);
	int32_t err = one(&p, KVR_VERB_PUT, wrote);

	if (err == KVR_OK)
		err = one(&p, KVR_VERB_GET, read);
	if (err == KVR_OK && memcmp(wrote, read, PROBE_LEN) != 0)
		err = KVR_E_CORRUPT;
	/* Whatever the result, nothing stays behind; where nothing can be deleted it is one value. */
	if (!p.ended)
		(void)one(&p, KVR_VERB_DEL, NULL);
	*ret_ended = p.ended;
	return err;
}
