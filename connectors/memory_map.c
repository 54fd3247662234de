/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_memory_map.h"

#include <stdlib.h>
#include <string.h>

/* How many idle bytes an unlimited store keeps, and which part of a limited one. */
#define KEPT_BYTES_MAX KVR_MIB(256)
#define KEPT_PART 8U

/* What was taken out under the lock and is freed after it, because unmapping takes milliseconds. */
struct grave {
	struct kvr_index_node *values; /* linked by chain */
	struct kvr_block blocks[KVR_BLOCKS_KEPT_MAX + 1U]; /* all kept blocks, and one in hand */
	uint32_t n_blocks;
};

static struct kvr_memory_value *
value_of(struct kvr_index_node *node)
{
	return (struct kvr_memory_value *)node;
}

static void
lock(struct kvr_memory_map *map)
{
	KVR_CHECK(pthread_mutex_lock(&map->lock) == 0);
}

static void
unlock(struct kvr_memory_map *map)
{
	KVR_CHECK(pthread_mutex_unlock(&map->lock) == 0);
}

enum kvr_err
kvr_memory_map_open(struct kvr_memory_map *map, uint64_t capacity)
{
	uint64_t limit = capacity == 0 ? UINT64_MAX : capacity;

	*map = (struct kvr_memory_map){ .capacity = limit };
	map->blocks.bytes_max = KVR_MIN(limit / KEPT_PART, KEPT_BYTES_MAX);
	enum kvr_err err = kvr_index_open(&map->index);
	if (err != KVR_OK)
		return err;
	KVR_CHECK(pthread_mutex_init(&map->lock, NULL) == 0);
	return KVR_OK;
}

static void
bury(struct grave *grave, struct kvr_memory_value *take)
{
	take->node.chain = grave->values;
	grave->values = &take->node;
}

static void
empty(struct grave *grave)
{
	for (uint32_t i = 0; i < grave->n_blocks; i++)
		kvr_block_unmap(grave->blocks[i]);
	while (grave->values != NULL) {
		struct kvr_memory_value *value = value_of(grave->values);
		grave->values = value->node.chain;
		kvr_block_unmap(value->block);
		free(value);
	}
}

/* Gives up the value's bytes, but keeps a block that is worth keeping. Under the lock. */
static void
give_up(struct kvr_memory_map *map, struct kvr_memory_value *take, struct grave *grave)
{
	KVR_CHECK(map->used >= take->node.bytes);
	map->used -= take->node.bytes;
	if (kvr_blocks_keep(&map->blocks, take->block)) {
		map->used += take->block.size;
		take->block = (struct kvr_block){ .at = NULL };
	}
	bury(grave, take);
}

/* Takes it out of the map; its last reader gives it up. Under the lock. */
static void
take_out(struct kvr_memory_map *map, struct kvr_memory_value *value, struct grave *grave)
{
	kvr_index_drop(&map->index, &value->node);
	value->in_map = false;
	if (value->readers == 0)
		give_up(map, value, grave);
}

void
kvr_memory_map_close(struct kvr_memory_map *map)
{
	struct grave grave = { .n_blocks = 0 };

	while (map->index.oldest != NULL) {
		KVR_CHECK(value_of(map->index.oldest)->readers == 0);
		take_out(map, value_of(map->index.oldest), &grave);
	}
	while (kvr_blocks_get_any(&map->blocks, &grave.blocks[grave.n_blocks]))
		map->used -= grave.blocks[grave.n_blocks++].size;
	KVR_CHECK(map->used == 0);
	empty(&grave);
	kvr_index_close(&map->index);
	KVR_CHECK(pthread_mutex_destroy(&map->lock) == 0);
}

/* The least recently used value that is not being read. Readers are few, so the walk is short. */
static struct kvr_memory_value *
victim(struct kvr_memory_map *map)
{
	struct kvr_index_node *x = map->index.oldest;

	while (x != NULL && value_of(x)->readers > 0)
		x = x->newer;
	return x == NULL ? NULL : value_of(x);
}

/* Evicts one value; passes its block on if it has the wanted size. Under the lock. */
static bool
evict(struct kvr_memory_map *map, uint64_t block_size, struct kvr_block *want, struct grave *grave)
{
	struct kvr_memory_value *value = victim(map);

	if (value == NULL)
		return false;
	kvr_index_drop(&map->index, &value->node);
	map->used -= value->node.bytes;
	map->evicted++;
	if (want->at == NULL && value->block.size == block_size) {
		*want = value->block;
		value->block = (struct kvr_block){ .at = NULL };
	}
	bury(grave, value);
	return true;
}

/*
 * Makes room for `bytes` and counts them. If an evicted block has the right size it is passed on
 * instead of being freed, which happens every time in a full store of equal chunks. Under the lock.
 */
