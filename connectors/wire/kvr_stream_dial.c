/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a stream gets its socket: addresses are tried in turn, each with a head start over the next.
 */
#include "kvr_stream.h"
#include "kvr_resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Long enough for a good path to win alone, short enough that a dead one is not noticed. */
#define HEAD_START_NS KVR_MS(250)
/* A Unix socket whose backlog is full can only be tried again; poll does not report it. */
#define BACKLOG_LOOK_NS KVR_MS(2)

struct race {
	struct kvr_addrs addrs;
	uint32_t         n_started, n_running;
	int              fd[KVR_RESOLVE_MAX]; /* -1: not started, or lost */
	int              last_errno;
	uint64_t         next_ns; /* when the next address may start */
	uint64_t         head_start_ns;
};

/* Alternates between address families, so that one without a route costs a single head start. */
static void
interleave(struct kvr_addrs *addrs)
{
	struct kvr_addrs out = { .n = addrs->n };
	bool used[KVR_RESOLVE_MAX] = { false };
	int family = AF_UNSPEC;
	for (uint32_t n = 0; n < addrs->n; n++) {
		uint32_t first = addrs->n, other = addrs->n;
		for (uint32_t i = addrs->n; i-- > 0;) {
			if (used[i])
				continue;
			first = i;
			if (addrs->addr[i].at.ss_family != family)
				other = i;
		}
		uint32_t pick = other < addrs->n ? other : first;
		used[pick] = true;
		family = addrs->addr[pick].at.ss_family;
		out.addr[n] = addrs->addr[pick];
	}
	*addrs = out;
}

static void
tune(int fd)
{
	/* A connection also works without these options, so a failure here does not fail the dial. */
	const int on = 1, idle_s = 15, every_s = 5, probes = 3;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/*
 * Connecting to a port of the ephemeral range without a listener succeeds if the kernel happens to
 * choose the same port as our own; we would then talk to ourselves.
 */
static bool
to_itself(int fd)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
	return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 && own_len == peer_len &&
	    memcmp(&own, &peer, own_len) == 0;
}

static void
lose(struct race *r, uint32_t i, int why)
{
	if (r->fd[i] >= 0) {
		close(r->fd[i]);
		r->n_running--;
	}
	r->fd[i] = -1;
	r->last_errno = why;
	r->next_ns = 0; /* the next address need not wait for this one any more */
}

static void
start_next(struct race *r)
{
	uint32_t i = r->n_started++;
	const struct kvr_addr *a = &r->addrs.addr[i];
	r->next_ns = kvr_now_ns() + r->head_start_ns;
	r->fd[i] = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd[i] < 0) {
		lose(r, i, errno);
		return;
	}
	r->n_running++;
	tune(r->fd[i]);
	if (connect(r->fd[i], (const struct sockaddr *)&a->at, a->len) != 0 && errno != EINPROGRESS)
		lose(r, i, errno);
}

/* The index of a connected socket; -1: none yet. */
static int
harvest(struct race *r, const struct pollfd *p)
{
	for (uint32_t i = 0; i < r->n_started; i++) {
		int why = 0;
		socklen_t len = sizeof(why);
		if (r->fd[i] < 0 || p[i].revents == 0)
			continue;
		if (getsockopt(r->fd[i], SOL_SOCKET, SO_ERROR, &why, &len) != 0)
			why = errno;
		if (why == 0 && to_itself(r->fd[i]))
			why = ECONNREFUSED;
		if (why == 0)
			return (int)i;
		lose(r, i, why);
	}
	return -1;
}

static enum kvr_err
poll_race(struct race *r, uint64_t until_ns, struct kvr_kick *kick, int *ret_winner)
{
	struct pollfd p[KVR_RESOLVE_MAX + 1];
	if (kick != NULL && kvr_kick_meant(kick))
		return KVR_E_CANCELLED;
	for (uint32_t i = 0; i < r->n_started; i++)
		p[i] = (struct pollfd){ .fd = r->fd[i], .events = POLLOUT };
	p[r->n_started] = (struct pollfd){ .fd = kick != NULL ? kick->fd : -1, .events = POLLIN };
	bool more = r->n_started < r->addrs.n;
	uint64_t end_ns = more ? KVR_MIN(until_ns, r->next_ns) : until_ns;
	int n = poll(p, r->n_started + 1, kvr_poll_ms(end_ns));
	if (n > 0 && p[r->n_started].revents != 0 && kvr_kicked(kick))
		return KVR_E_CANCELLED;
	*ret_winner = n > 0 ? harvest(r, p) : -1;
	return *ret_winner < 0 && kvr_now_ns() >= until_ns ? KVR_E_TIMEOUT : KVR_OK;
}

