/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cuda_fake_own.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fake fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };
static _Thread_local cudaError_t last;
static _Thread_local int current;
static _Thread_local uint64_t resets_seen;
static _Thread_local enum cudaStreamCaptureMode capture_mode;

void
kvr_cuda_fake_dies(const char *file, int line, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s:%d: CUDA is used wrongly: %s\n", file, line, why);
	abort();
}

/* ---- errors ---- */

/* After these a context is of no use, says the manual: the process has to begin a new one. */
static bool
stays(cudaError_t err)
{
	return err == cudaErrorIllegalAddress || err == cudaErrorLaunchFailure ||
	       err == cudaErrorECCUncorrectable;
}

void
fake_lose(cudaError_t err)
{
	if (fake.lost == cudaSuccess)
		fake.lost = err;
	fake_streams_drop(false);
}

cudaError_t
fake_fault(const char *call)
{
	for (uint32_t i = 0; i < FAKE_FAULTS; i++) {
		if (fake.fault[i].call == NULL || strcmp(fake.fault[i].call, call) != 0 ||
		    --fake.fault[i].nth > 0)
			continue;
		fake.fault[i].call = NULL;
		if (stays(fake.fault[i].err))
			fake_lose(fake.fault[i].err);
		return fake.fault[i].err;
	}
	return cudaSuccess;
}

static void
count(const char *call)
{
	uint32_t i = 0;

	while (fake.calls[i].call != NULL && strcmp(fake.calls[i].call, call) != 0)
		i++;
	if (i + 1 == FAKE_NAMES)
		FAKE_DIES("more names of calls than there is room for");
	fake.calls[i].call = call;
	fake.calls[i].n++;
}

static bool
is_one_of(const char *call, const char *const *of)
{
	while (*of != NULL && strcmp(*of, call) != 0)
		of++;
	return *of != NULL;
}

/* What needs none; any other call makes one where the calling thread is, as the manual says. */
static const char *const without_context[] = { "cudaGetDeviceCount", "cudaGetDevice",
	"cudaSetDevice", "cudaGetDeviceProperties", "cudaDeviceGetAttribute", "cudaDriverGetVersion",
	"cudaDeviceReset", "kvr_pointer_look", "kvr_pointer_unlock", "cudaThreadExchangeStreamCaptureMode", NULL };
/* What a thread must not call while another one captures, unless it has said that it knows what it does. */
static const char *const disturbs[] = { "cudaHostRegister", "cudaHostUnregister", "cudaMalloc",
	"cudaMallocManaged", "cudaFree", "cudaMemcpy", "cudaEventQuery", "cudaEventSynchronize",
	"cudaStreamQuery", "cudaStreamSynchronize", "cudaDeviceSynchronize", NULL };

/* Within a toolkit's generation an older driver does; below it no call does. */
static bool
too_old(void)
{
	return fake.machine.driver_cuda != 0 && fake.machine.driver_cuda / 1000 < CUDART_VERSION / 1000;
}

cudaError_t
fake_in(const char *call)
{
	pthread_mutex_lock(&fake.lock);
	count(call);
	if (fake.machine.no_driver || too_old())
		return cudaErrorInsufficientDriver;
	if (fake.capture && capture_mode == cudaStreamCaptureModeGlobal && is_one_of(call, disturbs))
		FAKE_DIES("%s breaks off what another thread captures", call);
	if (!is_one_of(call, without_context))
		fake.context[current] = true;
	fake_memory_open();
	return fake.lost != cudaSuccess ? fake.lost : fake_fault(call);
}

cudaError_t
fake_out(cudaError_t err)
{
	if (err != cudaSuccess)
		last = err;
	pthread_mutex_unlock(&fake.lock);
	return err;
}

cudaError_t
cudaGetLastError(void)
{
	cudaError_t err = last;

	last = cudaSuccess;
	return err;
}

const char *
cudaGetErrorString(cudaError_t err)
{
	static _Thread_local char text[48];

	snprintf(text, sizeof(text), "error %d of the stand-in", (int)err);
	return text;
}

void
fake_has_looked(void)
{
	resets_seen = fake.resets;
}

cudaError_t
fake_reset(const char *call)
{
	if (resets_seen == fake.resets)
		FAKE_DIES("%s: a handle that a reset has destroyed", call);
	return cudaErrorContextIsDestroyed;
}

/* ---- the machine ---- */

void
kvr_cuda_fake_machine(const struct kvr_cuda_machine *machine)
{
	pthread_mutex_lock(&fake.lock);
	fake.hold = fake.capture = false;
	memset(fake.context, 0, sizeof(fake.context));
	memset(fake.loaded, 0, sizeof(fake.loaded));
	fake_streams_reset();
	fake_memory_reset();
	memset(fake.fault, 0, sizeof(fake.fault));
	memset(fake.calls, 0, sizeof(fake.calls));
	fake.synchronous = 0;
	fake.lost = cudaSuccess;
	fake.machine = *machine;
	pthread_mutex_unlock(&fake.lock);
}

