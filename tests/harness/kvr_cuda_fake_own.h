/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the stand-in for CUDA.
 *
 *   kvr_cuda_fake.c         the machine, its errors, calls that act on nothing else
 *   kvr_cuda_fake_memory.c  device memory, page-locked memory, what lies where
 *   kvr_cuda_fake_stream.c  streams and their work
 *   kvr_cuda_fake_event.c   events
 *   kvr_cuda_fake_copy.c    copies and the kernel
 *
 * One lock over everything; a stream lets it go while it copies, so that a thread sanitizer sees
 * what the program does to that memory meanwhile.
 */
#ifndef KVR_CUDA_FAKE_OWN_H
#define KVR_CUDA_FAKE_OWN_H

#include "kvr_cuda_fake.h"

#include <cuda_runtime_api.h>
#include <pthread.h>

#define FAKE_DIES(...) kvr_cuda_fake_dies(__FILE__, __LINE__, __VA_ARGS__)

enum { FAKE_RANGES = 256, FAKE_FAULTS = 16, FAKE_NAMES = 48, FAKE_DEVICES = 8 };

/* One range: of device memory, or of page-locked memory. len 0: a free place. */
struct fake_range {
	uint8_t *at;
	size_t   len;
	int      device;  /* that it was made on */
	bool     managed;
};

enum fake_kind { FAKE_COPY, FAKE_SET, FAKE_RECORD, FAKE_AWAIT };

struct fake_piece {
	uint8_t *to;
	const uint8_t *from; /* both as the program names them */
	size_t   len;
};

struct fake_work {
	struct fake_work *next;
	enum fake_kind kind;
	bool     kernel; /* host memory must be page-locked, else the context is lost */
	uint32_t n, byte;
	struct fake_piece *piece; /* ours to free */
	void    *staged;          /* the same: what the only piece is copied from */
	struct CUevent_st *event;
	uint64_t turn;            /* of the event: the one that is recorded or waited for */
};

struct CUstream_st {
	struct CUstream_st *next; /* of all that there ever were in this machine */
	pthread_t thread;
	int       device;
	bool      gone;    /* destroyed by the program, or with its context */
	bool      reset;   /* the latter */
	bool      captured; /* what it is given it does not do */
	bool      busy;
	struct fake_work *head, **tail;
};

struct CUevent_st {
	struct CUevent_st *next;
	int      device;
	bool     gone, reset;
	uint64_t wanted, reached; /* turns: recorded so far, and reached */
};

struct fake {
	pthread_mutex_t lock;
	pthread_cond_t  moved;
	struct kvr_cuda_machine machine;
	cudaError_t lost;    /* what every call answers */
	bool     hold, resetting;
	bool     capture; /* a thread captures a graph, and has asked for it not to be disturbed */
	uint64_t resets;
	bool     context[FAKE_DEVICES]; /* was made on it */
	bool     loaded[FAKE_DEVICES];  /* the kernel, into that context */
	uint64_t seed, synchronous;
	uint8_t *device, *inside; /* one memory: as the program sees it, and as streams do */
	size_t   device_len, locked_used;
	struct fake_range memory[FAKE_RANGES], locked[FAKE_RANGES];
	struct CUstream_st *streams, *legacy; /* the latter among them: the default one, which nobody has made */
	struct CUevent_st *events;
	struct {
		const char *call; /* NULL: a free place; "": work */
		uint32_t nth;
		cudaError_t err;
	} fault[FAKE_FAULTS];
	struct {
		const char *call;
		uint64_t n;
	} calls[FAKE_NAMES];
};
extern struct fake fake;

__attribute__((noreturn, format(printf, 3, 4))) void kvr_cuda_fake_dies(
    const char *file, int line, const char *fmt, ...);

/* With the lock, until fake_out: counts the call, and says why it does nothing. */
cudaError_t fake_in(const char *call);
/* Lets go of the lock. What is no success is what cudaGetLastError tells. */
cudaError_t fake_out(cudaError_t);
/* With the lock. Errors that stay with the context do so. */
cudaError_t fake_fault(const char *call);
void        fake_lose(cudaError_t);

/*
 * What a handle of a context answers that was reset: the test dies, for CUDA promises nothing,
 * unless this thread cannot have known. Between a look and a call somebody may always reset the
 * device.
 */
cudaError_t fake_reset(const char *call);
void        fake_has_looked(void); /* this thread has */

/* ---- memory; with the lock ---- */
enum fake_place { FAKE_NOWHERE, FAKE_PAGEABLE, FAKE_LOCKED, FAKE_DEVICE };
/* NOWHERE: it lies half in something, or in what was given back. */
enum fake_place fake_place(const void *at, size_t len);
/* Where a stream finds it. */
void *fake_inside(const void *at);
void  fake_memory_open(void);
void  fake_memory_reset(void);

/* ---- streams; with the lock ---- */
/* OK and the stream; what became of its context; else the test dies. */
cudaError_t fake_stream(const char *call, cudaStream_t);
void        fake_give(struct CUstream_st *, const struct fake_work *);
bool        fake_idle(const struct CUstream_st *);
void        fake_drain(struct CUstream_st *); /* NULL: all */
struct CUstream_st *fake_legacy(void);
/* Whether work that is not over touches it. */
bool        fake_in_use(const uint8_t *at, size_t len);
/* What has not begun never will. reset: and all handles die. */
void        fake_streams_drop(bool reset);
void        fake_streams_reset(void);
uint32_t    fake_streams_left(void);
/* The device of the calling thread. */
int         fake_current(void);

/* kvr_cuda_fake_copy.c; without the lock */
void fake_run(const struct fake_work *);

#endif
