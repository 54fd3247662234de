/* SPDX-License-Identifier: Apache-2.0 */
/* eic:// over a fake of the SDK: LMCache's two keys, what the SDK is told, and what it may answer. */
#include "kvr_eic_bed.h"
#include "kvr_le.h"

#include <pthread.h>

static void
stored(const char *key, void *at, uint64_t len)
{
	struct kvr_eic_buffer b = { .at = at, .len = len };
	int32_t code = -1;
	ck_assert_int_eq(sdk->mget(NULL, "team", 1, &key, &b, &code), 0);
	ck_assert_int_eq(code, KVR_EIC_OK);
	ck_assert_uint_eq(b.len, len);
}

START_TEST(a_chunk_is_two_keys_as_lmcache_has_them)
{
	/* The first number is the header's own length. */
	static const uint8_t want[HEAD] = { HEAD, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 12,
		0, 0, 0, 4, 0, 0, 0, 16, 0, 0, 0 };
	uint8_t in[LEN], out[LEN], head[HEAD];
	struct bed b;
	up(&b);
	for (size_t i = 0; i < LEN; i++)
		in[i] = (uint8_t)(i * 7);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "m@1@0@1@bfloat16", in, LEN), KVR_OK);
	ck_assert_int_eq((int)fake->last_ttl_s, -1);
	ck_assert_str_eq(fake->last_ns, "team");
	stored("m@1@0@1@bfloat16_meta", head, HEAD);
	ck_assert_mem_eq(head, want, HEAD);
	stored("m@1@0@1@bfloat16", out, LEN);
	ck_assert_mem_eq(in, out, LEN);
	memset(out, 0, LEN);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "m@1@0@1@bfloat16", out, LEN), KVR_OK);
	ck_assert_mem_eq(in, out, LEN);
	ck_assert_int_eq(one(&b, KVR_VERB_DEL, "m@1@0@1@bfloat16", NULL, 0), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_STAT, "m@1@0@1@bfloat16", NULL, 0), KVR_E_MISS);
	down(&b);
}
END_TEST

START_TEST(the_sdk_is_told_what_the_tier_says)
{
	struct kvr_store_opts opts = eic_opts();
	uint8_t in[LEN] = { 1 };
	struct bed b;
	look();
	opts.eic.instance_id = "uuid-1";
	opts.eic.flag_file = "/etc/eic.flags";
	opts.eic.log_dir = "/var/log/eic";
	opts.eic.trans_type = 3;
	opts.eic.log_level = 4;
	opts.ttl_ms = 1500;
	bed_up(&b, &opts);
	ck_assert_str_eq(fake->endpoint, "10.0.0.1:12500;10.0.0.2:12500");
	ck_assert_str_eq(fake->instance_id, "uuid-1");
	ck_assert_str_eq(fake->flag_file, "/etc/eic.flags");
	ck_assert_str_eq(fake->log_dir, "/var/log/eic");
	ck_assert_int_eq(fake->trans_type, 3);
	ck_assert_int_eq(fake->log_level, 4);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	ck_assert_int_eq((int)fake->last_ttl_s, 2); /* not before its time */
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", in, LEN), KVR_OK);
	atomic_store(&fake->passed_s, 2);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", in, LEN), KVR_E_MISS);
	bed_down(&b);
}
END_TEST

