/* SPDX-License-Identifier: Apache-2.0 */
/* Serdes of tiers, and the staging memory they need: in it nothing waits for itself. */
#include "kvr_system_bed.h"

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

enum { N = 40, EACH = 20000 };

#define HEAD                                                                                       \
	"'memory':{'staging':'32MiB','objects':'4MiB'},'timeouts':{'connect':'20s'},'trace':{'"  \
	"dir':'none'}"

static struct kvr *
open_fs(const char *dir)
{
	return bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s'}]}", dir);
}

/* KV-like: two-byte elements whose high bytes are alike. */
static void
fill_soft(struct bed_batch *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		uint8_t *at = b->at[i];

		bed_fill(at, b->each, b->key[i]);
		for (size_t k = 1; k < b->each; k += 2)
			at[k] = (uint8_t)(0x3c + (at[k] & 3));
	}
}

static enum kvr_err
move(struct kvr *kvr, struct bed_batch *b, uint32_t kind)
{
	struct kvr_batch batch;
	struct kvr_results r = {
		.size = sizeof(r), .cap = b->n, .err = b->err, .len = b->got, .tier = b->tier
	};

	b->done = (struct kvr_done){ .size = sizeof(b->done) };
	bed_describe(b, kind, &batch);
	return kvr_run(kvr, &batch, NULL, &b->done, &r);
}

static void
expect_soft(struct kvr *kvr, struct bed_batch *b, uint32_t tier)
{
	uint8_t *want = malloc(b->n * b->each);

	MUST(want != NULL, "no memory");
	fill_soft(b);
	memcpy(want, b->memory, b->n * b->each);
	memset(b->memory, 0, b->n * b->each);
	OK(move(kvr, b, KVR_GET));
	MUST(memcmp(want, b->memory, b->n * b->each) == 0, "another payload");
	for (uint32_t i = 0; i < b->n; i++)
		MUST(b->tier[i] == tier, "from tier %u, not %u", b->tier[i], tier);
	free(want);
}

/* All of them come, n from the first tier. */
static void
expect_soft_somewhere(struct kvr *kvr, struct bed_batch *b, uint32_t n)
{
	uint32_t first = 0;

	OK(move(kvr, b, KVR_GET));
	for (uint32_t i = 0; i < b->n; i++)
		first += b->tier[i] == 0;
	MUST(first == n, "%u come from the first tier, not %u", first, n);
}

/* Each tier has a serde and a format of its own; what is read is the same from each. */
START_TEST(every_tier_has_its_own_serde_and_format)
{
	char dir[64];
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed_batch *b = bed_batch_new("soft", N, EACH);

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':["
	             "{'name':'ram','url':'memory://','capacity':'64MiB','promote':{'on':'never'}},"
	             "{'name':'disk','url':'fs://%s','serde':'zstd','promote':{'on':'never'}},"
	             "{'name':'far','url':'%s','format':'bare'}]}",
	        dir, server->url);

	fill_soft(b);
	OK(move(kvr, b, KVR_PUT));
	expect_soft(kvr, b, 0);
	bed_close(kvr);
	struct kvr_raw_reply r = kvr_raw(raw, "STRLEN soft-7");

	MUST(r.n == EACH, "%lld bytes in redis", (long long)r.n);
	/* Without the memory tier the disk's are read, and then, without the disk, redis'. */
	kvr = bed_open(
	    "{" HEAD
	    ",'tiers':[{'name':'disk','url':'fs://%s','serde':'zstd','promote':{'on':'never'}},"
	    "{'name':'far','url':'%s','format':'bare'}]}",
	    dir, server->url);
	expect_soft(kvr, b, 0);
	bed_close(kvr);
	kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'far','url':'%s','format':'bare'}]}", server->url);
	expect_soft(kvr, b, 0);
	bed_close(kvr);
	/* Read without the serde it was written with: no bytes, and a reason. */
	kvr = open_fs(dir);
	ERR(move(kvr, b, KVR_GET), KVR_E_IDENTITY);
	bed_all(b, KVR_E_IDENTITY, "zstd read as naive");
	bed_close(kvr);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
	bed_batch_free(b);
}
END_TEST

