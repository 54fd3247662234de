/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_blocks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Below this the heap is better: a mapping costs two system calls and is rounded up to whole pages.
 */
#define MAPPED_FROM KVR_KIB(64)
#define HUGE_PAGE KVR_MIB(2)

static uint64_t
round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

uint64_t
kvr_block_size(uint64_t len)
{
	/* The system's page size: with pages of 64 KiB, a part of one cannot be given back. */
	return round_up(len, len < MAPPED_FROM ? 64 : (uint64_t)sysconf(_SC_PAGESIZE));
}

static struct kvr_block
take_out(struct kvr_blocks *blocks, uint32_t i)
{
	struct kvr_block block = blocks->kept[i];

	blocks->n--;
	blocks->bytes -= block.size;
	memmove(&blocks->kept[i], &blocks->kept[i + 1],
	    (blocks->n - i) * sizeof(blocks->kept[0]));
	return block;
}

bool
kvr_blocks_get(struct kvr_blocks *blocks, uint64_t size, struct kvr_block *ret)
{
	/* From the end: the block that was freed last is the most likely to be in cache. */
	for (uint32_t i = blocks->n; i > 0; i--) {
		if (blocks->kept[i - 1].size == size) {
			*ret = take_out(blocks, i - 1);
			return true;
		}
	}
	return false;
}

bool
kvr_blocks_get_any(struct kvr_blocks *blocks, struct kvr_block *ret)
{
	if (blocks->n == 0)
		return false;
	*ret = take_out(blocks, 0);
	return true;
}

bool
kvr_blocks_keep(struct kvr_blocks *blocks, struct kvr_block take)
{
	if (take.size < MAPPED_FROM || blocks->n == KVR_BLOCKS_KEPT_MAX ||
	    take.size > blocks->bytes_max - KVR_MIN(blocks->bytes, blocks->bytes_max))
		return false;
	blocks->kept[blocks->n++] = take;
	blocks->bytes += take.size;
	return true;
}

/*
 * Aligned to huge pages so that the kernel can use them: 32 faults for 64 MiB instead of 16384.
 * What was mapped in excess for the alignment is unmapped at once.
 */
static void *
map_aligned(uint64_t size)
{
	uint64_t room = size + HUGE_PAGE;
	uint8_t *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return MAP_FAILED;
	uint64_t before = round_up((uintptr_t)at, HUGE_PAGE) - (uintptr_t)at;
	uint64_t after = room - before - size;
	if (before > 0)
		munmap(at, before);
	if (after > 0)
		munmap(at + before + size, after);
	(void)madvise(at + before, size, MADV_HUGEPAGE); /* a hint: if it fails it is only slower */
	return at + before;
}

enum kvr_err
kvr_block_map(uint64_t size, struct kvr_block *ret)
{
	void *at = NULL;

	if (size >= HUGE_PAGE)
		at = map_aligned(size);
	else if (size >= MAPPED_FROM)
		at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else if (size > 0 && (at = aligned_alloc(64, size)) == NULL)
		at = MAP_FAILED;
	if (at == MAP_FAILED)
		return KVR_E_NOMEM;
	*ret = (struct kvr_block){ .at = at, .size = size };
	return KVR_OK;
}

void
kvr_block_unmap(struct kvr_block take)
{
	if (take.size >= MAPPED_FROM)
		KVR_CHECK(munmap(take.at, take.size) == 0);
	else
		free(take.at);
}
