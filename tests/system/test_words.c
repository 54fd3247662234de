/* SPDX-License-Identifier: Apache-2.0 */
/* What kvr_done.why says: a store's own words about this error, and about no other. */
#include "kvr_system_bed.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "'memory':{'staging':'2MiB','objects':'4MiB'},'trace':{'dir':'none'}"

enum { LEN = 1000 };

static void
told(struct kvr *kvr, uint32_t kind, const char *key, int32_t want, const char *word)
{
	static uint8_t memory[LEN];
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.keys = key,
		.at = &(void *const){ memory },
		.len = &(const uint64_t){ LEN } };
	struct kvr_done done = { .size = sizeof(done) };

	ERR(kvr_run(kvr, &b, NULL, &done, NULL), want);
	MUST(word[0] == '\0' ? done.why[0] == '\0' : strstr(done.why, word) != NULL,
	    "%s says \"%s\", not \"%s\"", key, done.why, word);
}

static void
cut(const char *dir, const char *name, off_t len)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	MUST(truncate(path, len) == 0, "no %s", path);
}

static void
block(const char *dir, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	MUST(symlink("nowhere", path) == 0, "no %s", path);
}

/* The lane has just had another key that could not be opened at all. */
START_TEST(a_size_has_the_words_of_its_own_error)
{
	static const struct {
		const char *format, *file, *other;
		int32_t err;
		off_t cut;
	} row[] = { { "sealed", "k.kvr", "other.kvr", KVR_E_CORRUPT, 5000 },
		{ "lmcache", "k.data", "other.data", KVR_E_LENGTH, 700 } };

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char dir[64];

		bed_dir(dir, sizeof(dir));
		struct kvr *kvr =
		    bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s','format':'%s',"
		             "'lanes':{'control':1,'bulk':1}}]}",
		        dir, row[i].format);

		OK(bed_put1(kvr, "k", LEN));
		block(dir, row[i].other);
		told(kvr, KVR_SIZE, "other", KVR_E_REFUSED, "symbolic link");
		cut(dir, row[i].file, row[i].cut);
		told(kvr, KVR_SIZE, "k", row[i].err, "shorter or longer");
		cut(dir, row[i].file, 7);
		told(kvr, KVR_SIZE, "k", row[i].err, "shorter than its header");
		bed_close(kvr);
	}
}
END_TEST

/* A size has 32 bits on its way to the caller, and a file may have more. */
START_TEST(a_size_beyond_all_values_is_no_size)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s','format':'bare'}]}", dir);

	OK(bed_put1(kvr, "k", LEN));
	cut(dir, "k.raw", (off_t)((UINT64_C(1) << 32) + LEN));
	told(kvr, KVR_SIZE, "k", KVR_E_TOO_BIG, "4 GiB");
	told(kvr, KVR_GET, "k", KVR_E_LENGTH, "longer");
	bed_close(kvr);
}
END_TEST

/* In which of several tiers a key failed nobody could know otherwise. */
START_TEST(of_several_tiers_the_one_that_failed_speaks)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'near','url':'memory://','write':'never'},"
	             "{'name':'far','url':'fs://%s'}]}",
	        dir);

	OK(bed_put1(kvr, "k", LEN));
	cut(dir, "k.kvr", 5000);
	told(kvr, KVR_GET, "k", KVR_E_CORRUPT, "tier far: k.kvr of 5000 bytes");
	told(kvr, KVR_GET, "nothing", KVR_E_MISS, "");
	bed_close(kvr);
	kvr = bed_open("{" HEAD ",'tiers':[{'name':'near','url':'memory://'},"
	               "{'name':'far','url':'fs://%s','format':'lmcache'}]}",
	    dir);
	told(kvr, KVR_PUT, "a-SEP-b", KVR_E_PARTIAL, "tier far: another key");
	bed_close(kvr);
}
END_TEST

