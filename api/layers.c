/* SPDX-License-Identifier: Apache-2.0 */
/* Layer by layer: which layers of a get have arrived, and which layers of a put are ready. */
#include "kvr_batch.h"

#include "kvr_cache.h"
#include "kvr_call.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_ledger.h"
#include "kvr_lock.h"
#include "kvr_pages.h"
#include "kvr_system.h"
#include "kvr_user_log.h"

#include <string.h>

enum kvr_err
kvr_layers_check(struct kvr *k, const struct kvr_batch *b, uint32_t flags)
{
	if ((flags & KVR_LAYERS) == 0)
		return KVR_OK;
	if ((b->kind != KVR_GET && b->kind != KVR_PUT) || b->tokens == NULL)
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_submit: KVR_LAYERS is for gets and puts of tokens of a cache");
	if (b->tokens->cache->pages.layerwise)
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_submit: KVR_LAYERS, and a chunk of that cache has one layer: submit a batch "
		    "for each layer, and each has a completion");
	return KVR_OK;
}

void
kvr_layers_begin(struct kvr *k, struct kvr_call *c, const struct kvr_batch *b)
{
	if ((c->flags & KVR_LAYERS) == 0)
		return;
	c->n_layers = kvr_pages_layers(&b->tokens->cache->pages);
	if (c->kind == KVR_PUT)
		memset(kvr_ledger_events(k->ledger, c->slot), 0, c->n_layers * sizeof(void *));
}

static enum kvr_err
check(struct kvr *k, const char *call, const struct kvr_call *c, uint32_t kind, uint32_t layer)
{
	if (c->kind != kind || (c->flags & KVR_LAYERS) == 0)
		return kvr_bad(k, KVR_E_INVALID, "%s: the operation is no %s with KVR_LAYERS", call,
		    kind == KVR_GET ? "get" : "put");
	if (layer >= c->n_layers)
		return kvr_bad(k, KVR_E_INVALID, "%s: layer %u, and the cache has %u", call, layer,
		    c->n_layers);
	return KVR_OK;
}

/* ---- gets ---- */

/* Number of leading keys, counting on from n, whose layer has arrived. */
static uint32_t
count_keys(const struct kvr *k, const struct kvr_call *c, uint32_t layer, uint32_t n)
{
	const struct kvr_place *place = &k->ledger->places[c->first];

	while (n < c->n && atomic_load_explicit(&place[n].landed, memory_order_acquire) > layer)
		n++;
	return n;
}

/*
 * No layer will come any more, or not for all keys. A completion with only OK keys is not yet the
 * end.
 */
static bool
is_over(const struct kvr_call *c, uint32_t word, enum kvr_err *ret_err)
{
	uint32_t n = KVR_WORD_N_ARRIVED(word);

	*ret_err = n == 0 ? KVR_OK : (enum kvr_err)c->outcome[n - 1].err;
	if ((word & KVR_WORD_OVER) != 0 && *ret_err == KVR_OK)
		*ret_err = KVR_E_MISS;
	return *ret_err != KVR_OK;
}

static enum kvr_err
wait_for(struct kvr *k, struct kvr_call *c, uint32_t layer, uint64_t until_ns, uint32_t *ret_keys)
{
	_Atomic uint32_t *bell = &k->ledger->bells[c->slot];
	enum kvr_err err;
	uint32_t n = 0;

	for (;;) {
		/* In this order: what changes after the look also rings after it. */
		uint32_t seen = atomic_load(bell);
		uint32_t word = atomic_load_explicit(&c->word, memory_order_acquire);

		*ret_keys = n = count_keys(k, c, layer, n);
		if (n == c->n)
			return KVR_OK;
		if (is_over(c, word, &err))
			return err;
		if (!kvr_sleep_on(bell, seen, until_ns))
			return KVR_E_UNFINISHED;
	}
}

enum kvr_err
kvr_layer_wait(struct kvr *k, kvr_op op, uint32_t layer, uint64_t until_ns, uint32_t *ret_keys)
{
	enum kvr_err err = kvr_check_instance(k);
	uint32_t n = 0;
	uint64_t at_ns;

	if (err != KVR_OK)
		return err;
	if (kvr_in_callback())
		return kvr_bad(k, KVR_E_INVALID, "kvr_layer_wait: a callback may not wait");
	err = kvr_until(k, "kvr_layer_wait", until_ns, UINT64_MAX, true, &at_ns);
	if (err != KVR_OK)
		return err;
	struct kvr_call *c = kvr_call_hold(k, op);

	if (c == NULL)
		return KVR_E_STALE;
	err = check(k, "kvr_layer_wait", c, KVR_GET, layer);
	if (err == KVR_OK) {
		err = wait_for(k, c, layer, at_ns, &n);
		if (ret_keys != NULL)
			*ret_keys = n;
	}
	kvr_call_drop(k, c, false);
	return err;
}

/* ---- puts ---- */

/*
 * An event applies to every layer that it is the first to name. Before the message that announces
 * them.
 */
static void
note(struct kvr *k, struct kvr_call *c, uint32_t layer, void *event)
{
	void **events = kvr_ledger_events(k->ledger, c->slot);

	pthread_mutex_lock(&k->lock);
	for (; c->n_ready <= layer; c->n_ready++)
		events[c->n_ready] = event;
	pthread_mutex_unlock(&k->lock);
}

static enum kvr_err
say_ready(struct kvr *k, struct kvr_call *c, kvr_op op, uint32_t layer, void *event)
{
	struct kvr_msg m = {
		.type = KVR_MSG_LAYERS, .from = KVR_ID_API, .to = KVR_ID_TRANSFER, .op = op
	};
	enum kvr_err err = check(k, "kvr_layer_ready", c, KVR_PUT, layer);

	if (err != KVR_OK)
		return err;
	if (event != NULL && (c->flags & KVR_OPF_DEVICE) == 0)
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_layer_ready: an event of a device, and the cache is in the host's memory");
	if ((atomic_load(&c->word) & KVR_WORD_QUIET) != 0)
		return KVR_E_STALE;
	note(k, c, layer, event);
	m.LAYERS.ready = (uint16_t)(layer + 1);
	m.LAYERS.of = (uint16_t)c->n_layers;
	return kvr_system_post(k->system, &m);
}

enum kvr_err
kvr_layer_ready(struct kvr *k, kvr_op op, uint32_t layer, void *event)
{
	KVR_UNCANCELLED;
	enum kvr_err err = kvr_check_instance(k);

	if (err != KVR_OK)
		return err;
	struct kvr_call *c = kvr_call_hold(k, op);

	if (c == NULL)
		return KVR_E_STALE;
	err = say_ready(k, c, op, layer, event);
	kvr_call_drop(k, c, false);
	return err;
}
