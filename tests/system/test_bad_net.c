/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between us and the store something swallows, drips, cuts, resets or changes bytes; or the stored
 * value itself is damaged. What a caller gets is right bytes or none, by the deadline, and service
 * comes back when the network does.
 */
#include "kvr_system_bed.h"

#include "kvr_bad_net.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

enum { KEYS = 8, EACH = 50000, BUDGET_MS = 300, LATE_MS = 5000 };

struct net_bed {
	struct kvr_redis_server *server;
	struct kvr_bad_net *net;
	struct kvr *kvr;
	struct bed_batch *b;
	uint64_t worst_late_ns;
	uint32_t n_ok, n_other;
};

/* The network is well again: service, without anything that the caller does for it. */
static void
recovers(struct net_bed *bed)
{
	uint64_t until_ns = bed_in_ms(30000);

	kvr_bad_net_mode(bed->net, KVR_NET_PASS, 0);
	while (bed_run(bed->kvr, bed->b, KVR_PUT, 0, bed_in_ms(1000)) != KVR_OK ||
	       bed_run(bed->kvr, bed->b, KVR_GET, 0, bed_in_ms(1000)) != KVR_OK)
		MUST(bed_now_ns() < until_ns, "it stays %s: %s", kvr_err_name(bed->b->done.err),
		    bed->b->done.why);
}

static struct net_bed
net_open(void)
{
	struct net_bed bed = { .server = kvr_redis_server_start(NULL, NULL) };

	bed.net = kvr_bad_net_start(bed.server->port);
	bed.kvr = bed_open(
	    "{'memory':{'staging':'16MiB','objects':'4MiB'},'timeouts':{'connect':'200ms'},"
	    "'trace':{'dir':'none'},'tiers':[{'name':'far','url':'%s',"
	    "'breaker':{'faults':2,'backoff_min':'10ms','backoff_max':'50ms'}}]}",
	    kvr_bad_net_url(bed.net));
	bed.b = bed_batch_new("net", KEYS, EACH);
	recovers(&bed); /* a machine may be too busy for the first dial, too */
	return bed;
}

static void
net_close(struct net_bed *bed, const char *what)
{
	printf("%s: %u keys right, %u without a value, worst lateness %.3f ms\n", what, bed->n_ok,
	    bed->n_other, (double)bed->worst_late_ns / 1e6);
	MUST(bed->worst_late_ns < LATE_MS * bed_slowness() * 1000000U, "%llu ms late",
	    (unsigned long long)bed->worst_late_ns / 1000000U);
	bed_close(bed->kvr);
	bed_batch_free(bed->b);
	kvr_bad_net_stop(bed->net);
	kvr_redis_server_stop(bed->server);
}

/* bed_run compares what is OK. Errors have to be ones that the header names for this. */
static enum kvr_err
tried(struct net_bed *bed, uint32_t kind)
{
	uint64_t until_ns = bed_in_ms(BUDGET_MS);
	enum kvr_err err = bed_run(bed->kvr, bed->b, kind, 0, until_ns);
	uint64_t now_ns = bed_now_ns();

	if (now_ns > until_ns && now_ns - until_ns > bed->worst_late_ns)
		bed->worst_late_ns = now_ns - until_ns;
	for (uint32_t i = 0; i < KEYS; i++) {
		int32_t e = bed->b->err[i];

		MUST(e == KVR_OK || e == KVR_E_TIMEOUT || e == KVR_E_DOWN || e == KVR_E_PROTO ||
		         e == KVR_E_CORRUPT || e == KVR_E_IDENTITY || e == KVR_E_LENGTH ||
		         e == KVR_E_REFUSED || e == KVR_E_MISS,
		    "%s: %s", kvr_err_name(e), bed->b->done.why);
		if (e == KVR_OK)
			bed->n_ok++;
		else
			bed->n_other++;
	}
	return err;
}

