/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late a call returns after its deadline, while its store is in trouble: bench_deadline [--smoke]
 *
 *   still    the server stands still (SIGSTOP) under connections that were good
 *   drip     the server's bytes arrive one a second, on connections that were good
 *   silent   connections are taken and nothing ever answers: half open
 *   hole     packets to the server get lost: no connection comes up
 *   names    the host's name is asked of a resolver that does not answer
 *   full     a file system without any space
 *
 * Each trouble meets batches of every size from 1 to 1024, a lookup, a get or a put of each. For
 * sizes from one power of two to the next: calls, and the median, the 99.9th percentile and the
 * worst of what they were late; at the end the same over all. The 99.9th percentile is to be below
 * 5 ms on an idle machine. --smoke makes few calls and fails beyond two seconds, which is a hang
 * and not a busy machine.
 */
#include "kvr_bad_net.h"
#include "kvr_names.h"
#include "kvr_redis_server.h"
#include "kvrelay.h"

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
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEYS_MAX = 1024, EACH = 256, BUDGET_MS = 30, SMOKE_LATE_MS = 2000, TROUBLES = 6 };

static char memory[KEYS_MAX][EACH], text[KEYS_MAX][24];
static const char *keys[KEYS_MAX];
static void *at[KEYS_MAX];
static uint64_t len[KEYS_MAX];

struct world {
	char url[128];
	struct kvr_redis_server *server;
	struct kvr_bad_net *net;
	char dir[64];
	bool mounted;
	struct rlimit limit;
	struct kvr *kvr; /* of a trouble that finds good connections: one for all calls */
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "bench_deadline: %s\n", what);
	exit(1);
}

/* ---- troubles ---- */

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

/*
 * ill comes right before a call and well right after it. meets: the trouble finds connections that
 * were good; else each call has an instance that is about to connect. So every call begins alike:
 * a breaker that has opened would answer at once, which says nothing.
 */
static const struct trouble {
	const char *name;
	bool meets;
	void (*start)(struct world *), (*ill)(struct world *), (*well)(struct world *),
	    (*end)(struct world *);
} troubles[TROUBLES] = {
	{ "still", true, still_start, still_ill, still_well, nothing },
	{ "drip", true, drip_start, drip_ill, drip_well, drip_end },
	{ "silent", false, silent_start, nothing, nothing, nothing },
	{ "hole", false, hole_start, nothing, nothing, nothing },
	{ "names", false, names_start, nothing, names_well, nothing },
	{ "full", false, full_start, full_ill, full_well, full_end },
};

/* ---- calls ---- */

static struct kvr *
open_store(const char *url)
{
	char config[512], why[512];
	struct kvr *k;

	snprintf(config, sizeof(config),
	    "{\"trace\":{\"dir\":\"none\"},\"timeouts\":{\"connect\":\"50ms\"},\"log\":{\"level\":"
	    "\"error\"},"
	    "\"tiers\":[{\"name\":\"t\",\"url\":\"%s\",\"format\":\"bare\",\"breaker\":{\"faults\":"
	    "1000}}]}",
	    url);
	const struct kvr_options o = { .size = sizeof(o), .config_text = config };

	if (kvr_open(&o, 0, &k, why, sizeof(why)) != KVR_OK)
		fail(why);
	return k;
}

static void
close_store(struct kvr *k)
{
	(void)kvr_close(k, now_ns() + UINT64_C(2000000000), KVR_ABORT, NULL);
	kvr_free(k);
}

/* How late one call is. Lookups, gets and puts take turns. */
static uint64_t
call(struct kvr *k, uint32_t n, uint32_t turn)
{
	uint64_t until_ns = now_ns() + BUDGET_MS * UINT64_C(1000000);
	struct kvr_batch b = { .size = sizeof(b), .n = n, .key = keys, .at = at, .len = len };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = until_ns };
	enum kvr_err err;

	b.kind = turn % 3 == 0 ? KVR_LOOKUP : turn % 3 == 1 ? KVR_GET : KVR_PUT;
	err = kvr_run(k, &b, &o, NULL, NULL);
	uint64_t end_ns = now_ns();

	(void)err; /* whatever it is: it has to come in time */
	return end_ns > until_ns ? end_ns - until_ns : 0;
}

