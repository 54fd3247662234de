/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connector that wraps another one and fails on purpose, for deployments that rehearse outages:
 * the time line of connectors/wire/kvr_fault_script.h, in front of whichever store serves the URL.
 *
 * It affects what comes back and whether anything comes back. What a batch writes is written
 * unchanged or not at all, so a rehearsal leaves no damage in a store. Values are damaged below
 * their verification (struct kvr_spoil): `sealed` must notice each of them, `lmcache` notices a
 * length that does not fit its header, and `bare` delivers what it reads, as it does when a real
 * store is at fault.
 */
#include "kvr_connectors.h"
#include "kvr_dial.h"
#include "kvr_fault.h"
#include "kvr_pause.h"
#include "kvr_resp.h"
#include "kvr_stop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t
store_caps(const struct kvr_store *s)
{
	return kvr_store_caps(s->ops, s->store);
}

/* Returns err. */
static enum kvr_err KVR_PRINTF(3, 4)
    say(struct kvr_connector *c, enum kvr_err err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, args);
	va_end(args);
	return err;
}

static enum kvr_err
say_fault(struct kvr_connector *c, enum kvr_err err, const struct kvr_fault *f)
{
	return say(c, err, "rehearsed: %s, line %u of %s", kvr_fault_name(f->kind), f->line,
	    c->store->path);
}

static enum kvr_err
hang(struct kvr_connector *c, const struct kvr_fault *f, uint64_t until_ns)
{
	return say_fault(c, kvr_pause(c->kick, UINT64_MAX, until_ns), f);
}

static enum kvr_err
dial_inner(struct kvr_connector *c, uint64_t until_ns, char *why, size_t why_cap)
{
	struct kvr_store *s = c->store;
	struct kvr_fault_met met = kvr_fault_meet(s, 0);
	const struct kvr_dial d = kvr_dial_begin(s->connect_ns, until_ns);
	char whose[KVR_DIAL_WHOSE];
	enum kvr_err err = KVR_OK;

	if (met.by[KVR_FAULT_DOWN] != NULL)
		err = say_fault(c, KVR_E_DOWN, met.by[KVR_FAULT_DOWN]);
	else if (met.by[KVR_FAULT_HANG] != NULL)
		err = hang(c, met.by[KVR_FAULT_HANG], d.until_ns);
	if (err == KVR_OK)
		return s->ops->dial(s->store, until_ns, c->kick, &c->lane, why, why_cap);
	err = kvr_dial_blame(&d, err, whose);
	snprintf(why, why_cap, "%s%s", c->why, whose);
	return err;
}

static enum kvr_err
dial(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	struct kvr_connector *c = calloc(1, sizeof(*c));

	KVR_CHECK(s->magic == KVR_FAULT_STORE_MAGIC);
	if (c == NULL) {
		snprintf(why, why_cap, "no memory for a lane");
		return KVR_E_NOMEM;
	}
	c->magic = KVR_FAULT_LANE_MAGIC;
	c->store = s;
	c->kick = kick;
	enum kvr_err err = dial_inner(c, until_ns, why, why_cap);
	if (err == KVR_OK)
		*ret = c;
	else
		free(c);
	return err;
}

static void
hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == KVR_FAULT_LANE_MAGIC);
	take->store->ops->hang_up(take->lane);
	take->magic = 0;
	free(take);
}

static uint32_t
as_verbs(enum kvr_verb verb)
{
	switch (verb) {
	case KVR_VERB_EXISTS:
		return KVR_FAULT_ON_LOOKUP;
	case KVR_VERB_GET:
		return KVR_FAULT_ON_GET;
	case KVR_VERB_PUT:
		return KVR_FAULT_ON_PUT;
	case KVR_VERB_DEL:
		return KVR_FAULT_ON_REMOVE;
	case KVR_VERB_STAT:
		return KVR_FAULT_ON_SIZE;
	case KVR_VERB_PING:
	case KVR_VERB_N:
	default:
		return 0;
	}
}

/* What happens before the batch reaches the store. */
static enum kvr_err
before(struct kvr_connector *c, const struct kvr_fault_met *met, uint64_t until_ns)
{
	const struct kvr_fault *delay = met->by[KVR_FAULT_DELAY];

	if (met->by[KVR_FAULT_HANG] != NULL)
		return hang(c, met->by[KVR_FAULT_HANG], until_ns);
	if (met->by[KVR_FAULT_DOWN] != NULL)
		return say_fault(c, KVR_E_DOWN, met->by[KVR_FAULT_DOWN]);
	if (kvr_fault_hits(c->store, met->by[KVR_FAULT_DROP]))
		return say_fault(c, KVR_E_DOWN, met->by[KVR_FAULT_DROP]);
	if (delay == NULL)
		return KVR_OK;
	uint64_t more = kvr_fault_draw(c->store) % (delay->most - delay->least + 1);
	enum kvr_err err = kvr_pause(c->kick, kvr_now_ns() + delay->least + more, until_ns);
	return err == KVR_OK ? KVR_OK : say_fault(c, err, delay);
}