static void
through(enum kvr_net_mode mode, uint64_t at, int turns, const char *what)
{
	struct net_bed bed = net_open();

	kvr_bad_net_mode(bed.net, mode, at);
	for (int i = 0; i < turns; i++) {
		tried(&bed, KVR_GET);
		tried(&bed, KVR_LOOKUP);
		tried(&bed, KVR_PUT);
		tried(&bed, KVR_SIZE);
	}
	recovers(&bed);
	net_close(&bed, what);
}

START_TEST(a_black_hole)
{
	struct net_bed bed = net_open();

	kvr_bad_net_mode(bed.net, KVR_NET_BLACKHOLE, 0);
	for (int i = 0; i < 5; i++) {
		enum kvr_err err = tried(&bed, KVR_GET);

		MUST(err == KVR_E_TIMEOUT || err == KVR_E_DOWN, "%s", kvr_err_name(err));
		bed_all(bed.b, bed.b->err[0], "one answer for all");
	}
	uint64_t before = kvr_bad_net_accepted(bed.net);
	recovers(&bed);
	MUST(kvr_bad_net_accepted(bed.net) > before || bed.n_other > 0, "nothing happened");
	net_close(&bed, "black hole");
}
END_TEST

START_TEST(a_drip)
{
	through(KVR_NET_DRIP, 0, 3, "drip");
}
END_TEST

START_TEST(resets_in_the_middle)
{
	static const uint64_t at[] = { 0, 1, 7, 100, 600, EACH, EACH + 700, 3 * EACH + 5,
		6 * EACH };
	struct net_bed bed = net_open();

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		kvr_bad_net_mode(bed.net, KVR_NET_RESET, at[i]);
		tried(&bed, KVR_GET);
		tried(&bed, KVR_LOOKUP);
		tried(&bed, KVR_PUT);
		recovers(&bed);
		kvr_bad_net_mode(bed.net, KVR_NET_CUT, at[i]);
		tried(&bed, KVR_GET);
		tried(&bed, KVR_SIZE);
		tried(&bed, KVR_REMOVE);
		recovers(&bed);
	}
	net_close(&bed, "resets and ends");
}
END_TEST

/* Who asks why a prefix was a miss has to hear whom it was waited for. */
START_TEST(a_call_whose_time_is_over_names_the_tier_that_had_it)
{
	struct net_bed bed = net_open();

	kvr_bad_net_mode(bed.net, KVR_NET_BLACKHOLE, 0);
	ERR(bed_run(bed.kvr, bed.b, KVR_GET, 0, bed_in_ms(BUDGET_MS)), KVR_E_TIMEOUT);
	MUST(strstr(bed.b->done.why, "tier far had not answered when its time was over") != NULL,
	    "\"%s\"", bed.b->done.why);
	recovers(&bed);
	net_close(&bed, "a name for who was late");
}
END_TEST

/* From one flipped byte in a hundred thousand to one in seven. */
START_TEST(flipped_bits_on_the_way)
{
	static const uint64_t every[] = { 99991, 50021, 9973, 1009, 101, 7 };
	struct net_bed bed = net_open();
	uint32_t bad = 0;

	for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
		kvr_bad_net_mode(bed.net, KVR_NET_FLIP, every[i]);
		for (int turn = 0; turn < 4; turn++)
			tried(&bed, KVR_GET);
		bad += bed.n_other;
		recovers(&bed);
	}
	MUST(bad > 0, "no fault was seen");
	net_close(&bed, "flipped bits");
}
END_TEST

/* ---- what is stored is damaged ---- */

struct stored {
	uint8_t *at;
	size_t len;
	char name[80];
};

static struct stored
stored_of(struct kvr_raw *raw, const char *key)
{
	struct stored s;

	snprintf(s.name, sizeof(s.name), "%s@kvr%%1", key);
	struct kvr_raw_reply r = kvr_raw_get(raw, s.name);

	MUST(r.kind == '$' && r.len > 512, "%s is not there: %c", s.name, r.kind);
	s.len = r.len;
	s.at = malloc(r.len + 1);
	MUST(s.at != NULL, "no memory");
	memcpy(s.at, r.bytes, r.len);
	return s;
}

