/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* tests/cli/command.py takes of the same ones, by the same names. */
enum { FIRST = 10240, COUNT = 9728, BUS = 10000, HELD_MAX = 256 };

static struct {
	uint16_t port; /* 0: free */
	int fd;
} held[HELD_MAX];

/* A name of the system that is free again when its last holder is gone, however that ended; -1: taken. */
static int
hold(uint16_t port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int len = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "kvrelay-test-port-%u", port);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&a,
	                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Nor has a program that is no test of ours one of them. */
static int
is_free(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	int is = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return is;
}

uint16_t
kvr_port_take(void)
{
	struct timespec t;
	size_t i = 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
	unsigned from = (unsigned)t.tv_nsec / 1000U + (unsigned)getpid() * 7919U;
	while (i < HELD_MAX && held[i].port != 0)
		i++;
	for (unsigned n = 0; i < HELD_MAX && n < COUNT; n++) {
		uint16_t port = (uint16_t)(FIRST + (from + n) % COUNT);
		int fd = hold(port);
		if (fd < 0)
			continue;
		if (is_free(port) && is_free((uint16_t)(port + BUS))) {
			held[i].port = port;
			held[i].fd = fd;
			return port;
		}
		close(fd);
	}
	/* Not Check's macros: they work in tests only, and programs that measure need servers too. */
	fprintf(stderr, "a port for a test: none is free: %s\n", strerror(errno));
	abort();
}

void
kvr_port_give(uint16_t take)
{
	for (size_t i = 0; take != 0 && i < HELD_MAX; i++)
		if (held[i].port == take) {
			close(held[i].fd);
			held[i].port = 0;
			return;
		}
}
