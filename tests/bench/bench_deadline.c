/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late a call returns after its deadline, while its store is in trouble: bench_deadline [--smoke]
 *
 *   still    the server stands still (SIGSTOP) under connections that were good
 *   silent   connections are taken and nothing ever answers
 *   hole     packets to the server get lost: no connection comes up
 *
 * For each trouble and batch size: calls, and the median, the 99.9th percentile and the worst of
 * what they were late. On an idle machine the 99.9th percentile is below 5 ms; --smoke makes few
 * calls and fails beyond two seconds, which is a hang and not a busy machine.
 */
#include "kvrelay.h"

#include "kvr_redis_server.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { KEYS_MAX = 1024, EACH = 256, BUDGET_MS = 30, CALLS_MAX = 200, SMOKE_LATE_MS = 2000 };
enum trouble { STILL, SILENT, HOLE, TROUBLES };

static const char *const trouble_name[TROUBLES] = { "still", "silent", "hole" };
static const uint32_t sizes[] = { 1, 4, 16, 64, 256, 1024 };
static char memory[KEYS_MAX][EACH], text[KEYS_MAX][24];
static const char *keys[KEYS_MAX];
static void *at[KEYS_MAX];
static uint64_t len[KEYS_MAX];

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

/* A listener that nobody serves. full: its queue is, too, so that the kernel drops what comes. */
static uint16_t
listen_only(int full)
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
	return ntohs(a.sin_port);
}

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

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* One call, and how late it was. Reads and writes take turns. */
static uint64_t
one(struct kvr *k, uint32_t n, uint32_t turn)
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

struct world {
	enum trouble trouble;
	const char *url;
	struct kvr_redis_server *server;
	struct kvr *kvr; /* STILL: one for all calls */
};

/* Every call begins in the same state: connected, or about to connect. Else a breaker opens, and
 * what is answered at once says nothing. */
static uint64_t
one_of(struct world *w, uint32_t n, uint32_t turn)
{
	if (w->trouble == STILL) {
		kvr_redis_server_resume(w->server);
		while (kvr_contains(w->kvr, "bench", false, now_ns() + UINT64_C(1000000000)) !=
		       KVR_E_MISS)
			;
		kvr_redis_server_pause(w->server);
		return one(w->kvr, n, turn);
	}
	struct kvr *k = open_store(w->url);
	uint64_t late = one(k, n, turn);

	(void)kvr_close(k, now_ns() + UINT64_C(2000000000), KVR_ABORT, NULL);
	kvr_free(k);
	return late;
}

static uint64_t
measure(struct world *w, uint32_t n, uint32_t calls)
{
	static uint64_t late[CALLS_MAX];

	for (uint32_t i = 0; i < calls; i++)
		late[i] = one_of(w, n, i);
	qsort(late, calls, sizeof(late[0]), by_size);
	printf("%-7s %5u keys %5u calls   median %6llu us   99.9%% %7llu us   worst %7llu us\n",
	    trouble_name[w->trouble], n, calls, (unsigned long long)late[calls / 2] / 1000,
	    (unsigned long long)late[(calls * 999 - 1) / 1000] / 1000,
	    (unsigned long long)late[calls - 1] / 1000);
	return late[calls - 1];
}

static uint64_t
measure_all(struct world *w, bool smoke)
{
	uint64_t worst = 0;

	if (w->trouble == STILL)
		w->kvr = open_store(w->url);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t late = 0;

		if (!smoke || i == 0 || sizes[i] == KEYS_MAX)
			late = measure(w, sizes[i], smoke ? 3 : CALLS_MAX);
		worst = late > worst ? late : worst;
	}
	if (w->trouble == STILL) {
		kvr_redis_server_resume(w->server);
		(void)kvr_close(w->kvr, now_ns() + UINT64_C(2000000000), KVR_ABORT, NULL);
		kvr_free(w->kvr);
	}
	return worst;
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
	struct kvr_redis_server *s;
	uint64_t worst = 0;

	if (kvr_redis_server_missing()) {
		fprintf(stderr, "not run: %s is not installed\n", kvr_redis_server_program());
		return 77;
	}
	s = kvr_redis_server_start(NULL, NULL);
	for (uint32_t i = 0; i < KEYS_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "bench-%u", i);
		keys[i] = text[i];
		at[i] = memory[i];
		len[i] = EACH;
	}
	for (enum trouble t = STILL; t < TROUBLES; t++) {
		char url[128];

		if (t == STILL)
			snprintf(url, sizeof(url), "%s", s->url);
		else
			snprintf(url, sizeof(url), "redis://127.0.0.1:%u", listen_only(t == HOLE));
		struct world w = { .trouble = t, .url = url, .server = s };
		uint64_t late = measure_all(&w, smoke);

		worst = late > worst ? late : worst;
	}
	kvr_redis_server_stop(s);
	return smoke && worst > SMOKE_LATE_MS * UINT64_C(1000000) ? 1 : 0;
}
