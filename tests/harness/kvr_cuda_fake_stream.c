/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cuda_fake_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t n_threads; /* under the lock */

static void
free_work(struct fake_work *w)
{
	free(w->piece);
	free(w);
}

/* ---- a stream's thread ---- */

static bool
may_begin(const struct fake_work *w)
{
	return !fake.hold && (w->kind != FAKE_AWAIT || w->event->reached >= w->turn || w->event->reset);
}

/* Kernels reach what is mapped for them, and nothing else. */
static bool
reaches_all(const struct fake_work *w)
{
	for (uint32_t i = 0; i < w->n && w->kernel; i++) {
		enum fake_place to = fake_place(w->piece[i].to, w->piece[i].len);
		enum fake_place from = fake_place(w->piece[i].from, w->piece[i].len);

		if (to <= FAKE_PAGEABLE || from <= FAKE_PAGEABLE ||
		    (fake.machine.other_addresses && (to == FAKE_LOCKED || from == FAKE_LOCKED)))
			return false;
	}
	return true;
}

static void
work(struct fake_work *w)
{
	if (w->kind == FAKE_RECORD) {
		if (w->event->reached < w->turn)
			w->event->reached = w->turn;
		return;
	}
	if (w->kind == FAKE_AWAIT || fake_fault("") != cudaSuccess)
		return;
	if (!reaches_all(w)) {
		fake_lose(cudaErrorIllegalAddress);
		return;
	}
	pthread_mutex_unlock(&fake.lock);
	fake_run(w);
	pthread_mutex_lock(&fake.lock);
}

static void *
stream_main(void *arg)
{
	struct CUstream_st *s = arg;

	pthread_mutex_lock(&fake.lock);
	while (!s->reset && (s->head != NULL || !s->gone)) {
		struct fake_work *w = s->head;

		if (w == NULL || !may_begin(w)) {
			pthread_cond_wait(&fake.moved, &fake.lock);
			continue;
		}
		s->busy = true;
		work(w);
		s->busy = false;
		s->head = w->next;
		if (s->head == NULL)
			s->tail = &s->head;
		free_work(w);
		pthread_cond_broadcast(&fake.moved);
	}
	n_threads--;
	pthread_cond_broadcast(&fake.moved);
	pthread_mutex_unlock(&fake.lock);
	return NULL;
}

/* ---- queues ---- */

void
fake_give(struct CUstream_st *s, const struct fake_work *work)
{
	struct fake_work *w = malloc(sizeof(*w));

	if (w == NULL)
		FAKE_DIES("no memory");
	*w = *work;
	w->next = NULL;
	*s->tail = w;
	s->tail = &w->next;
	pthread_cond_broadcast(&fake.moved);
}

bool
fake_idle(const struct CUstream_st *s)
{
	return s->head == NULL;
}

void
fake_drain(struct CUstream_st *s)
{
	bool idle = false;

	while (!idle) {
		idle = true;
		for (struct CUstream_st *i = fake.streams; i != NULL; i = i->next)
			idle = idle && ((s != NULL && i != s) || fake_idle(i));
		if (!idle)
			pthread_cond_wait(&fake.moved, &fake.lock);
	}
}

/* What has not begun never will. reset: and the streams and events end with it. */
void
fake_streams_drop(bool reset)
{
	for (struct CUstream_st *s = fake.streams; s != NULL; s = s->next) {
		while (reset && s->busy)
			pthread_cond_wait(&fake.moved, &fake.lock);
		struct fake_work *w = s->head;

		if (w != NULL && s->busy) {
			w = w->next;
			s->head->next = NULL;
			s->tail = &s->head->next;
		} else {
			s->head = NULL;
			s->tail = &s->head;
		}
		while (w != NULL) {
			struct fake_work *next = w->next;

			free_work(w);
			w = next;
		}
		s->reset = s->reset || reset;
	}
	for (struct CUevent_st *e = fake.events; e != NULL; e = e->next)
		e->reset = e->reset || reset;
	pthread_cond_broadcast(&fake.moved);
}

