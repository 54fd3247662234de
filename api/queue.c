/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of completions. A queue has room for every completion that can exist, so a completion is
 * never lost and never waits for its reader.
 */
#include "kvr_queue.h"

#include "kvr_call.h"
#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_user_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum kvr_err
kvr_queue_open(struct kvr *k, struct kvr_queue **ret)
{
	enum kvr_err err = kvr_enter(k);

	if (err != KVR_OK)
		return err;
	if (ret == NULL) {
		kvr_leave(k);
		return kvr_bad(k, KVR_E_INVALID, "kvr_queue_open: no place for the queue");
	}
	struct kvr_queue *q = calloc(1, sizeof(*q));

	if (q == NULL || (q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		free(q);
		kvr_leave(k);
		return KVR_E_NOMEM;
	}
	q->magic = KVR_QUEUE_MAGIC;
	q->kvr = k;
	KVR_CHECK(pthread_mutex_init(&q->lock, NULL) == 0);
	pthread_mutex_lock(&k->end_lock);
	if (k->n_queues < KVR_QUEUES_MAX)
		k->queue[k->n_queues++] = q;
	else
		err = KVR_E_BUSY;
	pthread_mutex_unlock(&k->end_lock);
	if (err == KVR_OK)
		*ret = q;
	else
		kvr_queue_free(q);
	kvr_leave(k);
	return err;
}

void
kvr_queue_free(struct kvr_queue *take)
{
	if (take == NULL)
		return;
	close(take->fd);
	pthread_mutex_destroy(&take->lock);
	take->magic = 0;
	free(take);
}

int
kvr_queue_fd(const struct kvr_queue *q)
{
	return kvr_forked() || q == NULL || q->magic != KVR_QUEUE_MAGIC ? -1 : q->fd;
}

/*
 * The descriptor is readable exactly while something waits or a wake has not been seen. Called
 * after every change, with the lock held.
 */
static void
show(struct kvr_queue *q)
{
	bool lit = q->n > 0 || q->woken;
	uint64_t count = 1;
	ssize_t n;

	if (lit == q->lit)
		return;
	do
		n = lit ? write(q->fd, &count, sizeof(count)) : read(q->fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
	q->lit = lit;
}

void
kvr_queue_wake(struct kvr_queue *q)
{
	KVR_UNCANCELLED;
	if (kvr_queue_fd(q) < 0)
		return;
	pthread_mutex_lock(&q->lock);
	q->woken = true;
	show(q);
	pthread_mutex_unlock(&q->lock);
}

void
kvr_queue_push(struct kvr_queue *q, uint32_t slot)
{
	pthread_mutex_lock(&q->lock);
	KVR_CHECK(q->n < KVR_LEN(q->ring));
	q->ring[(q->head + q->n++) % KVR_LEN(q->ring)] = slot;
	show(q);
	pthread_mutex_unlock(&q->lock);
}

/*
 * The oldest completion, if its keys fit into `room`. It is reported without the lock, because
 * reporting may ask the deciders, which may be pushing at this moment. So its operation is held:
 * another thread may fetch and report its last completion meanwhile. What is in the ring was not
 * fetched, so it exists.
 */
static enum kvr_err
pop(struct kvr_queue *q, uint32_t room, uint32_t *ret_slot, uint32_t *ret_need)
{
	enum kvr_err err = KVR_OK;

	pthread_mutex_lock(&q->lock);
	if (q->n == 0) {
		err = KVR_E_UNFINISHED;
	} else if (q->kvr->call[q->ring[q->head]].n > room) {
		*ret_need = q->kvr->call[q->ring[q->head]].n;
		err = KVR_E_TOO_SMALL;
	} else {
		*ret_slot = q->ring[q->head];
		atomic_fetch_add(&q->kvr->call[*ret_slot].holds, 1);
		q->head = (q->head + 1) % (uint32_t)KVR_LEN(q->ring);
		q->n--;
		show(q);
	}
	pthread_mutex_unlock(&q->lock);
	return err;
}

static int
drain(struct kvr_queue *q, char *ret, uint32_t max, struct kvr_results *res)
{
	uint32_t stride = 0, place = 0, slot = 0, need = 0;
	int n = 0;

	memcpy(&stride, ret, sizeof(stride));
	while ((uint32_t)n < max) {
		struct kvr_done *done = (struct kvr_done *)(void *)(ret + (size_t)n * stride);
		enum kvr_err err =
		    pop(q, res == NULL ? UINT32_MAX : res->cap - place, &slot, &need);
		struct kvr_outcome o;
		bool last = false;

		if (err == KVR_E_TOO_SMALL)
			res->need = need;
		if (err != KVR_OK)
			return n == 0 && err == KVR_E_TOO_SMALL ? KVR_E_TOO_SMALL : n;
		struct kvr_call *c = &q->kvr->call[slot];

		KVR_CHECK(kvr_call_fetch(c, KVR_WORD_GEN_OF(atomic_load(&c->word)), &o, &last));
		done->size = stride;
		kvr_call_tell(q->kvr, c, &o, place, done, res);
		place += c->n;
		kvr_call_told(q->kvr, c, last);
		kvr_call_drop(q->kvr, c, false);
		n++;
	}
	return n;
}

int
kvr_drain(struct kvr_queue *q, struct kvr_done *ret, uint32_t max, struct kvr_results *res)
{
	KVR_UNCANCELLED;
	if (kvr_forked())
		return KVR_E_FORKED;
	if (q == NULL || q->magic != KVR_QUEUE_MAGIC)
		return KVR_E_INVALID;
	if (max == 0)
		return 0;
	if (ret == NULL || ret->size < sizeof(*ret) || ret->size % _Alignof(struct kvr_done) != 0 ||
	    (res != NULL && res->size < KVR_RESULTS_LEAST))
		return kvr_bad(
		    q->kvr, KVR_E_INVALID, "kvr_drain: size of kvr_done or kvr_results is not set");
	pthread_mutex_lock(&q->lock);
	q->woken = false;
	show(q);
	pthread_mutex_unlock(&q->lock);
	return drain(q, (char *)ret, KVR_MIN(max, (uint32_t)INT32_MAX), res);
}
