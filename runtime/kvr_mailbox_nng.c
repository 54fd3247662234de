/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A carrier is a pair of pair0 sockets over inproc and, for each place, one nng_msg that goes
 * round: poster, nng, receiver, back to the list of spare ones. So posting allocates nothing.
 * nng_sendmsg and nng_recvmsg are not used, because they allocate an aio per call.
 *
 * The receiving aio's callback runs on a thread of nng. It takes all that is there before it arms
 * the aio again: an aio that is armed while messages wait goes through nng's task queue once more,
 * and wakes a thread for it.
 *
 * nng 1.5.2 leaks a message whose send is cancelled by a close; therefore close first lets all that
 * was posted come out of nng. nng_msg_insert corrupts the heap in that version and is not used.
 */
#include "kvr_mailbox_own.h"

#include "kvr_thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

enum { DRAIN_SEC = 10 };

struct kvr_carrier {
	nng_socket in, out; /* where messages come out, and where they go in */
	bool is_open;
	nng_aio *send, *recv, *more;

	kvr_mailbox_fn *fn;
	void *arg;
	uint32_t places;
	_Atomic bool closer_waits;

	/* One poster at a time is inside nng: it has one lock per socket anyway. */
	pthread_mutex_t post_lock;

	pthread_mutex_t spare_lock;
	uint32_t n_spare;
	nng_msg **spare; /* places */

	_Atomic uint32_t in_nng; /* posted, and not yet finished by fn */
};

static nng_msg *
spare_pop(struct kvr_carrier *c)
{
	pthread_mutex_lock(&c->spare_lock);
	KVR_CHECK(c->n_spare > 0); /* there are at least as many as free places */
	nng_msg *msg = c->spare[--c->n_spare];
	pthread_mutex_unlock(&c->spare_lock);
	return msg;
}

static void
spare_push(struct kvr_carrier *c, nng_msg *msg)
{
	pthread_mutex_lock(&c->spare_lock);
	c->spare[c->n_spare++] = msg;
	pthread_mutex_unlock(&c->spare_lock);
}

/* ---- the receiving side ---- */

static void
receive(struct kvr_carrier *c, nng_aio *aio)
{
	nng_msg *box = nng_aio_get_msg(aio);
	struct kvr_msg msg;

	KVR_CHECK(box != NULL && nng_msg_len(box) == sizeof(msg));
	memcpy(&msg, nng_msg_body(box), sizeof(msg));
	nng_aio_set_msg(aio, NULL);
	spare_push(c, box);
	c->fn(c->arg, &msg);
	if (atomic_fetch_sub(&c->in_nng, 1) == 1 && atomic_load(&c->closer_waits))
		kvr_wake(&c->in_nng);
}

static void
on_recv(void *arg)
{
	struct kvr_carrier *c = arg;

	if (nng_aio_result(c->recv) != 0)
		return; /* closed */
	receive(c, c->recv);
	for (;;) {
		nng_recv_aio(c->in, c->more); /* its timeout is zero: it takes or fails at once */
		nng_aio_wait(c->more);
		if (nng_aio_result(c->more) != 0)
			break;
		receive(c, c->more);
	}
	nng_recv_aio(c->in, c->recv);
}

/* ---- the posting side ---- */

void
kvr_carrier_post(struct kvr_carrier *c, const struct kvr_msg *msg)
{
	nng_msg *box = spare_pop(c);

	memcpy(nng_msg_body(box), msg, sizeof(*msg));
	atomic_fetch_add(&c->in_nng, 1);
	pthread_mutex_lock(&c->post_lock);
	nng_aio_set_msg(c->send, box);
	nng_send_aio(c->out, c->send);
	/* The socket's buffer has room for all places, so this is done when nng_send_aio returns. */
	nng_aio_wait(c->send);
	int e = nng_aio_result(c->send);
	pthread_mutex_unlock(&c->post_lock);
	KVR_CHECK(e == 0);
}