void
fake_streams_reset(void)
{
	fake_streams_drop(true);
	while (n_threads > 0)
		pthread_cond_wait(&fake.moved, &fake.lock);
	while (fake.streams != NULL) {
		struct CUstream_st *s = fake.streams;

		fake.streams = s->next;
		free(s);
	}
	while (fake.events != NULL) {
		struct CUevent_st *e = fake.events;

		fake.events = e->next;
		free(e);
	}
}

bool
fake_in_use(const uint8_t *at, size_t len)
{
	for (const struct CUstream_st *s = fake.streams; s != NULL; s = s->next) {
		for (const struct fake_work *w = s->head; w != NULL; w = w->next) {
			for (uint32_t i = 0; i < w->n; i++) {
				const struct fake_piece *p = &w->piece[i];

				if ((p->to < at + len && at < p->to + p->len) ||
				    (p->from < at + len && at < p->from + p->len))
					return true;
			}
		}
	}
	return false;
}

uint32_t
fake_streams_left(void)
{
	uint32_t n = 0;

	for (const struct CUstream_st *s = fake.streams; s != NULL; s = s->next)
		n += !s->gone && !s->reset;
	for (const struct CUevent_st *e = fake.events; e != NULL; e = e->next)
		n += !e->gone && !e->reset;
	if (n > 0)
		fprintf(stderr, "still there: %u streams and events\n", n);
	return n;
}

/* ---- handles ---- */

cudaError_t
fake_stream(const char *call, cudaStream_t stream)
{
	const struct CUstream_st *s = fake.streams;

	while (s != NULL && s != stream)
		s = s->next;
	if (s == NULL)
		FAKE_DIES("%s: no stream, or the default one, on which others' work waits for ours", call);
	if (s->gone)
		FAKE_DIES("%s: the stream has been destroyed", call);
	return s->reset ? fake_reset(call) : cudaSuccess;
}

static cudaError_t
event_of(const char *call, cudaEvent_t event)
{
	const struct CUevent_st *e = fake.events;

	while (e != NULL && e != event)
		e = e->next;
	if (e == NULL || e->gone)
		FAKE_DIES("%s: no event, or one that has been destroyed", call);
	return e->reset ? fake_reset(call) : cudaSuccess;
}

/* ---- streams ---- */

cudaError_t
cudaStreamCreateWithFlags(cudaStream_t *ret, unsigned int flags)
{
	cudaError_t err = fake_in("cudaStreamCreateWithFlags");

	if (err == cudaSuccess && flags != cudaStreamNonBlocking)
		FAKE_DIES("a stream that waits for the default one");
	if (err == cudaSuccess) {
		struct CUstream_st *s = calloc(1, sizeof(*s));
		pthread_attr_t detached;

		if (s == NULL)
			FAKE_DIES("no memory");
		s->tail = &s->head;
		s->next = fake.streams;
		s->device = fake_current();
		fake.streams = s;
		n_threads++;
		pthread_attr_init(&detached);
		pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
		if (pthread_create(&s->thread, &detached, stream_main, s) != 0)
			FAKE_DIES("no thread");
		pthread_attr_destroy(&detached);
		*ret = s;
	}
	return fake_out(err);
}

/* Its work goes on, as the manual says. */
cudaError_t
cudaStreamDestroy(cudaStream_t stream)
{
	cudaError_t err = fake_in("cudaStreamDestroy"), of = fake_stream("cudaStreamDestroy", stream);

	stream->gone = true;
	pthread_cond_broadcast(&fake.moved);
	return fake_out(err == cudaSuccess ? of : err);
}

cudaError_t
cudaStreamQuery(cudaStream_t stream)
{
	cudaError_t err = fake_in("cudaStreamQuery"), of = fake_stream("cudaStreamQuery", stream);

	if (err == cudaSuccess)
		err = of;
	if (err == cudaSuccess && !fake_idle(stream))
		err = cudaErrorNotReady;
	return fake_out(err);
}

