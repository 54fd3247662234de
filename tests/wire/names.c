/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This file's getaddrinfo takes the place of the C library's in whatever is linked with it, so that
 * a name can have the addresses that a case needs, or hang until the test lets it go.
 */
#include "kvr_names.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

int kvr_names_stuck_fd = -1;
_Atomic int kvr_names_n_stuck;

typedef int look_up_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int
chain(look_up_fn *real, const char *const *names, const char *port, const struct addrinfo *hints,
    struct addrinfo **ret)
{
	struct addrinfo **at = ret;
	for (; *names != NULL; names++) {
		int rc = real(*names, port, hints, at);
		if (rc != 0)
			return rc;
		at = &(*at)->ai_next;
	}
	return 0;
}

int
getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
	look_up_fn *real;
	void *found = dlsym(RTLD_NEXT, "getaddrinfo");
	memcpy(&real, &found, sizeof(real));
	if ((hints->ai_flags & AI_NUMERICHOST) != 0)
		return real(name, port, hints, ret);
	struct addrinfo numeric = *hints;
	numeric.ai_flags |= AI_NUMERICHOST;
	if (strcmp(name, "two.test") == 0)
		return chain(real, (const char *const[]){ "127.0.0.2", "127.0.0.1", NULL }, port,
		    &numeric, ret);
	if (strcmp(name, "mixed.test") == 0)
		return chain(real, (const char *const[]){ "127.0.0.2", "127.0.0.3", "::1", NULL },
		    port, &numeric, ret);
	if (strcmp(name, "six.test") == 0)
		return chain(real, (const char *const[]){ "::1", "127.0.0.1", NULL }, port,
		    &numeric, ret);
	if (strcmp(name, "four.test") == 0)
		return chain(real,
		    (const char *const[]){ "127.0.0.2", "127.0.0.3", "127.0.0.4", "::1", NULL },
		    port, &numeric, ret);
	if (strcmp(name, "stuck.test") == 0) {
		struct pollfd p = { .fd = kvr_names_stuck_fd, .events = POLLIN };
		atomic_fetch_add(&kvr_names_n_stuck, 1);
		while (poll(&p, 1, -1) < 0)
			;
		atomic_fetch_sub(&kvr_names_n_stuck, 1);
		return real("127.0.0.1", port, &numeric, ret);
	}
	if (strcmp(name, "broken.test") == 0) {
		errno = ENETDOWN;
		return EAI_SYSTEM;
	}
	return EAI_NONAME;
}
