/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes may be encrypted but not sent yet. tls_send reports them as sent only when they have left:
 * otherwise somebody could flush the stream and wait for the answer to a request whose end is still
 * here.
 */
#include "kvr_stream_tls.h"
#include "kvr_tls_files.h"
#include "kvr_tls_keep.h"
#include "kvr_tls_lib.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kvr_tls {
	pthread_mutex_t      lock;
	struct kvr_tls_files files; /* stamps: under lock */
	/* All under lock. */
	struct kvr_tls_ctx  *ctx;
	uint64_t             rules; /* how many contexts there have been */
	uint32_t             users; /* the store, and the streams that will leave a session */
	/* Until then no session is resumed, because a server has choked on one. */
	uint64_t             full_ns;
	struct kvr_tls_keep  keep;  /* sessions made under these rules */
};

struct carrier {
	struct kvr_tls_conn *conn;
	uint64_t             done; /* encrypted, but not yet reported as sent */
	struct kvr_tls      *tls;
	struct kvr_tls_peer  peer;
	uint64_t             rules, proved_ns; /* of its session */
	bool                 offered;          /* it may resume an earlier connection's session */
	bool                 choked;           /* the server ended the handshake because of that */
};

bool
kvr_tls_is_built(void)
{
	return kvr_tls_lib_is_built();
}

enum kvr_err
kvr_tls_open(const struct kvr_tls_opts *o, struct kvr_tls **ret, char *why, size_t why_cap)
{
	struct kvr_tls *t = calloc(1, sizeof(*t));
	if (t == NULL) {
		snprintf(why, why_cap, "no memory for TLS");
		return KVR_E_NOMEM;
	}
	KVR_CHECK(pthread_mutex_init(&t->lock, NULL) == 0);
	t->users = 1;
	enum kvr_err err = kvr_tls_files_take(&t->files, o, why, why_cap);
	if (err == KVR_OK) {
		kvr_tls_files_look(&t->files, t->files.stamp);
		err = kvr_tls_ctx_new(&t->files.opts, &t->ctx, why, why_cap);
	}
	if (err == KVR_OK)
		*ret = t;
	else
		kvr_tls_close(t);
	return err;
}

const struct kvr_tls_opts *
kvr_tls_opts_of(const struct kvr_tls *t)
{
	return &t->files.opts;
}

/* With the lock held, which it releases. */
static void
leave(struct kvr_tls *take)
{
	bool last = --take->users == 0;
	pthread_mutex_unlock(&take->lock);
	if (!last)
		return;
	kvr_tls_keep_forget(&take->keep, NULL);
	kvr_tls_ctx_free(take->ctx);
	kvr_tls_files_drop(&take->files);
	pthread_mutex_destroy(&take->lock);
	free(take);
}

void
kvr_tls_close(struct kvr_tls *take)
{
	if (take == NULL)
		return;
	pthread_mutex_lock(&take->lock);
	leave(take);
}

/* Reads the files again if they have changed since the last dial. Unusable ones fail this dial. */
static enum kvr_err
refresh(struct kvr_tls *t, char *why, size_t why_cap)
{
	struct kvr_tls_stamp now[KVR_TLS_FILES_N];
	struct kvr_tls_ctx *ctx = NULL;
	/* Before reading them, so that the next dial notices a change during the reading. */
	kvr_tls_files_look(&t->files, now);
	if (memcmp(now, t->files.stamp, sizeof(now)) == 0)
		return KVR_OK;
	enum kvr_err err = kvr_tls_ctx_new(&t->files.opts, &ctx, why, why_cap);
	if (err != KVR_OK)
		return err;
	kvr_tls_ctx_free(t->ctx);
	t->ctx = ctx;
	/* Sessions that were trusted under other rules are not resumed. */
	t->rules++;
	kvr_tls_keep_forget(&t->keep, NULL);
	memcpy(t->files.stamp, now, sizeof(now));
	return KVR_OK;
}

static enum kvr_err
fail(struct kvr_sock *s, const struct carrier *c)
{
	const char *text;
	enum kvr_tls_fault fault = kvr_tls_conn_why(c->conn, &text);
	return kvr_stream_fail(s, kvr_tls_fault_err(fault), "%s", text);
}