/* ---- open and close ---- */

/*
 * nng starts its threads at its first call, and aborts the process if it cannot get one of them: an
 * engine that opens its cache in a container with few threads left would die. So ask first for as
 * many as nng may start: two per CPU for tasks, one per CPU for timeouts, and some single ones.
 */
static bool
may_begin(void)
{
	static _Atomic bool begun;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t n = (uint32_t)KVR_MIN(KVR_MAX(cpus, 1L), 256L);

	if (!atomic_load(&begun) && kvr_threads_fit(KVR_MIN(2 * n, 16U) + n + 8))
		atomic_store(&begun, true);
	return atomic_load(&begun);
}

static bool
alloc_all(struct kvr_carrier *c)
{
	c->spare = calloc(c->places, sizeof(c->spare[0]));
	if (c->spare == NULL)
		return false;
	while (c->n_spare < c->places) {
		if (nng_msg_alloc(&c->spare[c->n_spare], sizeof(struct kvr_msg)) != 0)
			return false;
		c->n_spare++;
	}
	if (nng_aio_alloc(&c->send, NULL, NULL) != 0 || nng_aio_alloc(&c->recv, on_recv, c) != 0 ||
	    nng_aio_alloc(&c->more, NULL, NULL) != 0)
		return false;
	nng_aio_set_timeout(c->send, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(c->recv, NNG_DURATION_INFINITE);
	nng_aio_set_timeout(c->more, NNG_DURATION_ZERO);
	return true;
}

static bool
connect_both(struct kvr_carrier *c, const char *name)
{
	static _Atomic uint32_t count;
	char url[NNG_MAXADDRLEN];
	int places = (int)c->places;

	/* Unique in the process: instances may share a name, mailboxes may not. */
	snprintf(url, sizeof(url), "inproc://kvr.%ld.%u.%.64s", (long)getpid(),
	    (unsigned)atomic_fetch_add(&count, 1), name);
	if (nng_pair0_open(&c->in) != 0)
		return false;
	if (nng_pair0_open(&c->out) != 0) {
		nng_close(c->in);
		return false;
	}
	c->is_open = true;
	return nng_socket_set_int(c->out, NNG_OPT_SENDBUF, places) == 0 &&
	       nng_socket_set_int(c->in, NNG_OPT_RECVBUF, places) == 0 &&
	       nng_listen(c->in, url, NULL, 0) == 0 && nng_dial(c->out, url, NULL, 0) == 0;
}

enum kvr_err
kvr_carrier_open(
    const char *name, uint32_t places, kvr_mailbox_fn *fn, void *arg, struct kvr_carrier **ret)
{
	sigset_t before;

	struct kvr_carrier *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return KVR_E_NOMEM;
	c->places = places;
	c->fn = fn;
	c->arg = arg;
	KVR_CHECK(pthread_mutex_init(&c->post_lock, NULL) == 0);
	KVR_CHECK(pthread_mutex_init(&c->spare_lock, NULL) == 0);
	kvr_signals_block(&before); /* nng starts its threads at the first call */
	bool ok = may_begin() && alloc_all(c) && connect_both(c, name);
	kvr_signals_restore(&before);
	if (!ok) {
		kvr_carrier_close(c);
		return KVR_E_NOMEM;
	}
	nng_recv_aio(c->in, c->recv);
	*ret = c;
	return KVR_OK;
}

static void
drain(struct kvr_carrier *c)
{
	uint64_t until_ns = kvr_now_ns() + KVR_SEC(DRAIN_SEC);
	bool in_time = true;
	uint32_t left;

	atomic_store(&c->closer_waits, true);
	while ((left = atomic_load(&c->in_nng)) > 0 && in_time)
		in_time = kvr_sleep_on(&c->in_nng, left, until_ns);
}

void
kvr_carrier_close(struct kvr_carrier *take)
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
	free(take->spare);
	free(take);
}

const char *
kvr_mailbox_library(void)
{
	return nng_version();
}
