/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance did is decided again from its trace alone, step by step with the same digests:
 * after an orderly end, while it runs, and of a process that was killed in the middle.
 */
#include "kvr_system_bed.h"

#include "kvr_actors.h"
#include "kvr_redis_server.h"
#include "kvr_replay.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

KVR_NEEDS_REDIS

enum { EACH = 20000 };

static void
path_of(const char *dir, char *ret, size_t cap)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	MUST(d != NULL, "%s", dir);
	ret[0] = '\0';
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.' && strcmp(e->d_name, "cache") != 0)
			snprintf(ret, cap, "%s/%s", dir, e->d_name);
	}
	closedir(d);
	MUST(ret[0] != '\0', "no trace in %s", dir);
}

static uint64_t
replay(const char *path)
{
	struct kvr_trace_view *view;
	struct kvr_replay *replay;
	struct kvr_replay_diff diff;
	uint64_t steps = 0;
	char why[512] = "";

	MUST(kvr_trace_view_open(path, &view, why, sizeof(why)) == KVR_OK, "%s", why);
	MUST(kvr_replay_open(view, kvr_spec_of, false, &replay, why, sizeof(why)) == KVR_OK, "%s",
	    why);
	enum kvr_err err = kvr_replay_all(replay, &steps, &diff);

	MUST(err == KVR_OK, "%s after %llu steps: %s", kvr_err_name(err), (unsigned long long)steps,
	    err == KVR_E_CORRUPT ? diff.text : "");
	kvr_replay_free(replay);
	kvr_trace_view_free(view);
	return steps;
}

/* All kinds, hits and misses, two tiers, a serde, promotion, write-back, deadlines, a dead server. */
static void
live(struct kvr *kvr, struct kvr_redis_server *server, int turns)
{
	struct bed_batch *b = bed_batch_new("key", 40, EACH), *one = bed_batch_new("key", 1, EACH);
	static const uint32_t kinds[] = { KVR_PUT, KVR_LOOKUP, KVR_GET, KVR_SIZE, KVR_PREFETCH,
		KVR_REMOVE, KVR_GET, KVR_PUT };

	for (int i = 0; i < turns; i++) {
		uint32_t kind = kinds[(size_t)i % (sizeof(kinds) / sizeof(kinds[0]))];
		enum kvr_err err = bed_run(kvr, b, kind,
		    kind == KVR_PUT && i % 3 == 0 ? KVR_IF_ABSENT : 0, bed_in_ms(300));

		MUST(err != KVR_E_DEAD && err != KVR_E_INVALID, "%s", kvr_err_name(err));
		err =
		    bed_run(kvr, one, KVR_GET, KVR_AT_MOST, i % 5 == 0 ? KVR_NOW : bed_in_ms(300));
		MUST(err != KVR_E_DEAD && err != KVR_E_INVALID, "%s", kvr_err_name(err));
		if (i == turns / 3)
			kvr_redis_server_kill(server);
		if (i == turns / 2)
			kvr_redis_server_restart(server);
	}
	bed_batch_free(b);
	bed_batch_free(one);
}

static struct kvr *
open_traced(const char *dir, const char *size, const char *url)
{
	return bed_open(
	    "{'memory':{'staging':'16MiB','slot_size':'64KiB'},'timeouts':{'connect':'200ms'},"
	    "'trace':{'dir':'%s','size':'%s'},'tiers':[{'name':'ram','url':'memory://"
	    "','capacity':'1MiB'},"
	    "{'name':'disk','url':'fs://%s/cache','serde':'zstd','write':'back'},"
	    "{'name':'far','url':'%s','breaker':{'faults':2,'backoff_min':'10ms','backoff_max':'"
	    "50ms'}}]}",
	    dir, size, dir, url);
}

static void
orderly(const char *size, int turns, uint64_t at_least)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	char dir[64], path[512];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = open_traced(dir, size, server->url);

	live(kvr, server, turns);
	path_of(dir, path, sizeof(path));
	/* Somebody looks while it runs. */
	uint64_t running = replay(path);

	bed_close(kvr);
	uint64_t steps = replay(path);

	printf("%s ring: %llu steps replayed, %llu while it ran\n", size, (unsigned long long)steps,
	    (unsigned long long)running);
	MUST(steps >= at_least, "%llu steps", (unsigned long long)steps);
	kvr_redis_server_stop(server);
}

START_TEST(a_run_is_replayed_from_its_beginning)
{
	orderly("16MiB", 64, 1000);
}
END_TEST

/* The ring has gone round several times: the replay begins at a snapshot. */
START_TEST(a_run_is_replayed_from_a_snapshot)
{
	orderly("1MiB", 400, 100);
}
END_TEST

/* SIGKILL comes while several operations are on their way. */
START_TEST(a_killed_process_is_replayed)
{
	char dir[64], path[512], byte;
	int ready[2];
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

	bed_dir(dir, sizeof(dir));
	MUST(pipe(ready) == 0, "pipe");
	pid_t child = fork();

	MUST(child >= 0, "fork");
	if (child == 0) {
		struct kvr *kvr = open_traced(dir, "16MiB", server->url);
		struct bed_batch *b = bed_batch_new("key", 40, EACH);

		for (int i = 0;; i++) {
			enum kvr_err err = bed_run(kvr, b, i % 2 == 0 ? KVR_PUT : KVR_GET, 0, 0);

			if (i == 20 && write(ready[1], "x", 1) != 1)
				_exit(2);
			if (err == KVR_E_DEAD)
				_exit(3);
		}
	}
	MUST(read(ready[0], &byte, 1) == 1, "the child ended");
	MUST(kill(child, SIGKILL) == 0, "kill");
	int status;

	MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	         WTERMSIG(status) == SIGKILL,
	    "%d", status);
	path_of(dir, path, sizeof(path));
	uint64_t steps = replay(path);

	printf("killed: %llu steps replayed\n", (unsigned long long)steps);
	MUST(steps > 300, "%llu steps", (unsigned long long)steps);
	close(ready[0]);
	close(ready[1]);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("system.trace_replay", a_run_is_replayed_from_its_beginning,
    a_run_is_replayed_from_a_snapshot, a_killed_process_is_replayed)
