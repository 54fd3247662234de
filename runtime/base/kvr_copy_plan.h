/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By what pieces cross the bus between a device and the host. Pure: what it says of a call depends
 * on nothing but the pieces and the rules.
 *
 *   engine   a copy engine, which moves a contiguous piece of 128 KiB and more as fast as the bus is
 *            and needs no multiprocessor, but whose calls are each worth tens of KiB
 *   stage    the kernel gathers small ones in the device's memory, or scatters them from there, and
 *            what lies side by side in the chunk crosses by engine
 *   kernel   across the bus by itself: two calls in all, and so the quickest for little
 */
#ifndef KVR_COPY_PLAN_H
#define KVR_COPY_PLAN_H

#include "kvr_base.h"
#include "kvr_piece.h"

enum kvr_by { KVR_BY_ENGINE, KVR_BY_KERNEL, KVR_BY_STAGE };

struct kvr_copy_rules {
	bool kernel;   /* there is one; else all is an engine's */
	uint64_t big;  /* a contiguous piece of so many bytes is worth a call of an engine */
	uint64_t huge; /* and of so many it is one, whatever lies beside it */
	uint64_t run;  /* so many bytes side by side in the chunk are worth it when they are gathered */
	uint64_t many; /* and so many of a call are worth gathering */
	uint64_t slot; /* of the device's memory, and room for one more piece there; 0: there is none */
};

enum { KVR_PLAN_PIECES = 1024 };

struct kvr_copy_plan {
	/* Bytes after which a slot is sent: all of them get about as many. */
	uint64_t share;
	uint8_t by[KVR_PLAN_PIECES]; /* enum kvr_by of each piece */
};

/* n is at most KVR_PLAN_PIECES. */
void kvr_copy_plan(const struct kvr_copy_rules *, const struct kvr_piece *, uint32_t n,
    struct kvr_copy_plan *ret);

#endif
