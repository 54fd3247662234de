/* SPDX-License-Identifier: Apache-2.0 */
/* The submission call: nothing here waits, allocates or does I/O. */
#include "kvr_submit.h"

#include "kvr_batch.h"
#include "kvr_cache.h"
#include "kvr_call.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_ledger.h"
#include "kvr_metrics.h"
#include "kvr_notify.h"
#include "kvr_puts.h"
#include "kvr_queue.h"
#include "kvr_region.h"
#include "kvr_system.h"
#include "kvr_user_log.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)KVR_OPF_PREFIX == (int)KVR_PREFIX && (int)KVR_OPF_AT_MOST == (int)KVR_AT_MOST &&
                   (int)KVR_OPF_HOLD == (int)KVR_HOLD &&
                   (int)KVR_OPF_IF_ABSENT == (int)KVR_IF_ABSENT &&
                   (int)KVR_OPF_EARLY == (int)KVR_EARLY && (int)KVR_OPF_FORCE == (int)KVR_FORCE &&
                   (int)KVR_OPF_LAYERS == (int)KVR_LAYERS &&
                   (int)KVR_OPF_RECORD == (int)KVR_RECORD,
    "one set of flags");
_Static_assert((int)KVR_OP_LOOKUP == (int)KVR_LOOKUP && (int)KVR_OP_GET == (int)KVR_GET &&
                   (int)KVR_OP_PUT == (int)KVR_PUT && (int)KVR_OP_REMOVE == (int)KVR_REMOVE &&
                   (int)KVR_OP_SIZE == (int)KVR_SIZE && (int)KVR_OP_PREFETCH == (int)KVR_PREFETCH,
    "one set of kinds");
_Static_assert((int)KVR_DONEB_QUIET == (int)KVR_DONE_QUIET &&
                   (int)KVR_DONEB_HELD == (int)KVR_DONE_HELD &&
                   (int)KVR_DONEB_DUPLICATE == (int)KVR_DONE_DUPLICATE &&
                   (int)KVR_DONEB_DEGRADED == (int)KVR_DONE_DEGRADED &&
                   (int)KVR_DONEB_RECORDED == (int)KVR_DONE_RECORDED,
    "one set of bits");

enum {
	ALL_FLAGS = KVR_PREFIX | KVR_AT_MOST | KVR_HOLD | KVR_IF_ABSENT | KVR_EARLY | KVR_FORCE |
	            KVR_LAYERS | KVR_RECORD
};

/* A call after all the caller's pointers have been read. */
struct order {
	struct kvr_batch batch;
	struct kvr_tokens tokens[KVR_GROUPS_MAX]; /* one for each group of the cache */
	struct kvr_opts opts;
	uint32_t flags, teller;
	uint64_t until_ns;
	struct kvr_need need;
};

static enum kvr_err
check_opts(struct kvr *k, const struct kvr_opts *o)
{
	if ((o->flags & ~(uint32_t)ALL_FLAGS) != 0)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: unknown flags %#x", o->flags);
	if (o->queue != NULL && o->done != NULL)
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: a queue or a callback, not both");
	if (o->queue != NULL && (o->queue->magic != KVR_QUEUE_MAGIC || o->queue->kvr != k))
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: the queue is of another instance");
	return KVR_OK;
}

static uint64_t
limit_of(struct kvr *k, uint32_t kind)
{
	return atomic_load(kind == KVR_LOOKUP ? &k->limit.lookup_ns
	                   : kind == KVR_PUT  ? &k->limit.put_ns
	                                      : &k->limit.blocking_ns);
}

/* A single put always fits: a value beyond the limit must still be storable. */
static bool
weigh(struct kvr *k, const struct kvr_call *c)
{
	uint64_t limit = atomic_load(&k->limit.put_bytes);
	uint64_t before = atomic_fetch_add(&k->put_bytes, c->bytes);

	if (limit == 0 || before == 0 || before + c->bytes <= limit)
		return true;
	atomic_fetch_sub(&k->put_bytes, c->bytes);
	return false;
}

