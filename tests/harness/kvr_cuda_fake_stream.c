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
	free(w->staged);
	free(w);
}

/* ---- a stream's thread ---- */

static bool
may_begin(const struct CUstream_st *s, const struct fake_work *w)
{
	return !fake.resetting && (!fake.hold || s == fake.legacy) &&
	    (w->kind != FAKE_AWAIT || w->event->reached >= w->turn || w->event->reset);
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

		if (w == NULL || !may_begin(s, w)) {
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

/* Nothing is done any more. What a reset ends it ends at once: half of it nobody could find out. */
static void
wait_for_the_busy(void)
{
	bool busy = true;

	fake.resetting = true;
	while (busy) {
		busy = false;
		for (const struct CUstream_st *s = fake.streams; s != NULL; s = s->next)
			busy = busy || s->busy;
		if (busy)
			pthread_cond_wait(&fake.moved, &fake.lock);
	}
	fake.resetting = false;
}

/* What has not begun never will. reset: and the streams and events end with it. */
void
fake_streams_drop(bool reset)
{
	if (reset)
		wait_for_the_busy();
	for (struct CUstream_st *s = fake.streams; s != NULL; s = s->next) {
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
	fake.legacy = NULL;
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

bool
kvr_cuda_fake_works_on(const void *at, size_t len)
{
	pthread_mutex_lock(&fake.lock);
	bool does = fake_in_use(at, len);

	pthread_mutex_unlock(&fake.lock);
	return does;
}

uint32_t
fake_streams_left(void)
{
	uint32_t n = 0;

	for (const struct CUstream_st *s = fake.streams; s != NULL; s = s->next)
		n += !s->gone && !s->reset && s != fake.legacy;
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

/* ---- streams ---- */

static struct CUstream_st *
make(void)
{
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
	return s;
}

cudaError_t
cudaStreamCreateWithFlags(cudaStream_t *ret, unsigned int flags)
{
	cudaError_t err = fake_in("cudaStreamCreateWithFlags");

	if (err == cudaSuccess && flags != cudaStreamNonBlocking)
		FAKE_DIES("a stream that waits for the default one");
	if (err == cudaSuccess)
		*ret = make();
	return fake_out(err);
}

struct CUstream_st *
fake_legacy(void)
{
	if (fake.legacy == NULL || fake.legacy->reset)
		fake.legacy = make();
	return fake.legacy;
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

/* ---- graphs: a capture is what others must not break off, and no more ---- */

cudaError_t
cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
	cudaError_t err = fake_in("cudaStreamBeginCapture"),
	            of = fake_stream("cudaStreamBeginCapture", stream);

	if (err == cudaSuccess)
		err = of;
	if (err == cudaSuccess && (stream->captured || mode != cudaStreamCaptureModeGlobal))
		err = cudaErrorInvalidValue;
	if (err == cudaSuccess)
		fake.capture = stream->captured = true;
	return fake_out(err);
}

cudaError_t
cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *ret)
{
	static char graph;
	cudaError_t err = fake_in("cudaStreamEndCapture"),
	            of = fake_stream("cudaStreamEndCapture", stream);

	if (err == cudaSuccess)
		err = of != cudaSuccess ? of : stream->captured ? cudaSuccess : cudaErrorInvalidValue;
	if (err == cudaSuccess) {
		fake.capture = stream->captured = false;
		*ret = (cudaGraph_t)(void *)&graph;
	}
	return fake_out(err);
}

cudaError_t
cudaGraphDestroy(cudaGraph_t graph)
{
	(void)graph;
	return fake_out(fake_in("cudaGraphDestroy"));
}

/* ---- what becomes of them ---- */

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
	cudaError_t err = fake_in("cudaStreamSynchronize");

	if (stream == cudaStreamLegacy)
		stream = fake_legacy();
	cudaError_t of = fake_stream("cudaStreamSynchronize", stream);

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
		n += !s->gone && s->device == device && s != fake.legacy;
	pthread_mutex_unlock(&fake.lock);
	return n;
}