static void
answer_errors(
    struct kvr_connector *c, const struct kvr_fault *f, struct kvr_item *items, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (kvr_item_status(&items[i]) != KVR_PENDING || !kvr_fault_hits(c->store, f))
			continue;
		(void)say(
		    c, KVR_OK, "%s (rehearsed, line %u of %s)", f->code, f->line, c->store->path);
		kvr_item_done(&items[i], kvr_resp_error(f->code, strlen(f->code)));
	}
}

static enum kvr_err
pass(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	return c->store->ops->run(c->lane, verb, items, n, until_ns);
}

/*
 * Item by item, each delayed by the time that its bytes take: a batch run in one piece has no pace.
 */
static enum kvr_err
drip(struct kvr_connector *c, const struct kvr_fault *f, enum kvr_verb verb, struct kvr_item *items,
    uint32_t n, uint64_t until_ns)
{
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; err == KVR_OK && i < n; i++) {
		if (kvr_item_status(&items[i]) != KVR_PENDING)
			continue;
		uint64_t len = verb == KVR_VERB_GET || verb == KVR_VERB_PUT ? items[i].span.len : 0;
		uint64_t ns = len / f->least * KVR_SEC(1) + len % f->least * KVR_SEC(1) / f->least;
		err = kvr_pause(c->kick, kvr_now_ns() + ns, until_ns);
		if (err != KVR_OK)
			return say_fault(c, err, f);
		err = pass(c, verb, &items[i], 1, until_ns);
	}
	return err;
}

/* Some items are answered. The next one reaches the store, but its answer does not reach us. */
static enum kvr_err
reset(struct kvr_connector *c, const struct kvr_fault *f, enum kvr_verb verb,
    struct kvr_item *items, uint32_t n, uint64_t until_ns)
{
	uint32_t at = n == 0 ? 0 : (uint32_t)(kvr_fault_draw(c->store) % n);
	enum kvr_err err = pass(c, verb, items, at, until_ns);

	if (err == KVR_OK && at < n && kvr_item_status(&items[at]) == KVR_PENDING) {
		const struct kvr_item *of = &items[at];
		struct kvr_item lost = { .key = of->key,
			.key_len = of->key_len,
			.flags = of->flags,
			.span = of->span,
			.raw_len = of->raw_len,
			.serde = of->serde,
			.meta = of->meta,
			.status = KVR_PENDING };
		err = pass(c, verb, &lost, 1, until_ns);
	}
	return err == KVR_OK ? say_fault(c, KVR_E_DOWN, f) : err;
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	KVR_CHECK(c->magic == KVR_FAULT_LANE_MAGIC);
	struct kvr_fault_met met = kvr_fault_meet(c->store, as_verbs(verb));
	enum kvr_err err = kvr_stop(c->kick, until_ns);

	c->why[0] = '\0';
	if (err != KVR_OK)
		return say(c, err, "%s", kvr_err_text(err));
	if ((err = before(c, &met, until_ns)) != KVR_OK)
		return err;
	if (met.by[KVR_FAULT_ERROR] != NULL)
		answer_errors(c, met.by[KVR_FAULT_ERROR], items, n);
	if (kvr_fault_hits(c->store, met.by[KVR_FAULT_RESET]))
		return reset(c, met.by[KVR_FAULT_RESET], verb, items, n, until_ns);
	if (met.by[KVR_FAULT_DRIP] != NULL && n > 0)
		return drip(c, met.by[KVR_FAULT_DRIP], verb, items, n, until_ns);
	return pass(c, verb, items, n, until_ns);
}

static const char *
why_of(const struct kvr_connector *c)
{
	return c->why[0] != '\0' ? c->why : c->store->ops->why(c->lane);
}

static const char *const schemes[] = { NULL };

const struct kvr_connector_ops kvr_fault_ops = {
	.name = "rehearsal",
	.schemes = schemes,
	.caps = KVR_CAP(PIPELINE) | KVR_CAP(WINDOW) | KVR_CAP(GIVE_UP) | KVR_CAP(CAPACITY) |
	    KVR_CAP(TTL),
	.formats = KVR_FORMAT_BIT(KVR_FORMAT_LMCACHE) | KVR_FORMAT_BIT(KVR_FORMAT_BARE) |
	           KVR_FORMAT_BIT(KVR_FORMAT_SEALED),
	.format_tier = KVR_FORMAT_SEALED,
	.format_url = KVR_FORMAT_LMCACHE,
	.open = kvr_fault_open,
	.close = kvr_fault_close,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why_of,
	.store_caps = store_caps,
};

const struct kvr_connector_ops *
kvr_connector_rehearse(void)
{
	return &kvr_fault_ops;
}
