/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canary: a small value that is written to one tier, read, compared and deleted, through the
 * router like everything else. A separate thread does this when the metrics actor asks for it. It
 * holds nothing that a caller needs, so a store that hangs only delays the next canary. Below all
 * that, a lane asks its own store in a similar way (actors/probe.c) while its tier is shut.
 */
#include "kvr_canary.h"

#include "kvr_call.h"
#include "kvr_instance.h"
#include "kvr_layout.h"
#include "kvr_submit.h"
#include "kvr_system.h"
#include "kvr_thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAIN_BYTES = 4096 };

/* However often it is due, it gets enough time on a busy machine. */
static const uint64_t patience_ns = KVR_SEC(10), patience_min_ns = KVR_SEC(2);

/*
 * A key of LMCache's form, because some stores hold no others; unique to this instance, because two
 * processes that share a store must not read each other's value.
 */
static void
make_key(const struct kvr *k, char *ret, size_t cap)
{
	struct {
		char host[64];
		uint64_t pid, number, opened_ns;
	} who = { .pid = (uint64_t)getpid(), .number = k->number, .opened_ns = k->opened_ns };

	(void)gethostname(who.host, sizeof(who.host) - 1);
	snprintf(ret, cap, "kvrelay-canary@1@0@%016llx@uint8",
	    (unsigned long long)kvr_hash64(&who, sizeof(who)));
}

/* One token if values have a layout, because LMCache's stores accept only values with a layout. */
static uint64_t
bytes_of(const struct kvr *k)
{
	uint64_t tokens = k->config->engine.chunk_tokens;
	struct kvr_meta one;

	if (!atomic_load_explicit(&k->has_layout, memory_order_acquire))
		return PLAIN_BYTES;
	if (tokens > 0 && k->layout_bytes % tokens == 0 &&
	    kvr_layout_cut(&k->layout, k->layout_bytes, k->layout_bytes / tokens, &one))
		return k->layout_bytes / tokens;
	return k->layout_bytes;
}

static void
fill(uint8_t *at, uint64_t len, uint64_t seed)
{
	for (uint64_t i = 0; i < len; i += sizeof(seed)) {
		uint64_t word = kvr_hash64_seed(&i, sizeof(i), seed);

		memcpy(at + i, &word, KVR_MIN(len - i, (uint64_t)sizeof(word)));
	}
}

struct value {
	char key[80];
	uint64_t len, until_ns;
	uint8_t *written, *got;
	struct kvr_canary_end end;
};

/* Of several tiers a call says which it means; whoever asks for one tier's canary knows. */
static const char *
without_name(const struct kvr *k, uint32_t tier, const char *why)
{
	const char *name = k->config->tier[tier].name;
	size_t len = strlen(name);

	if (strncmp(why, "tier ", 5) == 0 && strncmp(why + 5, name, len) == 0 &&
	    strncmp(why + 5 + len, ": ", 2) == 0)
		return why + 5 + len + 2;
	return why;
}

static int32_t
run(struct kvr *k, uint32_t kind, uint32_t tier, struct value *v, void *at)
{
	const char *key = v->key;
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.key = &key,
		.at = at == NULL ? NULL : &at,
		.len = at == NULL ? NULL : &v->len };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = v->until_ns };
	struct kvr_done done = { .size = sizeof(done) };
	kvr_op op = 0;
	enum kvr_err err = kvr_submit_with(k, &b, &o, KVR_ONLY(tier), KVR_TELL_WAIT, &op);

	/* The value is freed after this, so wait for it however late it is. */
	if (err == KVR_OK)
		err = kvr_wait_for(k, op, UINT64_MAX, true, &done, NULL);
	/* What comes after the first error is only cleaning up. */
	if (v->end.err == KVR_OK)
		snprintf(v->end.why, sizeof(v->end.why), "%s", without_name(k, tier, done.why));
	return err;
}

static void
go_round(struct kvr *k, uint32_t tier, struct value *v)
{
	struct kvr_canary_end *end = &v->end;
	int32_t removed;

	end->err = run(k, KVR_PUT, tier, v, v->written);
	if (end->err != KVR_OK)
		return;
	end->step = KVR_CANARY_GET;
	end->err = run(k, KVR_GET, tier, v, v->got);
	if (end->err == KVR_OK && memcmp(v->written, v->got, v->len) != 0) {
		end->step = KVR_CANARY_COMPARE;
		end->err = KVR_E_CORRUPT;
		snprintf(end->why, sizeof(end->why), "other bytes came back than were written");
	}
	removed = run(k, KVR_REMOVE, tier, v, NULL);
	if (end->err != KVR_OK)
		return;
	/* A store that cannot delete keeps one small value, always under the same key. */
	end->step = removed == KVR_E_UNSUPPORTED ? KVR_CANARY_COMPARE : KVR_CANARY_REMOVE;
	end->err = removed == KVR_E_UNSUPPORTED ? KVR_OK : removed;
}

