/* SPDX-License-Identifier: Apache-2.0 */
/* Dialling and name resolution; names.c says which names there are. */
#include "kvr_names.h"
#include "kvr_resolve.h"
#include "kvr_stream.h"
#include "kvr_check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint64_t
in(uint64_t ns)
{
	return kvr_now_ns() + ns;
}

static int
listener(const char *host, uint16_t *port, int backlog)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t len = sizeof(a);
	const int on = 1;
	inet_pton(AF_INET, host, &a.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* Fills the backlog of a listener, so that it answers no more SYN. */
static void
fill_backlog(const char *host, uint16_t port, int *fds, int n)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, host, &a.sin_addr);
	for (int i = 0; i < n; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		int rc = connect(fds[i], (struct sockaddr *)&a, sizeof(a));
		ck_assert(rc == 0 || errno == EINPROGRESS);
	}
}

START_TEST(numeric_addresses_need_no_look_up)
{
	struct kvr_addrs a;
	char why[200] = "";
	ck_assert_int_eq(
	    kvr_resolve("127.0.0.1", 80, in(KVR_SEC(9)), NULL, &a, why, sizeof(why)), KVR_OK);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_int_eq(a.addr[0].at.ss_family, AF_INET);
	ck_assert_int_eq(
	    kvr_resolve("::1", 80, in(KVR_SEC(9)), NULL, &a, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(a.addr[0].at.ss_family, AF_INET6);
	ck_assert_int_eq(ntohs(((struct sockaddr_in6 *)(void *)&a.addr[0].at)->sin6_port), 80);
}
END_TEST

START_TEST(a_name_that_is_not_there_says_so)
{
	struct kvr_addrs a;
	char why[200] = "";
	ck_assert_int_eq(
	    kvr_resolve("no.test", 1, in(KVR_SEC(9)), NULL, &a, why, sizeof(why)), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(why, "no.test"));
	ck_assert_int_eq(
	    kvr_resolve("broken.test", 1, in(KVR_SEC(9)), NULL, &a, why, sizeof(why)), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(why, strerror(ENETDOWN)));
	char name[400];
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(
	    kvr_resolve(name, 1, in(KVR_SEC(9)), NULL, &a, why, sizeof(why)), KVR_E_DOWN);
}
END_TEST

START_TEST(a_stuck_resolver_is_left_behind_and_bounded)
{
	struct kvr_addrs a;
	char why[200] = "";
	uint64_t one = 1;
	struct kvr_kick kick = { .fd = eventfd(0, EFD_NONBLOCK), .current = 1 };
	kvr_names_stuck_fd = eventfd(0, EFD_NONBLOCK);
	atomic_store(&kick.target, 1);
	for (uint32_t i = 0; i < KVR_RESOLVE_THREADS; i++) {
		bool by_kick = i % 2 == 0;
		uint64_t until_ns = in(by_kick ? KVR_SEC(60) : KVR_MS(20));
		enum kvr_err err = kvr_resolve(
		    "stuck.test", 1, until_ns, by_kick ? &kick : NULL, &a, why, sizeof(why));
		ck_assert_int_eq(err, by_kick ? KVR_E_CANCELLED : KVR_E_TIMEOUT);
	}
	ck_assert_int_eq(
	    kvr_resolve("stuck.test", 1, in(KVR_SEC(60)), NULL, &a, why, sizeof(why)), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(why, "hang"));
	ck_assert_int_eq(
	    kvr_resolve("127.0.0.1", 1, in(KVR_SEC(9)), NULL, &a, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(write(kvr_names_stuck_fd, &one, sizeof(one)), sizeof(one));
	/* The threads end when they come to it; then there is room again. */
	enum kvr_err err = KVR_E_DOWN;
	for (uint64_t end_ns = in(KVR_SEC(60)); err != KVR_OK && kvr_now_ns() < end_ns;
	     sched_yield())
		err = kvr_resolve("stuck.test", 1, in(KVR_SEC(60)), NULL, &a, why, sizeof(why));
	ck_assert_int_eq(err, KVR_OK);
	while (atomic_load(&kvr_names_n_stuck) > 0)
		sched_yield();
	close(kick.fd);
}
END_TEST

static void *
look_up(void *ret_err)
{
	struct kvr_addrs a;
	char why[200];
	*(enum kvr_err *)ret_err =
	    kvr_resolve("stuck.test", 1, in(KVR_SEC(60)), NULL, &a, why, sizeof(why));
	return NULL;
}

/* As the lanes of a few tiers do when they dial. */
START_TEST(many_names_are_looked_up_in_turns)
{
	pthread_t thread[3 * KVR_RESOLVE_THREADS];
	enum kvr_err err[KVR_LEN(thread)];
	uint64_t one = 1;
	kvr_names_stuck_fd = eventfd(0, EFD_NONBLOCK);
	for (size_t i = 0; i < KVR_LEN(thread); i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, look_up, &err[i]), 0);
	while (atomic_load(&kvr_names_n_stuck) < (int)KVR_RESOLVE_THREADS)
		sched_yield();
	ck_assert_int_eq(write(kvr_names_stuck_fd, &one, sizeof(one)), sizeof(one));
	for (size_t i = 0; i < KVR_LEN(thread); i++) {
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
		ck_assert_int_eq(err[i], KVR_OK);
	}
	close(kvr_names_stuck_fd);
}
END_TEST

static void
connects(const char *host, uint16_t port, int listen_fd)
{
	static struct kvr_sock s;
	enum kvr_err err = kvr_stream_dial_tcp(&s, host, port, in(KVR_SEC(60)), NULL);
	ck_assert_msg(err == KVR_OK, "%s: %s", host, s.why);
	int fd = accept(listen_fd, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "+hi\r\n", 5), 5);
	struct kvr_const_span line;
	ck_assert_int_eq(kvr_stream_begin(&s, in(KVR_SEC(60)), 64), KVR_OK);
	ck_assert_int_eq(kvr_stream_line(&s, &line), KVR_OK);
	ck_assert_mem_eq(line.at, "+hi", 3);
	close(fd);
	kvr_stream_hang_up(&s);
}

START_TEST(a_refused_address_gives_way_to_the_next)
{
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 16);
	connects("127.0.0.1", port, fd);
	connects("two.test", port, fd);
	close(fd);
}
END_TEST

START_TEST(an_address_that_does_not_answer_loses_its_head_start)
{
	static struct kvr_sock s;
	uint16_t port = 0;
	int fds[4];
	int dead = listener("127.0.0.2", &port, 0);
	int fd = listener("127.0.0.1", &port, 16);
	fill_backlog("127.0.0.2", port, fds, 4);
	connects("two.test", port, fd);
	uint64_t until_ns = in(KVR_MS(60));
	ck_assert_int_eq(kvr_stream_dial_tcp(&s, "127.0.0.2", port, until_ns, NULL), KVR_E_TIMEOUT);
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
	ck_assert_uint_lt(kvr_now_ns(), until_ns + KVR_SEC(10));
	struct kvr_kick kick = { .fd = eventfd(0, EFD_NONBLOCK), .current = 3 };
	atomic_store(&kick.target, 3);
	ck_assert_int_eq(
	    kvr_stream_dial_tcp(&s, "127.0.0.2", port, in(KVR_SEC(60)), &kick), KVR_E_CANCELLED);
	close(kick.fd);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	close(fd);
	close(dead);
}
END_TEST

START_TEST(all_addresses_refused_is_down)
{
	static struct kvr_sock s;
	uint16_t port = 0;
	/* Bound and not listening: nobody else can take it meanwhile. */
	int fd = listener("127.0.0.9", &port, 1);
	ck_assert_int_eq(
	    kvr_stream_dial_tcp(&s, "mixed.test", port, in(KVR_SEC(60)), NULL), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(s.why, "tried: 3"));
	ck_assert_int_eq(s.fd, -1);
	ck_assert_int_eq(kvr_stream_flush(&s), KVR_E_DOWN);
	kvr_stream_hang_up(&s);
	close(fd);
}
END_TEST

START_TEST(unix_sockets_are_dialled_by_path)
{
	static struct kvr_sock s;
	char path[] = "/tmp/kvr-dial-XXXXXX", file[64], too_long[200];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(file, sizeof(file), "%s/s", path);
	ck_assert_int_eq(kvr_stream_dial_unix(&s, file, in(KVR_SEC(60)), NULL), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(s.why, file));
	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	ck_assert_int_eq(kvr_stream_dial_unix(&s, too_long, in(KVR_SEC(60)), NULL), KVR_E_CONFIG);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", file);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	ck_assert_int_eq(kvr_stream_dial_unix(&s, file, in(KVR_SEC(60)), NULL), KVR_OK);
	/* The backlog is full now: a second dial waits, and not longer than it may. */
	static struct kvr_sock more[4];
	enum kvr_err err = KVR_OK;
	uint32_t n = 0;
	for (; err == KVR_OK && n < 4; n++)
		err = kvr_stream_dial_unix(&more[n], file, in(KVR_MS(40)), NULL);
	ck_assert_int_eq(err, KVR_E_TIMEOUT);
	for (uint32_t i = 0; i < n; i++)
		kvr_stream_hang_up(&more[i]);
	kvr_stream_hang_up(&s);
	close(fd);
	unlink(file);
	rmdir(path);
}
END_TEST

static int
option_of(int fd, int level, int name)
{
	int       value = -1;
	socklen_t len = sizeof(value);
	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

START_TEST(a_connection_is_kept_alive_and_not_delayed)
{
	static struct kvr_sock s;
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 16);
	ck_assert_int_eq(
	    kvr_stream_dial_tcp(&s, "127.0.0.1", port, in(KVR_SEC(60)), NULL), KVR_OK);
	ck_assert_int_ne(option_of(s.fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(option_of(s.fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	/* A host that vanished is noticed within half a minute, and not after the kernel's two hours. */
	ck_assert_int_le(option_of(s.fd, IPPROTO_TCP, TCP_KEEPIDLE) +
	        option_of(s.fd, IPPROTO_TCP, TCP_KEEPINTVL) * option_of(s.fd, IPPROTO_TCP, TCP_KEEPCNT),
	    30);
	ck_assert_int_ne(fcntl(s.fd, F_GETFD) & FD_CLOEXEC, 0);
	kvr_stream_hang_up(&s);
	close(fd);
}
END_TEST

/* With its default action SIGPIPE would end this process, and Check would say so. */
START_TEST(a_peer_that_is_gone_is_an_error_and_no_signal)
{
	static struct kvr_sock s;
	static uint8_t block[65536];
	uint16_t port = 0;
	int fd = listener("127.0.0.1", &port, 16);
	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	ck_assert_int_eq(
	    kvr_stream_dial_tcp(&s, "127.0.0.1", port, in(KVR_SEC(60)), NULL), KVR_OK);
	close(accept(fd, NULL, NULL));
	enum kvr_err err = kvr_stream_begin(&s, in(KVR_SEC(60)), 64);
	for (int i = 0; i < 10000 && err == KVR_OK; i++) {
		err = kvr_stream_lend(&s, block, sizeof(block));
		if (err == KVR_OK)
			err = kvr_stream_flush(&s);
	}
	ck_assert_int_eq(err, KVR_E_DOWN);
	kvr_stream_hang_up(&s);
	close(fd);
}
END_TEST

KVR_CHECK_MAIN("wire.dial", numeric_addresses_need_no_look_up, a_name_that_is_not_there_says_so,
    a_stuck_resolver_is_left_behind_and_bounded, many_names_are_looked_up_in_turns,
    a_refused_address_gives_way_to_the_next, an_address_that_does_not_answer_loses_its_head_start,
    all_addresses_refused_is_down, unix_sockets_are_dialled_by_path,
    a_connection_is_kept_alive_and_not_delayed, a_peer_that_is_gone_is_an_error_and_no_signal)