static enum kvr_err
run_race(struct race *r, uint64_t until_ns, struct kvr_kick *kick, int *ret_fd)
{
	for (;;) {
		bool more = r->n_started < r->addrs.n;
		if (more && (r->n_running == 0 || kvr_now_ns() >= r->next_ns)) {
			start_next(r);
			continue;
		}
		if (r->n_running == 0)
			return KVR_E_DOWN;
		int winner = -1;
		enum kvr_err err = poll_race(r, until_ns, kick, &winner);
		if (err != KVR_OK)
			return err;
		if (winner < 0)
			continue;
		*ret_fd = r->fd[winner];
		r->fd[winner] = -1;
		return KVR_OK;
	}
}

static const char *
late(enum kvr_err err)
{
	return err == KVR_E_TIMEOUT ? "no answer" : kvr_err_text(err);
}

static void
prepare(struct kvr_sock *s, uint64_t until_ns, struct kvr_kick *kick)
{
	kvr_stream_take(s, -1, kick);
	s->until_ns = until_ns;
}

enum kvr_err
kvr_stream_dial_tcp(struct kvr_sock *s, const char *host, uint16_t port, uint64_t until_ns,
    struct kvr_kick *kick)
{
	struct race r = { 0 };
	int fd = -1;
	char why[sizeof(s->why)] = "";
	prepare(s, until_ns, kick);
	enum kvr_err err = kvr_resolve(host, port, until_ns, kick, &r.addrs, why, sizeof(why));
	if (err != KVR_OK)
		return kvr_stream_fail(s, err, "%s", why);
	interleave(&r.addrs);
	for (uint32_t i = 0; i < KVR_RESOLVE_MAX; i++)
		r.fd[i] = -1;
	uint64_t now_ns = kvr_now_ns();
	uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	/* Even if there is little time, every address gets its turn. */
	r.head_start_ns = KVR_MIN(HEAD_START_NS, left_ns / (r.addrs.n + 1));
	err = run_race(&r, until_ns, kick, &fd);
	for (uint32_t i = 0; i < r.n_started; i++)
		if (r.fd[i] >= 0)
			close(r.fd[i]);
	if (err == KVR_E_DOWN)
		return kvr_stream_fail(s, err, "%s port %u: %s (addresses tried: %u)", host,
		    (unsigned)port, strerror(r.last_errno), r.n_started);
	/* The caller prefixes the peer's name, so keep this short. */
	if (err != KVR_OK)
		return kvr_stream_fail(s, err, "connect: %s", late(err));
	kvr_stream_take(s, fd, kick);
	return KVR_OK;
}

size_t
kvr_stream_unix_path_max(void)
{
	return sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
}

static enum kvr_err
connect_unix(int fd, const struct sockaddr_un *a, uint64_t until_ns, struct kvr_kick *kick)
{
	while (connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0) {
		if (errno != EAGAIN && errno != EINTR && errno != EINPROGRESS)
			return KVR_E_DOWN;
		uint64_t now_ns = kvr_now_ns();
		if (now_ns >= until_ns)
			return KVR_E_TIMEOUT;
		uint64_t look_ns = KVR_MIN(until_ns, now_ns + BACKLOG_LOOK_NS);
		if (kvr_stream_wait(-1, 0, look_ns, kick) == KVR_E_CANCELLED)
			return KVR_E_CANCELLED;
	}
	return KVR_OK;
}

enum kvr_err
kvr_stream_dial_unix(struct kvr_sock *s, const char *path, uint64_t until_ns, struct kvr_kick *kick)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	prepare(s, until_ns, kick);
	if (strlen(path) > kvr_stream_unix_path_max())
		return kvr_stream_fail(s, KVR_E_CONFIG,
		    "the path of a Unix socket is longer than %zu bytes",
		    kvr_stream_unix_path_max());
	memcpy(a.sun_path, path, strlen(path));
	if (kick != NULL && kvr_kicked(kick))
		return kvr_stream_fail(s, KVR_E_CANCELLED, "%s: connect: cancelled", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return kvr_stream_fail(s, KVR_E_DOWN, "%s: no socket: %s", path, strerror(errno));
	enum kvr_err err = connect_unix(fd, &a, until_ns, kick);
	if (err != KVR_OK) {
		const char *text = err == KVR_E_DOWN ? strerror(errno) : late(err);
		err = kvr_stream_fail(s, err, "%s: connect: %s", path, text);
		close(fd);
		return err;
	}
	kvr_stream_take(s, fd, kick);
	return KVR_OK;
}