static int32_t
read_back(struct kvr *kvr, struct bed_batch *b)
{
	/* bed_run compares the bytes when it is OK. */
	return bed_run(kvr, b, KVR_GET, 0, bed_in_ms(20000));
}

static bool
is_damage(int32_t err)
{
	return err == KVR_E_CORRUPT || err == KVR_E_IDENTITY || err == KVR_E_LENGTH;
}

START_TEST(every_damage_of_a_stored_value_is_a_miss_with_a_reason)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr *kvr =
	    bed_open("{'trace':{'dir':'none'},'tiers':[{'name':'far','url':'%s'}]}", server->url);
	struct bed_batch *b = bed_batch_new("victim", 1, 3000);
	uint64_t seen[3] = { 0 };

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	struct stored s = stored_of(raw, b->key[0]);

	/* Each byte once, a bit that depends on its place. */
	for (size_t i = 0; i < s.len; i++) {
		s.at[i] ^= (uint8_t)(1U << i % 8);
		kvr_raw_set(raw, s.name, s.at, s.len);
		int32_t err = read_back(kvr, b);

		MUST(is_damage(err), "byte %zu of %zu: %s", i, s.len, kvr_err_name(err));
		MUST(b->done.why[0] != '\0', "byte %zu: no words", i);
		seen[err == KVR_E_CORRUPT ? 0 : err == KVR_E_IDENTITY ? 1 : 2]++;
		s.at[i] ^= (uint8_t)(1U << i % 8);
	}
	/* Shorter, down to nothing, and longer. */
	for (size_t len = 0; len < s.len; len += len < 600 ? 1 : 97) {
		kvr_raw_set(raw, s.name, s.at, len);
		int32_t err = read_back(kvr, b);

		MUST(is_damage(err), "%zu of %zu bytes: %s", len, s.len, kvr_err_name(err));
	}
	s.at[s.len] = 0;
	kvr_raw_set(raw, s.name, s.at, s.len + 1);
	MUST(is_damage(read_back(kvr, b)), "one byte more");
	/* And as it was. */
	kvr_raw_set(raw, s.name, s.at, s.len);
	OK(read_back(kvr, b));
	printf("flipped: %llu CORRUPT, %llu IDENTITY, %llu LENGTH\n", (unsigned long long)seen[0],
	    (unsigned long long)seen[1], (unsigned long long)seen[2]);
	free(s.at);
	bed_close(kvr);
	bed_batch_free(b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(values_of_another_key_length_or_kind)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr *kvr =
	    bed_open("{'trace':{'dir':'none'},'tiers':[{'name':'far','url':'%s'}]}", server->url);
	struct bed_batch *b = bed_batch_new("v", 3, 3000), *longer = bed_batch_new("v", 3, 3001);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	/* v-0 gets the value of v-1; v-2 becomes a list. */
	struct stored s = stored_of(raw, b->key[1]);

	kvr_raw_set(raw, "v-0@kvr%1", s.at, s.len);
	kvr_raw(raw, "DEL v-2@kvr%1");
	kvr_raw(raw, "LPUSH v-2@kvr%1 x");
	ERR(bed_run(kvr, b, KVR_GET, 0, 0), KVR_E_IDENTITY);
	ERR(b->err[0], KVR_E_IDENTITY);
	ERR(b->err[1], KVR_OK);
	ERR(b->err[2], KVR_E_LENGTH); /* what holds no bytes has no such length */
	ERR(bed_run(kvr, longer, KVR_GET, 0, 0), KVR_E_IDENTITY);
	ERR(longer->err[1], KVR_E_LENGTH);
	/* The lane that met them goes on. */
	OK(bed_put1(kvr, "after", 100));
	OK(bed_get1(kvr, "after", 100, NULL));
	free(s.at);
	bed_close(kvr);
	bed_batch_free(b);
	bed_batch_free(longer);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

KVR_CHECK_MAIN("system.bad_net", a_black_hole, a_drip, resets_in_the_middle,
    a_call_whose_time_is_over_names_the_tier_that_had_it,
    flipped_bits_on_the_way, every_damage_of_a_stored_value_is_a_miss_with_a_reason,
    values_of_another_key_length_or_kind)
