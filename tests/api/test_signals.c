/* SPDX-License-Identifier: Apache-2.0 */
/* An engine has its own signals: the library takes none, raises none, and goes on after each. */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

KVR_NEEDS_REDIS

enum { KEYS = 8, LEN = 300000, ROUNDS = KVR_ROUNDS(30) };

static char in[KEYS][LEN], out[KEYS][LEN];
static _Atomic uint64_t n_alarms;

static void
on_alarm(int number)
{
	(void)number;
	n_alarms++;
}

/* Every 200 us, and no call of the system's is begun again by itself. */
static void
alarms(bool on)
{
	const struct sigaction act = { .sa_handler = on_alarm };
	const struct timeval often = { .tv_usec = on ? 200 : 0 };
	const struct itimerval timer = { often, often };

	ck_assert_int_eq(sigaction(SIGALRM, &act, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static enum kvr_err
run(struct kvr *k, uint32_t kind, char place[KEYS][LEN])
{
	void *at[KEYS];
	uint64_t len[KEYS];

	for (int i = 0; i < KEYS; i++) {
		at[i] = place[i];
		len[i] = LEN;
	}
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = KEYS,
		.keys = "a\0b\0c\0d\0e\0f\0g\0h",
		.at = at,
		.len = len };

	return kvr_run(k, &b, NULL, NULL, NULL);
}

/* From the first word to the last: files, sockets, waits and the ends of threads. */
static void
interrupted(const char *config)
{
	alarms(true);
	struct kvr *k = bed_open(config, NULL, NULL, NULL);
	uint64_t before = n_alarms;
	kvr_obj obj;

	bed_fill(in, sizeof(in), 1); /* always the same: a key stands for one value */
	for (uint32_t round = 0; round < ROUNDS || n_alarms < before + 100; round++) {
		OK(run(k, KVR_PUT, in));
		OK(run(k, KVR_LOOKUP, NULL));
		memset(out, 0, sizeof(out));
		OK(run(k, KVR_GET, out));
		bed_same(out, sizeof(out), 1);
		OK(kvr_get_blocking(k, "a", 0, &obj));
		OK(kvr_unref(kvr_get_allocator_backend(k), obj));
		OK(kvr_quiet(k, 0, NULL));
	}
	bed_close(k);
	alarms(false);
}

START_TEST(a_caller_that_is_interrupted_goes_on)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	char dir[] = "/tmp/kvr-signals-XXXXXX", config[512], command[64];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(config, sizeof(config),
	    "{\"tiers\":[{\"name\":\"a\",\"url\":\"%s\"},{\"name\":\"b\",\"url\":\"%s?db=1\","
	    "\"serde\":\"zstd\"},"
	    "{\"name\":\"c\",\"url\":\"fs://%s\"}]}",
	    s->url, s->unix_url, dir);
	interrupted(config);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
	kvr_redis_server_stop(s);
}
END_TEST

/* Its default action would end the process. */
START_TEST(a_server_that_dies_raises_no_sigpipe)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct sigaction after;
	char config[256];

	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	snprintf(config, sizeof(config), "{\"tiers\":[{\"name\":\"a\",\"url\":\"%s\"}]}", s->url);
	struct kvr *k = bed_open(config, NULL, NULL, NULL);

	for (uint32_t round = 0; round < 5; round++) {
		uint64_t until_ns = bed_in_ms(20000);

		while (run(k, KVR_PUT, in) != KVR_OK)
			ck_assert_uint_lt(bed_now_ns(), until_ns);
		kvr_redis_server_kill(s);
		/* The next one may be written into a connection that is no more. */
		ck_assert_int_ne(run(k, KVR_PUT, in), KVR_OK);
		ck_assert_int_ne(run(k, KVR_LOOKUP, NULL), KVR_OK);
		kvr_redis_server_restart(s);
	}
	bed_close(k);
	ck_assert_int_eq(sigaction(SIGPIPE, NULL, &after), 0);
	ck_assert(after.sa_handler == SIG_DFL);
	kvr_redis_server_stop(s);
}
END_TEST

/* One of the numbers in a line like "SigBlk:\t0000000000000000". */
static bool
blocks(const char *mask, int number)
{
	return (strtoull(mask, NULL, 16) >> (number - 1) & 1) != 0;
}

/* A handler of the engine's must not run on a thread that the engine does not know. */
START_TEST(threads_of_the_library_take_none)
{
	static const int numbers[] = { SIGALRM, SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGPROF };
	struct kvr *k = bed_open("{\"metrics\":{\"canary\":\"1h\",\"listen\":\"127.0.0.1:0\"},\"tiers\":["
	                         "{\"name\":\"a\",\"url\":\"memory://\",\"format\":\"sealed\",\"serde\":\"zstd\"}]}",
	    NULL, NULL, NULL);
	DIR *tasks = opendir("/proc/self/task");
	int n = 0;

	OK(run(k, KVR_PUT, in));
	ck_assert_ptr_nonnull(tasks);
	for (struct dirent *e; (e = readdir(tasks)) != NULL;) {
		char path[300], line[128], name[32] = "";
		bool ours = e->d_name[0] != '.' && atoi(e->d_name) != getpid();

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		FILE *f = ours ? fopen(path, "re") : NULL;

		while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
			if (strncmp(line, "Name:\t", 6) == 0)
				snprintf(name, sizeof(name), "%.20s", line + 6);
			if (strncmp(line, "SigBlk:\t", 8) != 0)
				continue;
			for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
				ck_assert_msg(blocks(line + 8, numbers[i]), "signal %d, %s", numbers[i], name);
			n++;
		}
		if (f != NULL)
			fclose(f);
	}
	closedir(tasks);
	ck_assert_int_gt(n, 5);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.signals", a_caller_that_is_interrupted_goes_on,
    a_server_that_dies_raises_no_sigpipe, threads_of_the_library_take_none)
