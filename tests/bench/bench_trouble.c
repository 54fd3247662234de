/* SPDX-License-Identifier: Apache-2.0 */
/* How each trouble is made, and undone. */
#include "kvr_names.h"
#include "kvr_trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "bench_deadline: %s\n", what);
	exit(1);
}

static void
nothing(struct world *w)
{
	(void)w;
}

static void
still_start(struct world *w)
{
	snprintf(w->url, sizeof(w->url), "%s", w->server->url);
}

static void
still_well(struct world *w)
{
	kvr_redis_server_resume(w->server);
}

static void
still_ill(struct world *w)
{
	kvr_redis_server_pause(w->server);
}

static void
drip_start(struct world *w)
{
	w->net = kvr_bad_net_start((uint16_t)w->server->port);
	snprintf(w->url, sizeof(w->url), "%s", kvr_bad_net_url(w->net));
}

static void
drip_well(struct world *w)
{
	kvr_bad_net_mode(w->net, KVR_NET_PASS, 0);
}

static void
drip_ill(struct world *w)
{
	if (!kvr_bad_net_script(w->net, "0s drip 1B/s\n"))
		fail("no time line");
}

static void
drip_end(struct world *w)
{
	kvr_bad_net_stop(w->net);
}

/* A listener that nobody serves. full: its queue is, too, so that the kernel drops what comes. */
static void
listen_only(struct world *w, int full)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t a_len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(fd, full ? 0 : 128) != 0 || getsockname(fd, (struct sockaddr *)&a, &a_len) != 0)
		fail("no listener");
	for (int i = 0; full && i < 4; i++) {
		int one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		(void)connect(one, (struct sockaddr *)&a, sizeof(a)); /* stays open until the end */
	}
	snprintf(w->url, sizeof(w->url), "redis://127.0.0.1:%u", ntohs(a.sin_port));
}

static void
silent_start(struct world *w)
{
	listen_only(w, 0);
}

static void
hole_start(struct world *w)
{
	listen_only(w, 1);
}

static void
names_start(struct world *w)
{
	kvr_names_stuck_fd = eventfd(0, EFD_NONBLOCK);
	if (kvr_names_stuck_fd < 0)
		fail("no eventfd");
	snprintf(w->url, sizeof(w->url), "redis://stuck.test:1");
}

/* Look-ups that hang are bounded in number: those of one call must not be there at the next. */
static void
names_well(struct world *w)
{
	uint64_t n = 1;

	(void)w;
	if (write(kvr_names_stuck_fd, &n, sizeof(n)) != sizeof(n))
		fail("no look-up is let go");
	while (atomic_load(&kvr_names_n_stuck) > 0)
		(void)poll(NULL, 0, 1);
	if (read(kvr_names_stuck_fd, &n, sizeof(n)) != sizeof(n))
		fail("look-ups go on");
}

/* A file system of its own that one file fills; where none can be mounted, no file may grow. */
static void
full_start(struct world *w)
{
	static char page[4096];
	char path[96];

	snprintf(w->dir, sizeof(w->dir), "/tmp/bench-deadline.XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		fail("no directory");
	w->mounted = unshare(CLONE_NEWNS) == 0 &&
	             mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	             mount("bench", w->dir, "tmpfs", 0, "size=256k") == 0;
	snprintf(w->url, sizeof(w->url), "fs://%s", w->dir);
	if (w->mounted) {
		snprintf(path, sizeof(path), "%s/filler", w->dir);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		while (write(fd, page, sizeof(page)) > 0)
			;
		if (fd < 0 || errno != ENOSPC)
			fail("the file system does not become full");
		close(fd);
		return;
	}
	signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(RLIMIT_FSIZE, &w->limit) != 0)
		fail("getrlimit");
}

static void
full_limit(struct world *w, bool on)
{
	struct rlimit none = { .rlim_cur = 0, .rlim_max = w->limit.rlim_max };

	if (!w->mounted && setrlimit(RLIMIT_FSIZE, on ? &none : &w->limit) != 0)
		fail("setrlimit");
}

static void
full_ill(struct world *w)
{
	full_limit(w, true);
}

static void
full_well(struct world *w)
{
	full_limit(w, false);
}

static void
full_end(struct world *w)
{
	char command[128];

	if (w->mounted)
		(void)umount(w->dir);
	snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	if (system(command) != 0)
		fail("the directory stays");
}

const struct kvr_trouble kvr_troubles[KVR_TROUBLES] = {
	{ "still", true, still_start, still_ill, still_well, nothing },
	{ "drip", true, drip_start, drip_ill, drip_well, drip_end },
	{ "silent", false, silent_start, nothing, nothing, nothing },
	{ "hole", false, hole_start, nothing, nothing, nothing },
	{ "names", false, names_start, nothing, names_well, nothing },
	{ "full", false, full_start, full_ill, full_well, full_end },
};
