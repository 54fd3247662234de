/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a chunk, and the beginning of every command. What precedes and follows a key never
 * changes, so it is built once; and a request is written directly into the output buffer. Without
 * either, this was a sixth of the instructions of a lookup of many keys.
 */
#include "kvr_redis.h"

#include <string.h>

const struct kvr_redis_words kvr_redis_say = {
	.exists = KVR_RESP_VERB(2, 6, "EXISTS"),
	.strlen = KVR_RESP_VERB(2, 6, "STRLEN"),
	.get = KVR_RESP_VERB(2, 3, "GET"),
	.getrange = KVR_RESP_VERB(4, 8, "GETRANGE"),
	.watch = KVR_RESP_VERB(2, 5, "WATCH"),
	.set = KVR_RESP_VERB(3, 3, "SET"),
	.set_ttl = KVR_RESP_VERB(5, 3, "SET"),
	.del = KVR_RESP_VERB(2, 3, "DEL"),
	.del_two = KVR_RESP_VERB(3, 3, "DEL"),
};

static uint32_t
put(char *to, uint32_t len, const char *text)
{
	size_t more = strlen(text);
	KVR_CHECK(len + more <= KVR_REDIS_AROUND_MAX);
	memcpy(to + len, text, more);
	return len + (uint32_t)more;
}

static const char *
suffix(const struct kvr_store *s, enum kvr_redis_name which)
{
	if (s->rules.format == KVR_FORMAT_SEALED)
		return KVR_SEAL_SUFFIX;
	if (s->rules.format != KVR_FORMAT_LMCACHE)
		return "";
	return which == KVR_REDIS_VALUE ? s->kind->value : s->kind->mark;
}

void
kvr_redis_names(struct kvr_store *s, const char *prefix)
{
	bool tags = s->rules.format == KVR_FORMAT_LMCACHE && s->map != NULL && s->kind->tags;
	for (size_t i = 0; i < KVR_LEN(s->around); i++) {
		struct kvr_redis_around *a = &s->around[i];
		a->n_before = put(a->before, 0, prefix);
		if (tags)
			a->n_before = put(a->before, a->n_before, "{");
		if (tags)
			a->n_after = put(a->after, 0, "}");
		a->n_after = put(a->after, a->n_after, suffix(s, (enum kvr_redis_name)i));
	}
}

static size_t
name_len(const struct kvr_store *s, const struct kvr_item *item, enum kvr_redis_name which)
{
	const struct kvr_redis_around *a = &s->around[which];
	return a->n_before + (size_t)item->key_len + a->n_after;
}

char *
kvr_redis_name(
    const struct kvr_store *s, const struct kvr_item *item, enum kvr_redis_name which, char *to)
{
	const struct kvr_redis_around *a = &s->around[which];
	KVR_CHECK(item->key_len <= KVR_KEY_LEN_MAX);
	memcpy(to, a->before, a->n_before);
	memcpy(to + a->n_before, item->key, item->key_len);
	to += a->n_before + item->key_len;
	memcpy(to, a->after, a->n_after);
	return to + a->n_after;
}

enum kvr_err
kvr_redis_put_name(struct kvr_connector *c, const struct kvr_item *item, enum kvr_redis_name which)
{
	char text[KVR_REDIS_NAME_MAX];
	char *end = kvr_redis_name(c->store, item, which, text);
	return kvr_resp_put(&c->s, text, (size_t)(end - text));
}

enum kvr_err
kvr_redis_put_verb(struct kvr_connector *c, const struct kvr_resp_verb *verb,
    const struct kvr_item *item, enum kvr_redis_name which)
{
	char text[KVR_RESP_VERB_ROOM + KVR_REDIS_NAME_MAX + 2];
	size_t len = name_len(c->store, item, which);
	char *own = kvr_stream_room(&c->s, KVR_RESP_VERB_ROOM + len + 2);
	char *to = own != NULL ? own : text;
	char *end = kvr_redis_name(c->store, item, which, kvr_resp_put_verb(to, verb, len));
	*end++ = '\r';
	*end++ = '\n';
	return own != NULL ? kvr_stream_wrote(&c->s, (size_t)(end - to))
	                   : kvr_stream_copy(&c->s, text, (size_t)(end - to));
}