/* Ends the stream: the sentence is in it already, and any errno but EAGAIN means the end. */
static ssize_t
over(struct kvr_sock *s, const struct carrier *c)
{
	(void)fail(s, c);
	errno = EPROTO;
	return -1;
}

static ssize_t
again(enum kvr_tls_step step, short *ret_events)
{
	*ret_events = step == KVR_TLS_READ ? POLLIN : POLLOUT;
	errno = EAGAIN;
	return -1;
}

static ssize_t
tls_recv(struct kvr_sock *s, struct iovec *iov, int n, short *ret_events)
{
	struct carrier *c = s->carrier;
	size_t total = 0;
	enum kvr_tls_step step = KVR_TLS_DONE;
	for (int i = 0; i < n && step == KVR_TLS_DONE; i++) {
		for (size_t at = 0, more = 0; at < iov[i].iov_len; at += more, total += more) {
			uint8_t *to = (uint8_t *)iov[i].iov_base + at;
			step = kvr_tls_conn_read(c->conn, to, iov[i].iov_len - at, &more);
			if (step != KVR_TLS_DONE)
				break;
		}
	}
	/* What came before the end is valid; the next call reports the end. */
	if (total > 0)
		return (ssize_t)total;
	return step == KVR_TLS_OVER ? over(s, c) : again(step, ret_events);
}

static enum kvr_tls_step
encrypt_all(struct carrier *c, const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++) {
		for (size_t at = 0, more = 0; at < iov[i].iov_len; at += more) {
			const uint8_t *from = (const uint8_t *)iov[i].iov_base + at;
			enum kvr_tls_step step =
			    kvr_tls_conn_write(c->conn, from, iov[i].iov_len - at, &more);
			if (step != KVR_TLS_DONE)
				return step;
			c->done += more;
		}
	}
	return KVR_TLS_DONE;
}

static ssize_t
tls_send(struct kvr_sock *s, struct iovec *iov, int n, short *ret_events)
{
	struct carrier *c = s->carrier;
	enum kvr_tls_step step = KVR_TLS_DONE;
	if (c->done == 0)
		step = encrypt_all(c, iov, n);
	if (step != KVR_TLS_OVER) {
		enum kvr_tls_step left = kvr_tls_conn_drain(c->conn);
		step = left != KVR_TLS_DONE || c->done > 0 ? left : step;
	}
	if (step == KVR_TLS_OVER)
		return over(s, c);
	if (step != KVR_TLS_DONE)
		return again(step, ret_events);
	ssize_t done = (ssize_t)c->done;
	c->done = 0;
	return done;
}

static void
tls_close(struct kvr_sock *s)
{
	struct carrier *c = s->carrier;
	struct kvr_tls *t = c->tls;
	struct kvr_tls_kept kept = { kvr_tls_conn_session(c->conn), c->proved_ns };
	/* Before the session goes to another thread, because this writes to it. */
	kvr_tls_conn_free(c->conn);
	pthread_mutex_lock(&t->lock);
	if (kept.session != NULL && c->rules == t->rules)
		kvr_tls_keep_put(&t->keep, &c->peer, kept, kvr_now_ns());
	else
		kvr_tls_session_free(kept.session);
	leave(t);
	close(s->fd);
	free(c);
	s->carrier = NULL;
}

static const struct kvr_stream_ops tls_ops = { tls_recv, tls_send, tls_close, NULL };

/*
 * Neither the zone of an address nor the trailing dot of a name is part of a certificate's names.
 */
static void
bare_name(const char *from, char *ret, size_t cap)
{
	snprintf(ret, cap, "%.*s", (int)strcspn(from, "%"), from);
	size_t len = strlen(ret);
	if (len > 1 && ret[len - 1] == '.')
		ret[len - 1] = '\0';
}