static enum kvr_err
make_room(struct kvr_memory_map *map, uint64_t bytes, uint64_t block_size,
    struct kvr_block *ret_block, struct grave *grave)
{
	struct kvr_block want = { .at = NULL };

	if (kvr_blocks_get(&map->blocks, block_size, &want))
		map->used -= want.size; /* from here on included in bytes */
	while (bytes > map->capacity - map->used) {
		struct kvr_block *idle = &grave->blocks[grave->n_blocks];
		if (kvr_blocks_get_any(&map->blocks, idle)) {
			map->used -= idle->size;
			grave->n_blocks++;
		} else if (!evict(map, block_size, &want, grave)) {
			grave->blocks[grave->n_blocks++] = want;
			return KVR_E_BUSY;
		}
	}
	map->used += bytes;
	*ret_block = want;
	return KVR_OK;
}

/* What a value counts for: everything that is allocated for it. */
static uint64_t
charge(uint32_t key_len, uint64_t block_size)
{
	return sizeof(struct kvr_memory_value) + key_len + 1U + block_size;
}

static struct kvr_memory_value *
new_value(const char *key, uint32_t key_len, uint64_t len)
{
	struct kvr_memory_value *value = malloc(sizeof(*value) + key_len + 1U);

	if (value == NULL)
		return NULL;
	*value = (struct kvr_memory_value){ .len = len };
	memcpy(value->key, key, key_len);
	value->key[key_len] = '\0';
	value->node.key = value->key;
	value->node.key_len = key_len;
	value->node.bytes = charge(key_len, kvr_block_size(len));
	return value;
}

enum kvr_err
kvr_memory_new(struct kvr_memory_map *map, const char *key, uint32_t key_len, uint64_t len,
    struct kvr_memory_value **ret)
{
	struct grave grave = { .n_blocks = 0 };

	/* The first half: rounding up must not overflow for a nonsensical length. */
	if (len > map->capacity || len > UINT64_MAX / 2 ||
	    charge(key_len, kvr_block_size(len)) > map->capacity)
		return KVR_E_TOO_BIG;
	struct kvr_memory_value *value = new_value(key, key_len, len);
	if (value == NULL)
		return KVR_E_NOMEM;
	uint64_t block_size = kvr_block_size(len);
	lock(map);
	enum kvr_err err = make_room(map, value->node.bytes, block_size, &value->block, &grave);
	unlock(map);
	empty(&grave);
	if (err == KVR_OK && value->block.size != block_size &&
	    (err = kvr_block_map(block_size, &value->block)) != KVR_OK) {
		lock(map);
		map->used -= value->node.bytes;
		unlock(map);
	}
	if (err != KVR_OK) {
		free(value);
		return err;
	}
	*ret = value;
	return KVR_OK;
}

void
kvr_memory_publish(struct kvr_memory_map *map, struct kvr_memory_value *take)
{
	struct grave           grave = { .n_blocks = 0 };
	struct kvr_index_node *old;

	lock(map);
	if ((old = kvr_index_find(&map->index, take->key, take->node.key_len)) != NULL)
		take_out(map, value_of(old), &grave);
	kvr_index_add(&map->index, &take->node);
	take->in_map = true;
	unlock(map);
	empty(&grave);
}

void
kvr_memory_discard(struct kvr_memory_map *map, struct kvr_memory_value *take)
{
	struct grave grave = { .n_blocks = 0 };

	lock(map);
	give_up(map, take, &grave);
	unlock(map);
	empty(&grave);
}

struct kvr_memory_value *
kvr_memory_hold(struct kvr_memory_map *map, const char *key, uint32_t key_len)
{
	lock(map);
	struct kvr_index_node *node = kvr_index_find(&map->index, key, key_len);
	if (node != NULL) {
		kvr_index_touch(&map->index, node);
		value_of(node)->readers++;
	}
	unlock(map);
	return node == NULL ? NULL : value_of(node);
}

void
kvr_memory_release(struct kvr_memory_map *map, struct kvr_memory_value *take)
{
	struct grave grave = { .n_blocks = 0 };

	lock(map);
	KVR_CHECK(take->readers > 0);
	if (--take->readers == 0 && !take->in_map)
		give_up(map, take, &grave);
	unlock(map);
	empty(&grave);
}

bool
kvr_memory_touch(struct kvr_memory_map *map, const char *key, uint32_t key_len)
{
	lock(map);
	struct kvr_index_node *node = kvr_index_find(&map->index, key, key_len);
	if (node != NULL)
		kvr_index_touch(&map->index, node);
	unlock(map);
	return node != NULL;
}

bool
kvr_memory_delete(struct kvr_memory_map *map, const char *key, uint32_t key_len)
{
	struct grave grave = { .n_blocks = 0 };

	lock(map);
	struct kvr_index_node *node = kvr_index_find(&map->index, key, key_len);
	if (node != NULL)
		take_out(map, value_of(node), &grave);
	unlock(map);
	empty(&grave);
	return node != NULL;
}
