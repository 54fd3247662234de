/* SPDX-License-Identifier: Apache-2.0 */
/* Several tiers together: where reads look, where writes go, what moves up, what survives. */
#include "kvr_system_bed.h"

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
	struct bed_batch *b = bed_batch_new("below", N, EACH),
	                 *mixed = bed_batch_new("below", N + 8, EACH);

	bed_dir(dir, sizeof(dir));
	struct kvr *below = open_fs(dir);

	OK(bed_run(below, b, KVR_PUT, 0, 0));
	bed_close(below);
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://'},"
	                           "{'name':'disk','url':'fs://%s'}]}",
	    dir);

	ERR(bed_run(kvr, mixed, KVR_LOOKUP, 0, 0), KVR_E_MISS);
	MUST(mixed->done.n_ok == N && mixed->done.prefix == N, "%u, prefix %u", mixed->done.n_ok,
	    mixed->done.prefix);
	for (uint32_t i = 0; i < N + 8; i++) {
		ERR(mixed->err[i], i < N ? KVR_OK : KVR_E_MISS);
		MUST(mixed->tier[i] == (i < N ? 1 : KVR_NOWHERE_TIER), "%u", mixed->tier[i]);
	}
	OK(bed_run(kvr, b, KVR_SIZE, 0, 0));
	for (uint32_t i = 0; i < N; i++)
		MUST(b->got[i] == EACH && b->tier[i] == 1, "%llu in %u",
		    (unsigned long long)b->got[i], b->tier[i]);
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
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://','write':'back',"
	             "'promote':{'on':'hit','after':3}},{'name':'disk','url':'fs://%s'}]}",
	        dir);
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
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':["
	             "{'name':'a','url':'fs://%s','write':'through','promote':{'on':'never'}},"
	             "{'name':'b','url':'fs://%s','write':'back','promote':{'on':'never'}},"
	             "{'name':'c','url':'fs://%s','write':'never'}]}",
	        through, back, never);
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
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'b','url':'fs://%s','write':'back'}]}", dir);
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

START_TEST(a_memory_tier_keeps_the_newest)
{
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://','capacity':'1MiB'}]}");
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
	struct bed_batch *b = bed_batch_new("half", 4, EACH), *nowhere = bed_batch_new("nowhere", 1, EACH);
	unsigned ms;
	char word;

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr = bed_open("{" HEAD ",'tiers':[{'name':'disk','url':'fs://%s'},"
	                           "{'name':'far','url':'%s','breaker':{'faults':1,'backoff_min':'"
	                           "60s','backoff_max':'60s'}}]}",
	    dir, server->url);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	kvr_redis_server_kill(server);
	ERR(bed_run(kvr, b, KVR_PUT, 0, bed_in_ms(2000)), KVR_E_PARTIAL);
	bed_all(b, KVR_E_PARTIAL, "one tier is dead");
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	for (uint64_t until_ns = bed_in_ms(20000); nowhere->done.flags != (KVR_DONE_QUIET | KVR_DONE_DEGRADED);) {
		ERR(bed_run(kvr, nowhere, KVR_LOOKUP, 0, 0), KVR_E_DOWN);
		MUST(bed_now_ns() < until_ns, "flags %#x", nowhere->done.flags);
	}
	ERR((int32_t)nowhere->tier[0], (int32_t)KVR_NOWHERE_TIER);
	/* The store's own words differ: the connection was refused, or the last one broke. */
	MUST(sscanf(nowhere->done.why, "tier far is left out for %u ms: %c", &ms, &word) == 2 &&
	        ms <= 60000 + 60000 / 8,
	    "%s", nowhere->done.why);
	bed_close(kvr);
	kvr_redis_server_stop(server);
	bed_batch_free(b);
	bed_batch_free(nowhere);
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
	MUST(b->done.n_ok == 29 && b->done.prefix == 4, "%u, prefix %u", b->done.n_ok,
	    b->done.prefix);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

START_TEST(lengths_are_compared_unless_room_is_meant)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{" HEAD ",'tiers':[{'name':'ram','url':'memory://','promote':{'on':'never'}},"
	             "{'name':'disk','url':'fs://%s','serde':'zstd'}]}",
	        dir);
	struct bed_batch *b = bed_batch_new("len", 1, 1000), *more = bed_batch_new("len", 1, 5000),
	                 *less = bed_batch_new("len", 1, 999);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	ERR(bed_run(kvr, more, KVR_GET, 0, 0), KVR_E_LENGTH);
	ERR(bed_run(kvr, less, KVR_GET, 0, 0), KVR_E_LENGTH);
	ERR(bed_run(kvr, less, KVR_GET, KVR_AT_MOST, 0), KVR_E_LENGTH);
	OK(bed_run(kvr, more, KVR_GET, KVR_AT_MOST, 0));
	MUST(more->got[0] == 1000 && more->done.bytes == 1000, "%llu",
	    (unsigned long long)more->got[0]);
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

KVR_CHECK_MAIN("system.tiers", presence_is_the_union_and_hits_move_up,
    promotion_waits_for_the_third_hit, policies_say_where_a_put_goes,
    write_back_alone_lasts_through_a_drain, a_memory_tier_keeps_the_newest,
    a_put_that_one_tier_misses_is_partial, if_absent_sends_only_what_is_missing,
    a_prefix_counts_whole_chunks, lengths_are_compared_unless_room_is_meant)
