/* SPDX-License-Identifier: Apache-2.0 */
/* hiredis as most programs use it: one blocking command after the other, one connection. */
#include "kvr_measure.h"

#include <hiredis/hiredis.h>
#include <string.h>

static void
hi_close(void *self)
{
	redisFree(self);
}

static void
hi_put(void *self, const struct bench_work *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		redisReply *r =
		    redisCommand(self, "SET %s %b", w->key[i], w->at[i], (size_t)w->len[i]);

		if (r == NULL || r->type != REDIS_REPLY_STATUS)
			bench_give_up("hiredis", "a value was not stored");
		freeReplyObject(r);
	}
}

static void
hi_get(void *self, const struct bench_work *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		redisReply *r = redisCommand(self, "GET %s", w->key[i]);

		if (r == NULL || r->type != REDIS_REPLY_STRING || (uint64_t)r->len != w->len[i])
			bench_give_up("hiredis", "the value is not as long as it was stored");
		/* An engine needs it in its own memory. */
		memcpy(w->at[i], r->str, (size_t)w->len[i]);
		freeReplyObject(r);
	}
}

/* Several at once are a pipeline here, too: one by one would be a hundred times as slow. */
static void
hi_look(void *self, const struct bench_work *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		redisAppendCommand(self, "EXISTS %s", w->key[i]);
	for (uint32_t i = 0; i < w->n; i++) {
		redisReply *r = NULL;

		if (redisGetReply(self, (void **)&r) != REDIS_OK || r->integer != 1)
			bench_give_up("hiredis", "a value that was stored is not there");
		freeReplyObject(r);
	}
}

struct bench_client
hiredis_open(uint16_t port)
{
	redisContext *c = redisConnect("127.0.0.1", port);

	if (c == NULL || c->err != 0)
		bench_give_up("hiredis", "connect failed");
	return (struct bench_client){ .name = "hiredis",
		.self = c,
		.put = hi_put,
		.get = hi_get,
		.look = hi_look,
		.close = hi_close };
}
