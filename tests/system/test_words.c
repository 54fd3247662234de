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
	bed_close(kvr);
}
END_TEST

KVR_CHECK_MAIN("system.words", a_size_has_the_words_of_its_own_error,
    a_size_beyond_all_values_is_no_size, of_several_tiers_the_one_that_failed_speaks,
    a_put_names_the_tier_that_is_away, what_a_store_cannot_do_is_said_in_its_words,
    a_process_without_descriptors)
