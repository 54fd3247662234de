/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong calls, wrong configurations, full and forbidden stores: a clear answer, and nothing kept. */
#include "kvr_system_bed.h"

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

KVR_NEEDS_REDIS

#define HEAD "'memory':{'staging':'2MiB','objects':'4MiB'},'trace':{'dir':'none'}"

/* What is opened and refused leaves no thread, descriptor or mapping behind. */
static void
refused(const char *text, const char *word)
{
	struct bed_usage before, after;
	struct kvr *kvr = NULL;
	char why[512] = "";

	bed_usage(&before);
	enum kvr_err err = bed_try(&kvr, why, sizeof(why), "%s", text);

	bed_usage(&after);
	MUST(err == KVR_E_CONFIG && kvr == NULL, "%s is %s: %s", text, kvr_err_name(err), why);
	MUST(strstr(why, word) != NULL, "\"%s\" does not say \"%s\"", why, word);
	MUST(after.threads == before.threads && after.fds == before.fds,
	    "%s leaves %zu threads, %zu descriptors", text, after.threads - before.threads,
	    after.fds - before.fds);
}

START_TEST(configurations_that_contradict_themselves)
{
	/* The threads of the message library come with the first instance and stay. */
	bed_close(bed_open("{" HEAD ",'tiers':[{'name':'a','url':'memory://'}]}"));
	refused("{'tiers':[{'name':'a','url':'carrier-pigeon://x'}]}", "carrier-pigeon");
	refused("{'tiers':[]}", "tiers");
	refused("{'tiers':[{'name':'a','url':'memory://','serde':'zstd'}]}", "sealed");
	refused("{'tiers':[{'name':'a','url':'memory://','ttl':'1h'}]}", "ttl");
	refused("{'tiers':[{'name':'a','url':'fs:///tmp','ttl':'1h'}]}", "ttl");
	refused("{'tiers':[{'name':'a','url':'memory://'},{'name':'a','url':'memory://'}]}", "a");
	refused("{'tiers':[{'name':'a','url':'memory://','lanes':{'bulk':0}}]}", "bulk");
	refused("{'tiers':[{'name':'a','url':'memory://"
	        "','breaker':{'backoff_min':'10s','backoff_max':'1s'}}]}",
	    "backoff");
	refused(
	    "{'tiers':[{'name':'a','url':'redis://u:p@127.0.0.1:1','password':'q'}]}", "password");
	refused("{'tiers':[{'name':'a','url':'memory://','colour':'red'}]}", "colour");
	refused("{'tiers':[{'name':'a','url':'memory://"
	        "'}],'memory':{'staging':'1MiB','slot_size':'2MiB'}}",
	    "slot");
	refused("{'tiers':[{'name':'a','url':'memory://'}", "text:1:");
}
END_TEST

START_TEST(a_directory_that_cannot_be_written)
{
	char dir[64], deep[96];
	struct kvr *kvr = NULL;
	char why[512] = "";

	bed_dir(dir, sizeof(dir));
	snprintf(deep, sizeof(deep), "%s/file", dir);
	FILE *f = fopen(deep, "w");

	MUST(f != NULL, "no file");
	fclose(f);
	/* A file where the directory should be; nobody, root included, can write into that. */
	enum kvr_err err = bed_try(
	    &kvr, why, sizeof(why), "{" HEAD ",'tiers':[{'name':'d','url':'fs://%s/x'}]}", deep);

	if (err == KVR_OK) { /* or it is said key by key, and by health */
		int32_t put = bed_put1(kvr, "k", 100);

		MUST(put != KVR_OK, "it was written");
		struct kvr_health h = { .size = sizeof(h) };

		OK(kvr_health(kvr, &h));
		MUST(h.ok == 0 && strstr(h.why, "d") != NULL, "health is ok: \"%s\"", h.why);
		bed_close(kvr);
	} else {
		ERR(err, KVR_E_CONFIG);
		MUST(strstr(why, "file") != NULL, "\"%s\"", why);
	}
}
END_TEST

