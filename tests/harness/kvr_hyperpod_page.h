/* SPDX-License-Identifier: Apache-2.0 */
/* The memory through which a test turns the knobs of the HyperPod daemon and reads its counts. */
#ifndef KVR_HARNESS_HYPERPOD_PAGE_H
#define KVR_HARNESS_HYPERPOD_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

#define KVR_HYPERPOD_ASK_MAX 16384U

enum kvr_hyperpod_what {
	KVR_HYPERPOD_PUT,
	KVR_HYPERPOD_LEASE,
	KVR_HYPERPOD_RELEASE,
	KVR_HYPERPOD_WHATS
};

struct kvr_hyperpod_page {
	/* Knobs. */
	_Atomic uint32_t status[KVR_HYPERPOD_WHATS]; /* 0: the right one; else this, nothing done */
	_Atomic uint32_t hold[KVR_HYPERPOD_WHATS];   /* not answered while it is set */
	_Atomic uint32_t miss_at_once;   /* 404 instead of 504 after the time asked for */
	_Atomic uint32_t fragment;       /* bytes of a fragment; 0: an object is one */
	_Atomic uint32_t first_fragment; /* bytes of the first one, when it is another; or 0 */
	_Atomic uint32_t evict_released; /* what nobody leases any more is overwritten at once */
	_Atomic uint32_t die_after_lease; /* with the lease's answer on its way */
	_Atomic uint32_t cut_lease;      /* bytes of an answer, then the connection ends; 0: all */
	_Atomic uint32_t capacity_left;  /* a put above it is 507; 0: all of the memory */
	_Atomic uint32_t front;          /* port of who stands in front; 0: nobody does */
	_Atomic uint32_t by_name;        /* it is asked for as localhost, and not by its address */
	_Atomic uint32_t other_text;     /* the two below are in use */
	char lease_text[8192], lease_type[64];

	/* Counts. */
	_Atomic uint32_t port, connections, requests, puts, stored, granted, released, expired;
	_Atomic uint32_t unknown;        /* releases of what is no lease */
	_Atomic uint32_t held;           /* requests that wait because of hold */
	_Atomic uint32_t deviations;
	char first_deviation[200];
	/* The heads of the last request of each kind, as they came. */
	char last[KVR_HYPERPOD_WHATS][KVR_HYPERPOD_ASK_MAX];
};

#endif