START_TEST(each_key_has_the_status_that_the_sdk_gave_it)
{
	static const struct {
		int32_t code, want;
	} rows[] = { { KVR_EIC_NO_SPACE, KVR_E_NOSPACE }, { KVR_EIC_TIMEOUT, KVR_E_BUSY },
		{ KVR_EIC_FAILED, KVR_E_REFUSED }, { 77, KVR_E_REFUSED }, { -5, KVR_E_REFUSED } };
	struct load l = load_new(9, LEN);
	struct bed b;
	up(&b);
	for (size_t r = 0; r < KVR_LEN(rows); r++) {
		/* A put has two keys per chunk: the fourth is the payload of every second chunk. */
		atomic_store(&fake->every, 4);
		atomic_store(&fake->code[KVR_EIC_FAKE_MSET], rows[r].code);
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		for (uint32_t i = 0; i < l.n; i++)
			bed_status(&l.items[i], i % 2 == 1 ? rows[r].want : KVR_OK);
		atomic_store(&fake->every, 0);
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		atomic_store(&fake->every, 3);
		atomic_store(&fake->code[KVR_EIC_FAKE_MGET], rows[r].code);
		bed_ok(&b, KVR_VERB_GET, l.items, l.n);
		for (uint32_t i = 0; i < l.n; i++)
			ck_assert(i % 3 != 2 || kvr_item_status(&l.items[i]) == rows[r].want);
		ck_assert_str_ne(b.ops->why(b.lane), "");
		atomic_store(&fake->every, 0);
	}
	bed_down(&b);
	load_free(&l);
}
END_TEST

START_TEST(wrong_sizes_and_headers_are_never_a_hit)
{
	uint8_t in[LEN] = { 1 }, out[LEN], head[HEAD];
	const char *key = "k_meta";
	int32_t code;
	struct bed b;
	up(&b);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	stored("k_meta", head, HEAD);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", out, LEN - 1), KVR_E_LENGTH);
	atomic_store(&fake->longer, 1);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", out, LEN), KVR_E_LENGTH);
	atomic_store(&fake->longer, 0);
	/* A payload that is shorter than its header says. */
	const struct kvr_eic_buffer half = { .at = in, .len = LEN / 2 };
	const char *payload = "k";
	ck_assert_int_eq(sdk->mset(NULL, "team", -1, 1, &payload, &half, &code), 0);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", out, LEN), KVR_E_LENGTH);
	/* A header whose first number is not its own length is another writer's. */
	kvr_le32_put(head, LEN);
	const struct kvr_eic_buffer other = { .at = head, .len = HEAD };
	ck_assert_int_eq(sdk->mset(NULL, "team", -1, 1, &key, &other, &code), 0);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", out, LEN), KVR_E_CORRUPT);
	bed_down(&b);
}
END_TEST

START_TEST(a_call_that_fails_ends_the_lane_and_no_more)
{
	uint8_t in[LEN] = { 1 };
	struct kvr_meta meta = chunk;
	struct kvr_item item = { .key = "k", .key_len = 1, .span = { in, LEN }, .raw_len = LEN,
		.meta = &meta };
	struct bed b;
	up(&b);
	atomic_store(&fake->fail[KVR_EIC_FAKE_MSET], -9);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_PUT, &item, 1), KVR_E_DOWN);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	ck_assert_msg(strstr(b.ops->why(b.lane), "-9") != NULL, "%s", b.ops->why(b.lane));
	atomic_store(&fake->fail[KVR_EIC_FAKE_MSET], 0);
	b.ops->hang_up(b.lane);
	ck_assert_int_eq(b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why,
	                     sizeof(b.why)), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	ck_assert_uint_eq(atomic_load(&fake->clients), 1);
	bed_down(&b);
}
END_TEST

static void
check_dial(const char *library, const char *says)
{
	struct kvr_store_opts opts = eic_opts();
	struct bed b;
	opts.eic.library = library;
	/* Open is good: the other tiers of a deployment have nothing to do with it. */
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_msg(strstr(b.why, says) != NULL, "%s", b.why);
	bed_down(&b);
}

START_TEST(a_library_that_is_missing_or_another_says_what_to_do)
{
	look();
	check_dial("/no/such/libkvr_eic.so", "install an adapter of EIC's SDK");
	check_dial(NULL, "libkvr_eic.so");
	check_dial("libm.so.6", "no adapter");
	check_dial(KVR_EIC_OTHER, "version 99 of the interface, not 2");
	atomic_store(&fake->fail_open, 7);
	check_dial(KVR_EIC_FAKE, "the fake refuses");
	atomic_store(&fake->fail_open, 0);
	atomic_store(&fake->fail[KVR_EIC_FAKE_MEXIST], 3);
	check_dial(KVR_EIC_FAKE, "mexist");
}
END_TEST

