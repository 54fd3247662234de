/* SPDX-License-Identifier: Apache-2.0 */
/* One big value, and a GET of it that something can happen to. */
#ifndef KVR_HYPERPOD_GET_H
#define KVR_HYPERPOD_GET_H

#include "kvr_hyperpod_bed.h"

#include <pthread.h>

enum { LEN = 3000000 };

static uint8_t in[LEN], out[LEN];

static inline void
up_with_ttl(struct hp *h, const char *key, uint64_t ttl_ms)
{
	hp_begin(h, KVR_FORMAT_LMCACHE);
	h->opts.hyperpod.lease_ttl_ms = ttl_ms;
	bed_up(&h->bed, &h->opts);
	for (size_t i = 0; i < LEN; i++)
		in[i] = (uint8_t)(i * 13 + (i >> 9));
	ck_assert_int_eq(hp_one(h, KVR_VERB_PUT, key, in, LEN), KVR_OK);
	memset(out, 0xee, LEN);
}

static inline void
up_with(struct hp *h, const char *key)
{
	up_with_ttl(h, key, 0);
}

static inline bool
untouched(void)
{
	for (size_t i = 0; i < LEN; i++)
		if (out[i] != 0xee)
			return false;
	return true;
}

/* A GET in a thread of its own, so that something can happen to it. */
struct getter {
	struct hp *h;
	const char *key;
	uint64_t until_ns;
	enum kvr_verb verb;
	uint8_t *at; /* its source, or its destination */
	size_t len;
	enum kvr_err err;
	int32_t status;
	pthread_t thread;
};

static inline void *
getter_main(void *arg)
{
	struct getter *g = arg;
	g->err = hp_run(g->h, g->verb, g->key, g->at, g->len, g->until_ns, &g->status);
	return NULL;
}

static inline void
getter_start(struct getter *g, struct hp *h, const char *key, uint64_t until_ns)
{
	*g = (struct getter){ .h = h,
		.key = key,
		.until_ns = until_ns,
		.verb = KVR_VERB_GET,
		.at = out,
		.len = LEN };
	ck_assert_int_eq(pthread_create(&g->thread, NULL, getter_main, g), 0);
}

static inline void
hold(struct hp *h, enum kvr_hyperpod_what what)
{
	atomic_store(&h->page->hold[what], 1);
}

static inline void
let_go(struct hp *h, enum kvr_hyperpod_what what)
{
	atomic_store(&h->page->hold[what], 0);
}

static inline void
wait_held(struct hp *h)
{
	ck_assert(kvr_hyperpod_server_wait_held(h->server, 1));
}

static inline void
kick(struct hp *h)
{
	uint64_t one = 1;
	atomic_store(&h->bed.kick.target, h->bed.kick.current);
	ck_assert_int_eq(write(h->bed.kick.fd, &one, sizeof(one)), sizeof(one));
}

static inline void
no_more_kick(struct hp *h)
{
	atomic_store(&h->bed.kick.target, 0);
}

#endif
