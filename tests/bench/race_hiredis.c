/* SPDX-License-Identifier: Apache-2.0 */
/* hiredis as most programs use it: one blocking command after the other, one connection. */
#include "kvr_race.h"

#include <hiredis/hiredis.h>
#include <string.h>

static void *
hi_open(const struct racer *r, const struct kvr_redis_server *server)
{
	redisContext *c = redisConnect("127.0.0.1", server->port);

	if (c == NULL || c->err != 0)
		race_give_up(r->name, "connect failed");
	return c;
}

static void
hi_close(void *self)
{
	redisFree(self);
}

static void
hi_put(void *self, const struct race_work *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		redisReply *r =
		    redisCommand(self, "SET %s %b", w->key[i], w->at[i], (size_t)w->len[i]);

		if (r == NULL || r->type != REDIS_REPLY_STATUS)
			race_give_up("hiredis", "a value was not stored");
		freeReplyObject(r);
	}
}

static void
hi_get(void *self, const struct race_work *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		redisReply *r = redisCommand(self, "GET %s", w->key[i]);

		if (r == NULL || r->type != REDIS_REPLY_STRING || (uint64_t)r->len != w->len[i])
			race_give_up("hiredis", "the value is not as long as it was stored");
		memcpy(
		    w->at[i], r->str, (size_t)w->len[i]); /* an engine needs it in its own memory */
		freeReplyObject(r);
	}
}

static bool
hi_look(void *self, const char *key)
{
	redisReply *r = redisCommand(self, "EXISTS %s", key);
	bool found = r != NULL && r->type == REDIS_REPLY_INTEGER && r->integer == 1;

	freeReplyObject(r);
	return found;
}

const struct racer race_hiredis = { .name = "hiredis",
	.what = "blocking calls, one connection",
	.for_look = true,
	.open = hi_open,
	.close = hi_close,
	.put = hi_put,
	.get = hi_get,
	.look = hi_look,
	.setting = "" };
