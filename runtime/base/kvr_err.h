/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One list of errors for calls, for keys and for connections. The numbers are those of kvrelay.h;
 * tests/base/test_err.c compares them.
 *
 * stream  what the error does to a connection. KEEP: the stream is in step and can be used further.
 *         CLOSE: half a reply may still be on the wire; the connection must be closed.
 * blame   what the breaker counts it against. NONE: nothing (a miss, the caller's own deadline).
 *         KEY: this value only. LANE: this connection. STORE: the whole store.
 * pass    the same call may succeed later.
 */
#ifndef KVR_ERR_H
#define KVR_ERR_H

#include "kvr_base.h"

/*        name          value stream blame pass text for people */
#define KVR_ERR_TABLE(X) \
	X(MISS,         -1, KEEP,  NONE,  0, "no tier has it") \
	X(TIMEOUT,      -2, CLOSE, NONE,  1, "the deadline passed") \
	X(DOWN,         -3, CLOSE, STORE, 1, "the store is not connected") \
	X(PROTO,        -4, CLOSE, LANE,  1, "the peer broke its protocol") \
	X(CORRUPT,      -5, KEEP,  KEY,   0, "checksum or seal does not fit") \
	X(NOMEM,        -6, KEEP,  NONE,  1, "no slot of the pool is free") \
	X(UNSUPPORTED,  -7, KEEP,  NONE,  0, "not supported here") \
	X(BUSY,         -8, KEEP,  NONE,  1, "too much is in flight") \
	X(INVALID,      -9, KEEP,  NONE,  0, "the call is wrong") \
	X(TOO_BIG,     -10, KEEP,  KEY,   0, "beyond a fixed limit") \
	X(LENGTH,      -11, KEEP,  KEY,   0, "the stored length is not the one asked for") \
	X(IDENTITY,    -12, KEEP,  KEY,   0, "stored for another key, model, layout or serde") \
	X(SKIPPED_MLA, -13, KEEP,  NONE,  0, "only rank 0 writes in MLA mode") \
	X(DUPLICATE,   -14, KEEP,  NONE,  0, "that key is being put already") \
	X(EXISTS,      -15, KEEP,  NONE,  0, "it is there already") \
	X(PARTIAL,     -16, KEEP,  NONE,  1, "some write-through tiers hold it, others failed") \
	X(NOSPACE,     -17, KEEP,  STORE, 1, "the store is full") \
	X(AUTH,        -18, CLOSE, STORE, 0, "the store does not let us in") \
	X(REFUSED,     -19, KEEP,  STORE, 1, "the store refused") \
	X(CANCELLED,   -20, CLOSE, NONE,  0, "cancelled") \
	X(SHUTDOWN,    -21, CLOSE, NONE,  0, "closed") \
	X(FORKED,      -22, KEEP,  NONE,  0, "called in a child after fork") \
	X(DEAD,        -23, KEEP,  NONE,  0, "an invariant broke, the instance is poisoned") \
	X(STALE,       -24, KEEP,  NONE,  0, "the handle's operation or object is gone") \
	X(UNASKED,     -25, KEEP,  NONE,  0, "behind the first miss of a prefix operation") \
	X(UNFINISHED,  -26, KEEP,  NONE,  1, "the operation goes on") \
	X(STUCK,       -27, KEEP,  LANE,  0, "a worker is stuck below the library") \
	X(CONFIG,      -28, KEEP,  NONE,  0, "the configuration is wrong") \
	X(TOO_SMALL,   -29, KEEP,  NONE,  0, "the caller's array is too small") \
	X(DEVICE,      -30, KEEP,  NONE,  0, "a copy from or to the device failed")

/* The facade includes the public header first, which declares the same names and numbers. */
#ifndef KVRELAY_H
enum kvr_err {
	KVR_OK = 0,
#define X(name, value, stream, blame, pass, text) KVR_E_##name = (value),
	KVR_ERR_TABLE(X)
#undef X
};
#endif

/* A row whose work has not been done yet. Not an error, and never seen outside. */
#define KVR_PENDING 1

enum kvr_stream { KVR_STREAM_KEEP, KVR_STREAM_CLOSE };
enum kvr_blame { KVR_BLAME_NONE, KVR_BLAME_KEY, KVR_BLAME_LANE, KVR_BLAME_STORE };

/*
 * All accept any number; one that is not in the list counts against the lane and closes it. The
 * first three are in kvrelay.h too: a hidden symbol cannot be exported by a linker's version map.
 */
#pragma GCC visibility push(default)
const char     *kvr_err_name(int32_t err); /* "TIMEOUT", "OK", "?" */
const char     *kvr_err_text(int32_t err);
bool            kvr_err_may_pass(int32_t err);
#pragma GCC visibility pop
enum kvr_stream kvr_err_stream(int32_t err);
enum kvr_blame  kvr_err_blame(int32_t err);

#endif