/* Whether it is being dialled, has just failed or is not asked for a while. */
START_TEST(a_put_names_the_tier_that_is_away)
{
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'near','url':'memory://'},"
	                           "{'name':'far','url':'redis://127.0.0.1:1'}]}");

	for (int i = 0; i < 5; i++)
		told(kvr, KVR_PUT, "k", KVR_E_PARTIAL, "tier far");
	bed_close(kvr);
}
END_TEST

/* They are sent to all that take them, so nobody was left out, and a reader in front was not asked. */
START_TEST(a_put_and_a_remove_name_the_tier_that_is_down)
{
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'near','url':'memory://','write':'never'},"
	                           "{'name':'far','url':'redis://127.0.0.1:1'}]}");

	for (int i = 0; i < 5; i++) {
		told(kvr, KVR_PUT, "k", KVR_E_DOWN, "tier far");
		told(kvr, KVR_REMOVE, "k", KVR_E_DOWN, "tier far");
		told(kvr, KVR_PUT, "k", KVR_E_DOWN, "Connection refused");
	}
	bed_close(kvr);
}
END_TEST

static void
script(const char *dir, const char *name, const char *text, char *ret_path, size_t cap)
{
	snprintf(ret_path, cap, "%s/%s", dir, name);
	FILE *f = fopen(ret_path, "w");

	MUST(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "%s cannot be written", ret_path);
}

/* While the first put is written back, a second one has its outcome, and its words. */
START_TEST(a_duplicate_has_the_words_of_the_put_that_it_is_one_of)
{
	char dir[64], full[96], slow[96];

	bed_dir(dir, sizeof(dir));
	script(dir, "full", "0s error OOM 100% on put\n", full, sizeof(full));
	script(dir, "slow", "0s delay 1s to 2s on put\n", slow, sizeof(slow));
	struct kvr *kvr = bed_open("{" HEAD ",'rehearse':true,'tiers':["
	                           "{'name':'far','url':'memory://','faults':'%s'},"
	                           "{'name':'later','url':'memory://','write':'back','faults':'%s'}]}",
	    full, slow);

	told(kvr, KVR_PUT, "k", KVR_E_NOSPACE, "tier far: OOM (rehearsed");
	told(kvr, KVR_PUT, "k", KVR_E_NOSPACE, "tier far: OOM (rehearsed");
	bed_close(kvr);
}
END_TEST

/* It is up, it is read, its canary may even fit: nothing else would say why there are misses. */
START_TEST(health_says_that_a_store_is_full)
{
	char dir[64], full[96];
	struct kvr_health h = { .size = sizeof(h) };

	bed_dir(dir, sizeof(dir));
	script(dir, "full", "0s error OOM 100% on put\n", full, sizeof(full));
	struct kvr *kvr = bed_open("{" HEAD ",'rehearse':true,'tiers':[{'name':'far',"
	                           "'url':'memory://','faults':'%s'}]}",
	    full);

	for (int i = 0; i < 5; i++)
		told(kvr, KVR_PUT, "k", KVR_E_NOSPACE, "OOM (rehearsed");
	OK(kvr_health(kvr, &h));
	MUST(h.ok == 0 && h.n_up == 1 &&
	         strncmp(h.why, "tier far is full for values of 1000 bytes: OOM (reh", 51) == 0,
	    "health says \"%s\"", h.why);
	bed_close(kvr);
}
END_TEST

/* Where a store is takes the room of what is wrong with it; the end of that is what counts. */
START_TEST(health_says_what_is_wrong_and_not_only_where)
{
	struct kvr_health h = { .size = sizeof(h) };
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'far','url':'unix:///nowhere/"
	                           "a-cache-of-a-long-name.of-some-cloud.example.com/redis.sock'}]}");

	told(kvr, KVR_PUT, "k", KVR_E_DOWN, "No such file");
	OK(kvr_health(kvr, &h));
	MUST(strncmp(h.why, "tier far: unix:", 15) == 0 && strstr(h.why, "No such file") != NULL,
	    "health says \"%s\"", h.why);
	bed_close(kvr);
}
END_TEST

