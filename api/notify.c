/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier: the only thread on which the caller's callbacks run. It delivers completions. */
#include "kvr_notify.h"

#include "kvr_call.h"
#include "kvr_end.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_mailbox.h"
#include "kvr_map.h"
#include "kvr_thread.h"
#include "kvr_user_log.h"

#include <stdio.h>

enum {
	/*
	 * The completions of every operation, STOP, the deciders' death, and a word about put-off
	 * lines.
	 */
	PLACES = KVR_OUTCOMES * KVR_OPS_MAX + 8,
	BURY_MS = 2000
};

static void
tell(struct kvr *k, uint32_t slot)
{
	struct kvr_call *c = &k->call[slot];
	struct kvr_notifier *n = &k->notifier;
	struct kvr_results res = {
		.size = sizeof(res), .cap = c->n, .err = n->err, .len = n->len, .tier = n->tier,
		.layers = n->layers
	};
	struct kvr_done done = { .size = sizeof(done) };
	struct kvr_outcome o;
	bool last = false;

	KVR_CHECK(kvr_call_fetch(c, KVR_WORD_GEN_OF(atomic_load(&c->word)), &o, &last));
	kvr_call_tell(k, c, &o, 0, &done, &res);
	kvr_set_in_callback(true);
	c->done(c->done_arg, &done, &res);
	kvr_set_in_callback(false);
	kvr_call_told(k, c, last);
}

/*
 * A broken invariant: nobody will answer what is in flight. The workers are ended first, so that
 * the memory of the operations is quiet when they are answered here.
 */
static void
bury(struct kvr *k)
{
	uint32_t stuck = kvr_join_system(k, kvr_now_ns() + KVR_MS(BURY_MS));

	kvr_say(k, KVR_LOG_ERROR,
	    "an invariant broke: this instance is dead, its operations are answered DEAD");
	kvr_call_end_all(k, KVR_E_DEAD, stuck == 0);
}

static void
run(void *arg)
{
	struct kvr *k = arg;
	struct kvr_msg m = { .type = KVR_MSG_START };

	while (m.type != KVR_MSG_STOP) {
		if (kvr_mailbox_take(k->notifier.box, UINT64_MAX, &m) != KVR_OK)
			continue;
		if (m.type == KVR_MSG_COMPLETE)
			tell(k, (uint32_t)m.op);
		else if (m.type == KVR_MSG_STOPPED)
			bury(k);
		else if (m.type == KVR_MSG_CONTINUE)
			kvr_log_put_off(k);
	}
}

enum kvr_err
kvr_notifier_open(struct kvr *k)
{
	struct kvr_notifier *n = &k->notifier;
	char name[32];

	n->err = kvr_map(KVR_KEYS_MAX * sizeof(n->err[0]));
	n->len = kvr_map(KVR_KEYS_MAX * sizeof(n->len[0]));
	n->tier = kvr_map(KVR_KEYS_MAX * sizeof(n->tier[0]));
	n->layers = kvr_map(KVR_KEYS_MAX * sizeof(n->layers[0]));
	if (n->err == NULL || n->len == NULL || n->tier == NULL || n->layers == NULL)
		return KVR_E_NOMEM;
	snprintf(name, sizeof(name), "kvr%u.notifier", k->number);
	return kvr_mailbox_open(name, PLACES, NULL, NULL, &n->box);
}

enum kvr_err
kvr_notifier_start(struct kvr *k)
{
	return kvr_thread_start("kvr-notify", run, k, &k->notifier.thread);
}

enum kvr_err
kvr_notifier_reserve(struct kvr *k, uint32_t places)
{
	for (uint32_t i = 0; i < places; i++) {
		enum kvr_err err = kvr_mailbox_reserve(k->notifier.box);

		if (err != KVR_OK) {
			kvr_notifier_unreserve(k, i);
			return err;
		}
	}
	return KVR_OK;
}

void
kvr_notifier_unreserve(struct kvr *k, uint32_t places)
{
	while (places-- > 0)
		kvr_mailbox_unreserve(k->notifier.box);
}

void
kvr_notifier_tell(struct kvr *k, uint32_t slot)
{
	const struct kvr_msg m = {
		.type = KVR_MSG_COMPLETE, .from = KVR_ID_API, .to = KVR_ID_NOTIFIER, .op = slot
	};

	kvr_mailbox_post_reserved(k->notifier.box, &m);
}

/* PLACES leaves room for these besides all reservations. */
static void
post(struct kvr *k, uint16_t type)
{
	const struct kvr_msg m = { .type = type, .from = KVR_ID_API, .to = KVR_ID_NOTIFIER };

	KVR_CHECK(kvr_mailbox_post(k->notifier.box, &m) == KVR_OK);
}

void
kvr_notifier_bury(struct kvr *k)
{
	post(k, KVR_MSG_STOPPED);
}

void
kvr_notifier_log(struct kvr *k)
{
	post(k, KVR_MSG_CONTINUE);
}

bool
kvr_notifier_stop(struct kvr *k, uint64_t until_ns)
{
	struct kvr_notifier *n = &k->notifier;

	if (n->thread == NULL)
		return true;
	if (!n->stopping)
		post(k, KVR_MSG_STOP);
	n->stopping = true;
	if (kvr_thread_join(n->thread, until_ns) != KVR_OK)
		return false;
	n->thread = NULL;
	return true;
}

void
kvr_notifier_close(struct kvr *k)
{
	struct kvr_notifier *n = &k->notifier;

	KVR_CHECK(n->thread == NULL);
	if (n->box != NULL)
		kvr_mailbox_close(n->box);
	kvr_unmap(n->err, KVR_KEYS_MAX * sizeof(n->err[0]));
	kvr_unmap(n->len, KVR_KEYS_MAX * sizeof(n->len[0]));
	kvr_unmap(n->tier, KVR_KEYS_MAX * sizeof(n->tier[0]));
	kvr_unmap(n->layers, KVR_KEYS_MAX * sizeof(n->layers[0]));
}