static void *
put_in_a_thread(void *arg)
{
	static uint8_t in[LEN];
	ck_assert_int_eq(one(arg, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	return NULL;
}

START_TEST(a_call_that_stalls_is_why_callers_memory_is_not_lent)
{
	pthread_t thread;
	struct bed b;
	up(&b);
	ck_assert_uint_eq(kvr_store_caps(b.ops, b.store) & KVR_CAP(GIVE_UP), 0);
	atomic_store(&fake->hold, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, put_in_a_thread, &b), 0);
	while (atomic_load(&fake->held) == 0)
		usleep(500);
	atomic_store(&fake->hold, 0);
	pthread_join(thread, NULL);
	bed_down(&b);
}
END_TEST

static void *
dial_in_a_thread(void *arg)
{
	struct bed *b = arg;
	ck_assert_int_eq(b->ops->dial(b->store, bed_in(BED_LONG), NULL, &b->lane, b->why,
	                     sizeof(b->why)), KVR_OK);
	return NULL;
}

START_TEST(an_init_that_hangs_holds_no_other_lane)
{
	struct kvr_store_opts opts = eic_opts();
	struct kvr_connector *second = NULL;
	struct bed b = { .ops = &kvr_eic_ops };
	pthread_t thread;
	uint64_t one = 1;
	look();
	b.kick.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(b.ops->open(&opts, &b.store, b.why, sizeof(b.why)), KVR_OK);
	atomic_store(&fake->hold, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, dial_in_a_thread, &b), 0);
	while (atomic_load(&fake->held) == 0)
		usleep(500);
	char why[256] = "";
	ck_assert_int_eq(b.ops->dial(b.store, bed_in(KVR_MS(30)), &b.kick, &second, why,
	                     sizeof(why)), KVR_E_TIMEOUT);
	ck_assert_msg(strstr(why, "another lane") != NULL, "%s", why);
	b.kick.target = KVR_KICK_ALL;
	ck_assert_int_eq(write(b.kick.fd, &one, sizeof(one)), sizeof(one));
	ck_assert_int_eq(b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &second, why,
	                     sizeof(why)), KVR_E_CANCELLED);
	atomic_store(&fake->hold, 0);
	pthread_join(thread, NULL);
	down(&b);
}
END_TEST

START_TEST(urls_and_settings_that_cannot_be_meant_are_refused)
{
	static const char *const bad[] = { "eic://", "eic:///", "eic://h", "eic://h:1;", "eic://:1",
		"eic://h:1;i", "eic://h:1?x=1", "eic://h:1#x", "eic://h:1/x", "eic://h:x" };
	struct kvr_store *store = NULL;
	char why[256];
	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		struct kvr_store_opts opts = bed_opts(bad[i], KVR_FORMAT_LMCACHE);
		why[0] = '\0';
		ck_assert_msg(kvr_eic_ops.open(&opts, &store, why, sizeof(why)) == KVR_E_CONFIG,
		    "%s", bad[i]);
		ck_assert_str_ne(why, "");
	}
	struct kvr_store_opts opts = eic_opts();
	opts.format = KVR_FORMAT_SEALED;
	ck_assert_int_eq(kvr_eic_ops.open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
	opts = eic_opts();
	opts.password = "x";
	ck_assert_int_eq(kvr_eic_ops.open(&opts, &store, why, sizeof(why)), KVR_E_CONFIG);
}
END_TEST

KVR_CHECK_MAIN("connectors.eic", a_chunk_is_two_keys_as_lmcache_has_them,
    the_sdk_is_told_what_the_tier_says, each_key_has_the_status_that_the_sdk_gave_it,
    wrong_sizes_and_headers_are_never_a_hit, a_call_that_fails_ends_the_lane_and_no_more,
    a_library_that_is_missing_or_another_says_what_to_do,
    a_call_that_stalls_is_why_callers_memory_is_not_lent,
    an_init_that_hangs_holds_no_other_lane, urls_and_settings_that_cannot_be_meant_are_refused)
