/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for operations, and cancelling them. */
#include "kvr_submit.h"

#include "kvr_batch.h"
#include "kvr_call.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_mailbox.h"
#include "kvr_system.h"
#include "kvr_thread.h"
#include "kvr_user_log.h"

#include <string.h>

/* Sleeps until the word changes or until_ns has come. False: it has come. */
static bool
sleep_on(struct kvr_call *c, uint32_t word, uint64_t until_ns)
{
	if (until_ns != UINT64_MAX && kvr_now_ns() >= until_ns)
		return false;
	/* Announced before the word is checked again, so that whoever changes the word sees us. */
	atomic_fetch_add(&c->sleepers, 1);
	if (atomic_load(&c->word) == word)
		kvr_futex_wait(&c->word, word, until_ns);
	atomic_fetch_sub(&c->sleepers, 1);
	return true;
}

/* OK: there is something to fetch. */
static enum kvr_err
sleep_until_ready(struct kvr_call *c, uint32_t gen, uint64_t until_ns, bool quiet)
{
	for (;;) {
		uint32_t word = atomic_load_explicit(&c->word, memory_order_acquire);

		if (KVR_WORD_GEN_OF(word) != gen)
			return KVR_E_STALE;
		if (KVR_WORD_N_ARRIVED(word) > KVR_WORD_N_FETCHED(word)) {
			if (!quiet || (word & KVR_WORD_OVER) != 0)
				return KVR_OK;
		} else if ((word & KVR_WORD_OVER) != 0) {
			return KVR_E_STALE; /* all its completions have been fetched */
		}
		if (!sleep_on(c, word, until_ns))
			return KVR_E_UNFINISHED;
	}
}

static enum kvr_err
check_results(struct kvr *k, const char *call, const struct kvr_done *ret, struct kvr_results *res,
    uint32_t n)
{
	if ((ret != NULL && ret->size < sizeof(*ret)) || (res != NULL && res->size < KVR_RESULTS_LEAST))
		return kvr_bad(
		    k, KVR_E_INVALID, "%s: size of kvr_done or kvr_results is not set", call);
	if (res == NULL || res->cap >= n)
		return KVR_OK;
	res->need = n;
	return KVR_E_TOO_SMALL;
}

/* It is held, because another waiting thread may fetch its last completion now. */
static enum kvr_err
wait_held(struct kvr *k, struct kvr_call *c, uint64_t until_ns, bool quiet, struct kvr_done *ret,
    struct kvr_results *res)
{
	uint32_t gen = KVR_WORD_GEN_OF(atomic_load(&c->word));
	struct kvr_outcome o;
	bool last = false;

	if (atomic_load(&c->teller) != KVR_TELL_WAIT)
		return kvr_bad(
		    k, KVR_E_INVALID, "kvr_wait: this operation has a queue or a callback");
	enum kvr_err err = sleep_until_ready(c, gen, until_ns, quiet);

	if (err != KVR_OK)
		return err;
	err = check_results(k, "kvr_wait", ret, res, c->n);
	if (err != KVR_OK)
		return err;
	if (!kvr_call_fetch(c, gen, &o, &last))
		return KVR_E_STALE; /* another thread was quicker */
	kvr_call_tell(k, c, &o, 0, ret, res);
	/* Others may be sleeping on an operation that is now over. */
	if (atomic_load(&c->sleepers) > 0)
		kvr_wake_all(&c->word);
	kvr_call_told(k, c, last);
	return (enum kvr_err)o.err;
}

enum kvr_err
kvr_wait_for(struct kvr *k, kvr_op op, uint64_t until_ns, bool quiet, struct kvr_done *ret,
    struct kvr_results *res)
{
	struct kvr_call *c = kvr_call_hold(k, op);

	if (c == NULL)
		return KVR_E_STALE;
	enum kvr_err err = wait_held(k, c, until_ns, quiet, ret, res);

	kvr_call_drop(k, c, false);
	return err;
}

enum kvr_err
kvr_wait(struct kvr *k, kvr_op op, uint64_t until_ns, struct kvr_done *ret, struct kvr_results *res)
{
	enum kvr_err err = kvr_check_instance(k);
	uint64_t at_ns;

	if (err != KVR_OK)
		return err;
	if (kvr_in_callback())
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_wait: a callback may not wait: submit with a queue or a callback there");
	/* Before waiting, so that a wrong call does not fail only when everything is over. */
	err = check_results(k, "kvr_wait", ret, res, 0);
	if (err == KVR_OK)
		err = kvr_until(k, "kvr_wait", until_ns, UINT64_MAX, true, &at_ns);
	return err == KVR_OK ? kvr_wait_for(k, op, at_ns, false, ret, res) : err;
}

/*
 * If so, this thread asks the store itself: two wake-ups are more than half of the time of a get of
 * 64 KiB from a near server. Not if the first of several completions comes before the parts are
 * done, because the caller goes on then.
 */
static bool
would_only_sleep(const struct kvr_batch *batch, const struct kvr_opts *opts)
{
	const uint32_t goes_on = KVR_EARLY | KVR_RECORD | KVR_LAYERS;

	if (opts != NULL && (opts->size < sizeof(*opts) || (opts->flags & goes_on) != 0))
		return false;
	return batch->kind != KVR_PREFETCH;
}

enum kvr_err
kvr_run(struct kvr *k, const struct kvr_batch *batch, const struct kvr_opts *opts,
    struct kvr_done *ret, struct kvr_results *res)
{
	kvr_op op = 0;
	enum kvr_err err = kvr_check_instance(k);