void
kvr_cuda_fake_fail(const char *call, uint32_t nth, int err)
{
	uint32_t i = 0;

	pthread_mutex_lock(&fake.lock);
	while (i < FAKE_FAULTS && fake.fault[i].call != NULL)
		i++;
	if (i == FAKE_FAULTS || nth == 0)
		FAKE_DIES("more faults than there is room for, or one of no call");
	fake.fault[i].call = call;
	fake.fault[i].nth = nth;
	fake.fault[i].err = (cudaError_t)err;
	pthread_mutex_unlock(&fake.lock);
}

void
kvr_cuda_fake_fail_work(uint32_t nth, int err)
{
	kvr_cuda_fake_fail("", nth, err);
}

void
kvr_cuda_fake_hold(bool hold)
{
	pthread_mutex_lock(&fake.lock);
	fake.hold = hold;
	pthread_cond_broadcast(&fake.moved);
	pthread_mutex_unlock(&fake.lock);
}

bool
kvr_cuda_fake_context_on(int device)
{
	pthread_mutex_lock(&fake.lock);
	bool is = fake.context[device];

	pthread_mutex_unlock(&fake.lock);
	return is;
}

uint64_t
kvr_cuda_fake_calls(const char *call)
{
	uint64_t n = 0;

	pthread_mutex_lock(&fake.lock);
	for (uint32_t i = 0; i < FAKE_NAMES && fake.calls[i].call != NULL; i++)
		n += strcmp(fake.calls[i].call, call) == 0 ? fake.calls[i].n : 0;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

void
kvr_cuda_fake_wait(const char *call, uint64_t n)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	for (uint32_t i = 0; i < 60000 && kvr_cuda_fake_calls(call) < n; i++)
		nanosleep(&ms, NULL);
	if (kvr_cuda_fake_calls(call) < n)
		FAKE_DIES("%s was not called", call);
}

uint64_t
kvr_cuda_fake_synchronous(void)
{
	pthread_mutex_lock(&fake.lock);
	uint64_t n = fake.synchronous;

	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* ---- calls about devices; they answer also where a context is lost ---- */

cudaError_t
cudaGetDeviceCount(int *ret)
{
	cudaError_t err = fake_in("cudaGetDeviceCount");

	if (err == cudaSuccess || err == fake.lost)
		*ret = fake.machine.devices == 0 ? 1 : (int)fake.machine.devices;
	return fake_out(err == fake.lost ? cudaSuccess : err);
}

cudaError_t
cudaGetDevice(int *ret)
{
	cudaError_t err = fake_in("cudaGetDevice");

	*ret = current;
	return fake_out(err == fake.lost ? cudaSuccess : err);
}

cudaError_t
cudaSetDevice(int device)
{
	cudaError_t err = fake_in("cudaSetDevice");

	if (err == cudaSuccess && (device < 0 || device >= (int)fake.machine.devices) && device != 0)
		err = cudaErrorInvalidDevice;
	if (err == cudaSuccess) {
		current = device;
		fake.context[device] = true;
	}
	return fake_out(err);
}

cudaError_t
cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
	cudaError_t err = fake_in("cudaThreadExchangeStreamCaptureMode");

	if (err == cudaSuccess) {
		enum cudaStreamCaptureMode before = capture_mode;

		capture_mode = *mode;
		*mode = before;
	}
	return fake_out(err);
}

int
fake_current(void)
{
	return current;
}

cudaError_t
cudaGetDeviceProperties(struct cudaDeviceProp *ret, int device)
{
	cudaError_t err = fake_in("cudaGetDeviceProperties");

	(void)device;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->name, sizeof(ret->name), "a stand-in for CUDA");
	return fake_out(err);
}

cudaError_t
cudaDeviceGetAttribute(int *ret, enum cudaDeviceAttr what, int device)
{
	cudaError_t err = fake_in("cudaDeviceGetAttribute");

	(void)device;
	if (what != cudaDevAttrCanUseHostPointerForRegisteredMem)
		FAKE_DIES("attribute %d is not known here", (int)what);
	*ret = fake.machine.other_addresses ? 0 : 1;
	return fake_out(err);
}

cudaError_t
cudaDriverGetVersion(int *ret)
{
	(void)fake_in("cudaDriverGetVersion");
	*ret = fake.machine.no_driver            ? 0
	       : fake.machine.driver_cuda != 0 ? (int)fake.machine.driver_cuda
	                                        : CUDART_VERSION;
	return fake_out(cudaSuccess);
}

/* Whatever runs is over or never was; handles of this context are dead, its memory is gone. */
cudaError_t
cudaDeviceReset(void)
{
	cudaError_t err = fake_in("cudaDeviceReset");

	if (err != cudaErrorInsufficientDriver) {
		fake_streams_drop(true);
		fake_memory_reset();
		fake_memory_open();
		fake.resets++;
		fake_has_looked();
		memset(fake.context, 0, sizeof(fake.context));
		memset(fake.loaded, 0, sizeof(fake.loaded));
		fake.lost = cudaSuccess;
		err = cudaSuccess;
	}
	return fake_out(err);
}
