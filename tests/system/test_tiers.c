/* SPDX-License-Identifier: Apache-2.0 */
/* Several tiers together: where reads look, where writes go, what moves up, what survives. */
#include "kvr_system_bed.h"

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

enum { N = 40, EACH = 20000 };

#define HEAD "'memory':{'staging':'32MiB','objects':'4MiB'},'timeouts':{'connect':'300ms'},'trace':{'dir':'none'}"

static struct kvr *
open_fs(const char *dir)
{
	return bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s'}]}", dir);
}

static uint32_t
tier_of(struct kvr *kvr, const char *key)
{
	uint32_t tier = 99;

	return bed_find1(kvr, key, &tier) == KVR_OK ? tier : KVR_NOWHERE_TIER;
}

/* A get does not wait for the promotion of what it found. */
static void
until_in_tier(struct kvr *kvr, const char *key, uint32_t want)
{
	uint64_t until_ns = bed_in_ms(20000);

	while (tier_of(kvr, key) != want)
		MUST(bed_now_ns() < until_ns, "%s does not come to tier %u", key, want);
}

START_TEST(presence_is_the_union_and_hits_move_up)
{
	char dir[64];
	struct bed_batch *b = bed_batch_new("below", N, EACH), *mixed = bed_batch_new("below", N + 8, EACH);

	bed_dir(dir, sizeof(dir));
	struct kvr *below = open_fs(dir);

	OK(bed_run(below, b, KVR_PUT, 0, 0));
	bed_close(below);
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://'},"
	    "{'name':'disk','url':'fs://%s'}]}", dir);

	ERR(bed_run(kvr, mixed, KVR_LOOKUP, 0, 0), KVR_E_MISS);
	MUST(mixed->done.n_ok == N && mixed->done.prefix == N, "%u, prefix %u", mixed->done.n_ok, mixed->done.prefix);
	for (uint32_t i = 0; i < N + 8; i++) {
		ERR(mixed->err[i], i < N ? KVR_OK : KVR_E_MISS);
		MUST(mixed->tier[i] == (i < N ? 1 : KVR_NOWHERE_TIER), "%u", mixed->tier[i]);
	}
	OK(bed_run(kvr, b, KVR_SIZE, 0, 0));
	for (uint32_t i = 0; i < N; i++)
		MUST(b->got[i] == EACH && b->tier[i] == 1, "%llu in %u", (unsigned long long)b->got[i], b->tier[i]);
	/* Half of them is read: that half moves up, and is found there first. */
	b->n = N / 2;
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	for (uint32_t i = 0; i < N / 2; i++) {
		MUST(b->tier[i] == 1, "read from %u", b->tier[i]);
		until_in_tier(kvr, b->key[i], 0);
	}
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	for (uint32_t i = 0; i < N / 2; i++)
		MUST(b->tier[i] == 0, "%s read from %u", b->key[i], b->tier[i]);
	MUST(tier_of(kvr, mixed->key[N - 1]) == 1, "what was not read has moved");
	/* A removal is for all tiers. */
	OK(bed_run(kvr, b, KVR_REMOVE, 0, 0));
	ERR(bed_run(kvr, b, KVR_LOOKUP, 0, 0), KVR_E_MISS);
	bed_all(b, KVR_E_MISS, "removed");
	ERR(bed_run(kvr, b, KVR_REMOVE, 0, 0), KVR_E_MISS);
	bed_close(kvr);
	bed_batch_free(b);
	bed_batch_free(mixed);
}
END_TEST

START_TEST(promotion_waits_for_the_third_hit)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://','write':'back',"
	    "'promote':{'on':'hit','after':3}},{'name':'disk','url':'fs://%s'}]}", dir);
	struct kvr *below = open_fs(dir);

	OK(bed_put1(below, "k", EACH));
	bed_close(below);
	for (int hit = 1; hit <= 3; hit++) {
		uint32_t tier;
		uint64_t left;

		OK(bed_get1(kvr, "k", EACH, &tier));
		MUST(tier == 1, "hit %d came from %u", hit, tier);
		OK(kvr_quiet(kvr, 0, &left));
		if (hit < 3)
			MUST(tier_of(kvr, "k") == 1, "it moved after %d hits", hit);
	}
	until_in_tier(kvr, "k", 0);
	bed_close(kvr);
}
END_TEST

