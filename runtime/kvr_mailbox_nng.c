/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mailbox is a pair of pair0 sockets over inproc and, for each place, one nng_msg that goes
 * round: poster, nng, receiver, back to the list of spare ones. So posting allocates nothing.
 * nng_sendmsg and nng_recvmsg are not used, for they allocate an aio at each call.
 *
 * The receiving aio's callback runs on a thread of nng. It takes all that is there before it arms
 * itself again: an aio that is armed while messages wait goes once more through nng's task queue,
 * and wakes a thread for it.
 *
 * nng 1.5.2 leaks a message whose send is cancelled by a close, therefore close lets all that was
 * posted come out of nng first. nng_msg_insert corrupts the heap there and is not used.
 */
#include "kvr_mailbox.h"

#include "kvr_thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

enum { NNG_BUF_MAX = 8192, DRAIN_SEC = 10 };

struct kvr_mailbox {
	nng_socket in, out; /* where messages come out, and where they go in */
	bool is_open;
	nng_aio *send, *recv, *more;

	kvr_mailbox_fn *fn;
	void *arg;
	uint32_t places;
	_Atomic uint32_t taken; /* places that hold a message or are reserved */
	_Atomic uint32_t inside;
	_Atomic bool closer_waits;

	/* One poster at a time is inside nng: it has one lock per socket anyway. */
	pthread_mutex_t post_lock;

	pthread_mutex_t spare_lock;
	uint32_t n_spare;
	nng_msg **spare; /* places */

	_Atomic uint32_t in_nng; /* posted, and not yet through with fn or in `waiting` */

	/*
	 * A ring of one writer, the callback, and one reader, kvr_mailbox_take. `came` and `gone`
	 * count for ever. The reader sleeps on `came`; writer and reader each store one word and
	 * then look at the other's, so one of them sees that there is something to do.
	 */
	struct kvr_msg *waiting; /* places, rounded up to a power of two; NULL in callback mode */
	uint32_t mask, gone;
	_Atomic uint32_t came;
	_Atomic bool taker_sleeps;
};

static nng_msg *
spare_pop(struct kvr_mailbox *m)
{
	pthread_mutex_lock(&m->spare_lock);
	KVR_CHECK(m->n_spare > 0); /* as many as places that are not taken, at least */
	nng_msg *msg = m->spare[--m->n_spare];
	pthread_mutex_unlock(&m->spare_lock);
	return msg;
}

static void
spare_push(struct kvr_mailbox *m, nng_msg *msg)
{
	pthread_mutex_lock(&m->spare_lock);
	m->spare[m->n_spare++] = msg;
	pthread_mutex_unlock(&m->spare_lock);
}

/* ---- the receiving side ---- */

static void
leave(struct kvr_mailbox *m)
{
	atomic_fetch_sub(&m->inside, 1);
	atomic_fetch_sub(&m->taken, 1);
}

static void
keep(struct kvr_mailbox *m, const struct kvr_msg *msg)
{
	uint32_t came = atomic_load_explicit(&m->came, memory_order_relaxed);

	m->waiting[came & m->mask] = *msg;
	atomic_store(&m->came, came + 1);
	if (atomic_load(&m->taker_sleeps) && atomic_exchange(&m->taker_sleeps, false))
		kvr_wake(&m->came);
}

static void
receive(struct kvr_mailbox *m, nng_aio *aio)
{
	nng_msg *box = nng_aio_get_msg(aio);
	struct kvr_msg msg;

	KVR_CHECK(box != NULL && nng_msg_len(box) == sizeof(msg));
	memcpy(&msg, nng_msg_body(box), sizeof(msg));
	nng_aio_set_msg(aio, NULL);
	spare_push(m, box);
	if (m->fn != NULL) {
		leave(m);
		m->fn(m->arg, &msg);
	} else {
		keep(m, &msg);
	}
	if (atomic_fetch_sub(&m->in_nng, 1) == 1 && atomic_load(&m->closer_waits))
		kvr_wake(&m->in_nng);
}

static void
on_recv(void *arg)
{
	struct kvr_mailbox *m = arg;

	if (nng_aio_result(m->recv) != 0)
		return; /* closed */
	receive(m, m->recv);
	for (;;) {
		nng_recv_aio(m->in, m->more); /* its timeout is zero: it takes or fails at once */
		nng_aio_wait(m->more);
		if (nng_aio_result(m->more) != 0)
			break;
		receive(m, m->more);
	}
	nng_recv_aio(m->in, m->recv);
}

enum kvr_err
kvr_mailbox_take(struct kvr_mailbox *m, uint64_t until_ns, struct kvr_msg *ret)
{
	bool in_time = until_ns != 0;

	KVR_CHECK(m->waiting != NULL);
	while (atomic_load(&m->came) == m->gone && in_time) {
		atomic_store(&m->taker_sleeps, true);
		if (atomic_load(&m->came) == m->gone)
			in_time = kvr_sleep_on(&m->came, m->gone, until_ns);
		atomic_store(&m->taker_sleeps, false);
	}
	if (atomic_load(&m->came) == m->gone)
		return KVR_E_TIMEOUT;
	*ret = m->waiting[m->gone++ & m->mask];
	leave(m);
	return KVR_OK;
}

uint32_t
kvr_mailbox_depth(const struct kvr_mailbox *m)
{
	return atomic_load(&m->inside);
}

/* ---- the posting side ---- */

