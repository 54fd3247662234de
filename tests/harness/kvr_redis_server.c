/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_redis_server.h"
#include "kvr_port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 64, START_TRIES = 30, READY_MS = 20000, LOOK_MS = 5 };

const char *
kvr_redis_server_program(void)
{
	const char *name = getenv("KVR_TEST_SERVER");
	return name != NULL && name[0] != '\0' ? name : "redis-server";
}

/* Not Check's macros: they work in tests only, and programs that measure need a server too. */
static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s for a test: %s: %s\n", kvr_redis_server_program(), what,
	    strerror(errno));
	abort();
}

int
kvr_redis_server_missing(void)
{
	char path[4096];
	const char *env = getenv("PATH");
	snprintf(path, sizeof(path), "%s", env != NULL ? env : "/usr/bin:/bin");
	char *rest = NULL;
	for (char *dir = strtok_r(path, ":", &rest); dir != NULL;
	     dir = strtok_r(NULL, ":", &rest)) {
		char file[4200];
		snprintf(file, sizeof(file), "%s/%.64s", dir, kvr_redis_server_program());
		if (access(file, X_OK) == 0)
			return 0;
	}
	return 1;
}

static uint64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000U + (uint64_t)t.tv_nsec / 1000000U;
}

static void
exec_server(const struct kvr_redis_server *me, pid_t parent)
{
	char port[16], conf[96];
	const char *argv[ARGS_MAX] = { kvr_redis_server_program(), conf, "--port", port, "--bind",
		"127.0.0.1", "--unixsocket", me->sock, "--dir", me->dir, "--save", "", "--appendonly", "no",
		"--logfile", "log", "--loglevel", "warning", "--daemonize", "no" };
	size_t n = 0;
	snprintf(conf, sizeof(conf), "%s/conf", me->dir);
	snprintf(port, sizeof(port), "%u", me->port);
	while (argv[n] != NULL)
		n++;
	if (me->password != NULL) {
		argv[n++] = "--requirepass";
		argv[n++] = me->password;
	}
	if (me->is_sentinel)
		argv[n++] = "--sentinel";
	for (size_t i = 0; me->args != NULL && me->args[i] != NULL && n + 1 < ARGS_MAX; i++)
		argv[n++] = me->args[i];
	/* The parent may be gone before the request to die with it is made. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	/* A group of its own, so that a signal for the test's group does not reach it first. */
	setpgid(0, 0);
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/*
 * 1: answers; 0: not yet; what it answers does not matter, a demand for the password is fine. By
 * its own socket, which it opens behind the port: on the port somebody else may answer, who had it
 * first.
 */
static int
answers(const struct kvr_redis_server *me)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char reply = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 2 };
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", me->sock);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	int ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, &reply, 1, 0) == 1;
	close(fd);
	return ok;
}

static void
reap(struct kvr_redis_server *me)
{
	while (waitpid(me->pid, NULL, 0) < 0 && errno == EINTR)
		;
	me->pid = 0;
}

static int
launch(struct kvr_redis_server *me)
{
	pid_t parent = getpid();
	me->pid = fork();
	need(me->pid >= 0, "fork");
	if (me->pid == 0)
		exec_server(me, parent);
	int watch = (int)syscall(SYS_pidfd_open, me->pid, 0);
	need(watch >= 0, "pidfd_open");
	int up = 0;
	for (uint64_t end = now_ms() + READY_MS; !up && now_ms() < end;) {
		struct pollfd p = { .fd = watch, .events = POLLIN };
		if (poll(&p, 1, LOOK_MS) > 0)
			break;
		up = answers(me);
	}
	close(watch);
	if (!up) {
		kill(me->pid, SIGKILL);
		reap(me);
	}
	return up;
}

static void
write_conf(const struct kvr_redis_server *me, const char *text)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/conf", me->dir);
	FILE *f = fopen(path, "w");
	need(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "its configuration");
}

static struct kvr_redis_server *
start(const char *password, const char *const *args, const char *conf)
{
	struct kvr_redis_server *me = calloc(1, sizeof(*me));
	need(me != NULL, "memory");
	me->password = password;
	me->args = args;
	me->is_sentinel = conf != NULL;
	snprintf(me->dir, sizeof(me->dir), "/tmp/kvr-redis-XXXXXX");
	need(mkdtemp(me->dir) != NULL, "directory in /tmp");
	write_conf(me, conf != NULL ? conf : "");
	snprintf(me->sock, sizeof(me->sock), "%s/sock", me->dir);
	snprintf(me->unix_url, sizeof(me->unix_url), "unix://%s", me->sock);
	for (int i = 0; i < START_TRIES; i++) {
		/* Somebody who is no test may take the port first; then the server exits at once. */
		me->port = kvr_port_take();
		snprintf(me->url, sizeof(me->url), "redis://127.0.0.1:%u", me->port);
		if (launch(me))
			return me;
		kvr_port_give(me->port);
	}
	need(0, "does not start; its log lies in /tmp/kvr-redis-*");
	return NULL;
}

struct kvr_redis_server *
kvr_redis_server_start(const char *password, const char *const *args)
{
	return start(password, args, NULL);
}

struct kvr_redis_server *
kvr_redis_sentinel_start(const char *conf, const char *const *args)
{
	return start(NULL, args, conf);
}

void
kvr_redis_server_kill(struct kvr_redis_server *me)
{
	if (me->pid == 0)
		return;
	kill(me->pid, SIGKILL);
	reap(me);
}

void
kvr_redis_server_restart(struct kvr_redis_server *me)
{
	kvr_redis_server_kill(me);
	unlink(me->sock);
	for (int i = 0; i < START_TRIES; i++)
		if (launch(me))
			return;
	need(0, "does not start again on its port");
}

/* One letter, as in proc(5); 0: there is no such process. */
static char
state_of(pid_t pid)
{
	char path[64], text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return 0;
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	const char *end = strrchr(text, ')');
	need(end != NULL && end[1] == ' ', "cannot be looked at");
	return end[2];
}

void
kvr_redis_server_pause(struct kvr_redis_server *me)
{
	int status = 0;
	need(kill(me->pid, SIGSTOP) == 0, "does not stand still");
	/* Where the test's parent has started it, only the system can say how it is. */
	if (waitpid(me->pid, &status, WUNTRACED) == me->pid)
		need(WIFSTOPPED(status), "is gone");
	else
		while (state_of(me->pid) != 'T')
			poll(NULL, 0, LOOK_MS);
}

void
kvr_redis_server_resume(struct kvr_redis_server *me)
{
	need(kill(me->pid, SIGCONT) == 0, "cannot go on");
}

void
kvr_redis_server_stop(struct kvr_redis_server *take)
{
	/* nodes.conf: where it is part of a cluster. */
	static const char *const files[] = { "log", "conf", "nodes.conf" };
	char file[128];
	if (take == NULL)
		return;
	kvr_redis_server_kill(take);
	kvr_port_give(take->port);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s", take->dir, files[i]);
		unlink(file);
	}
	unlink(take->sock);
	rmdir(take->dir);
	free(take);
}
