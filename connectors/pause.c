/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_pause.h"
#include "kvr_stop.h"

#include <poll.h>
#include <time.h>

enum kvr_err
kvr_pause(struct kvr_kick *kick, uint64_t at_ns, uint64_t until_ns)
{
	for (;;) {
		enum kvr_err err = kvr_stop(kick, until_ns);
		uint64_t now_ns = kvr_now_ns(), next_ns = KVR_MIN(at_ns, until_ns);

		if (err != KVR_OK || now_ns >= at_ns)
			return err;
		if (now_ns >= next_ns)
			continue;
		/* At most a second at a time, so that the type of tv_sec does not matter. */
		uint64_t left_ns = KVR_MIN(next_ns - now_ns, KVR_SEC(1) - 1);
		const struct timespec wait = { .tv_nsec = (long)left_ns };
		struct pollfd p = { .fd = kick == NULL ? -1 : kick->fd, .events = POLLIN };

		(void)ppoll(&p, 1, &wait, NULL); /* whatever the result, the loop checks again */
	}
}
