/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_audit.h"

#include <stdlib.h>
#include <string.h>

struct sum {
	struct kvr_index_node node; /* first: the index knows only this */
	uint8_t bytes[KVR_SHA256_LEN];
	char key[];
};

enum kvr_err
kvr_audit_sums_open(struct kvr_audit_sums *sums)
{
	KVR_CHECK(pthread_mutex_init(&sums->lock, NULL) == 0);
	return kvr_index_open(&sums->index);
}

static void
drop_oldest(struct kvr_audit_sums *sums)
{
	struct sum *x = (struct sum *)sums->index.oldest;

	kvr_index_drop(&sums->index, &x->node);
	free(x);
}

void
kvr_audit_sums_close(struct kvr_audit_sums *sums)
{
	while (sums->index.oldest != NULL)
		drop_oldest(sums);
	kvr_index_close(&sums->index);
	pthread_mutex_destroy(&sums->lock);
}

static struct sum *
make(const char *key, uint32_t key_len)
{
	struct sum *x = calloc(1, sizeof(*x) + key_len);

	if (x == NULL)
		return NULL;
	memcpy(x->key, key, key_len);
	x->node.key = x->key;
	x->node.key_len = key_len;
	return x;
}

void
kvr_audit_sums_set(struct kvr_audit_sums *sums, const char *key, uint32_t key_len,
    const uint8_t bytes[KVR_SHA256_LEN])
{
	pthread_mutex_lock(&sums->lock);
	struct sum *x = (struct sum *)kvr_index_find(&sums->index, key, key_len);

	if (x == NULL) {
		if (sums->index.n >= KVR_AUDIT_SUMS)
			drop_oldest(sums);
		x = make(key, key_len); /* without memory this key is not compared */
		if (x != NULL)
			kvr_index_add(&sums->index, &x->node);
	}
	if (x != NULL)
		memcpy(x->bytes, bytes, KVR_SHA256_LEN);
	pthread_mutex_unlock(&sums->lock);
}

void
kvr_audit_sums_forget(struct kvr_audit_sums *sums, const char *key, uint32_t key_len)
{
	pthread_mutex_lock(&sums->lock);
	struct sum *x = (struct sum *)kvr_index_find(&sums->index, key, key_len);

	if (x != NULL) {
		kvr_index_drop(&sums->index, &x->node);
		free(x);
	}
	pthread_mutex_unlock(&sums->lock);
}

bool
kvr_audit_sums_differ(struct kvr_audit_sums *sums, const char *key, uint32_t key_len,
    const uint8_t bytes[KVR_SHA256_LEN])
{
	pthread_mutex_lock(&sums->lock);
	const struct sum *x = (const struct sum *)kvr_index_find(&sums->index, key, key_len);
	bool differ = x != NULL && memcmp(x->bytes, bytes, KVR_SHA256_LEN) != 0;

	pthread_mutex_unlock(&sums->lock);
	return differ;
}
