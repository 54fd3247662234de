/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cuda_fake_own.h"

#include "kvr_kernel.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POISON = 0xdb, SLOW_NS = 40000 };

/* A number that nobody knows; the same ones in each run. */
static uint64_t
draw(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.seed = fake.seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	uint64_t n = fake.seed >> 33;

	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* Every piece is poison first, then some time passes, and then they come in from a place of its own. */
void
fake_run(const struct fake_work *w)
{
	uint32_t first = w->n == 0 ? 0 : (uint32_t)(draw() % w->n);
	const struct timespec late = { .tv_nsec = (long)(draw() % SLOW_NS) };

	for (uint32_t i = 0; i < w->n && w->kind == FAKE_COPY; i++)
		memset(fake_inside(w->piece[i].to), POISON, w->piece[i].len);
	if (draw() % 4 == 0)
		nanosleep(&late, NULL);
	for (uint32_t i = 0; i < w->n; i++) {
		const struct fake_piece *p = &w->piece[(first + w->n - i) % w->n];

		if (w->kind == FAKE_SET)
			memset(fake_inside(p->to), (int)w->byte, p->len);
		else
			memcpy(fake_inside(p->to), fake_inside(p->from), p->len);
	}
}

static struct fake_piece *
pieces(uint32_t n)
{
	struct fake_piece *p = calloc(n, sizeof(*p));

	if (p == NULL)
		FAKE_DIES("no memory");
	return p;
}

/* ---- copies ---- */

static cudaError_t
judge(const struct fake_piece *p, enum cudaMemcpyKind kind)
{
	enum fake_place to = fake_place(p->to, p->len), from = fake_place(p->from, p->len);

	if (to == FAKE_NOWHERE || from == FAKE_NOWHERE)
		return cudaErrorInvalidValue;
	if ((to == FAKE_DEVICE) != (kind == cudaMemcpyHostToDevice) ||
	    (from == FAKE_DEVICE) != (kind == cudaMemcpyDeviceToHost))
		return cudaErrorInvalidValue;
	return cudaSuccess;
}

static bool
is_pageable(const struct fake_piece *p)
{
	return fake_place(p->to, p->len) == FAKE_PAGEABLE ||
	       fake_place(p->from, p->len) == FAKE_PAGEABLE;
}

static void
run_now(const struct fake_work *w)
{
	pthread_mutex_unlock(&fake.lock);
	fake_run(w);
	pthread_mutex_lock(&fake.lock);
}

cudaError_t
cudaMemcpyAsync(
    void *to, const void *from, size_t len, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	cudaError_t err = fake_in("cudaMemcpyAsync"), of = fake_stream("cudaMemcpyAsync", stream);
	struct fake_piece p = { .to = to, .from = from, .len = len };
	struct fake_work w = { .kind = FAKE_COPY, .n = 1, .piece = &p };

	if (err == cudaSuccess)
		err = of != cudaSuccess ? of : len == 0 ? cudaSuccess : judge(&p, kind);
	if (err != cudaSuccess || len == 0)
		return fake_out(err);
	if (is_pageable(&p)) {
		fake.synchronous++;
		fake_drain(stream);
		if (fake.lost == cudaSuccess)
			run_now(&w);
		return fake_out(fake.lost);
	}
	w.piece = pieces(1);
	w.piece[0] = p;
	fake_give(stream, &w);
	return fake_out(err);
}

cudaError_t
cudaMemcpy(void *to, const void *from, size_t len, enum cudaMemcpyKind kind)
{
	cudaError_t err = fake_in("cudaMemcpy");
	struct fake_piece p = { .to = to, .from = from, .len = len };
	struct fake_work w = { .kind = FAKE_COPY, .n = 1, .piece = &p };

	if (err == cudaSuccess && len > 0)
		err = judge(&p, kind);
	if (err != cudaSuccess || len == 0)
		return fake_out(err);
	fake_drain(fake_legacy());
	if (kind != cudaMemcpyHostToDevice || !is_pageable(&p)) {
		run_now(&w);
		return fake_out(err);
	}
	/* It returns when it has a copy of its own, says the manual; the device has it later. */
	w.staged = malloc(len);
	if (w.staged == NULL)
		FAKE_DIES("no memory");
	memcpy(w.staged, from, len);
	w.piece = pieces(1);
	w.piece[0] = (struct fake_piece){ .to = to, .from = w.staged, .len = len };
	fake_give(fake.legacy, &w);
	return fake_out(err);
}

/* One attribute for all of them is what this knows. */
static cudaError_t
judge_batch(const struct fake_piece *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		enum cudaMemcpyKind kind = fake_place(p[i].to, p[i].len) == FAKE_DEVICE
		                               ? cudaMemcpyHostToDevice
		                               : cudaMemcpyDeviceToHost;

		if (p[i].len == 0 || is_pageable(&p[i]) || judge(&p[i], kind) != cudaSuccess)
			return cudaErrorInvalidValue;
	}
	return cudaSuccess;
}

