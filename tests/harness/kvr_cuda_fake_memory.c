/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cuda_fake_own.h"

#include "kvr_pointer.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Between two pieces of device memory nothing lies, so that a copy beyond one is found. */
enum { ALIGN = 4096, DEVICE_DEFAULT = 160 << 20 };

static int device_fd = -1;

/* ---- ranges ---- */

static bool
overlaps(const struct fake_range *r, const uint8_t *at, size_t len)
{
	return r->len > 0 && at < r->at + r->len && r->at < at + len;
}

static bool
holds(const struct fake_range *r, const uint8_t *at, size_t len)
{
	return r->len > 0 && at >= r->at && len <= r->len && (size_t)(at - r->at) <= r->len - len;
}

static bool
any(const struct fake_range *r, bool (*is)(const struct fake_range *, const uint8_t *, size_t),
    const uint8_t *at, size_t len)
{
	for (uint32_t i = 0; i < FAKE_RANGES; i++) {
		if (is(&r[i], at, len))
			return true;
	}
	return false;
}

static void
add(struct fake_range *r, uint8_t *at, size_t len, bool managed)
{
	for (uint32_t i = 0; i < FAKE_RANGES; i++) {
		if (r[i].len == 0) {
			r[i] = (struct fake_range){
				.at = at, .len = len, .device = fake_current(), .managed = managed
			};
			return;
		}
	}
	FAKE_DIES("more than %d ranges", (int)FAKE_RANGES);
}

/* The length of the one that begins there; 0: none does. */
static size_t
drop(struct fake_range *r, const uint8_t *at)
{
	for (uint32_t i = 0; i < FAKE_RANGES; i++) {
		size_t len = r[i].len;

		if (len > 0 && r[i].at == at) {
			r[i].len = 0;
			return len;
		}
	}
	return 0;
}

enum fake_place
fake_place(const void *at, size_t len)
{
	const struct fake_range device = { .at = fake.device, .len = fake.device_len };

	if (overlaps(&device, at, len))
		return any(fake.memory, holds, at, len) ? FAKE_DEVICE : FAKE_NOWHERE;
	if (any(fake.locked, holds, at, len))
		return FAKE_LOCKED;
	return any(fake.locked, overlaps, at, len) ? FAKE_NOWHERE : FAKE_PAGEABLE;
}

void *
fake_inside(const void *at)
{
	const uint8_t *p = at;

	return p >= fake.device && p < fake.device + fake.device_len ? fake.inside + (p - fake.device)
	                                                             : (uint8_t *)(uintptr_t)at;
}

/* ---- the device's memory ---- */

void
fake_memory_open(void)
{
	if (fake.device != NULL)
		return;
	fake.device_len = fake.machine.memory != 0 ? fake.machine.memory : DEVICE_DEFAULT;
	device_fd = memfd_create("cuda", MFD_CLOEXEC);
	if (device_fd < 0 || ftruncate(device_fd, (off_t)fake.device_len) != 0)
		FAKE_DIES("no memory for the device");
	void *seen = mmap(NULL, fake.device_len, PROT_NONE, MAP_SHARED, device_fd, 0);
	void *inside =
	    mmap(NULL, fake.device_len, PROT_READ | PROT_WRITE, MAP_SHARED, device_fd, 0);

	if (seen == MAP_FAILED || inside == MAP_FAILED)
		FAKE_DIES("no memory for the device");
	fake.device = seen;
	fake.inside = inside;
}

void
fake_memory_reset(void)
{
	for (uint32_t i = 0; i < FAKE_RANGES; i++)
		fake.memory[i].len = fake.locked[i].len = 0;
	fake.locked_used = 0;
	if (fake.device == NULL)
		return;
	munmap(fake.device, fake.device_len);
	munmap(fake.inside, fake.device_len);
	close(device_fd);
	fake.device = fake.inside = NULL;
}

/* NULL: no gap is long enough. */
static uint8_t *
gap(size_t len)
{
	for (uint32_t i = 0; i <= FAKE_RANGES; i++) {
		const struct fake_range *r = i == 0 ? NULL : &fake.memory[i - 1];
		uint8_t *at = r == NULL ? fake.device : r->at + (r->len + 2 * ALIGN - 1) / ALIGN * ALIGN;

		if ((r == NULL || r->len > 0) && at + len <= fake.device + fake.device_len &&
		    !any(fake.memory, overlaps, at, len + ALIGN))
			return at;
	}
	return NULL;
}

static cudaError_t
take(const char *call, void **ret, size_t len, bool managed)
{
	cudaError_t err = fake_in(call);
	uint8_t *at = NULL;

	if (err == cudaSuccess && len == 0)
		err = cudaErrorInvalidValue;
	if (err == cudaSuccess && (at = gap(len)) == NULL)
		err = cudaErrorMemoryAllocation;
	if (err == cudaSuccess) {
		add(fake.memory, at, len, managed);
		*ret = at;
	}
	return fake_out(err);
}

cudaError_t
cudaMalloc(void **ret, size_t len)
{
	return take("cudaMalloc", ret, len, false);
}

/* As on a machine that does not page it: while a kernel may run, the processor dies of it. */
cudaError_t
cudaMallocManaged(void **ret, size_t len, unsigned int flags)
{
	if (flags != cudaMemAttachGlobal)
		FAKE_DIES("managed memory for nobody");
	return take("cudaMallocManaged", ret, len, true);
}

