/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records on their way to the socket. They are gathered and sent together: one system call for each
 * 16 KiB record, and for each short one between two values, costs a tenth more CPU.
 */
#ifndef KVR_TLS_OUT_H
#define KVR_TLS_OUT_H

#include "kvr_base.h"

#define KVR_TLS_OUT_BYTES 131072U

struct kvr_tls_out {
	int      fd;
	int      sys_err; /* errno of the send that failed; 0: none did */
	uint32_t at, end;
	uint8_t  bytes[KVR_TLS_OUT_BYTES];
};

/* False: not everything was sent: either sys_err is set, or the socket accepts no more for now. */
bool kvr_tls_out_drain(struct kvr_tls_out *);
/* How many of the bytes were accepted; 0: none, for the same two reasons. */
size_t kvr_tls_out_put(struct kvr_tls_out *, const void *from, size_t len);

#endif
