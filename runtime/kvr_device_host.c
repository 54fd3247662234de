/* SPDX-License-Identifier: Apache-2.0 */
/* The device that every machine has. It locks nothing: a process's limit of locked memory is small. */
#include "kvr_device.h"

#include <stdatomic.h>

static _Atomic uint64_t bytes;
static _Atomic uint32_t pieces;

static uint32_t
count(char *why, size_t why_cap)
{
	if (why_cap > 0)
		why[0] = '\0';
	return 1;
}

static enum kvr_err
lock(void *at, uint64_t len, char *why, size_t why_cap)
{
	(void)at;
	if (why_cap > 0)
		why[0] = '\0';
	atomic_fetch_add(&bytes, len);
	atomic_fetch_add(&pieces, 1);
	return KVR_OK;
}

static void
unlock(void *at, uint64_t len)
{
	(void)at;
	KVR_CHECK(atomic_fetch_sub(&bytes, len) >= len);
	KVR_CHECK(atomic_fetch_sub(&pieces, 1) >= 1);
}

const struct kvr_device kvr_device_host = { "host", count, lock, unlock };

uint64_t
kvr_device_host_bytes(void)
{
	return atomic_load(&bytes);
}

uint32_t
kvr_device_host_pieces(void)
{
	return atomic_load(&pieces);
}
