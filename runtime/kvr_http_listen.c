/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses to listen on. No look-up of names: a listening address must be numeric. */
#include "kvr_http_own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 16 };

static enum kvr_err
place_unix(const char *path, struct kvr_http_place *p, char *why, size_t why_cap)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(un.sun_path)) {
		snprintf(why, why_cap, "the path of a Unix socket has at most %zu bytes",
		    sizeof(un.sun_path) - 1);
		return KVR_E_CONFIG;
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	memcpy(&p->at, &un, sizeof(un));
	p->len = sizeof(un);
	snprintf(p->path, sizeof(p->path), "%s", path);
	return KVR_OK;
}

/* "127.0.0.1", "[::1]", "localhost"; false: none of these. */
static bool
address(const char *host, uint16_t port, struct kvr_http_place *p)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	size_t len = strlen(host);
	char inner[64] = "";

	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		memcpy(&p->at, &v4, sizeof(v4));
		p->len = sizeof(v4);
		return true;
	}
	if (len < 4 || len >= sizeof(inner) || host[0] != '[' || host[len - 1] != ']')
		return false;
	memcpy(inner, host + 1, len - 2);
	if (inet_pton(AF_INET6, inner, &v6.sin6_addr) != 1)
		return false;
	memcpy(&p->at, &v6, sizeof(v6));
	p->len = sizeof(v6);
	return true;
}

enum kvr_err
kvr_http_place(const char *listen, struct kvr_http_place *ret, char *why, size_t why_cap)
{
	const char *colon = strrchr(listen, ':');
	char host[80], *end = NULL;

	memset(ret, 0, sizeof(*ret));
	if (strncmp(listen, "unix:", 5) == 0)
		return place_unix(listen + 5, ret, why, why_cap);
	if (colon != NULL && colon != listen && (size_t)(colon - listen) < sizeof(host)) {
		unsigned long port = strtoul(colon + 1, &end, 10);

		snprintf(host, sizeof(host), "%.*s", (int)(colon - listen), listen);
		if (colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port <= UINT16_MAX &&
		    address(host, (uint16_t)port, ret))
			return KVR_OK;
	}
	snprintf(why, why_cap,
	    "%.80s is no address to listen on: write 127.0.0.1:9477, [::1]:9477, another address of "
	    "this machine, or unix:/path", listen);
	return KVR_E_CONFIG;
}

/* A socket whose process has gone refuses connections; one that is served does not. */
static bool
is_left_behind(const struct kvr_http_place *p)
{
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool gone = lstat(p->path, &st) == 0 && S_ISSOCK(st.st_mode) && fd >= 0 &&
	            connect(fd, (const struct sockaddr *)&p->at, p->len) != 0 &&
	            errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return gone;
}

int
kvr_http_listen(const struct kvr_http_place *p)
{
	int on = 1, fd = socket(p->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (p->path[0] == '\0')
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Before bind this sets the mode of the socket's file: others never have a chance. */
	else if (fchmod(fd, 0600) == 0 && is_left_behind(p))
		(void)unlink(p->path);
	if (bind(fd, (const struct sockaddr *)&p->at, p->len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int e = errno;

	close(fd);
	errno = e;
	return -1;
}

const char *
kvr_http_where(const struct kvr_http_place *p, int fd, char *ret, size_t cap)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char host[INET6_ADDRSTRLEN] = "?";

	if (p->path[0] != '\0') {
		snprintf(ret, cap, "unix:%s", p->path);
		return ret;
	}
	memcpy(&at, &p->at, sizeof(at));
	if (fd >= 0)
		(void)getsockname(fd, (struct sockaddr *)&at, &len);
	if (at.ss_family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&at;

		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(ret, cap, "http://%s:%u", host, ntohs(v4->sin_port));
	} else {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&at;

		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(ret, cap, "http://[%s]:%u", host, ntohs(v6->sin6_port));
	}
	return ret;
}
