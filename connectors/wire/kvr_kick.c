/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_stream.h"

#include <poll.h>
#include <unistd.h>

/* Batches are counted from 1, so that a zeroed struct kvr_kick kicks no batch. */
bool
kvr_kick_meant(const struct kvr_kick *kick)
{
	uint64_t target = atomic_load_explicit(&kick->target, memory_order_acquire);
	return target != 0 && (target == kick->current || target == KVR_KICK_ALL);
}

bool
kvr_kicked(struct kvr_kick *kick)
{
	if (kvr_kick_meant(kick))
		return true;
	/*
	 * The sender writes target first and fd second. So if a kick arrives between the check
	 * above and this read, its target is set by now. Without the second check below it would be
	 * drained unseen, and the wait would last until its deadline.
	 */
	struct pollfd p = { .fd = kick->fd, .events = POLLIN };
	/* Polled first, because an eventfd made without EFD_NONBLOCK would block the read. */
	if (poll(&p, 1, 0) > 0) {
		uint64_t count;
		ssize_t n = read(kick->fd, &count, sizeof(count));
		(void)n; /* nothing to drain is fine */
	}
	return kvr_kick_meant(kick);
}
