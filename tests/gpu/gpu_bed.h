/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device for tests, or its twin: host memory and the host's copies, which every machine has. So
 * what these tests claim is tried everywhere, and on a machine with a device for real.
 *
 * A program that needs a device and finds none says so and exits with 77: not run. What cannot be
 * had otherwise ends the test.
 */
#ifndef KVR_GPU_BED_H
#define KVR_GPU_BED_H

#include "kvr_device.h"

/*
 * --twin among the arguments: the twin. --no-errors: nothing is done on purpose that is an error,
 * for a tool that watches and would report it.
 */
void gpu_open(int argc, char **argv);
bool gpu_is_twin(void);
bool gpu_may_err(void); /* a device, and without that word */
const struct kvr_device *gpu_device(void);
/* Name, driver and toolkit, for people; and each by itself. */
const char *gpu_name(void);
struct gpu_machine {
	char name[96];
	char driver[32], driver_cuda[16]; /* its own version, and the newest CUDA that it knows */
	char toolkit[16];
};
const struct gpu_machine *gpu_machine(void);

/*
 * What this device and driver ought to have and copies do without where it is missing, so that no
 * other test would notice; NULL: nothing.
 */
const char *gpu_lacks(void);

void *gpu_alloc(size_t len);
void gpu_free(void *take);
void gpu_put(void *device, const void *host, size_t len);
void gpu_fetch(void *host, const void *device, size_t len);
void gpu_wait(void); /* for all that was begun by gpu_fill */
/* All that the device still has, but for a rest in which no slot of staging has room; device only. */
void *gpu_fill_up(void);
void gpu_empty(void *take);
/* Page-locked host memory. */
void *gpu_pin(size_t len);
void gpu_unpin(void *take, size_t len);
bool gpu_is_pinned(const void *); /* twin: nothing is */

/* Writes a byte everywhere, behind work that takes a while; the event stands behind it. Twin: NULL. */
void *gpu_fill_later(void *device, int byte, size_t len);
/* One that is not recorded yet; twin: NULL. */
void *gpu_event(void);
void gpu_event_free(void *take);
/*
 * Captures a graph that writes to this memory, as an engine does whose other threads must not
 * disturb it; twin: NULL. end: it was not broken off. Between them the same thread may do nothing
 * to a device.
 */
void *gpu_capture(void *device, size_t len);
bool gpu_capture_end(void *take);
/* Reads on a stream of its own behind that event, as an engine's kernel would. Twin: at once. */
void gpu_fetch_behind(void *event, void *host, const void *device, size_t len);
/* The same for writing a byte everywhere. */
void gpu_fill_behind(void *event, void *device, int byte, size_t len);
/* As somebody else in the process may. Device only. */
void gpu_reset(void);
/*
 * A kernel of the engine's own writes where there is nothing: every call fails from then on, until
 * the process ends. Device only; false: no kernel was built.
 */
bool gpu_spoil(void);
/* The raw copy that others are measured by: seconds for n copies of len bytes, one after the other. */
double gpu_raw(void *device, void *host, size_t len, uint32_t n, bool in, bool both);

struct kvr_copier *gpu_copier(void);
/* Copies the pieces of a chunk and waits: what the copy worker does with one row. */
enum kvr_err gpu_copy(
    struct kvr_copier *, enum kvr_way, struct kvr_walk, char *why, size_t why_cap);

#endif