	if (err != KVR_OK)
		return err;
	if (kvr_in_callback())
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_run: a callback may not wait: submit with a queue or a callback there");
	if (batch == NULL || batch->size < KVR_BATCH_LEAST)
		return kvr_bad(k, KVR_E_INVALID, "kvr_run: size of kvr_batch is not set");
	if (opts != NULL && opts->size >= sizeof(*opts) &&
	    (opts->queue != NULL || opts->done != NULL))
		return kvr_bad(k, KVR_E_INVALID, "kvr_run: no queue and no callback here");
	err = check_results(k, "kvr_run", ret, res, batch->n);
	if (err != KVR_OK)
		return err;
	if (would_only_sleep(batch, opts))
		kvr_help_offer(&op);
	err = kvr_submit_with(k, batch, opts, 0, KVR_TELL_WAIT, &op);
	kvr_help_give();
	if (err != KVR_OK)
		return err;
	/* Its memory may be on the caller's stack: however late the answer is, wait for it. */
	return kvr_wait_for(k, op, UINT64_MAX, false, ret, res);
}

/* ---- cancelling ---- */

enum kvr_err
kvr_call_cancel(struct kvr *k, kvr_op op)
{
	struct kvr_msg m = {
		.type = KVR_MSG_CANCEL, .from = KVR_ID_API, .to = KVR_ID_ROUTER, .op = op
	};

	m.CANCEL.reason = KVR_E_CANCELLED;
	return kvr_system_post(k->system, &m);
}

static enum kvr_err
cancel(struct kvr *k, struct kvr_call *c, kvr_op op)
{
	return atomic_exchange(&c->cancelled, 1) != 0 ? KVR_OK : kvr_call_cancel(k, op);
}

static bool
runs(const struct kvr_call *c, kvr_op op)
{
	uint32_t word = atomic_load(&c->word);

	return KVR_WORD_GEN_OF(word) == op >> 32 && (word & KVR_WORD_QUIET) == 0 &&
	       atomic_load(&c->holds) != 0;
}

enum kvr_err
kvr_cancel(struct kvr *k, kvr_op op)
{
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	struct kvr_call *c = kvr_call_find(k, op);

	err = c == NULL || !runs(c, op) ? KVR_E_STALE : cancel(k, c, op);
	kvr_leave(k);
	return err;
}

enum kvr_err
kvr_cancel_request(struct kvr *k, const char *request)
{
	enum kvr_err err = kvr_enter(k), found = KVR_E_MISS;

	if (err != KVR_OK)
		return err;
	if (request == NULL)
		err = kvr_bad(k, KVR_E_INVALID, "kvr_cancel_request: no request");
	uint64_t hash = request == NULL ? 0 : kvr_hash64(request, strlen(request)) | 1;

	for (uint32_t i = 0; i < KVR_OPS_MAX && err == KVR_OK; i++) {
		struct kvr_call *c = &k->call[i];
		kvr_op op = kvr_call_op(c);

		if (atomic_load(&c->request) != hash || !runs(c, op))
			continue;
		found = KVR_OK;
		err = cancel(k, c, op);
	}
	kvr_leave(k);
	return err == KVR_OK ? found : err;
}

/* ---- kvr_quiet ---- */

/* The generation of an operation whose last completion was not handed over yet; otherwise 0. */
static uint32_t
untold(const struct kvr_call *c)
{
	uint32_t word = atomic_load(&c->word);

	return (word & KVR_WORD_TOLD) == 0 && atomic_load(&c->holds) != 0 ? KVR_WORD_GEN_OF(word)
	                                                                  : 0;
}

/*
 * Waits until the operation of that generation is over and its memory quiet. UNFINISHED: until_ns
 * has come. STUCK: the instance has ended, and a thread that hangs never releases the memory.
 */
static enum kvr_err
wait_quiet(struct kvr_call *c, uint32_t gen, uint64_t until_ns)
{
	for (;;) {
		uint32_t word = atomic_load(&c->word);

		if (KVR_WORD_GEN_OF(word) != gen)
			return KVR_OK;
		if ((word & KVR_WORD_TOLD) != 0)
			return (word & KVR_WORD_QUIET) != 0 ? KVR_OK : KVR_E_STUCK;
		if (!sleep_on(c, word, until_ns))
			return KVR_E_UNFINISHED;
	}
}

enum kvr_err
kvr_quiet(struct kvr *k, uint64_t until_ns, uint64_t *ret_left)
{
	uint32_t before[KVR_OPS_MAX];
	uint64_t at_ns, left = 0;
	bool stuck = false;
	enum kvr_err err = kvr_enter(k);

	if (err == KVR_OK) {
		kvr_leave(k);
		err = kvr_in_callback()
		          ? kvr_bad(k, KVR_E_INVALID, "kvr_quiet: a callback may not wait")
		          : kvr_until(k, "kvr_quiet", until_ns, atomic_load(&k->limit.put_ns), true,
		                &at_ns);
	}
	if (err != KVR_OK)
		return err;
	/* The list is made first: what is accepted while we wait is not waited for. */
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++)
		before[i] = untold(&k->call[i]);
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++) {
		enum kvr_err one =
		    before[i] == 0 ? KVR_OK : wait_quiet(&k->call[i], before[i], at_ns);

		left += one != KVR_OK;
		stuck = stuck || one == KVR_E_STUCK;
	}
	if (ret_left != NULL)
		*ret_left = left;
	if (stuck)
		return KVR_E_STUCK;
	return left == 0 ? KVR_OK : KVR_E_TIMEOUT;
}
