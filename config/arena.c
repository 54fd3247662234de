/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one configuration. Texts are small and are all freed together, so nothing is ever freed
 * alone. That is also why an override can be undone by copying the struct back.
 */
#include "kvr_config_own.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4096U

struct kvr_config_block {
	struct kvr_config_block *next;
	size_t used, cap;
	_Alignas(16) unsigned char data[];
};

static struct kvr_config_block *
grow(struct kvr_config_arena *arena, size_t len)
{
	size_t cap = KVR_MAX(len, (size_t)BLOCK_BYTES);
	struct kvr_config_block *block;

	if (len > SIZE_MAX - sizeof(*block) || (block = calloc(1, sizeof(*block) + cap)) == NULL) {
		arena->failed = true;
		return NULL;
	}
	block->cap = cap;
	block->next = arena->first;
	arena->first = block;
	return block;
}

void *
kvr_arena_take(struct kvr_config_arena *arena, size_t len)
{
	struct kvr_config_block *block = arena->first;
	void *at;

	if (arena->failed || len > SIZE_MAX - 15)
		return NULL;
	len = (len + 15) & ~(size_t)15;
	if (block == NULL || block->cap - block->used < len)
		block = grow(arena, len);
	if (block == NULL)
		return NULL;
	at = block->data + block->used;
	block->used += len;
	return at;
}

char *
kvr_arena_text(struct kvr_config_arena *arena, const char *text, size_t len)
{
	char *copy = len == SIZE_MAX ? NULL : kvr_arena_take(arena, len + 1);

	if (copy != NULL && len > 0)
		memcpy(copy, text, len);
	return copy;
}

void
kvr_arena_free(struct kvr_config_arena *arena)
{
	struct kvr_config_block *next;

	for (struct kvr_config_block *b = arena->first; b != NULL; b = next) {
		next = b->next;
		explicit_bzero(b->data, b->used);
		free(b);
	}
	arena->first = NULL;
}
