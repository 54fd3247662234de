/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream to a server: TCP or a Unix socket. Every wait ends at until_ns (TIMEOUT) and at a
 * kick (CANCELLED). Errors are permanent: after the first one every call returns it at once,
 * because half a request or half a reply may be on the wire, and only kvr_stream_hang_up is useful.
 *
 * Writes are gathered: copy for small and short-lived bytes, lend for payload. They leave with
 * flush, or when more payload follows KVR_STREAM_PIECE bytes. Each separate call wakes the server,
 * and after each wait the socket accepts more than a small piece. For values of 1 MiB, pieces of
 * 256 KiB cost 1.3 times as much CPU as whole values, and pieces of 512 KiB 1.1 times. While a
 * write is stuck, arriving bytes are taken into the read buffer, so that two sides that both write
 * first cannot deadlock as long as the replies fit into KVR_STREAM_IN.
 *
 * Reads: heads go through a buffer; payload goes from the socket into its destination, except for
 * what the buffer already holds.
 *
 * TLS sits between this file and the socket, as another struct kvr_stream_ops.
 */
#ifndef KVR_STREAM_H
#define KVR_STREAM_H

#include <sys/types.h>
#include <sys/uio.h>

#include "kvr_connector.h"

#define KVR_STREAM_IN 32768U
#define KVR_STREAM_OUT 16384U
#define KVR_STREAM_IOV 64U
#define KVR_STREAM_PIECE KVR_MIB(4)
/* Of a payload that is sent: it is hashed in slices while they are in cache. */
#define KVR_STREAM_SLICE 131072U
/*
 * Of a payload that is received. A longer receive holds the socket's lock against its sender: 128 KiB
 * cost values of 1 MiB a seventh of the speed of 64 KiB, and those of 4 MiB and more a sixteenth to a
 * ninth, at the same CPU time. Redis also writes 64 KiB at a time.
 */
#define KVR_STREAM_RECV 65536U
#define KVR_STREAM_AHEAD 64U /* fits the end of one bulk reply and the head of the next */
/* After so many bytes a transfer yields its processor to lookups: see kvr_stream_give_way. */
#define KVR_STREAM_WAY KVR_KIB(128)

/* How late a kick may be noticed while waiting for a small answer. */
#define KVR_STREAM_NAP_NS KVR_MS(5)

struct kvr_sock;

/*
 * recv and send do not block. > 0: bytes moved; recv 0: the peer has closed; -1: errno, and for
 * EAGAIN *ret_events says what to poll the socket for.
 */
struct kvr_stream_ops {
	ssize_t (*recv)(struct kvr_sock *, struct iovec *, int n, short *ret_events);
	ssize_t (*send)(struct kvr_sock *, struct iovec *, int n, short *ret_events);
	void (*close)(struct kvr_sock *);
	/*
	 * Like recv, but sleeps until the first byte, at most KVR_STREAM_NAP_NS. NULL: not
	 * available.
	 */
	ssize_t (*nap)(struct kvr_sock *, struct iovec *, int n);
};

/* Whether the socket supports nap: not tried yet, yes, or refused. */
enum kvr_naps { KVR_NAPS_ASK, KVR_NAPS, KVR_NAPS_NEVER };

struct kvr_sock {
	int32_t  fd; /* -1: closed */
	int32_t  err; /* the first error; KVR_OK: in use */
	const struct kvr_stream_ops *ops;
	void    *carrier; /* what ops needs besides the socket */
	struct kvr_kick *kick; /* NULL: none */
	uint64_t until_ns;
	uint64_t patience_ns; /* longest wait without a byte, then TIMEOUT; 0: as until_ns allows */
	uint64_t moved;    /* bytes read and written; shows progress */
	uint64_t gave_way; /* value of moved when it last yielded to lookups */
	uint64_t keep_ns;  /* until when it need not yield again */
	uint64_t brief;    /* value of moved from which its calls may be long again */
	uint32_t fill_max; /* most bytes beyond a head that one read may take */
	/*
	 * Set after kvr_stream_begin, which clears it: the requests are small and cost the server
	 * next to nothing, so the thread looks for answers for a while before it sleeps.
	 */
	bool     brisk;
	uint8_t  naps; /* enum kvr_naps */
	uint16_t look_skip, look_failed; /* see look_again */
	uint32_t in_at, in_end;
	uint32_t out_len, n_iov;
	uint64_t out_bytes;
	char     why[192];
	struct iovec iov[KVR_STREAM_IOV];
	uint8_t  in[KVR_STREAM_IN];
	uint8_t  out[KVR_STREAM_OUT];
};