START_TEST(a_prefetch_brings_it_up)
{
	char dir[64];
	uint64_t left;

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{'memory':{'staging':'32MiB','slot_size':'64KiB'},'trace':{'"
	                           "dir':'none'},'tiers':[{'name':'ram','url':'memory://'},"
	                           "{'name':'disk','url':'fs://%s','serde':'zstd'}]}",
	    dir);
	struct kvr *below =
	    bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
	struct bed_batch *b = bed_batch_new("pre", N, EACH);

	OK(bed_run(below, b, KVR_PUT, 0, 0));
	bed_close(below);
	OK(bed_run(kvr, b, KVR_PREFETCH, 0, 0));
	OK(kvr_quiet(kvr, 0, &left));
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	for (uint32_t i = 0; i < N; i++)
		MUST(b->tier[i] == 0, "%s came from tier %u", b->key[i], b->tier[i]);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

/*
 * Payloads that are written back have to be encoded first, which takes a second slot, and all of
 * them want to be kept at once: nothing may wait for itself.
 */
START_TEST(write_back_through_a_serde_in_little_memory)
{
	char dir[64], fast[64];
	uint64_t left;

	bed_dir(dir, sizeof(dir));
	bed_dir(fast, sizeof(fast));
	struct bed_batch *b = bed_batch_new("small", 6, 65536);
	struct kvr *kvr = bed_open(
	    "{'memory':{'staging':'1MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':["
	    "{'name':'b','url':'fs://%s','write':'back','serde':'zstd'}]}",
	    dir);

	for (int turn = 0; turn < 20; turn++) {
		uint64_t start_ns = bed_now_ns();

		fill_soft(b);
		OK(move(kvr, b, KVR_PUT));
		OK(kvr_quiet(kvr, bed_in_ms(20000), &left));
		MUST(bed_now_ns() - start_ns < bed_slowness() * 10000000000U, "turn %d hung", turn);
	}
	/* More than can be kept at once goes through in turns. */
	struct bed_batch *many = bed_batch_new("many", 100, 65536);

	fill_soft(many);
	OK(move(kvr, many, KVR_PUT));
	bed_close(kvr);
	MUST(bed_files(dir, ".kvr") == 106, "%zu", bed_files(dir, ".kvr"));
	/* With a tier that is written through it is that one which counts. */
	kvr = bed_open(
	    "{'memory':{'staging':'1MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':["
	    "{'name':'a','url':'fs://%s'},{'name':'b','url':'fs://"
	    "%s','write':'back','serde':'zstd'}]}",
	    fast, dir);
	OK(move(kvr, many, KVR_PUT));
	OK(kvr_quiet(kvr, bed_in_ms(20000), &left));
	MUST(bed_files(fast, ".kvr") == 100, "%zu", bed_files(fast, ".kvr"));
	bed_close(kvr);
	bed_batch_free(b);
	bed_batch_free(many);
}
END_TEST

/* More keys than the staging arena could keep: they come up in turns. */
START_TEST(a_prefetch_of_more_than_fits)
{
	char dir[64];
	uint64_t left;

	bed_dir(dir, sizeof(dir));
	struct kvr *below =
	    bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
	struct bed_batch *b = bed_batch_new("pre", 100, 65536);

	fill_soft(b);
	OK(move(below, b, KVR_PUT));
	bed_close(below);
	struct kvr *kvr = bed_open(
	    "{'memory':{'staging':'1MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':["
	    "{'name':'ram','url':'memory://'},{'name':'disk','url':'fs://%s','serde':'zstd'}]}",
	    dir);

	OK(bed_run(kvr, b, KVR_PREFETCH, 0, 0));
	OK(kvr_quiet(kvr, 0, &left));
	expect_soft_somewhere(kvr, b, 100);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

static void
one_empty(struct kvr *kvr, uint32_t kind)
{
	const char *key = "empty";
	char byte = 0;
	void *at = &byte;
	uint64_t len = 0, found = 99;
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = 1, .key = &key, .at = &at, .len = &len
	};
	struct kvr_results r = { .size = sizeof(r), .cap = 1, .len = &found };

	OK(kvr_run(kvr, &b, NULL, NULL, &r));
	MUST(found == 0, "%llu bytes", (unsigned long long)found);
}

/* The first that an instance hears of, so that nothing else has told how long its slots are. */
START_TEST(an_empty_value_goes_through_a_serde)
{
	static const char *const serde[] = { "zstd", "planes" };

	for (uint32_t i = 0; i < 2; i++) {
		char dir[64];

		bed_dir(dir, sizeof(dir));
		for (uint32_t kind = 0; kind < 2; kind++) {
			struct kvr *kvr = bed_open(
			    "{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s','serde':'%s'}]}", dir, serde[i]);

			one_empty(kvr, kind == 0 ? KVR_PUT : KVR_GET);
			one_empty(kvr, KVR_SIZE);
			bed_close(kvr);
		}
	}
}
END_TEST

KVR_CHECK_MAIN("system.tiers_serde", every_tier_has_its_own_serde_and_format,
    a_prefetch_brings_it_up, write_back_through_a_serde_in_little_memory,
    a_prefetch_of_more_than_fits, an_empty_value_goes_through_a_serde)