/* Tokens are for payloads; other kinds of operations ignore them, as they ignore places. */
static enum kvr_err
read_tokens(struct kvr *k, struct order *o)
{
	struct kvr_batch *b = &o->batch;

	if (b->kind != KVR_GET && b->kind != KVR_PUT)
		b->tokens = NULL;
	if (b->tokens == NULL)
		return KVR_OK;
	const struct kvr_tokens *from = b->tokens;

	for (uint32_t g = 0; from != NULL; g++) {
		struct kvr_tokens *t = &o->tokens[g];

		if (g == KVR_GROUPS_MAX)
			return kvr_bad(k, KVR_E_INVALID,
			    "kvr_submit: tokens of more than 8 groups, or next goes in a circle");
		if (!kvr_read_struct(t, sizeof(*t), KVR_TOKENS_LEAST, from))
			return kvr_bad(k, KVR_E_INVALID, "kvr_submit: size of kvr_tokens is not set");
		from = t->next;
		t->next = from == NULL ? NULL : t + 1;
	}
	b->tokens = o->tokens;
	o->flags |= KVR_OPF_PAGED;
	return KVR_OK;
}

/* Without the event nobody would know what to wait for; an unneeded one would never be recorded. */
static enum kvr_err
check_recorded(struct kvr *k, const struct order *o)
{
	bool event = o->batch.recorded != NULL, wanted = (o->opts.flags & KVR_RECORD) != 0;
	bool device = (o->flags & KVR_OPF_DEVICE) != 0;

	if (event == (wanted && device) || o->batch.n == 0)
		return KVR_OK;
	return kvr_bad(k, KVR_E_INVALID, "kvr_submit: %s",
	    !event ? "KVR_RECORD in a device's memory without recorded, an event of its"
	    : !wanted
	        ? "recorded without KVR_RECORD: nobody would be told when it is"
	        : "recorded is an event of a device, and the payload is in the host's memory");
}

/*
 * Whether only the copy worker can reach the payload, and where it is. The payload was checked
 * before.
 */
static enum kvr_err
read_places(struct kvr *k, struct order *o)
{
	const struct kvr_batch *b = &o->batch;
	uint32_t flags = 0;
	enum kvr_err err = KVR_OK;

	if ((o->opts.flags & KVR_RECORD) != 0 &&
	    ((b->kind != KVR_GET && b->kind != KVR_PUT) || (b->n > 0 && b->obj != NULL)))
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_submit: KVR_RECORD is for gets and puts of places or tokens");
	if (b->kind != KVR_GET && b->kind != KVR_PUT)
		return KVR_OK;
	if (b->ready != NULL && b->at == NULL)
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_submit: ready of a batch is for at; tokens have a ready of their own");
	if (b->tokens != NULL)
		flags = b->tokens->cache->pages.device ? KVR_OPF_DEVICE : 0;
	else if (b->at != NULL)
		err = kvr_places_check(k, b, &flags);
	o->flags |= flags;
	return err == KVR_OK ? check_recorded(k, o) : err;
}

static enum kvr_err
read_order(
    struct kvr *k, const struct kvr_batch *batch, const struct kvr_opts *opts, struct order *o)
{
	enum kvr_err err;

	memset(&o->opts, 0, sizeof(o->opts));
	if (batch == NULL || !kvr_read_struct(&o->batch, sizeof(o->batch), KVR_BATCH_LEAST, batch))
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: size of kvr_batch is not set");
	if (opts != NULL && !kvr_read_struct(&o->opts, sizeof(o->opts), sizeof(o->opts), opts))
		return kvr_bad(k, KVR_E_INVALID, "kvr_submit: size of kvr_opts is not set");
	err = check_opts(k, &o->opts);
	if (err == KVR_OK)
		err = kvr_until(k, "kvr_submit", o->opts.until_ns, limit_of(k, o->batch.kind),
		    false, &o->until_ns);
	if (err == KVR_OK)
		err = read_tokens(k, o);
	if (err == KVR_OK)
		err = kvr_batch_check(k, &o->batch, &o->need.text);
	if (err == KVR_OK && o->batch.tokens != NULL)
		err = kvr_tokens_check(k, &o->batch, &o->need.runs);
	if (err == KVR_OK)
		err = kvr_layers_check(k, &o->batch, o->opts.flags);
	return err == KVR_OK ? read_places(k, o) : err;
}

