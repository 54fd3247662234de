/* SPDX-License-Identifier: Apache-2.0 */
/* IPv6, and a name that has addresses of both families. */
#include "kvr_check.h"
#include "kvr_names.h"
#include "kvr_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in6
six(uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	a.sin6_addr = in6addr_loopback;
	return a;
}

static struct sockaddr_in
four(const char *host, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, host, &a.sin_addr);
	return a;
}

/* -1: no IPv6 on this machine. */
static int
listen_six(uint16_t *port, int backlog)
{
	struct sockaddr_in6 a = six(*port);
	socklen_t len = sizeof(a);
	const int on = 1;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)&a, len) != 0 || listen(fd, backlog) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		return -1;
	*port = ntohs(a.sin6_port);
	return fd;
}

static int
listen_four(const char *host, uint16_t *port, int backlog)
{
	struct sockaddr_in a = four(host, *port);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

__attribute__((constructor)) static void
needs_six(void)
{
	uint16_t port = 0;
	int      fd = listen_six(&port, 1);

	if (fd >= 0) {
		close(fd);
		return;
	}
	fprintf(stderr, "not run: there is no IPv6 on the loopback device\n");
	_exit(77);
}

static void
connects(const char *host, uint16_t port, int family)
{
	static struct kvr_sock s;
	struct sockaddr_storage peer = { 0 };
	socklen_t    len = sizeof(peer);
	enum kvr_err err =
	    kvr_stream_dial_tcp(&s, host, port, kvr_now_ns() + KVR_SEC(60), NULL);

	ck_assert_msg(err == KVR_OK, "%s: %s", host, s.why);
	ck_assert_int_eq(getpeername(s.fd, (struct sockaddr *)&peer, &len), 0);
	ck_assert_int_eq(peer.ss_family, family);
	kvr_stream_hang_up(&s);
}

/* So that it answers no more SYN. */
static void
fill(const struct sockaddr *a, socklen_t len, int *fds, int n)
{
	for (int i = 0; i < n; i++) {
		fds[i] = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		int rc = connect(fds[i], a, len);
		ck_assert(rc == 0 || errno == EINPROGRESS);
	}
}

static void
close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

START_TEST(an_address_and_a_name_of_it_are_dialled)
{
	uint16_t port = 0;
	int fd = listen_six(&port, 16);

	connects("::1", port, AF_INET6);
	connects("six.test", port, AF_INET6);
	close(fd);
}
END_TEST

START_TEST(a_family_that_is_refused_gives_way_to_the_other)
{
	uint16_t port = 0;
	int fd = listen_four("127.0.0.1", &port, 16);

	connects("six.test", port, AF_INET);
	close(fd);
	port = 0;
	fd = listen_six(&port, 16);
	connects("mixed.test", port, AF_INET6);
	close(fd);
}
END_TEST

START_TEST(a_family_that_does_not_answer_loses_its_head_start)
{
	uint16_t port = 0;
	int fds[4], dead = listen_six(&port, 0), fd = listen_four("127.0.0.1", &port, 16);
	struct sockaddr_in6 a = six(port);

	fill((struct sockaddr *)&a, sizeof(a), fds, 4);
	connects("six.test", port, AF_INET);
	close_all(fds, 4);
	close(fd);
	close(dead);
}
END_TEST

/* Three addresses of one family answer nothing; the other's comes second, and not fourth. */
START_TEST(families_take_turns)
{
	static const char *const hosts[] = { "127.0.0.2", "127.0.0.3", "127.0.0.4" };
	static struct kvr_sock s;
	uint16_t port = 0;
	int fd = listen_six(&port, 16), dead[3], fds[3][4];

	for (int i = 0; i < 3; i++) {
		struct sockaddr_in a = four(hosts[i], port);
		dead[i] = listen_four(hosts[i], &port, 0);
		fill((struct sockaddr *)&a, sizeof(a), fds[i], 4);
	}
	connects("four.test", port, AF_INET6);
	/* With so little time each would have a fifth of it, and still has its turn. */
	enum kvr_err err =
	    kvr_stream_dial_tcp(&s, "four.test", port, kvr_now_ns() + KVR_SEC(5), NULL);
	ck_assert_int_eq(err, KVR_OK);
	kvr_stream_hang_up(&s);
	for (int i = 0; i < 3; i++) {
		close_all(fds[i], 4);
		close(dead[i]);
	}
	close(fd);
}
END_TEST

KVR_CHECK_MAIN("wire.dial_six", an_address_and_a_name_of_it_are_dialled,
    a_family_that_is_refused_gives_way_to_the_other,
    a_family_that_does_not_answer_loses_its_head_start, families_take_turns)