/* A limit on the size of files stands for the full disk: the write fails in the middle. */
START_TEST(a_disk_that_is_full)
{
	char dir[64];
	struct rlimit limit, old;

	bed_dir(dir, sizeof(dir));
	signal(SIGXFSZ, SIG_IGN);
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s'}]}", dir);
	struct bed_batch *small = bed_batch_new("small", 4, 10000),
	                 *large = bed_batch_new("large", 4, 300000);

	MUST(getrlimit(RLIMIT_FSIZE, &old) == 0, "getrlimit");
	limit = old;
	limit.rlim_cur = 65536;
	MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
	MUST(bed_run(kvr, large, KVR_PUT, 0, 0) != KVR_OK, "it fitted");
	for (uint32_t i = 0; i < 4; i++)
		MUST(large->err[i] == KVR_E_NOSPACE || large->err[i] == KVR_E_REFUSED ||
		         large->err[i] == KVR_E_TOO_BIG,
		    "%s", kvr_err_name(large->err[i]));
	MUST(large->done.why[0] != '\0', "no words");
	/* No half of a value is visible, no temporary file stays, and small ones still go. */
	MUST(bed_files(dir, "") == 0, "%zu files stay", bed_files(dir, ""));
	OK(bed_run(kvr, small, KVR_PUT, 0, 0));
	ERR(bed_run(kvr, large, KVR_GET, 0, 0), KVR_E_MISS);
	MUST(setrlimit(RLIMIT_FSIZE, &old) == 0, "setrlimit");
	OK(bed_run(kvr, large, KVR_PUT, 0, 0));
	OK(bed_run(kvr, large, KVR_GET, 0, 0));
	OK(bed_run(kvr, small, KVR_GET, 0, 0));
	bed_close(kvr);
	bed_batch_free(small);
	bed_batch_free(large);
}
END_TEST

/* Longer than all of the staging arena: as it is where caller memory goes through, else TOO_BIG. */
START_TEST(a_value_beyond_the_staging_arena)
{
	char dir[64];
	struct bed_batch *b = bed_batch_new("big", 1, 5000000);

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s'}]}", dir);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	bed_close(kvr);
	kvr = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s','serde':'zstd'}]}", dir);
	uint64_t start_ns = bed_now_ns();

	ERR(bed_run(kvr, b, KVR_PUT, 0, 0), KVR_E_TOO_BIG);
	MUST(bed_now_ns() - start_ns < bed_slowness() * 5000000000U, "it waited");
	OK(bed_put1(kvr, "next", 1000));
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

START_TEST(keys_that_are_none)
{
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'m','url':'memory://'}]}");
	char key[600];
	uint64_t left;

	memset(key, 'k', sizeof(key));
	key[513] = '\0';
	ERR(bed_put1(kvr, key, 10), KVR_E_TOO_BIG);
	ERR(bed_find1(kvr, key, NULL), KVR_E_TOO_BIG);
	key[512] = '\0';
	OK(bed_put1(kvr, key, 10));
	OK(bed_get1(kvr, key, 10, NULL));
	ERR(bed_put1(kvr, "", 10), KVR_E_INVALID);
	OK(kvr_quiet(kvr, 0, &left));
	bed_close(kvr);
	kvr = bed_open("{" HEAD ",'keys':'lmcache','tiers':[{'name':'m','url':'memory://'}]}");
	ERR(bed_put1(kvr, "no-key-of-lmcache", 10), KVR_E_INVALID);
	ERR(bed_put1(kvr, "a@model@1@0@zz@bfloat16", 10), KVR_E_INVALID);
	MUST(bed_logged("no key of LMCache") > 0, "the log does not say so");
	OK(bed_put1(kvr, "model@1@0@1f2e@bfloat16", 10));
	OK(bed_get1(kvr, "model@1@0@1f2e@bfloat16", 10, NULL));
	bed_close(kvr);
}
END_TEST

START_TEST(a_wrong_password)
{
	struct kvr_redis_server *server = kvr_redis_server_start("right", NULL);
	struct kvr_health h = { .size = sizeof(h) };
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'far','url':'%s','password':'wrong',"
	                           "'breaker':{'backoff_min':'60s','backoff_max':'60s'}}]}",
	    server->url);
	int32_t err;
	uint64_t until_ns = bed_in_ms(20000);

	do {
		err = bed_put1(kvr, "k", 10);
		MUST(err != KVR_OK && bed_now_ns() < until_ns, "%s", kvr_err_name(err));
	} while (err != KVR_E_DOWN && err != KVR_E_AUTH);
	OK(kvr_health(kvr, &h));
	MUST(h.ok == 0 && strstr(h.why, "far") != NULL, "health: \"%s\"", h.why);
	MUST(strstr(h.why, "WRONGPASS") != NULL || strstr(h.why, "password") != NULL ||
	         strstr(h.why, "AUTH") != NULL,
	    "health does not name it: \"%s\"", h.why);
	MUST(strstr(h.why, "wrong\"") == NULL && bed_logged("'wrong'") == 0,
	    "the password is repeated");
	bed_close(kvr);
	kvr = bed_open(
	    "{" HEAD ",'tiers':[{'name':'far','url':'%s','password':'right'}]}", server->url);
	OK(bed_put1(kvr, "k", 10));
	bed_close(kvr);
	kvr_redis_server_stop(server);
}
END_TEST