void
kvr_canary_run(struct kvr *k, uint32_t tier, uint64_t until_ns, struct kvr_canary_end *ret)
{
	struct value v = { .len = bytes_of(k), .until_ns = until_ns, .end.step = KVR_CANARY_PUT };

	v.written = malloc(v.len);
	v.got = calloc(1, v.len);
	if (v.written != NULL && v.got != NULL) {
		make_key(k, v.key, sizeof(v.key));
		/* Always the same, because a store that cannot delete may keep the first one. */
		fill(v.written, v.len, kvr_hash64(v.key, strlen(v.key)));
		go_round(k, tier, &v);
	} else {
		v.end.err = KVR_E_NOMEM;
	}
	free(v.written);
	free(v.got);
	*ret = v.end;
}

const char *
kvr_canary_step_name(uint32_t step)
{
	static const char *const name[KVR_CANARY_STEPS] = { "put", "get", "compare", "remove" };

	return step < KVR_CANARY_STEPS ? name[step] : "?";
}

/* ---- the thread ---- */

static void
serve(struct kvr *k, uint32_t wish)
{
	struct kvr_msg m = { .type = KVR_MSG_CANARY_DONE, .from = KVR_ID_API, .to = KVR_ID_METRICS };
	uint64_t since_ns = kvr_now_ns();
	uint64_t limit_ns = KVR_MIN(k->config->metrics.canary_ns, patience_ns);
	uint32_t tier = (wish & 0xff) - 1;
	struct kvr_canary_end end;

	kvr_canary_run(k, tier, since_ns + KVR_MAX(limit_ns, patience_min_ns), &end);
	m.CANARY_DONE.err = end.err;
	m.CANARY_DONE.took_us =
	    (uint32_t)KVR_MIN((kvr_now_ns() - since_ns) / 1000, (uint64_t)UINT32_MAX);
	m.CANARY_DONE.round = wish >> 8;
	m.CANARY_DONE.tier = (uint16_t)tier;
	m.CANARY_DONE.step = (uint16_t)end.step;
	/* A canary interrupted by the end of the instance says nothing about the store. */
	if (m.CANARY_DONE.err == KVR_E_SHUTDOWN || atomic_load(&k->life) != KVR_LIFE_OPEN)
		return;
	if (end.err != KVR_OK)
		kvr_system_canary_why(k->system, tier, end.why);
	(void)!kvr_system_post(k->system, &m);
}

static void
at_it(void *arg)
{
	struct kvr *k = arg;
	uint32_t done = 0;

	while (!atomic_load(&k->canary_over)) {
		uint32_t bell = atomic_load(&k->canary_bell), wish = atomic_load(&k->canary_wish);

		if (wish == done) {
			kvr_sleep_on(&k->canary_bell, bell, UINT64_MAX);
			continue;
		}
		done = wish;
		serve(k, wish);
	}
}

static void
ring(struct kvr *k)
{
	atomic_fetch_add(&k->canary_bell, 1);
	kvr_wake(&k->canary_bell);
}

/* There is only one at a time: the next is requested when this one has been answered. */
void
kvr_canary_wish(struct kvr *k, const struct kvr_msg *m)
{
	atomic_store(&k->canary_wish, m->CANARY.round << 8 | (m->CANARY.tier + 1));
	ring(k);
}

enum kvr_err
kvr_canary_open(struct kvr *k)
{
	if (k->config->metrics.canary_ns == 0 || k->skip_puts)
		return KVR_OK;
	return kvr_thread_start("kvr-canary", at_it, k, &k->canary);
}

/*
 * Called while its own operations are still accepted, so that the value in a store is deleted
 * again. A store that does not answer by until_ns keeps it. Two threads may close at once, and the
 * other one may take longer.
 */
bool
kvr_canary_end(struct kvr *k, uint64_t until_ns)
{
	if (!kvr_lock_until(&k->join_lock, until_ns))
		return false;
	if (k->canary != NULL) {
		atomic_store(&k->canary_over, true);
		ring(k);
		if (kvr_thread_join(k->canary, until_ns) == KVR_OK)
			k->canary = NULL;
	}
	bool over = k->canary == NULL;

	kvr_unlock(&k->join_lock);
	return over;
}
