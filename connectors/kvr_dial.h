/* SPDX-License-Identifier: Apache-2.0 */
/* How long a dial may take, and whose limit it was if that was too long. */
#ifndef KVR_DIAL_H
#define KVR_DIAL_H

#include <stdio.h>

#include "kvr_connector.h"

struct kvr_dial {
	uint64_t until_ns;   /* the caller's deadline, or our own limit if that is earlier */
	uint64_t connect_ns; /* the limit; 0: none */
	bool     own;        /* our limit is the earlier one */
};

enum { KVR_DIAL_WHOSE = 56 };

static inline struct kvr_dial
kvr_dial_begin(uint64_t connect_ns, uint64_t until_ns)
{
	uint64_t own_ns = kvr_now_ns() + connect_ns;
	bool     own = connect_ns > 0 && own_ns < until_ns;

	return (struct kvr_dial){ own ? own_ns : until_ns, connect_ns, own };
}

/*
 * Exceeding our own limit for a dial says something about the store: DOWN, and ret_whose names the
 * setting. Exceeding the caller's deadline does not, and the caller knows it: TIMEOUT, and
 * ret_whose is empty.
 */
static inline enum kvr_err
kvr_dial_blame(const struct kvr_dial *d, enum kvr_err err, char ret_whose[KVR_DIAL_WHOSE])
{
	ret_whose[0] = '\0';
	if (err != KVR_E_TIMEOUT || !d->own)
		return err;
	snprintf(ret_whose, KVR_DIAL_WHOSE, KVR_CONNECT_FMT,
	    (unsigned long long)(d->connect_ns / KVR_MS(1)));
	return KVR_E_DOWN;
}

#endif
