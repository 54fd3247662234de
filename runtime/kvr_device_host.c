/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device that every machine has. Its copies are the reference for those of other devices. It
 * locks nothing, because a process may lock only little memory.
 */
#include "kvr_device.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t bytes;
static _Atomic uint32_t pieces;

static uint32_t
count(char *why, size_t why_cap)
{
	if (why_cap > 0)
		why[0] = '\0';
	return 1;
}

static enum kvr_err
lock(void *at, uint64_t len, enum kvr_touch use, char *why, size_t why_cap)
{
	(void)at;
	(void)use;
	if (why_cap > 0)
		why[0] = '\0';
	atomic_fetch_add(&bytes, len);
	atomic_fetch_add(&pieces, 1);
	return KVR_OK;
}

static void
unlock(void *at, uint64_t len)
{
	(void)at;
	KVR_CHECK(atomic_fetch_sub(&bytes, len) >= len);
	KVR_CHECK(atomic_fetch_sub(&pieces, 1) >= 1);
}

/* ---- copies: done when they return, so a mark is reached as soon as it is made ---- */

struct kvr_copier {
	uint32_t marks[KVR_WAYS];
};

static uint32_t
current(void)
{
	return 0;
}

static enum kvr_where
where(uint32_t number, const void *at)
{
	(void)number;
	(void)at;
	return KVR_IN_HOST;
}

static enum kvr_err
open_copier(uint32_t number, struct kvr_copier **ret, char *why, size_t why_cap)
{
	(void)number;
	*ret = calloc(1, sizeof(**ret));
	if (*ret == NULL && why_cap > 0)
		why[0] = '\0';
	return *ret == NULL ? KVR_E_NOMEM : KVR_OK;
}

static void
close_copier(struct kvr_copier *take)
{
	free(take);
}

static void
move(enum kvr_way way, uint8_t *cache, uint8_t *chunk, uint64_t len)
{
	memcpy(way == KVR_WAY_IN ? chunk : cache, way == KVR_WAY_IN ? cache : chunk, len);
}

static void
move_units(enum kvr_way way, const struct kvr_piece *p)
{
	uint8_t *chunk = p->chunk, *row = p->cache;

	for (uint64_t left = p->len; left > 0; row += p->row_step) {
		uint8_t *cache = row;

		for (uint32_t i = 0; i < p->inner; i++) {
			move(way, cache, chunk, p->unit);
			cache += p->unit_step;
			chunk += p->unit;
		}
		left -= (uint64_t)p->unit * p->inner;
	}
}

static enum kvr_err
copy(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n, char *why,
    size_t why_cap)
{
	(void)c;
	(void)why;
	(void)why_cap;
	for (uint32_t i = 0; i < n; i++) {
		if (piece[i].unit == 0)
			move(way, piece[i].cache, piece[i].chunk, piece[i].len);
		else
			move_units(way, &piece[i]);
	}
	return KVR_OK;
}

/* Host memory has no events, and the facade lets none through. */
static enum kvr_err
no_event(struct kvr_copier *c, enum kvr_way way, void *event, char *why, size_t why_cap)
{
	(void)c;
	(void)way;
	(void)event;
	(void)why;
	(void)why_cap;
	KVR_WRONG("an event of no device");
}

static enum kvr_err
mark(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	(void)why;
	(void)why_cap;
	KVR_CHECK(c->marks[way] < KVR_MARKS_MAX);
	c->marks[way]++;
	return KVR_OK;
}

static enum kvr_err
poll(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	(void)why;
	(void)why_cap;
	KVR_CHECK(c->marks[way] > 0);
	c->marks[way]--;
	return KVR_OK;
}

static bool
lost(const struct kvr_copier *c)
{
	(void)c;
	return false;
}

static const struct kvr_copy_ops copy_ops = { .current = current,
	.where = where,
	.open = open_copier,
	.close = close_copier,
	.await = no_event,
	.record = no_event,
	.copy = copy,
	.mark = mark,
	.poll = poll,
	.lost = lost };

const struct kvr_device kvr_device_host = { "host", count, lock, unlock, &copy_ops };

uint64_t
kvr_device_host_bytes(void)
{
	return atomic_load(&bytes);
}

uint32_t
kvr_device_host_pieces(void)
{
	return atomic_load(&pieces);
}