/* Two instances over one directory: each sees what the other wrote, nothing is torn. */
START_TEST(two_instances_over_one_directory)
{
	char dir[64];
	struct bed_batch *b = bed_batch_new("both", 64, 5000);

	bed_dir(dir, sizeof(dir));
	struct kvr *one = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s'}]}", dir);
	struct kvr *two = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s'}]}", dir);

	for (int turn = 0; turn < 10; turn++) {
		OK(bed_run(one, b, KVR_PUT, 0, 0));
		OK(bed_run(two, b, KVR_GET, 0, 0));
		OK(bed_run(two, b, KVR_PUT, 0, 0));
		OK(bed_run(one, b, KVR_GET, 0, 0));
		OK(bed_run(two, b, KVR_REMOVE, 0, 0));
		ERR(bed_run(one, b, KVR_GET, 0, 0), KVR_E_MISS);
	}
	bed_close(one);
	bed_close(two);
	bed_batch_free(b);
}
END_TEST

START_TEST(deadlines_of_the_past_and_of_nobody)
{
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'m','url':'memory://'}]}");
	struct bed_batch *b = bed_batch_new("late", 4, 1000);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	/* A duration by mistake, and for ever: the call is wrong. */
	ERR(bed_run(kvr, b, KVR_GET, 0, 5000), KVR_E_INVALID);
	ERR(bed_run(kvr, b, KVR_GET, 0, KVR_NEVER), KVR_E_INVALID);
	/* An instant that has passed, and "do not wait": answered, whatever with, and at once. */
	uint64_t now_ns = bed_now_ns();
	enum kvr_err err = bed_run(kvr, b, KVR_GET, 0, now_ns);

	MUST(err == KVR_E_TIMEOUT, "%s", kvr_err_name(err));
	err = bed_run(kvr, b, KVR_GET, 0, KVR_NOW);
	MUST(err == KVR_E_TIMEOUT || err == KVR_OK, "%s", kvr_err_name(err));
	MUST(bed_now_ns() - now_ns < UINT64_C(5000000000), "it waited");
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

/* A store that stands still: the wish to end is granted, and the second completion comes, too. */
START_TEST(cancelling_and_the_early_completion)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr =
	    bed_open("{" HEAD ",'timeouts':{'connect':'60s'},'tiers':[{'name':'far','url':'%s',"
	             "'timeout':'60s'}]}", server->url);
	struct bed_batch *b = bed_batch_new("c", 4, 1000);
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_batch batch;
	kvr_op op;

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	kvr_redis_server_pause(server);
	bed_describe(b, KVR_GET, &batch);
	struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000), .request = "r-1" };

	OK(kvr_submit(kvr, &batch, &o, &op));
	ERR(kvr_wait(kvr, op, bed_in_ms(20), &d, NULL), KVR_E_UNFINISHED);
	ERR(kvr_cancel_request(kvr, "r-2"), KVR_E_MISS);
	OK(kvr_cancel_request(kvr, "r-1"));
	ERR(kvr_wait(kvr, op, bed_in_ms(20000), &d, NULL), KVR_E_CANCELLED);
	MUST((d.flags & KVR_DONE_QUIET) != 0, "not quiet");
	ERR(kvr_cancel(kvr, op), KVR_E_STALE);
	ERR(kvr_wait(kvr, op, 0, &d, NULL), KVR_E_STALE);
	/* EARLY: the result by its deadline, then the memory. */
	o = (struct kvr_opts){ .size = sizeof(o), .until_ns = bed_in_ms(200), .flags = KVR_EARLY };
	OK(kvr_submit(kvr, &batch, &o, &op));
	enum kvr_err err = kvr_wait(kvr, op, bed_in_ms(20000), &d, NULL);

	MUST(err == KVR_E_TIMEOUT || err == KVR_E_DOWN, "%s", kvr_err_name(err));
	if ((d.flags & KVR_DONE_QUIET) == 0) {
		err = kvr_wait(kvr, op, bed_in_ms(20000), &d, NULL);
		MUST(err != KVR_E_UNFINISHED && err != KVR_E_STALE, "%s", kvr_err_name(err));
		MUST((d.flags & KVR_DONE_QUIET) != 0, "never quiet");
	}
	kvr_redis_server_resume(server);
	bed_close(kvr);
	bed_batch_free(b);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("system.bad_input", configurations_that_contradict_themselves,
    a_directory_that_cannot_be_written, a_disk_that_is_full, a_value_beyond_the_staging_arena,
    keys_that_are_none, a_wrong_password, two_instances_over_one_directory,
    deadlines_of_the_past_and_of_nobody, cancelling_and_the_early_completion)
