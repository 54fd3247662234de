/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA's runtime as its manual describes it, over a machine that has no GPU: the stand-in against
 * which the worker for CUDA runs in tests. It shows that the calls are right and that their errors
 * are taken as they come; what a real driver does beside its manual it cannot show.
 *
 * Device memory is real and out of the host's reach: who reads it with the processor dies of it.
 * Each stream is a thread that works off its queue, late and in pieces of its own choice: what it
 * will write is poison before it is data, and the pieces of a batch come in an order that nobody
 * knows. Host memory that is not page-locked makes a copy synchronous, and kernels die of it;
 * cudaMemcpy from such memory returns before the device has it, which streams of their own do not
 * wait for. What a program must not do ends the test with a line: handles that are none, memory
 * that is given back while a stream works on it, too many marks, an event of nobody, waiting for
 * one that was never recorded, a handle of a context that was reset, a call that breaks off another
 * thread's capture of a graph, a kernel that was not loaded before its first launch, an event that
 * takes the time.
 */
#ifndef KVR_CUDA_FAKE_H
#define KVR_CUDA_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the machine that is there from now on. Zero: as much as there is, one device, a new driver. */
struct kvr_cuda_machine {
	size_t   memory; /* bytes of the device */
	size_t   locked; /* bytes that may be page-locked */
	uint32_t devices;
	bool     no_driver;
	uint32_t driver_cuda; /* the newest CUDA that the driver knows, as CUDART_VERSION; 0: this toolkit's */
	bool     old_driver;   /* knows no batches, and few arguments of a launch */
	bool     other_addresses; /* a device sees page-locked memory at addresses of its own */
};
/* Ends the one that was there: every fault, hold and count is gone. Nothing of it may be in use. */
void kvr_cuda_fake_machine(const struct kvr_cuda_machine *);

/*
 * The nth call of that name from now on (1: the next) answers this cudaError_t and does nothing.
 * Some errors stay with the context, as the manual says; then every call answers it until a reset.
 */
void kvr_cuda_fake_fail(const char *call, uint32_t nth, int err);
/* The same for the nth piece of work that a stream does: whoever asks later hears of it. */
void kvr_cuda_fake_fail_work(uint32_t nth, int err);
/* The driver hangs: no stream goes on until it is let go. Calls that wait do so. */
void kvr_cuda_fake_hold(bool);

uint64_t kvr_cuda_fake_calls(const char *call);
/* Until it has been called so often; the test dies after a minute. */
void kvr_cuda_fake_wait(const char *call, uint64_t n);
/* Asynchronous copies that were none, for their host memory was not page-locked. */
uint64_t kvr_cuda_fake_synchronous(void);
/* A stream has work left that touches it. */
bool kvr_cuda_fake_works_on(const void *at, size_t len);
int kvr_cuda_fake_streams_on(int device); /* that are not destroyed */
bool kvr_cuda_fake_context_on(int device); /* somebody has made one */
/* Streams, events, device memory and locks that are still there, each with a line on stderr. */
uint32_t kvr_cuda_fake_leaks(void);

#endif
