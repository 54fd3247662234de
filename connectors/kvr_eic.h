/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EIC, eic://host:port[;host:port...]. A chunk is two values: the payload under the key itself, and
 * under the key followed by "_meta" LMCache's header, whose length field holds the length of the
 * header itself. The length of the payload follows from dtype and shape.
 */
#ifndef KVR_EIC_H
#define KVR_EIC_H

#include <pthread.h>

#include "kvr_eic_sdk.h"
#include "kvr_frame.h"
#include "kvr_lmmeta.h"

#define KVR_EIC_PREFIX_MAX 256U
#define KVR_EIC_META       "_meta"
#define KVR_EIC_NAME_MAX   (KVR_EIC_PREFIX_MAX + KVR_KEY_LEN_MAX + sizeof(KVR_EIC_META))
#define KVR_EIC_GROUP      (KVR_EIC_KEYS_MAX / 2) /* chunks per call; each may be two keys */

struct kvr_store {
	uint32_t magic;
	uint32_t n_groups;
	int64_t  ttl_s; /* -1: none */
	struct kvr_frame_rules rules;
	struct kvr_eic_opts opts;
	const char *ns;
	struct kvr_span staging; /* of the instance; empty: nothing is registered */
	char prefix[KVR_EIC_PREFIX_MAX + 1];
	char endpoint[512];
	/* Made by the first dial and kept until close. Under lock. */
	pthread_mutex_t lock;
	void *library, *client;
	bool registered; /* staging is registered with this client */
	const struct kvr_eic_sdk *sdk;
};

struct kvr_connector {
	uint32_t magic;
	uint32_t n; /* keys of the call being built */
	struct kvr_store *store;
	struct kvr_kick *kick;
	uint64_t until_ns;
	uint8_t *scratch;
	struct kvr_frame frame;
	char why[256];
	struct kvr_item *item[KVR_EIC_GROUP]; /* items of a group that are still in progress */
	const char *key[2 * KVR_EIC_GROUP];
	struct kvr_eic_buffer buffer[2 * KVR_EIC_GROUP];
	int32_t code[2 * KVR_EIC_GROUP];
	uint8_t head[KVR_EIC_GROUP][KVR_LMMETA_BYTES_MAX];
	char name[2 * KVR_EIC_GROUP][KVR_EIC_NAME_MAX];
};

/* eic_open.c */
enum kvr_err kvr_eic_open(
    const struct kvr_store_opts *, struct kvr_store **ret, char *why, size_t why_cap);
/*
 * eic_library.c: loads the adapter and makes a client, once. DOWN, TIMEOUT, CANCELLED, with a
 * sentence.
 */
KVR_MUST_USE enum kvr_err kvr_eic_load(
    struct kvr_store *, uint64_t until_ns, struct kvr_kick *, char *why, size_t why_cap);
void kvr_eic_unload(struct kvr_store *);
/* eic_examine.c */
void kvr_eic_examine(struct kvr_store *, struct kvr_connector *, const struct kvr_examination *);
/* eic_batch.c */
enum kvr_err kvr_eic_run(struct kvr_connector *, enum kvr_verb, struct kvr_item *, uint32_t n);

#endif
