/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of stores makes a trace readable at any moment, by another process and after a kill:
 * first `oldest` moves past the bytes that will be overwritten, then the record is written without
 * its length, then its length, then `written`. A reader copies the ring and then reads `oldest`
 * again: what lies before it may be torn, the rest is whole.
 */
#include "kvr_trace_ring.h"

#include <stdatomic.h>

#define STEADY(p) ((_Atomic uint64_t *)(p))

static uint64_t
length_at(const struct kvr_ring *ring, uint64_t at)
{
	/* The rest at the end of the ring may be too short for a record. */
	if (ring->bytes - at < sizeof(struct kvr_rec))
		return ring->bytes - at;
	return ((const struct kvr_rec *)(const void *)(ring->base + at))->len;
}

static void
make_room(struct kvr_ring *ring, uint64_t len)
{
	if (ring->oldest + ring->bytes >= ring->written + len)
		return;
	while (ring->oldest + ring->bytes < ring->written + len) {
		uint64_t n = length_at(ring, ring->oldest_at);

		/*
		 * The host process can overwrite the map by a bug of its own: then the past is
		 * given up, not the process.
		 */
		if (n < 8 || n % 8 != 0 || n > ring->bytes - ring->oldest_at) {
			ring->oldest = ring->written;
			ring->oldest_at = ring->write_at;
			break;
		}
		ring->oldest += n;
		ring->oldest_at += n;
		if (ring->oldest_at == ring->bytes)
			ring->oldest_at = 0;
	}
	atomic_store_explicit(STEADY(&ring->head->oldest), ring->oldest, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static struct kvr_rec *
begin_here(struct kvr_ring *ring, enum kvr_rec_kind kind, uint16_t actor, uint64_t len)
{
	struct kvr_rec *r = (struct kvr_rec *)(void *)(ring->base + ring->write_at);

	make_room(ring, len);
	atomic_store_explicit((_Atomic uint32_t *)&r->len, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	r->spare = 0;
	r->kind = (uint16_t)kind;
	r->actor = actor;
	r->number = ++ring->number;
	return r;
}

static void
advance(struct kvr_ring *ring, uint64_t len)
{
	ring->written += len;
	ring->write_at += len;
	if (ring->write_at == ring->bytes)
		ring->write_at = 0;
	atomic_store_explicit(STEADY(&ring->head->written), ring->written, memory_order_release);
}

uint32_t
kvr_rec_sum(const struct kvr_rec *r, uint32_t len)
{
	const size_t from = offsetof(struct kvr_rec, number);
	/* The body of padding is whatever was there. */
	const size_t to = r->kind == KVR_REC_PAD ? sizeof(*r) : len;

	return (uint32_t)kvr_hash64_seed((const uint8_t *)r + from, to - from, len);
}

void
kvr_ring_end(struct kvr_ring *ring, struct kvr_rec *r, uint64_t len)
{
	r->sum = kvr_rec_sum(r, (uint32_t)len);
	atomic_store_explicit((_Atomic uint32_t *)&r->len, (uint32_t)len, memory_order_release);
	advance(ring, len);
}

struct kvr_rec *
kvr_ring_begin(struct kvr_ring *ring, enum kvr_rec_kind kind, uint16_t actor, uint64_t len)
{
	uint64_t rest = ring->bytes - ring->write_at;

	KVR_CHECK(len % 8 == 0 && len <= ring->bytes / 4);
	if (rest >= sizeof(struct kvr_rec) && rest < len) {
		kvr_ring_end(ring, begin_here(ring, KVR_REC_PAD, KVR_ID_NONE, rest), rest);
	} else if (rest < len) {
		make_room(ring, rest);
		advance(ring, rest);
	}
	return begin_here(ring, kind, actor, len);
}