static void
fill_call(struct kvr_call *c, const struct order *o)
{
	const char *request = o->opts.request;

	c->flags = o->flags;
	c->per_chunk = o->batch.per_chunk;
	c->tag = o->opts.tag;
	c->queue = o->opts.queue;
	c->done = o->opts.done;
	c->done_arg = o->opts.done_arg;
	c->since_ns = kvr_now_ns();
	c->objects = c->puts = c->released = false;
	c->bytes = 0;
	c->n_layers = c->n_ready = 0;
	c->regions = 0;
	memset(c->outcome, 0, sizeof(c->outcome));
	atomic_store(&c->teller, o->teller);
	atomic_store(&c->cancelled, 0);
	atomic_store(&c->request, request == NULL ? 0 : kvr_hash64(request, strlen(request)) | 1);
}

/*
 * The slot may belong to another operation when this returns. Somebody may have cancelled the
 * operation by its request before the router knew it; a superfluous cancel of an operation that is
 * gone does no harm.
 */
static enum kvr_err
post(struct kvr *k, const struct kvr_call *c, uint64_t until_ns, const char *request)
{
	struct kvr_msg m = { .type = KVR_MSG_SUBMIT,
		.from = KVR_ID_API,
		.to = KVR_ID_ROUTER,
		.n_rows = (uint16_t)KVR_MIN(c->n, (uint32_t)KVR_SLICE_KEYS),
		.op = kvr_call_op(c),
		.deadline_ns = until_ns,
		.rows = c->first };

	m.SUBMIT.first = c->first;
	m.SUBMIT.n = c->n;
	/* A duplicate that is refused never gets here. */
	m.SUBMIT.flags = c->flags & (ALL_FLAGS | KVR_OPF_PAGED | KVR_OPF_DEVICE);
	m.SUBMIT.per_chunk = (uint16_t)c->per_chunk;
	m.SUBMIT.kind = (uint8_t)c->kind;
	m.SUBMIT.only = (uint8_t)(c->flags >> KVR_ONLY_SHIFT);
	/* Its hash, for the trace; nothing else needs it. */
	m.SUBMIT.request = atomic_load(&c->request);
	if (k->config->trace.keys && request != NULL)
		snprintf(k->ledger->ops[c->slot].request, sizeof(k->ledger->ops[0].request), "%s",
		    request);
	enum kvr_err err = kvr_system_post(k->system, &m);

	if (err == KVR_OK && request != NULL && atomic_load(&c->cancelled) != 0)
		(void)kvr_call_cancel(k, m.op);
	return err;
}

/* No key needs the router: there are none, or the puts are another rank's. */
static void
complete_here(struct kvr *k, struct kvr_call *c)
{
	struct kvr_outcome o = { .row = c->first, .flags = KVR_DONE_QUIET, .end_ns = kvr_now_ns() };

	kvr_call_sum(k, c, &o);
	if (o.err != KVR_OK)
		kvr_refused(k, c->kind, o.err);
	kvr_call_arrive(k, c, &o);
	c->released = true; /* in place of the router */
	kvr_call_drop(k, c, false);
}

static enum kvr_err
launch(struct kvr *k, struct kvr_call *c, const struct order *o)
{
	bool here = c->n == 0 || (c->kind == KVR_PUT && k->skip_puts);
	enum kvr_err err = KVR_OK;

	atomic_store(&c->holds, 2);
	kvr_call_begins(k, c);
	c->puts = c->kind == KVR_PUT && !here;
	if (c->kind == KVR_GET)
		atomic_fetch_add(&k->pace.ahead, c->bytes);
	if (c->puts && !weigh(k, c)) {
		c->puts = false;
		err = KVR_E_BUSY;
	} else if (c->puts && !kvr_puts_add(k, c, (c->flags & KVR_OPF_DUP_ERROR) != 0)) {
		atomic_fetch_sub(&k->put_bytes, c->bytes);
		c->puts = false;
		err = KVR_E_DUPLICATE;
	} else if (here)
		complete_here(k, c);
	else
		err = post(k, c, o->until_ns, o->opts.request);
	if (err != KVR_OK) {
		if (c->puts)
			kvr_puts_drop(k, c);
		if (c->kind == KVR_GET)
			atomic_fetch_sub(&k->pace.ahead, c->bytes);
		kvr_call_ends(k, c);
		atomic_fetch_sub(&c->holds, 1); /* the router's; the other one ends with its slots */
	}
	return err;
}