static uint64_t
call_in(struct world *w, const struct trouble *t, uint32_t n, uint32_t turn)
{
	struct kvr *k = t->meets ? w->kvr : open_store(w->url);
	enum kvr_err err = KVR_E_MISS;

	do
		err = t->meets ? kvr_contains(k, "bench", false, now_ns() + UINT64_C(1000000000))
		               : err;
	while (err != KVR_E_MISS);
	t->ill(w);
	uint64_t late = call(k, n, turn);

	t->well(w);
	if (!t->meets)
		close_store(k);
	return late;
}

/* ---- what is told ---- */

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
tell(const char *name, uint32_t from, uint32_t to, uint64_t *late, uint32_t calls)
{
	qsort(late, calls, sizeof(late[0]), by_size);
	printf(
	    "%-7s %5u to %4u keys %5u calls   median %6llu us   99.9%% %7llu us   worst %7llu us\n",
	    name, from, to, calls, (unsigned long long)late[calls / 2] / 1000,
	    (unsigned long long)late[(calls * 999 - 1) / 1000] / 1000,
	    (unsigned long long)late[calls - 1] / 1000);
}

/* Sizes from a power of two to the next, or, shortly, three of all sizes; calls: how many. */
static uint32_t
measure(struct world *w, const struct trouble *t, bool smoke, uint64_t *late)
{
	uint32_t calls = 0;

	for (uint32_t from = 1; from <= KEYS_MAX; from *= 2) {
		uint32_t to = from * 2 > KEYS_MAX ? KEYS_MAX : from * 2 - 1, first = calls;

		if (smoke && from != 1 && from != 32 && from != KEYS_MAX)
			continue;
		/* Few sizes have many turns, so that 64 calls are in each line at least. */
		uint32_t turns = smoke ? 3 : from < 64 ? 64 / from : from == KEYS_MAX ? 64 : 1;

		for (uint32_t n = from; n <= (smoke ? from : to); n++) {
			for (uint32_t turn = 0; turn < turns; turn++)
				late[calls++] = call_in(w, t, n, turns == 1 ? n : turn);
		}
		tell(t->name, from, smoke ? from : to, &late[first], calls - first);
	}
	return calls;
}

/* Room for all that measure() can make of one trouble. */
enum { CALLS_MAX = 7 * 64 + KEYS_MAX };

static uint32_t
measure_in(struct world *w, const struct trouble *t, bool smoke, uint64_t *late)
{
	t->start(w);
	if (t->meets)
		w->kvr = open_store(w->url);
	uint32_t calls = measure(w, t, smoke, late);

	if (t->meets)
		close_store(w->kvr);
	t->end(w);
	return calls;
}

int
main(int argc, char **argv)
{
	static uint64_t late[TROUBLES * CALLS_MAX];
	bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
	struct world w = { .mounted = false };
	double load[1] = { 0 };
	uint32_t calls = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (kvr_redis_server_missing()) {
		fprintf(stderr, "not run: %s is not installed\n", kvr_redis_server_program());
		return 77;
	}
	w.server = kvr_redis_server_start(NULL, NULL);
	for (uint32_t i = 0; i < KEYS_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "bench-%u", i);
		keys[i] = text[i];
		at[i] = memory[i];
		len[i] = EACH;
	}
	for (uint32_t t = 0; t < TROUBLES; t++)
		calls += measure_in(&w, &troubles[t], smoke, &late[calls]);
	kvr_redis_server_stop(w.server);
	tell("all", 1, KEYS_MAX, late, calls);
	(void)getloadavg(load, 1);
	printf("the goal is 5000 us for 99.9%% on an idle machine; its load was %.1f just now\n",
	    load[0]);
	return smoke && late[calls - 1] > SMOKE_LATE_MS * UINT64_C(1000000) ? 1 : 0;
}
