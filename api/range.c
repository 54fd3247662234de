/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_range.h"

#include "kvr_map.h"

#include <string.h>

static uint32_t
order_of(uint32_t n)
{
	return n <= 1 ? 0 : 32U - (uint32_t)__builtin_clz(n - 1);
}

bool
kvr_range_init(struct kvr_range *r, uint32_t cap, uint32_t max_run)
{
	size_t bytes = (size_t)cap * (2 * sizeof(uint32_t) + sizeof(uint8_t));
	char *at = kvr_map(bytes);

	KVR_CHECK(cap > 0 && max_run > 0 && max_run <= cap);
	memset(r, 0, sizeof(*r));
	if (at == NULL)
		return false;
	r->cap = cap;
	r->orders = order_of(max_run) + 1;
	KVR_CHECK(r->orders <= KVR_RANGE_ORDERS);
	r->next = (uint32_t *)(void *)at;
	r->prev = r->next + cap;
	r->order = (uint8_t *)(r->prev + cap);
	r->bytes = bytes;
	return true;
}

void
kvr_range_clear(struct kvr_range *r)
{
	kvr_unmap(r->next, r->bytes);
	memset(r, 0, sizeof(*r));
}

static void
link_block(struct kvr_range *r, uint32_t first, uint32_t order)
{
	uint32_t head = r->head[order];

	r->order[first] = (uint8_t)(order + 1);
	r->next[first] = head;
	r->prev[first] = 0;
	if (head != 0)
		r->prev[head - 1] = first + 1;
	r->head[order] = first + 1;
}

static void
unlink_block(struct kvr_range *r, uint32_t first, uint32_t order)
{
	uint32_t next = r->next[first], prev = r->prev[first];

	KVR_CHECK(r->order[first] == order + 1);
	if (prev != 0)
		r->next[prev - 1] = next;
	else
		r->head[order] = next;
	if (next != 0)
		r->prev[next - 1] = prev;
	r->order[first] = 0;
}

/* Gives back one aligned block and merges it with its free neighbours. */
static void
give_block(struct kvr_range *r, uint32_t first, uint32_t order)
{
	KVR_CHECK(r->order[first] == 0);
	while (order + 1 < r->orders) {
		uint32_t buddy = first ^ (UINT32_C(1) << order);

		if (buddy >= r->cap || r->order[buddy] != order + 1)
			break;
		unlink_block(r, buddy, order);
		first = KVR_MIN(first, buddy);
		order++;
	}
	link_block(r, first, order);
}

static void
give(struct kvr_range *r, uint32_t first, uint32_t n)
{
	while (n > 0) {
		/* The largest block that is aligned here and not longer than the rest. */
		uint32_t order = 31U - (uint32_t)__builtin_clz(n);

		if (first != 0)
			order = KVR_MIN(order, (uint32_t)__builtin_ctz(first));
		order = KVR_MIN(order, r->orders - 1);
		give_block(r, first, order);
		first += UINT32_C(1) << order;
		n -= UINT32_C(1) << order;
	}
}

void
kvr_range_give(struct kvr_range *r, uint32_t first, uint32_t n)
{
	uint32_t last = r->last, n_last = r->n_last;

	KVR_CHECK(first < r->cap && n <= r->cap - first);
	KVR_CHECK(n_last == 0 || first >= last + n_last || last >= first + n);
	r->free += n;
	r->last = first;
	r->n_last = n;
	give(r, last, n_last);
}

bool
kvr_range_take(struct kvr_range *r, uint32_t n, uint32_t *ret_first)
{
	uint32_t order = order_of(n), size;

	KVR_CHECK(n > 0);
	if (r->n_last == n && order < r->orders) {
		*ret_first = r->last;
		r->n_last = 0;
		r->free -= n;
		return true;
	}
	give(r, r->last, r->n_last);
	r->n_last = 0;
	while (order < r->orders && r->head[order] == 0)
		order++;
	if (order >= r->orders)
		return false;
	uint32_t first = r->head[order] - 1;

	unlink_block(r, first, order);
	size = UINT32_C(1) << order;
	r->free -= n;
	if (size > n)
		give(r, first + n, size - n);
	*ret_first = first;
	return true;
}