/* Connects the engine's request with the operation's number, which all other lines have. */
static void
log_call(const struct kvr *k, const struct kvr_call *c, const struct order *o)
{
	const char *request = o->opts.request;

	kvr_log(&k->log, DEBUG, kvr_call_op(c), "%s of %u keys%s%s", kvr_op_kind_name[c->kind], c->n,
	    request == NULL ? "" : " for request ", request == NULL ? "" : request);
}

static enum kvr_err
submit(struct kvr *k, struct order *o, kvr_op *ret)
{
	bool two = (o->flags & ((uint32_t)KVR_EARLY | KVR_OPF_DEVICE)) != 0;
	uint32_t each = (two ? 2U : 1U) + (o->need.ahead ? 1U : 0U);
	uint32_t places = o->teller != KVR_TELL_CALLBACK ? 0 : each;
	struct kvr_call *c = NULL;
	kvr_op before = ret == NULL ? 0 : *ret;
	enum kvr_err err = kvr_call_take(k, &o->need, &c);

	if (err != KVR_OK)
		return err;
	fill_call(c, o);
	c->places = places;
	err = kvr_notifier_reserve(k, places);
	if (err != KVR_OK) {
		kvr_call_undo(k, c);
		return err;
	}
	err = kvr_batch_fill(k, c, &o->batch);
	if (err == KVR_OK) {
		kvr_regions_use(k, c);
		kvr_layers_begin(k, c, &o->batch);
		if (k->log.level >= KVR_LOG_DEBUG)
			log_call(k, c, o);
		/* A callback may run, and look at it, before this returns. */
		if (ret != NULL)
			*ret = kvr_call_op(c);
		err = launch(k, c, o);
		if (err != KVR_OK)
			kvr_batch_unfill(k, c, &o->batch, c->n);
	}
	if (err != KVR_OK) {
		if (ret != NULL)
			*ret = before;
		kvr_notifier_unreserve(k, places);
		kvr_call_undo(k, c);
	}
	return err;
}

enum kvr_err
kvr_submit_with(struct kvr *k, const struct kvr_batch *batch, const struct kvr_opts *opts,
    uint32_t more_flags, uint32_t teller, kvr_op *ret)
{
	struct order o;
	enum kvr_err err =
	    more_flags >> KVR_ONLY_SHIFT != 0 ? kvr_enter_canary(k) : kvr_enter(k);

	if (err != KVR_OK)
		return err;
	o.flags = more_flags;
	o.need = (struct kvr_need){ 0 };
	err = read_order(k, batch, opts, &o);
	if (err == KVR_OK) {
		o.flags |= o.opts.flags;
		o.need.kind = o.batch.kind;
		o.need.keys = o.batch.n;
		o.need.ahead = (o.flags & KVR_RECORD) != 0;
		o.teller = o.opts.queue != NULL  ? KVR_TELL_QUEUE
		           : o.opts.done != NULL ? KVR_TELL_CALLBACK
		                                 : teller;
		err = submit(k, &o, ret);
	}
	if (err != KVR_OK && batch != NULL)
		kvr_refused(k, batch->kind, err);
	kvr_leave(k);
	return err;
}

enum kvr_err
kvr_submit(struct kvr *k, const struct kvr_batch *batch, const struct kvr_opts *opts, kvr_op *ret)
{
	return kvr_submit_with(
	    k, batch, opts, 0, ret == NULL ? KVR_TELL_NOBODY : KVR_TELL_WAIT, ret);
}