enum kvr_err
kvr_mailbox_reserve(struct kvr_mailbox *m)
{
	uint32_t taken = atomic_load(&m->taken);

	do {
		if (taken == m->places)
			return KVR_E_BUSY;
	} while (!atomic_compare_exchange_weak(&m->taken, &taken, taken + 1));
	return KVR_OK;
}

void
kvr_mailbox_unreserve(struct kvr_mailbox *m)
{
	KVR_CHECK(atomic_fetch_sub(&m->taken, 1) > 0);
}

void
kvr_mailbox_post_reserved(struct kvr_mailbox *m, const struct kvr_msg *msg)
{
	nng_msg *box = spare_pop(m);

	memcpy(nng_msg_body(box), msg, sizeof(*msg));
	atomic_fetch_add(&m->inside, 1);
	atomic_fetch_add(&m->in_nng, 1);
	pthread_mutex_lock(&m->post_lock);
	nng_aio_set_msg(m->send, box);
	nng_send_aio(m->out, m->send);
	/* The socket's buffer has all the places, so this is done when nng_send_aio returns. */
	nng_aio_wait(m->send);
	int e = nng_aio_result(m->send);
	pthread_mutex_unlock(&m->post_lock);
	KVR_CHECK(e == 0);
}

enum kvr_err
kvr_mailbox_post(struct kvr_mailbox *m, const struct kvr_msg *msg)
{
	enum kvr_err err = kvr_mailbox_reserve(m);

	if (err == KVR_OK)
		kvr_mailbox_post_reserved(m, msg);
	return err;
}

/* ---- open and close ---- */

static bool
alloc_all(struct kvr_mailbox *m)
{
	m->spare = calloc(m->places, sizeof(m->spare[0]));
	while (m->mask + 1 < m->places)
		m->mask = 2 * m->mask + 1;
	if (m->fn == NULL)
		m->waiting = calloc((size_t)m->mask + 1, sizeof(m->waiting[0]));
	if (m->spare == NULL || (m->fn == NULL && m->waiting == NULL))
		return false;
	while (m->n_spare < m->places) {
		if (nng_msg_alloc(&m->spare[m->n_spare], sizeof(struct kvr_msg)) != 0)
			return false;
		m->n_spare++;
	}
	if (nng_aio_alloc(&m->send, NULL, NULL) != 0 || nng_aio_alloc(&m->recv, on_recv, m) != 0 ||
	    nng_aio_alloc(&m->more, NULL, NULL) != 0)
		return false;
	nng_aio_set_timeout(m->send, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(m->recv, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(m->more, NNG_DURATION_ZERO);
	return true;
}

static bool
connect_both(struct kvr_mailbox *m, const char *name)
{
	static _Atomic uint32_t count;
	char url[NNG_MAXADDRLEN];
	int places = (int)m->places;

	/* The process's own number: names of instances may be equal, those of mailboxes may not. */
	snprintf(url, sizeof(url), "inproc://kvr.%ld.%u.%.64s", (long)getpid(),
	    (unsigned)atomic_fetch_add(&count, 1), name);
	if (nng_pair0_open(&m->in) != 0)
		return false;
	if (nng_pair0_open(&m->out) != 0) {
		nng_close(m->in);
		return false;
	}
	m->is_open = true;
	return nng_socket_set_int(m->out, NNG_OPT_SENDBUF, places) == 0 &&
	       nng_socket_set_int(m->in, NNG_OPT_RECVBUF, places) == 0 &&
	       nng_listen(m->in, url, NULL, 0) == 0 && nng_dial(m->out, url, NULL, 0) == 0;
}

enum kvr_err
kvr_mailbox_open(
    const char *name, uint32_t places, kvr_mailbox_fn *fn, void *arg, struct kvr_mailbox **ret)
{
	sigset_t before;

	if (places == 0 || places > NNG_BUF_MAX)
		return KVR_E_INVALID;
	struct kvr_mailbox *m = calloc(1, sizeof(*m));
	if (m == NULL)
		return KVR_E_NOMEM;
	m->places = places;
	m->fn = fn;
	m->arg = arg;
	KVR_CHECK(pthread_mutex_init(&m->post_lock, NULL) == 0);
	KVR_CHECK(pthread_mutex_init(&m->spare_lock, NULL) == 0);
	kvr_signals_block(&before); /* nng starts its threads at the first call */
	bool ok = alloc_all(m) && connect_both(m, name);
	kvr_signals_restore(&before);
	if (!ok) {
		kvr_mailbox_close(m);
		return KVR_E_NOMEM;
	}
	nng_recv_aio(m->in, m->recv);
	*ret = m;
	return KVR_OK;
}

static void
drain(struct kvr_mailbox *m)
{
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(DRAIN_SEC);
	bool in_time = true;
	uint32_t left;

	atomic_store(&m->closer_waits, true);
	while ((left = atomic_load(&m->in_nng)) > 0 && in_time)
		in_time = kvr_sleep_on(&m->in_nng, left, until_ns);
}

void
kvr_mailbox_close(struct kvr_mailbox *take)
{
	if (take == NULL)
		return;
	drain(take);
	if (take->is_open) {
		nng_close(take->out);
		nng_close(take->in);
	}
	nng_aio_free(take->recv); /* waits for the callback; NULL is fine for all three */
	nng_aio_free(take->more);
	nng_aio_free(take->send);
	while (take->n_spare > 0)
		nng_msg_free(take->spare[--take->n_spare]);
	pthread_mutex_destroy(&take->spare_lock);
	pthread_mutex_destroy(&take->post_lock);
	free(take->waiting);
	free(take->spare);
	free(take);
}

const char *
kvr_mailbox_library(void)
{
	return nng_version();
}