/* Makes the connection under the current rules, with a session that was made under them. */
static enum kvr_err
join(struct carrier *c, struct kvr_tls *t, int fd, char *why, size_t why_cap)
{
	struct kvr_tls_kept kept = { NULL, 0 };
	socklen_t len = sizeof(c->peer.at);
	bool known = getpeername(fd, (struct sockaddr *)&c->peer.at, &len) == 0;
	pthread_mutex_lock(&t->lock);
	enum kvr_err err = refresh(t, why, why_cap);
	if (err == KVR_OK)
		c->conn = kvr_tls_conn_new(t->ctx, &t->files.opts, c->peer.name, fd);
	if (c->conn != NULL) {
		c->tls = t;
		c->rules = t->rules;
		t->users++;
		if (known && kvr_now_ns() >= t->full_ns)
			kept = kvr_tls_keep_take(&t->keep, &c->peer, kvr_now_ns());
	}
	pthread_mutex_unlock(&t->lock);
	if (err == KVR_OK && c->conn == NULL) {
		snprintf(why, why_cap, "no memory for TLS");
		return KVR_E_NOMEM;
	}
	c->proved_ns = kept.proved_ns;
	c->offered = kept.session != NULL && kvr_tls_conn_offer(c->conn, kept.session);
	return err;
}

static enum kvr_err
attach(struct kvr_sock *s, struct kvr_tls *t, const char *host)
{
	char why[160];
	struct carrier *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return kvr_stream_fail(s, KVR_E_NOMEM, "no memory for TLS");
	const char *name = t->files.opts.server_name;
	bare_name(name != NULL ? name : host, c->peer.name, sizeof(c->peer.name));
	enum kvr_err err = join(c, t, s->fd, why, sizeof(why));
	if (err != KVR_OK) {
		free(c);
		return kvr_stream_fail(s, err, "%s", why);
	}
	s->carrier = c;
	s->ops = &tls_ops;
	return KVR_OK;
}

/*
 * A server that chokes on a session must not fail the dials of all lanes, each with its own
 * session.
 */
static enum kvr_err
forget(const struct kvr_sock *s, enum kvr_err err)
{
	const struct carrier *c = s->carrier;
	if (!c->offered)
		return err;
	pthread_mutex_lock(&c->tls->lock);
	kvr_tls_keep_forget(&c->tls->keep, &c->peer);
	if (c->choked)
		c->tls->full_ns = kvr_now_ns() + KVR_TLS_KEEP_NS;
	pthread_mutex_unlock(&c->tls->lock);
	return err;
}

/*
 * Redis with tls-session-caching off hands out tickets like any other server. If one is used, it
 * ends the handshake with an alert ("internal error") that no other fault causes.
 */
static enum kvr_err
shake_fail(struct kvr_sock *s, struct carrier *c)
{
	const char *text;
	c->choked = c->offered && kvr_tls_conn_why(c->conn, &text) == KVR_TLS_FAULT_OTHER;
	return forget(s, fail(s, c));
}

enum kvr_err
kvr_stream_tls(struct kvr_sock *s, struct kvr_tls *t, const char *host, uint64_t until_ns)
{
	enum kvr_err err = kvr_stream_begin(s, until_ns, s->fill_max);
	if (err == KVR_OK)
		err = attach(s, t, host);
	while (err == KVR_OK) {
		struct carrier *c = s->carrier;
		short events = POLLIN;
		enum kvr_tls_step step = kvr_tls_conn_shake(c->conn);
		if (step == KVR_TLS_DONE) {
			c->proved_ns = kvr_tls_conn_resumed(c->conn) ? c->proved_ns : kvr_now_ns();
			return KVR_OK;
		}
		if (step == KVR_TLS_OVER)
			return shake_fail(s, c);
		(void)again(step, &events);
		err = kvr_stream_wait(s->fd, events, until_ns, s->kick);
		if (err != KVR_OK)
			err = forget(s, kvr_stream_fail(s, err, "TLS: handshake: %s",
			    err == KVR_E_TIMEOUT ? "no answer; a TLS port?" : kvr_err_text(err)));
	}
	return err;
}

bool
kvr_stream_tls_resumed(const struct kvr_sock *s)
{
	const struct carrier *c = s->carrier;

	return s->ops == &tls_ops && kvr_tls_conn_resumed(c->conn);
}

bool
kvr_stream_tls_choked(const struct kvr_sock *s)
{
	const struct carrier *c = s->carrier;

	return s->ops == &tls_ops && c != NULL && c->choked;
}

bool
kvr_stream_tls_days(const struct kvr_sock *s, int64_t *ret_days)
{
	const struct carrier *c = s->carrier;

	return s->ops == &tls_ops && kvr_tls_conn_days(c->conn, ret_days);
}
