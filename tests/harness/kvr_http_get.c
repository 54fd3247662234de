/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

int
kvr_http_connect(const char *where)
{
	const struct timeval patience = { .tv_sec = 30 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int is_unix = strncmp(where, "unix:", 5) == 0;
	int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", is_unix ? where + 5 : "");
	in.sin_port = htons((uint16_t)(is_unix ? 0 : atoi(where)));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, is_unix ? (struct sockaddr *)&un : (struct sockaddr *)&in,
		is_unix ? sizeof(un) : sizeof(in)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
read_all(int fd, struct kvr_http_got *g)
{
	size_t cap = 1 << 16, n = 0;
	ssize_t r;

	g->all = malloc(cap + 1);
	while (g->all != NULL && (r = recv(fd, g->all + n, cap - n, 0)) > 0) {
		n += (size_t)r;
		if (n == cap)
			g->all = realloc(g->all, (cap *= 2) + 1);
	}
	if (g->all == NULL)
		return;
	g->all[n] = '\0';
	char *gap = strstr(g->all, "\r\n\r\n");

	if (gap == NULL || sscanf(g->all, "HTTP/1.1 %d", &g->status) != 1)
		return;
	*gap = '\0';
	g->head = g->all;
	g->body = gap + 4;
	g->len = n - (size_t)(g->body - g->all);
}

struct kvr_http_got
kvr_http_ask(const char *where, const char *request, size_t len)
{
	struct kvr_http_got g = { .status = 0 };
	int fd = kvr_http_connect(where);

	if (fd < 0)
		return g;
	if (send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len)
		read_all(fd, &g);
	close(fd);
	return g;
}

struct kvr_http_got
kvr_http_fetch(const char *where, const char *path, const char *accept)
{
	char request[512];
	int len = snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: x\r\nACCEPT:  %s\r\n\r\n", path, accept);

	return kvr_http_ask(where, request, (size_t)len);
}

void
kvr_http_drop(struct kvr_http_got *g)
{
	free(g->all);
	*g = (struct kvr_http_got){ .status = 0 };
}
