/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

enum { WORDS_MAX = 8 };

static enum kvr_err
send_words(struct kvr_sock *s, uint32_t argc, const char *const *argv)
{
	const char *words[WORDS_MAX];
	size_t lens[WORDS_MAX];
	char *cmd = NULL;
	KVR_CHECK(argc > 0 && argc <= WORDS_MAX);
	for (uint32_t i = 0; i < argc; i++) {
		words[i] = argv[i];
		lens[i] = strlen(argv[i]);
	}
	/* An int before hiredis 1.1. */
	long long len = redisFormatCommandArgv(&cmd, (int)argc, words, lens);
	if (len < 0)
		return kvr_stream_fail(s, KVR_E_NOMEM, "no memory for a command");
	enum kvr_err err = kvr_stream_copy(s, cmd, (size_t)len);
	redisFreeCommand(cmd);
	return err == KVR_OK ? kvr_stream_flush(s) : err;
}

static void
keep(const redisReply *from, struct kvr_control *to)
{
	memset(to, 0, sizeof(*to));
	switch (from->type) {
	case REDIS_REPLY_INTEGER:
		to->kind = KVR_RESP_INTEGER;
		to->n = from->integer;
		return;
	case REDIS_REPLY_NIL:
		to->kind = KVR_RESP_NIL;
		return;
	case REDIS_REPLY_ERROR:
		to->kind = KVR_RESP_ERROR;
		break;
	case REDIS_REPLY_STATUS:
		to->kind = KVR_RESP_STATUS;
		break;
	default:
		to->kind = KVR_RESP_BULK;
		break;
	}
	snprintf(to->text, sizeof(to->text), "%.*s",
	    (int)KVR_MIN((size_t)from->len, sizeof(to->text)), from->str);
}

/*
 * Fed to hiredis' reader byte by byte: what follows the reply must stay in the stream, and the
 * reader would keep everything that it is fed. A control reply has a few dozen bytes, once per
 * dial.
 */
static enum kvr_err
feed(struct kvr_sock *s, redisReader *reader, void **ret_reply)
{
	for (uint32_t fed = 0; fed < KVR_CONTROL_REPLY_MAX; fed++) {
		char byte;
		size_t n = 0;
		enum kvr_err err = kvr_stream_read(s, &byte, 1, KVR_STREAM_AHEAD, &n);
		if (err != KVR_OK)
			return err;
		/* hiredis allocates an array for as many elements as the peer claims to send. */
		if (fed == 0 && byte == '*')
			return kvr_stream_fail(
			    s, KVR_E_PROTO, "an array in reply to a control command");
		/* Newer versions also do so for maps and sets of RESP3, which we never request. */
		if (fed == 0 && memchr("+-:$", byte, 4) == NULL)
			return kvr_stream_fail(s, KVR_E_PROTO,
			    "not a RESP2 reply: it begins with byte 0x%02x", (unsigned char)byte);
		if (redisReaderFeed(reader, &byte, 1) != REDIS_OK ||
		    redisReaderGetReply(reader, ret_reply) != REDIS_OK)
			return kvr_stream_fail(
			    s, KVR_E_PROTO, "not a RESP2 reply: %s", reader->errstr);
		if (*ret_reply != NULL)
			return KVR_OK;
	}
	return kvr_stream_fail(s, KVR_E_PROTO, "a control reply of more than %u bytes",
	    KVR_CONTROL_REPLY_MAX);
}

enum kvr_err
kvr_control(struct kvr_sock *s, uint32_t argc, const char *const *argv, struct kvr_control *ret)
{
	void *reply = NULL;
	enum kvr_err err = send_words(s, argc, argv);
	if (err != KVR_OK)
		return err;
	redisReader *reader = redisReaderCreate();
	if (reader == NULL)
		return kvr_stream_fail(s, KVR_E_NOMEM, "no memory for the reader of a reply");
	err = feed(s, reader, &reply);
	if (err == KVR_OK && kvr_stream_held(s) > 0)
		err = kvr_stream_fail(s, KVR_E_PROTO, "more bytes than one reply");
	if (err == KVR_OK)
		keep(reply, ret);
	if (reply != NULL)
		freeReplyObject(reply);
	redisReaderFree(reader);
	return err;
}

const char *
kvr_control_library(void)
{
#define TEXT(x)  #x
#define TEXTS(x) TEXT(x)
	return TEXTS(HIREDIS_MAJOR) "." TEXTS(HIREDIS_MINOR) "." TEXTS(HIREDIS_PATCH);
#undef TEXTS
#undef TEXT
}