/*
 * Connects. If host has several addresses they are tried in turn, each with a head start over the
 * next, and the first that answers wins. On failure nothing is open and s->why has the sentence.
 * kick may be NULL; it is kept for all later waits.
 */
KVR_MUST_USE enum kvr_err kvr_stream_dial_tcp(struct kvr_sock *s, const char *host, uint16_t port,
    uint64_t until_ns, struct kvr_kick *kick);
KVR_MUST_USE enum kvr_err kvr_stream_dial_unix(
    struct kvr_sock *s, const char *path, uint64_t until_ns, struct kvr_kick *kick);
/* Uses a socket that is already connected. */
void kvr_stream_take(struct kvr_sock *s, int take_fd, struct kvr_kick *kick);
void kvr_stream_hang_up(struct kvr_sock *s); /* twice is fine */

/* The longest possible path of a Unix socket. */
size_t kvr_stream_unix_path_max(void);

/* For everything that follows. fill_max: how much one read for a head may take beyond it. */
enum kvr_err kvr_stream_begin(struct kvr_sock *s, uint64_t until_ns, uint32_t fill_max);
/*
 * The same before a request to a peer that has answered all earlier ones: bytes that nobody asked
 * for are PROTO, because they would be taken for its answer.
 */
enum kvr_err kvr_stream_ask(struct kvr_sock *s, uint64_t until_ns, uint32_t fill_max);
/*
 * The error for a peer that is the whole store: DOWN if it was silent for longer than the stream's
 * patience while the caller still had time; otherwise err.
 */
enum kvr_err kvr_stream_blame(const struct kvr_sock *s, enum kvr_err err);

KVR_MUST_USE enum kvr_err kvr_stream_copy(struct kvr_sock *s, const void *at, size_t len);
/*
 * For bytes that are built in the output buffer itself: room for len bytes; afterwards
 * kvr_stream_wrote with the number used. NULL: not possible here, use copy.
 */
char *kvr_stream_room(struct kvr_sock *s, size_t len);
KVR_MUST_USE enum kvr_err kvr_stream_wrote(struct kvr_sock *s, size_t len);
/* The bytes at `at` must not change until the next flush has returned. */
KVR_MUST_USE enum kvr_err kvr_stream_lend(struct kvr_sock *s, const void *at, size_t len);
KVR_MUST_USE enum kvr_err kvr_stream_flush(struct kvr_sock *s);

/* A line without its CR LF, valid until the next read. PROTO if it does not fit the buffer. */
KVR_MUST_USE enum kvr_err kvr_stream_line(struct kvr_sock *s, struct kvr_const_span *ret);
/*
 * Reads 1 to max bytes. ahead: how many bytes after them may be read into the buffer by the same
 * call.
 */
KVR_MUST_USE enum kvr_err kvr_stream_read(
    struct kvr_sock *s, void *to, size_t max, size_t ahead, size_t *ret_n);
KVR_MUST_USE enum kvr_err kvr_stream_read_all(struct kvr_sock *s, void *to, size_t len);
KVR_MUST_USE enum kvr_err kvr_stream_skip(struct kvr_sock *s, uint64_t len);
/* Bytes that were received but not read. */
size_t kvr_stream_held(const struct kvr_sock *s);

/* Ends the stream with an error that the reader on top of it has found. Returns the first error. */
enum kvr_err kvr_stream_fail(struct kvr_sock *s, enum kvr_err err, const char *fmt, ...)
    KVR_PRINTF(3, 4);
/*
 * Puts the name of what was under way in front of the words of the stream's error: "PING: no
 * answer". A timeout alone would say nothing. Returns the error.
 */
enum kvr_err kvr_stream_stage(struct kvr_sock *s, const char *stage);

/*
 * After a send has found that the other side hung up: allows reading what the other side had said
 * before, as far as kvr_stream_held tells; nothing is sent. False: it said nothing. The caller that
 * has read everything ends the stream again.
 */
bool kvr_stream_hear_out(struct kvr_sock *s);

/* Waits until fd is ready for events; only for the files of the stream. */
enum kvr_err kvr_stream_wait(int fd, short events, uint64_t until_ns, struct kvr_kick *kick);
/*
 * kvr_kicked without a system call: it drains nothing, so after a poll it cannot replace
 * kvr_kicked.
 */
bool kvr_kick_meant(const struct kvr_kick *);

#endif
