/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lm://, from two sides. The first byte says which: odd, a key, where our judgement is held against
 * a reading of the message that shares no code with it; even, what a server may send in answer to
 * a batch, where no byte may land behind a span and the end is an answer or an error.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvr_fuzz.h"
#include "kvr_lm.h"
#include "kvr_lm_words.h"

enum { ITEMS = 3, ROOM = 64, GUARD = 0x5A };

#define YES "\xc8\0\0\0"
#define NO "\x90\1\0\0"
#define HEAD(len) len "\0\0\0" "\1\0\0\0" "\2\0\0\0" "\1\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0" "\0\0\0\0"
#define NONE "\0\0\0\0" "\1\0\0\0" "\2\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0"

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const struct {
		const char *at;
		size_t      len;
	} seeds[] = {
#define SEED(text) { text, sizeof(text) - 1 }
		SEED("1m@1@0@abc@half"), SEED("1org/m@8@3@-5f@bfloat16@17@a%b@c%d"),
		SEED("1模型@1@0@00ff@fp8_e5m2@k%v"), SEED("1 m@+1@-0@0xAB@half@07@a%1@a%2 "),
		SEED("0" YES NONE NO NONE YES NONE), SEED("2" YES HEAD("\10") "12345678" NO NONE),
		SEED("2" YES HEAD("\10") "12345678" YES HEAD("\110")
		     "123456781234567812345678123456781234567812345678123456781234567812345678"
		     YES HEAD("\0")),
		SEED("4" YES HEAD("\10") "12345678" NO NONE YES HEAD("\4") "1234"),
		SEED("6" YES NONE NO NONE YES NONE),
#undef SEED
	};
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i].at, seeds[i].len);
	return seeds[i].len;
}

/* What is sent is read as the very same key, and as nothing that LMCache's client never sends. */
static void
judge_key(const uint8_t *at, size_t len)
{
	static const struct kvr_store store = { .prefix = "" };
	const struct kvr_const_span none = { "", 0 }, key = { at, len };
	uint8_t ask[KVR_LM_ASK_LEN];
	struct kvr_lm_words words;
	const char *why = NULL;
	char odd[160] = "";
	if (len == 0 || len > KVR_KEY_LEN_MAX)
		return;
	enum kvr_err err = kvr_lm_key(&store, (const char *)at, (uint32_t)len, &why);
	KVR_CHECK((err == KVR_OK) == (why == NULL));
	KVR_CHECK((err == KVR_E_TOO_BIG) == (len > KVR_LM_KEY_MAX));
	if (err != KVR_OK) {
		KVR_CHECK(err == KVR_E_TOO_BIG || err == KVR_E_UNSUPPORTED);
		return;
	}
	kvr_lm_ask(ask, KVR_LM_EXIST, NULL, none, key);
	KVR_CHECK(kvr_lm_words_read(ask, &words, odd, sizeof(odd)) != 0);
	KVR_CHECK(odd[0] == '\0');
	KVR_CHECK(strlen(words.key) == len && memcmp(words.key, at, len) == 0);
}

static void
answer(enum kvr_verb verb, const uint8_t *at, size_t len)
{
	static const char *const keys[ITEMS] = { "m@1@0@0@half", "m@1@0@1@half", "m@1@0@2@half" };
	static struct kvr_store store = { .window_bytes = 4096,
		.rules = { .format = KVR_FORMAT_LMCACHE, .n_groups = 1 } };
	static struct kvr_connector c;
	static _Alignas(64) uint8_t scratch[KVR_FRAME_SCRATCH];
	uint8_t bytes[ITEMS][ROOM];
	struct kvr_meta metas[ITEMS] = { 0 };
	struct kvr_item items[ITEMS] = { 0 };
	int pair[2];
	KVR_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	KVR_CHECK(len == 0 || write(pair[1], at, len) == (ssize_t)len);
	shutdown(pair[1], SHUT_WR);
	c.store = &store;
	c.scratch = scratch;
	kvr_stream_take(&c.s, pair[0], NULL);
	(void)!kvr_stream_begin(&c.s, kvr_now_ns() + KVR_SEC(20), KVR_STREAM_IN);
	memset(bytes, GUARD, sizeof(bytes));
	for (uint32_t i = 0; i < ITEMS; i++) {
		items[i].key = keys[i];
		items[i].key_len = (uint32_t)strlen(keys[i]);
		items[i].meta = &metas[i];
		items[i].span = (struct kvr_span){ bytes[i], 8U };
		items[i].flags = i == 1 ? KVR_ITEM_AT_MOST : 0;
		atomic_init(&items[i].status, KVR_PENDING);
	}
	enum kvr_err err = kvr_lm_run(&c, verb, items, ITEMS);
	KVR_CHECK(err == KVR_OK || err == KVR_E_PROTO || err == KVR_E_DOWN);
	for (uint32_t i = 0; i < ITEMS; i++) {
		int32_t status = kvr_item_status(&items[i]);
		KVR_CHECK(err != KVR_OK || status != KVR_PENDING);
		KVR_CHECK(status != KVR_OK || verb != KVR_VERB_GET || items[i].len <= 8);
		for (size_t b = 8; b < ROOM; b++)
			KVR_CHECK(bytes[i][b] == GUARD);
	}
	kvr_stream_hang_up(&c.s);
	close(pair[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static const enum kvr_verb verbs[] = { KVR_VERB_EXISTS, KVR_VERB_GET, KVR_VERB_STAT,
		KVR_VERB_PUT };
	if (len == 0)
		return 0;
	if (at[0] % 2 == 1)
		judge_key(at + 1, len - 1);
	else
		answer(verbs[at[0] / 2 % KVR_LEN(verbs)], at + 1, len - 1);
	return 0;
}