cudaError_t
cudaStreamSynchronize(cudaStream_t stream)
{
	cudaError_t err = fake_in("cudaStreamSynchronize"),
	            of = fake_stream("cudaStreamSynchronize", stream);

	if (err == cudaSuccess)
		err = of;
	if (err == cudaSuccess)
		fake_drain(stream);
	return fake_out(err == cudaSuccess ? fake.lost : err);
}

cudaError_t
cudaDeviceSynchronize(void)
{
	cudaError_t err = fake_in("cudaDeviceSynchronize");

	if (err == cudaSuccess)
		fake_drain(NULL);
	return fake_out(err == cudaSuccess ? fake.lost : err);
}

int
kvr_cuda_fake_streams_on(int device)
{
	int n = 0;

	pthread_mutex_lock(&fake.lock);
	for (const struct CUstream_st *s = fake.streams; s != NULL; s = s->next)
		n += !s->gone && s->device == device;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* ---- events ---- */

cudaError_t
cudaEventCreateWithFlags(cudaEvent_t *ret, unsigned int flags)
{
	cudaError_t err = fake_in("cudaEventCreateWithFlags");

	(void)flags;
	if (err == cudaSuccess) {
		struct CUevent_st *e = calloc(1, sizeof(*e));

		if (e == NULL)
			FAKE_DIES("no memory");
		e->next = fake.events;
		e->device = fake_current();
		fake.events = e;
		*ret = e;
	}
	return fake_out(err);
}

cudaError_t
cudaEventDestroy(cudaEvent_t event)
{
	cudaError_t err = fake_in("cudaEventDestroy"), of = event_of("cudaEventDestroy", event);

	event->gone = true;
	return fake_out(err == cudaSuccess ? of : err);
}

/* What the event stands for from now on is the newest record. */
cudaError_t
cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	cudaError_t err = fake_in("cudaEventRecord"), of = event_of("cudaEventRecord", event),
	            at = fake_stream("cudaEventRecord", stream);

	if (err == cudaSuccess)
		err = of != cudaSuccess ? of : at;
	if (err == cudaSuccess && event->device != stream->device)
		err = cudaErrorInvalidResourceHandle;
	if (err == cudaSuccess)
		fake_give(stream,
		    &(struct fake_work){ .kind = FAKE_RECORD, .event = event, .turn = ++event->wanted });
	return fake_out(err);
}

/* The manual allows to wait for an event that was never recorded; whoever does waits for nothing. */
cudaError_t
cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
	cudaError_t err = fake_in("cudaStreamWaitEvent"), of = event_of("cudaStreamWaitEvent", event),
	            at = fake_stream("cudaStreamWaitEvent", stream);

	if (err == cudaSuccess)
		err = flags != 0 ? cudaErrorInvalidValue : of != cudaSuccess ? of : at;
	if (err == cudaSuccess && event->wanted == 0)
		FAKE_DIES("a stream waits for an event that was never recorded");
	if (err == cudaSuccess)
		fake_give(stream,
		    &(struct fake_work){ .kind = FAKE_AWAIT, .event = event, .turn = event->wanted });
	return fake_out(err);
}

/* One that was never recorded is reached. */
cudaError_t
cudaEventQuery(cudaEvent_t event)
{
	cudaError_t err = fake_in("cudaEventQuery"), of = event_of("cudaEventQuery", event);

	if (err == cudaSuccess)
		err = of;
	if (err == cudaSuccess && event->reached < event->wanted)
		err = cudaErrorNotReady;
	return fake_out(err);
}

cudaError_t
cudaEventSynchronize(cudaEvent_t event)
{
	cudaError_t err = fake_in("cudaEventSynchronize"), of = event_of("cudaEventSynchronize", event);

	if (err == cudaSuccess)
		err = of;
	while (err == cudaSuccess && fake.lost == cudaSuccess && !event->reset &&
	       event->reached < event->wanted)
		pthread_cond_wait(&fake.moved, &fake.lock);
	return fake_out(err == cudaSuccess ? fake.lost : err);
}
