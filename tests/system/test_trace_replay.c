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

/* ---- texts ---- */

static uint32_t
texts_in(const char *path, enum kvr_text_of of, const char *text)
{
	struct kvr_trace_view *view;
	char why[512] = "";
	uint32_t n = 0;

	MUST(kvr_trace_view_open(path, &view, why, sizeof(why)) == KVR_OK, "%s", why);
	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		n += r->kind == KVR_REC_TEXT && kvr_rec_text(r)->of == (uint32_t)of &&
		     kvr_rec_text(r)->len == strlen(text) &&
		     memcmp(kvr_rec_text(r) + 1, text, strlen(text)) == 0;
	}
	kvr_trace_view_free(view);
	return n;
}

static void
put_for_a_request(const char *keys, uint32_t want)
{
	static const char *const key[] = { "first-key", "second-key" };
	char dir[64], path[512];
	char value[2][64] = { "a", "b" };
	void *at[] = { value[0], value[1] };
	const uint64_t len[] = { sizeof(value[0]), sizeof(value[1]) };

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{'trace':{'dir':'%s','keys':%s},'tiers':[{'name':'ram','url':'memory:"
	             "//'}]}",
	        dir, keys);
	struct kvr_batch put = {
		.size = sizeof(put), .kind = KVR_PUT, .n = 2, .key = key, .at = at, .len = len
	};
	const struct kvr_opts opts = { .size = sizeof(opts), .request = "request-7" };
	struct kvr_done done = { .size = sizeof(done) };

	MUST(kvr_run(kvr, &put, &opts, &done, NULL) == KVR_OK, "%s", done.why);
	bed_close(kvr);
	path_of(dir, path, sizeof(path));
	MUST(texts_in(path, KVR_TEXT_OF_KEY, key[0]) == want, "key");
	MUST(texts_in(path, KVR_TEXT_OF_KEY, key[1]) == want, "key");
	MUST(texts_in(path, KVR_TEXT_OF_REQUEST, "request-7") == want, "request");
	MUST(replay(path) > 5, "texts do not disturb a replay");
}

START_TEST(texts_are_recorded_only_when_they_are_asked_for)
{
	put_for_a_request("true", 1);
	put_for_a_request("false", 0);
}
END_TEST

KVR_CHECK_MAIN("system.trace_replay", a_run_is_replayed_from_its_beginning,
    a_run_is_replayed_from_a_snapshot, a_killed_process_is_replayed,
    texts_are_recorded_only_when_they_are_asked_for)
