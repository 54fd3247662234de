/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tls_out.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

bool
kvr_tls_out_drain(struct kvr_tls_out *o)
{
	while (o->at < o->end && o->sys_err == 0) {
		/* Without MSG_NOSIGNAL a server that goes away would kill the host process. */
		ssize_t n = send(o->fd, o->bytes + o->at, o->end - o->at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			o->sys_err = errno;
		else
			o->at += (uint32_t)n;
	}
	if (o->sys_err != 0)
		return false;
	o->at = o->end = 0;
	return true;
}

size_t
kvr_tls_out_put(struct kvr_tls_out *o, const void *from, size_t len)
{
	if (o->end == KVR_TLS_OUT_BYTES && !kvr_tls_out_drain(o))
		return 0;
	size_t n = KVR_MIN(len, KVR_TLS_OUT_BYTES - o->end);
	memcpy(o->bytes + o->end, from, n);
	o->end += (uint32_t)n;
	return n;
}
