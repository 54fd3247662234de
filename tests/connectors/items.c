/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_subject.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvr_lmkey.h"

uint64_t
kvr_soon(void)
{
	return kvr_now_ns() + KVR_SEC(100);
}

void
kvr_kick_open(struct kvr_kick *kick)
{
	memset(kick, 0, sizeof(*kick));
	kick->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	kick->current = 1;
	ck_assert_int_ge(kick->fd, 0);
}

void
kvr_kick_close(struct kvr_kick *kick)
{
	close(kick->fd);
}

void
kvr_kick_batch(struct kvr_kick *kick, uint64_t batch)
{
	uint64_t one = 1;

	atomic_store_explicit(&kick->target, batch, memory_order_release);
	ck_assert_int_eq(write(kick->fd, &one, sizeof(one)), sizeof(one));
}

/* Of the subject; NULL: keys as they are. */
static const char *key_tail;

void
kvr_item_key_tail(const char *tail)
{
	key_tail = tail;
}

/* For stores that take LMCache's keys only, so that the suite can have its own. */
static const char *
as_lmcache_key(const char *key)
{
	static _Thread_local char text[16][KVR_KEY_LEN_MAX + 1];
	static _Thread_local unsigned next_text;
	struct kvr_lmkey parsed;

	if (kvr_lmkey_parse(key, strlen(key), &parsed) == KVR_OK)
		return key;
	char *to = text[next_text++ % KVR_LEN(text)];
	if (snprintf(to, sizeof(text[0]), "%s%s", key, key_tail) >= (int)sizeof(text[0]))
		return key;
	return to;
}

struct kvr_item
kvr_item_of(const char *key, struct kvr_meta *meta)
{
	if (key_tail != NULL)
		key = as_lmcache_key(key);
	memset(meta, 0, sizeof(*meta));
	struct kvr_item item = { .key = key, .key_len = (uint32_t)strlen(key), .meta = meta };
	atomic_init(&item.status, KVR_PENDING);
	return item;
}

static uint64_t
next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t
seed(uint64_t number)
{
	return (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

void
kvr_fill(void *at, size_t len, uint64_t number)
{
	uint64_t state = seed(number);
	uint8_t *to = at;

	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t word = next(&state);
		memcpy(to + i, &word, KVR_MIN(sizeof(word), len - i));
	}
}

bool
kvr_filled(const void *at, size_t len, uint64_t number)
{
	uint64_t       state = seed(number);
	const uint8_t *from = at;

	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t word = next(&state);
		if (memcmp(from + i, &word, KVR_MIN(sizeof(word), len - i)) != 0)
			return false;
	}
	return true;
}

static int32_t
run1(struct kvr_connector *lane, const struct kvr_connector_ops *ops, enum kvr_verb verb,
    struct kvr_item *item)
{
	int err = ops->run(lane, verb, item, 1, kvr_soon());

	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), ops->why(lane));
	ck_assert_int_ne(kvr_item_status(item), KVR_PENDING);
	return kvr_item_status(item);
}

int32_t
kvr_put1(struct kvr_connector *lane, const struct kvr_connector_ops *ops, const char *key,
    const void *at, size_t len)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of(key, &meta);

	item.raw_len = len;
	/* A put only reads; the span is one type for both ways. */
	memcpy(&item.span.at, &at, sizeof(at));
	item.span.len = len;
	int32_t status = run1(lane, ops, KVR_VERB_PUT, &item);
	ck_assert(status != KVR_OK || item.len >= len);
	return status;
}

int32_t
kvr_get1(struct kvr_connector *lane, const struct kvr_connector_ops *ops, const char *key,
    void *at, size_t len, uint32_t flags, uint64_t *ret_len)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of(key, &meta);

	item.span = (struct kvr_span){ at, len };
	item.flags = flags;
	int32_t status = run1(lane, ops, KVR_VERB_GET, &item);
	if (status == KVR_OK && ret_len != NULL)
		*ret_len = item.len;
	return status;
}

int32_t
kvr_ask1(struct kvr_connector *lane, const struct kvr_connector_ops *ops, enum kvr_verb verb,
    const char *key)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of(key, &meta);

	return run1(lane, ops, verb, &item);
}