START_TEST(policies_say_where_a_put_goes)
{
	char through[64], back[64], never[64];

	bed_dir(through, sizeof(through));
	bed_dir(back, sizeof(back));
	bed_dir(never, sizeof(never));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':["
	    "{'name':'a','url':'fs://%s','write':'through','promote':{'on':'never'}},"
	    "{'name':'b','url':'fs://%s','write':'back','promote':{'on':'never'}},"
	    "{'name':'c','url':'fs://%s','write':'never'}]}", through, back, never);
	struct bed_batch *b = bed_batch_new("p", N, EACH);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	MUST(bed_files(through, ".kvr") == N, "%zu written through", bed_files(through, ".kvr"));
	/* Closing drains: what goes back is there then. */
	bed_close(kvr);
	MUST(bed_files(back, ".kvr") == N, "%zu written back", bed_files(back, ".kvr"));
	MUST(bed_files(never, ".kvr") == 0, "%zu", bed_files(never, ".kvr"));
	kvr = open_fs(back);
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

/* Nothing is written through: the put is OK once the library has it, and a drain makes it last. */
START_TEST(write_back_alone_lasts_through_a_drain)
{
	char dir[64];
	uint64_t left;

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'b','url':'fs://%s','write':'back'}]}", dir);
	struct bed_batch *b = bed_batch_new("wb", 200, EACH);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	/* The caller's memory is its own again. */
	memset(b->memory, 0, b->n * b->each);
	OK(kvr_quiet(kvr, 0, &left));
	bed_close(kvr);
	MUST(bed_files(dir, ".kvr") == 200, "%zu", bed_files(dir, ".kvr"));
	kvr = open_fs(dir);
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

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
	struct kvr_results r = { .size = sizeof(r), .cap = b->n, .err = b->err, .len = b->got, .tier = b->tier };

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
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':["
	    "{'name':'ram','url':'memory://','capacity':'64MiB','promote':{'on':'never'}},"
	    "{'name':'disk','url':'fs://%s','serde':'zstd','promote':{'on':'never'}},"
	    "{'name':'far','url':'%s','format':'bare'}]}", dir, server->url);

	fill_soft(b);
	OK(move(kvr, b, KVR_PUT));
	expect_soft(kvr, b, 0);
	bed_close(kvr);
	struct kvr_raw_reply r = kvr_raw(raw, "STRLEN soft-7");

	MUST(r.n == EACH, "%lld bytes in redis", (long long)r.n);
	/* Without the memory tier the disk's are read, and then, without the disk, redis'. */
	kvr = bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s','serde':'zstd','promote':{'on':'never'}},"
	    "{'name':'far','url':'%s','format':'bare'}]}", dir, server->url);
	expect_soft(kvr, b, 0);
	bed_close(kvr);
	kvr = bed_open("{" HEAD ",'tiers':[{'name':'far','url':'%s','format':'bare'}]}", server->url);
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

START_TEST(a_memory_tier_keeps_the_newest)
{
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://','capacity':'1MiB'}]}");
	char key[32];
	int kept = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "lru-%d", i);
		OK(bed_put1(kvr, key, EACH));
		OK(bed_get1(kvr, "lru-0", EACH, NULL)); /* stays young */
	}
	for (int i = 1; i < 100; i++) {
		snprintf(key, sizeof(key), "lru-%d", i);
		int32_t err = bed_get1(kvr, key, EACH, NULL);

		MUST(err == KVR_OK || err == KVR_E_MISS, "%s", kvr_err_name(err));
		MUST(kept == 0 || err == KVR_OK, "%s is gone and an older one is not", key);
		kept += err == KVR_OK;
	}
	MUST(kept >= 30 && kept <= 52, "%d of 52 are kept", kept);
	OK(bed_get1(kvr, "lru-0", EACH, NULL));
	bed_close(kvr);
}
END_TEST

