/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cuda_fake_own.h"

#include <stdlib.h>

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

cudaError_t
cudaEventCreateWithFlags(cudaEvent_t *ret, unsigned int flags)
{
	cudaError_t err = fake_in("cudaEventCreateWithFlags");

	if (flags != cudaEventDisableTiming)
		FAKE_DIES("an event that takes the time, or one that the host sleeps for");
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