#if CUDART_VERSION >= 13000
cudaError_t
cudaMemcpyBatchAsync(void *const *to, const void *const *from, const size_t *len, size_t n,
    struct cudaMemcpyAttributes *how, size_t *first, size_t n_how, cudaStream_t stream)
#elif CUDART_VERSION >= 12080
cudaError_t
cudaMemcpyBatchAsync(void **to, void **from, size_t *len, size_t n, struct cudaMemcpyAttributes *how,
    size_t *first, size_t n_how, size_t *bad, cudaStream_t stream)
#endif
#if CUDART_VERSION >= 12080
{
	cudaError_t err = fake_in("cudaMemcpyBatchAsync"),
	            of = fake_stream("cudaMemcpyBatchAsync", stream);

#if CUDART_VERSION < 13000
	*bad = SIZE_MAX;
#endif
	if (err == cudaSuccess)
		err = fake.machine.old_driver ? cudaErrorCallRequiresNewerDriver : of;
	if (err == cudaSuccess && (n == 0 || n_how != 1 || first[0] != 0 ||
	                              how[0].srcAccessOrder != cudaMemcpySrcAccessOrderStream))
		err = cudaErrorInvalidValue;
	if (err != cudaSuccess)
		return fake_out(err);
	struct fake_work w = { .kind = FAKE_COPY, .n = (uint32_t)n, .piece = pieces((uint32_t)n) };

	for (size_t i = 0; i < n; i++)
		w.piece[i] = (struct fake_piece){ .to = to[i], .from = from[i], .len = len[i] };
	err = judge_batch(w.piece, n);
	if (err == cudaSuccess)
		fake_give(stream, &w);
	else
		free(w.piece);
	return fake_out(err);
}
#endif

cudaError_t
cudaMemsetAsync(void *at, int byte, size_t len, cudaStream_t stream)
{
	cudaError_t err = fake_in("cudaMemsetAsync"), of = fake_stream("cudaMemsetAsync", stream);

	if (err == cudaSuccess)
		err = of != cudaSuccess                      ? of
		      : fake_place(at, len) != FAKE_DEVICE ? cudaErrorInvalidValue
		                                            : cudaSuccess;
	if (err == cudaSuccess) {
		struct fake_work w = {
			.kind = FAKE_SET, .n = 1, .byte = (uint32_t)byte & 0xff, .piece = pieces(1)
		};

		w.piece[0] = (struct fake_piece){ .to = at, .from = at, .len = len };
		if (stream->captured)
			free(w.piece);
		else
			fake_give(stream, &w);
	}
	return fake_out(err);
}

/* ---- the kernel: what kvr_kernel.cu does, as its twin on the host does it ---- */

static uint32_t
most_of_a_launch(void)
{
	return fake.machine.old_driver ? KVR_KERNEL_FEW : KVR_KERNEL_PIECES;
}

int
kvr_kernel_load(uint32_t *ret_most)
{
	cudaError_t err = fake_in("kvr_kernel_load");

	*ret_most = most_of_a_launch();
	if (err == cudaSuccess)
		fake.loaded[fake_current()] = true;
	return (int)fake_out(err);
}

/* Where each unit is from and goes to; at NULL: only counts them. */
static uint32_t
spread(struct fake_piece *at, const struct kvr_piece *piece, uint32_t n, bool in)
{
	uint32_t all = 0;

	for (uint32_t i = 0; i < n; i++) {
		for (uint64_t u = 0; u < kvr_piece_units(&piece[i]); u++, all++) {
			struct kvr_piece unit = kvr_piece_unit(&piece[i], u);

			if (at != NULL)
				at[all] = (struct fake_piece){ .to = in ? unit.chunk : unit.cache,
					.from = in ? unit.cache : unit.chunk,
					.len = unit.len };
		}
	}
	return all;
}

int
kvr_kernel_copy(const struct kvr_piece *piece, uint32_t n, int in, void *stream)
{
	cudaError_t err = fake_in("kvr_kernel_copy"), of = fake_stream("kvr_kernel_copy", stream);

	if (n == 0 || n > most_of_a_launch())
		FAKE_DIES("a kernel of %u pieces", n);
	if (err == cudaSuccess)
		err = of;
	/* After a reset in between nothing runs any more, and the stream is gone. */
	if (err == cudaSuccess && !fake.loaded[fake_current()])
		FAKE_DIES("a kernel is loaded when it is launched, which may wait for all that runs");
	/* A copy may go to a stream of another device than the thread's; a kernel may not. */
	if (err == cudaSuccess && ((struct CUstream_st *)stream)->device != fake_current())
		err = cudaErrorInvalidResourceHandle;
	if (err == cudaSuccess) {
		uint32_t all = spread(NULL, piece, n, in != 0);
		struct fake_work w = { .kind = FAKE_COPY, .kernel = true, .n = all, .piece = pieces(all) };

		spread(w.piece, piece, n, in != 0);
		fake_give(stream, &w);
	}
	return (int)fake_out(err);
}
