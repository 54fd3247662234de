/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_hyperpod_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct kvr_hyperpod_server {
	struct kvr_hyperpod_page *page;
	int   fd; /* of page */
	pid_t pid;
	char  segment[64], url[64];
};

enum { PATIENCE_MS = 60000 };

static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "HyperPod server for a test: %s: %s\n", what, strerror(errno));
	abort();
}

static void
launch(struct kvr_hyperpod_server *me, unsigned port)
{
	char port_text[8], fd_text[16];
	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(fd_text, sizeof(fd_text), "%d", me->fd);
	atomic_store(&me->page->port, 0);
	me->pid = fork();
	need(me->pid >= 0, "fork");
	if (me->pid == 0) {
		execl(KVR_HYPERPOD_DAEMON, KVR_HYPERPOD_DAEMON, me->segment, port_text, fd_text,
		    (char *)NULL);
		_exit(127);
	}
	for (int i = 0; atomic_load(&me->page->port) == 0; i++) {
		need(i < PATIENCE_MS && waitpid(me->pid, NULL, WNOHANG) == 0, KVR_HYPERPOD_DAEMON);
		usleep(1000);
	}
}

struct kvr_hyperpod_server *
kvr_hyperpod_server_start(void)
{
	static int n;
	struct kvr_hyperpod_server *me = calloc(1, sizeof(*me));
	need(me != NULL, "memory");
	me->fd = memfd_create("kvr_hyperpod_page", 0);
	need(me->fd >= 0 && ftruncate(me->fd, sizeof(*me->page)) == 0, "memory");
	me->page = mmap(
	    NULL, sizeof(*me->page), PROT_READ | PROT_WRITE, MAP_SHARED, me->fd, 0);
	need(me->page != MAP_FAILED, "memory");
	snprintf(me->segment, sizeof(me->segment), "kvr_test_hyperpod_%d_%d", (int)getpid(), n++);
	launch(me, 0);
	snprintf(me->url, sizeof(me->url), "sagemaker-hyperpod://127.0.0.1:%u",
	    atomic_load(&me->page->port));
	return me;
}

void
kvr_hyperpod_server_kill(struct kvr_hyperpod_server *me)
{
	if (me->pid > 0) {
		kill(me->pid, SIGKILL);
		waitpid(me->pid, NULL, 0);
	}
	me->pid = 0;
}

void
kvr_hyperpod_server_restart(struct kvr_hyperpod_server *me)
{
	unsigned port = atomic_load(&me->page->port);
	kvr_hyperpod_server_kill(me);
	/* What was leased is gone with the process. */
	atomic_store(&me->page->released, atomic_load(&me->page->granted));
	atomic_store(&me->page->expired, 0);
	launch(me, port);
}

void
kvr_hyperpod_server_stop(struct kvr_hyperpod_server *take)
{
	if (take == NULL)
		return;
	kvr_hyperpod_server_kill(take);
	shm_unlink(take->segment);
	munmap(take->page, sizeof(*take->page));
	close(take->fd);
	free(take);
}

const char *
kvr_hyperpod_server_url(const struct kvr_hyperpod_server *me)
{
	return me->url;
}

const char *
kvr_hyperpod_server_segment(const struct kvr_hyperpod_server *me)
{
	return me->segment;
}

struct kvr_hyperpod_page *
kvr_hyperpod_server_page(struct kvr_hyperpod_server *me)
{
	return me->page;
}

int
kvr_hyperpod_server_wait_held(struct kvr_hyperpod_server *me, uint32_t n)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (atomic_load(&me->page->held) >= n)
			return 1;
		usleep(1000);
	}
	return 0;
}

int
kvr_hyperpod_server_wait_no_lease(struct kvr_hyperpod_server *me)
{
	const struct kvr_hyperpod_page *p = me->page;
	for (int i = 0; i < PATIENCE_MS; i++) {
		uint32_t over = atomic_load(&p->released) + atomic_load(&p->expired);
		if (over == atomic_load(&p->granted))
			return 1;
		usleep(1000);
	}
	return 0;
}