START_TEST(a_put_that_one_tier_misses_is_partial)
{
	char dir[64];
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct bed_batch *b = bed_batch_new("half", 4, EACH);

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s'},"
	    "{'name':'far','url':'%s','breaker':{'faults':1,'backoff_min':'60s','backoff_max':'60s'}}]}",
	    dir, server->url);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	kvr_redis_server_kill(server);
	ERR(bed_run(kvr, b, KVR_PUT, 0, bed_in_ms(2000)), KVR_E_PARTIAL);
	bed_all(b, KVR_E_PARTIAL, "one tier is dead");
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	ERR(bed_find1(kvr, "nowhere", NULL), KVR_E_DOWN);
	bed_close(kvr);
	kvr_redis_server_stop(server);
	bed_batch_free(b);
}
END_TEST

START_TEST(if_absent_sends_only_what_is_missing)
{
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://'}]}");
	struct bed_batch *b = bed_batch_new("ab", N, EACH);

	b->n = N / 2;
	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	b->n = N;
	ERR(bed_run(kvr, b, KVR_PUT, KVR_IF_ABSENT, 0), KVR_E_EXISTS);
	for (uint32_t i = 0; i < N; i++)
		ERR(b->err[i], i < N / 2 ? KVR_E_EXISTS : KVR_OK);
	MUST(b->done.n_ok == N / 2 && b->done.bytes == (uint64_t)N / 2 * EACH, "%llu bytes",
	    (unsigned long long)b->done.bytes);
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

/* Layers: three keys make a chunk, and a chunk counts when it is whole. */
START_TEST(a_prefix_counts_whole_chunks)
{
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://'}]}");
	struct bed_batch *b = bed_batch_new("ch", 30, 500);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	OK(kvr_remove(kvr, "ch-13", false, 0));
	b->per_chunk = 3;
	ERR(bed_run(kvr, b, KVR_LOOKUP, KVR_PREFIX, 0), KVR_E_MISS);
	MUST(b->done.prefix == 4, "%u chunks", b->done.prefix);
	ERR(b->err[13], KVR_E_MISS);
	for (uint32_t i = 0; i < 30; i++) {
		if (i < 12)
			ERR(b->err[i], KVR_OK);
		else if (i >= 15)
			ERR(b->err[i], KVR_E_UNASKED);
	}
	ERR(bed_run(kvr, b, KVR_GET, KVR_PREFIX, 0), KVR_E_MISS);
	MUST(b->done.prefix == 4, "%u chunks", b->done.prefix);
	/* Without the flag every key is answered. */
	ERR(bed_run(kvr, b, KVR_GET, 0, 0), KVR_E_MISS);
	MUST(b->done.n_ok == 29 && b->done.prefix == 4, "%u, prefix %u", b->done.n_ok, b->done.prefix);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

START_TEST(lengths_are_compared_unless_room_is_meant)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://','promote':{'on':'never'}},"
	    "{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
	struct bed_batch *b = bed_batch_new("len", 1, 1000), *more = bed_batch_new("len", 1, 5000),
	    *less = bed_batch_new("len", 1, 999);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	ERR(bed_run(kvr, more, KVR_GET, 0, 0), KVR_E_LENGTH);
	ERR(bed_run(kvr, less, KVR_GET, 0, 0), KVR_E_LENGTH);
	ERR(bed_run(kvr, less, KVR_GET, KVR_AT_MOST, 0), KVR_E_LENGTH);
	OK(bed_run(kvr, more, KVR_GET, KVR_AT_MOST, 0));
	MUST(more->got[0] == 1000 && more->done.bytes == 1000, "%llu", (unsigned long long)more->got[0]);
	OK(bed_run(kvr, b, KVR_SIZE, 0, 0));
	MUST(b->got[0] == 1000, "%llu", (unsigned long long)b->got[0]);
	bed_close(kvr);
	/* The disk's is encoded: the payload's length is what counts there, too. */
	kvr = bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
	ERR(bed_run(kvr, more, KVR_GET, 0, 0), KVR_E_LENGTH);
	ERR(bed_run(kvr, less, KVR_GET, 0, 0), KVR_E_LENGTH);
	OK(bed_run(kvr, more, KVR_GET, KVR_AT_MOST, 0));
	MUST(more->got[0] == 1000, "%llu", (unsigned long long)more->got[0]);
	OK(bed_run(kvr, b, KVR_SIZE, 0, 0));
	MUST(b->got[0] == 1000, "%llu", (unsigned long long)b->got[0]);
	bed_close(kvr);
	bed_batch_free(b);
	bed_batch_free(more);
	bed_batch_free(less);
}
END_TEST

START_TEST(a_prefetch_brings_it_up)
{
	char dir[64];
	uint64_t left;

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{'memory':{'staging':'32MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':[{'name':'ram','url':'memory://'},"
	    "{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
	struct kvr *below = bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
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
	struct kvr *kvr = bed_open("{'memory':{'staging':'1MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':["
	    "{'name':'b','url':'fs://%s','write':'back','serde':'zstd'}]}", dir);

	for (int turn = 0; turn < 20; turn++) {
		uint64_t start_ns = bed_now_ns();

		fill_soft(b);
		OK(move(kvr, b, KVR_PUT));
		OK(kvr_quiet(kvr, bed_in_ms(20000), &left));
		MUST(bed_now_ns() - start_ns < bed_slowness() * 10000000000U, "turn %d hung", turn);
	}
	/* More than can be kept: the rest is refused at once, not at the deadline. */
	struct bed_batch *many = bed_batch_new("many", 100, 65536);
	uint64_t start_ns = bed_now_ns();

	fill_soft(many);
	ERR(move(kvr, many, KVR_PUT), KVR_E_NOMEM);
	MUST(many->done.n_ok >= 4 && many->done.n_ok <= 16, "%u are kept", many->done.n_ok);
	MUST(bed_now_ns() - start_ns < bed_slowness() * 10000000000U, "it waited");
	bed_close(kvr);
	MUST(bed_files(dir, ".kvr") == 6 + many->done.n_ok, "%zu", bed_files(dir, ".kvr"));
	/* With a tier that is written through it is that one which counts. */
	kvr = bed_open("{'memory':{'staging':'1MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':["
	    "{'name':'a','url':'fs://%s'},{'name':'b','url':'fs://%s','write':'back','serde':'zstd'}]}", fast, dir);
	OK(move(kvr, many, KVR_PUT));
	OK(kvr_quiet(kvr, bed_in_ms(20000), &left));
	MUST(bed_files(fast, ".kvr") == 100, "%zu", bed_files(fast, ".kvr"));
	bed_close(kvr);
	bed_batch_free(b);
	bed_batch_free(many);
}
END_TEST

/* More keys than the staging arena could keep: what has no room is said at once, the rest comes. */
START_TEST(a_prefetch_of_more_than_fits)
{
	char dir[64];
	uint64_t left;

	bed_dir(dir, sizeof(dir));
	struct kvr *below = bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
	struct bed_batch *b = bed_batch_new("pre", 100, 65536);

	fill_soft(b);
	OK(move(below, b, KVR_PUT));
	bed_close(below);
	struct kvr *kvr = bed_open("{'memory':{'staging':'1MiB','slot_size':'64KiB'},'trace':{'dir':'none'},'tiers':["
	    "{'name':'ram','url':'memory://'},{'name':'disk','url':'fs://%s','serde':'zstd'}]}", dir);
	uint64_t start_ns = bed_now_ns();

	ERR(bed_run(kvr, b, KVR_PREFETCH, 0, 0), KVR_E_NOMEM);
	MUST(bed_now_ns() - start_ns < bed_slowness() * 5000000000U, "it waited");
	uint32_t n_ok = b->done.n_ok;

	MUST(n_ok >= 2 && n_ok <= 16, "%u", n_ok);
	for (uint32_t i = 0; i < 100; i++)
		MUST(b->err[i] == KVR_OK || b->err[i] == KVR_E_NOMEM, "%s", kvr_err_name(b->err[i]));
	OK(kvr_quiet(kvr, 0, &left));
	expect_soft_somewhere(kvr, b, n_ok);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

KVR_CHECK_MAIN("system.tiers", presence_is_the_union_and_hits_move_up, promotion_waits_for_the_third_hit,
    policies_say_where_a_put_goes, write_back_alone_lasts_through_a_drain,
    every_tier_has_its_own_serde_and_format, a_memory_tier_keeps_the_newest,
    a_put_that_one_tier_misses_is_partial, if_absent_sends_only_what_is_missing,
    a_prefix_counts_whole_chunks, lengths_are_compared_unless_room_is_meant, a_prefetch_brings_it_up, write_back_through_a_serde_in_little_memory,
    a_prefetch_of_more_than_fits)