START_TEST(what_a_store_cannot_do_is_said_in_its_words)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s','format':'lmcache'}]}", dir);

	told(kvr, KVR_PUT, "a-SEP-b", KVR_E_UNSUPPORTED, "use sealed");
	bed_close(kvr);
}
END_TEST

/* No breaker opens over it, so the log would have nothing; and callers make thousands a second. */
START_TEST(what_fails_while_the_tier_is_up_has_a_line_a_minute)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s'}]}", dir);

	OK(bed_put1(kvr, "k", LEN));
	cut(dir, "k.kvr", 5000);
	for (int i = 0; i < 3; i++) {
		told(kvr, KVR_GET, "k", KVR_E_CORRUPT, "shorter");
		told(kvr, KVR_GET, "nothing", KVR_E_MISS, "");
		told(kvr, KVR_SIZE, "k", KVR_E_CORRUPT, "shorter");
	}
	MUST(bed_logged("warn: tier d: a get failed (CORRUPT): k.kvr of 5000 bytes") == 1, "a get");
	MUST(bed_logged("warn: tier d: a look at a size failed (CORRUPT): a value of 5000") == 1, "a size");
	MUST(bed_logged("MISS") == 0, "a miss is no failure");
	bed_close(kvr);
}
END_TEST

/* It goes on in the one that stands there now, and somebody wonders where all the values are. */
START_TEST(a_directory_that_was_replaced_has_a_line)
{
	char dir[64], here[80], away[80];

	bed_dir(dir, sizeof(dir));
	snprintf(here, sizeof(here), "%s/kv", dir);
	snprintf(away, sizeof(away), "%s/away", dir);
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s',"
	                           "'lanes':{'control':1,'bulk':1}}]}",
	    here);

	OK(bed_put1(kvr, "k", LEN));
	MUST(rename(here, away) == 0 && mkdir(here, 0700) == 0, "no other directory");
	for (uint64_t until_ns = bed_in_ms(60000);
	     bed_logged("/kv is another directory now: moved, or mounted over") == 0;) {
		OK(bed_put1(kvr, "l", LEN));
		MUST(bed_now_ns() < until_ns, "nobody is told");
	}
	MUST(bed_logged("info: tier d: a connection has ended (DOWN): ") == 1, "nobody, or everybody");
	bed_close(kvr);
}
END_TEST

/* Without descriptors the store is busy, and somebody has to know that it is the process that has none. */
START_TEST(a_process_without_descriptors)
{
	char dir[64];
	struct rlimit limit, old;

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'d','url':'fs://%s'}]}", dir);

	OK(bed_put1(kvr, "k", LEN));
	MUST(getrlimit(RLIMIT_NOFILE, &old) == 0, "no limit");
	limit = old;
	limit.rlim_cur = 3; /* what is open stays open */
	MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0, "no limit");
	told(kvr, KVR_GET, "k", KVR_E_BUSY, "Too many open files");
	told(kvr, KVR_PUT, "l", KVR_E_BUSY, "Too many open files");
	MUST(setrlimit(RLIMIT_NOFILE, &old) == 0, "no limit");
	OK(bed_get1(kvr, "k", LEN, NULL));
	MUST(bed_logged("warn: tier d: a put failed (BUSY)") == 1, "nothing in the log");
	bed_close(kvr);
}
END_TEST

KVR_CHECK_MAIN("system.words", a_size_has_the_words_of_its_own_error,
    a_size_beyond_all_values_is_no_size, of_several_tiers_the_one_that_failed_speaks,
    a_put_names_the_tier_that_is_away, a_put_and_a_remove_name_the_tier_that_is_down,
    a_duplicate_has_the_words_of_the_put_that_it_is_one_of,
    health_says_what_is_wrong_and_not_only_where, health_says_that_a_store_is_full,
    what_a_store_cannot_do_is_said_in_its_words,
    what_fails_while_the_tier_is_up_has_a_line_a_minute, a_directory_that_was_replaced_has_a_line,
    a_process_without_descriptors)