/* Waits for all that the device has to do, as the manual says. */
cudaError_t
cudaFree(void *at)
{
	cudaError_t err = fake_in("cudaFree");

	if (err == cudaSuccess && at != NULL) {
		fake_drain(NULL);
		size_t len = drop(fake.memory, at);

		if (len == 0)
			err = cudaErrorInvalidValue;
		else if (fallocate(device_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		             (uint8_t *)at - fake.device, (off_t)len) != 0)
			FAKE_DIES("memory of the device cannot be emptied");
	}
	return fake_out(err);
}

/* ---- page-locked memory ---- */

static bool
is_mapped(const uint8_t *at, size_t len)
{
	uintptr_t begin = (uintptr_t)at & ~(uintptr_t)(ALIGN - 1);

	return msync((void *)begin, len + ((uintptr_t)at - begin), MS_ASYNC) == 0;
}

/* A driver locks whole pages, and none of them twice. */
static const uint8_t *
pages_of(const uint8_t *at, size_t *len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (uintptr_t)at % page;

	*len = (before + *len + page - 1) / page * page;
	return at - before;
}

cudaError_t
cudaHostRegister(void *at, size_t len, unsigned int flags)
{
	cudaError_t err = fake_in("cudaHostRegister");
	size_t limit = fake.machine.locked != 0 ? fake.machine.locked : SIZE_MAX, whole = len;

	if (err != cudaSuccess)
		return fake_out(err);
	if (at == NULL || len == 0 || !is_mapped(at, len) ||
	    (flags & ~(unsigned)(cudaHostRegisterPortable | cudaHostRegisterMapped)) != 0)
		return fake_out(cudaErrorInvalidValue);
	if (any(fake.locked, overlaps, pages_of(at, &whole), whole))
		return fake_out(cudaErrorHostMemoryAlreadyRegistered);
	if (len > limit - fake.locked_used)
		return fake_out(cudaErrorMemoryAllocation);
	add(fake.locked, at, len, false);
	fake.locked_used += len;
	return fake_out(cudaSuccess);
}

/* A driver takes the device's pages of it away, and waits for all that might be on its way to them. */
static cudaError_t
give_back(const char *call, void *at)
{
	cudaError_t err = fake_in(call);
	size_t len = 0;

	if (err == cudaSuccess && (len = drop(fake.locked, at)) == 0)
		err = cudaErrorHostMemoryNotRegistered;
	if (len > 0 && fake_in_use(at, len))
		FAKE_DIES("page-locked memory is given back while a stream works on it");
	fake.locked_used -= len;
	if (len > 0)
		fake_drain(NULL);
	return err;
}

cudaError_t
cudaHostUnregister(void *at)
{
	return fake_out(give_back("cudaHostUnregister", at));
}

/* In the place of the driver's own call, whose errors are nobody's last one. */
bool
kvr_pointer_unlock(void *at)
{
	bool done = give_back("kvr_pointer_unlock", at) == cudaSuccess;

	(void)fake_out(cudaSuccess);
	return done;
}

/* NULL: it lies in none. */
static const struct fake_range *
range_of(const void *at)
{
	for (uint32_t i = 0; i < FAKE_RANGES; i++) {
		if (holds(&fake.memory[i], at, 1))
			return &fake.memory[i];
		if (holds(&fake.locked[i], at, 1))
			return &fake.locked[i];
	}
	return NULL;
}

cudaError_t
cudaPointerGetAttributes(struct cudaPointerAttributes *ret, const void *at)
{
	cudaError_t err = fake_in("cudaPointerGetAttributes");

	if (err != cudaSuccess)
		return fake_out(err);
	const struct fake_range *r = range_of(at);
	bool device = r != NULL && fake_place(at, 1) == FAKE_DEVICE;

	*ret = (struct cudaPointerAttributes){ .type = r == NULL       ? cudaMemoryTypeUnregistered
		                                       : !device     ? cudaMemoryTypeHost
		                                       : r->managed  ? cudaMemoryTypeManaged
		                                                     : cudaMemoryTypeDevice,
		.device = r == NULL ? -2 : r->device };
	return fake_out(cudaSuccess);
}

/* In the place of the driver's own question. */
bool
kvr_pointer_look(const void *at, struct kvr_pointer *ret)
{
	cudaError_t err = fake_in("kvr_pointer_look");

	if (err == cudaSuccess) {
		const struct fake_range *r = range_of(at);
		bool device = r != NULL && fake_place(at, 1) == FAKE_DEVICE;

		fake_has_looked();
		*ret = (struct kvr_pointer){ .type = r == NULL      ? KVR_POINTER_NOBODYS
			                             : !device     ? KVR_POINTER_LOCKED
			                             : r->managed  ? KVR_POINTER_MANAGED
			                                           : KVR_POINTER_DEVICE,
			.device = r == NULL ? -2 : r->device };
	}
	(void)fake_out(cudaSuccess);
	return err == cudaSuccess;
}

/* ---- what is left ---- */

static uint32_t
left(const struct fake_range *r, const char *what)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < FAKE_RANGES; i++) {
		if (r[i].len > 0) {
			fprintf(stderr, "still there: %s of %zu bytes\n", what, r[i].len);
			n++;
		}
	}
	return n;
}

uint32_t
kvr_cuda_fake_leaks(void)
{
	pthread_mutex_lock(&fake.lock);
	uint32_t n = left(fake.memory, "device memory") + left(fake.locked, "a lock");

	n += fake_streams_left();
	pthread_mutex_unlock(&fake.lock);
	return n;
}
