/* SPDX-License-Identifier: Apache-2.0 */
/* mock:// and blackhole://: stores that keep no payload, so the conformance suite is not for them. */
#include "kvr_connectors.h"
#include "kvr_check.h"
#include "kvr_subject.h"

#include <stdio.h>
#include <string.h>

static const char *url;

static void
begin(struct kvr_store_opts *opts)
{
	opts->url = url;
}

static void
end(void)
{
}

enum { MOCK, BLACKHOLE };
const struct kvr_subject kvr_subjects[] = {
	{ .name = "mock",
	    .ops = &kvr_mock_ops,
	    .format = KVR_FORMAT_BARE,
	    .begin = begin,
	    .end = end },
	{ .name = "blackhole",
	    .ops = &kvr_blackhole_ops,
	    .format = KVR_FORMAT_LMCACHE,
	    .begin = begin,
	    .end = end },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);

static struct kvr_world w;

static void
open_url(int subject, const char *text)
{
	url = text;
	kvr_world_begin(&w, subject);
}

/* Nothing of a payload is read, so it may be larger than any memory that is there. */
static int32_t
put(const char *key, uint64_t len)
{
	return kvr_put1(w.lane, w.subject->ops, key, NULL, len);
}

static int32_t
ask(enum kvr_verb verb, const char *key)
{
	return kvr_ask1(w.lane, w.subject->ops, verb, key);
}

static void
takes_at_least(uint64_t since_ns, uint64_t ms)
{
	uint64_t took_ns = kvr_now_ns() - since_ns;

	ck_assert_msg(took_ns >= KVR_MS(ms), "%llu us", (unsigned long long)took_ns / 1000);
}

START_TEST(time_passes_as_the_url_says)
{
	static char at[4 << 20];

	open_url(
	    MOCK, "mock://1/?peeking_latency=20.5&read_throughput=0.125&write_throughput=0.25");
	uint64_t since_ns = kvr_now_ns();

	ck_assert_int_eq(put("a", sizeof(at)), KVR_OK); /* 4 MiB at 256 MiB/s */
	takes_at_least(since_ns, 15);
	since_ns = kvr_now_ns();
	ck_assert_int_eq(kvr_get1(w.lane, w.subject->ops, "a", at, sizeof(at), 0, NULL), KVR_OK);
	takes_at_least(since_ns, 31);
	since_ns = kvr_now_ns();
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "a"), KVR_OK);
	takes_at_least(since_ns, 20);
	kvr_world_end(&w);
}
END_TEST

/* Two lanes share one wire: their bytes queue. */
START_TEST(throughput_is_that_of_all_lanes)
{
	struct kvr_kick kick;
	struct kvr_meta meta[2];

	open_url(MOCK, "mock://1/?write_throughput=0.125");
	kvr_kick_open(&kick);
	struct kvr_connector *other = kvr_world_dial(&w, &kick);
	uint64_t since_ns = kvr_now_ns();

	/*
	 * The first one's wait is cut short, but not the time that its bytes have on the wire. Not
	 * by much: on a busy machine its time would be over before it has begun.
	 */
	struct kvr_item item = kvr_item_of("a", &meta[0]);
	item.span.len = 8 << 20;
	ck_assert_int_eq(w.subject->ops->run(w.lane, KVR_VERB_PUT, &item, 1, since_ns + KVR_MS(55)),
	    KVR_E_TIMEOUT);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	ck_assert_int_eq(kvr_put1(other, w.subject->ops, "b", NULL, 8 << 20), KVR_OK);
	takes_at_least(since_ns, 124);
	w.subject->ops->hang_up(other);
	kvr_kick_close(&kick);
	kvr_world_end(&w);
}
END_TEST

START_TEST(what_was_not_used_for_longest_goes_and_what_comes_back_is_zeros)
{
	char at[64];
	uint64_t len = 0;

	open_url(
	    MOCK, "mock://1/?peeking_latency=0&write_throughput=1000000&read_throughput=1000000");
	ck_assert_int_eq(put("small", 60), KVR_OK);
	ck_assert_int_eq(put("a", 500 << 20), KVR_OK);
	ck_assert_int_eq(put("b", 500 << 20), KVR_OK);
	ck_assert_int_eq(put("small", 10), KVR_OK); /* is there: only used once more */
	ck_assert_int_eq(put("c", 400 << 20), KVR_OK);
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "a"), KVR_E_MISS);
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "b"), KVR_OK);
	ck_assert_int_eq(put("huge", UINT64_C(1025) << 20), KVR_E_TOO_BIG);
	ck_assert_str_ne(w.subject->ops->why(w.lane), "");
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "b"), KVR_OK);
	ck_assert_str_eq(w.subject->ops->why(w.lane), "");
	memset(at, 7, sizeof(at));
	ck_assert_int_eq(kvr_get1(w.lane, w.subject->ops, "small", at, 64, 0, NULL), KVR_E_LENGTH);
	ck_assert_int_eq(
	    kvr_get1(w.lane, w.subject->ops, "small", at, 64, KVR_ITEM_AT_MOST, &len), KVR_OK);
	ck_assert_uint_eq(len, 60);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(at[i], i < 60 ? 0 : 7);
	ck_assert_int_eq(ask(KVR_VERB_STAT, "b"), KVR_OK);
	ck_assert_int_eq(ask(KVR_VERB_DEL, "b"), KVR_OK);
	ck_assert_int_eq(ask(KVR_VERB_DEL, "b"), KVR_E_MISS);
	kvr_world_end(&w);
}
END_TEST

START_TEST(a_deadline_and_a_kick_end_its_waits)
{
	struct kvr_meta meta;

	open_url(MOCK, "mock://1/?peeking_latency=100000");
	struct kvr_item item = kvr_item_of("a", &meta);
	uint64_t until_ns = kvr_now_ns() + KVR_MS(20);

	ck_assert_int_eq(
	    w.subject->ops->run(w.lane, KVR_VERB_EXISTS, &item, 1, until_ns), KVR_E_TIMEOUT);
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	ck_assert_int_eq(w.subject->ops->run(w.lane, KVR_VERB_PING, NULL, 0, kvr_soon()), KVR_OK);
	kvr_kick_batch(&w.kick, 1);
	ck_assert_int_eq(
	    w.subject->ops->run(w.lane, KVR_VERB_EXISTS, &item, 1, kvr_soon()), KVR_E_CANCELLED);
	kvr_world_end(&w);
}
END_TEST

START_TEST(a_url_that_makes_no_sense_is_told_why)
{
	static const char *const bad[][2] = { { "mock://", "whole number of GiB" },
		{ "mock://ten/", "whole number of GiB" }, { "mock://1.5/", "whole number of GiB" },
		{ "mock://0/", "whole number of GiB" }, { "mock://1:6379/", "whole number of GiB" },
		{ "mock://1/path", "the path" }, { "mock://1/?latency=3", "no option" },
		{ "mock://1/?peeking_latency=fast", "milliseconds" },
		{ "mock://1/?read_throughput=0", "GiB/s" },
		{ "mock://1/?write_throughput=-1", "GiB/s" } };
	struct kvr_store_opts opts = { .tier = "t", .format = KVR_FORMAT_BARE };
	struct kvr_store *s;
	char why[512];

	for (size_t i = 0; i < KVR_LEN(bad); i++) {
		opts.url = bad[i][0];
		ck_assert_int_eq(kvr_mock_ops.open(&opts, &s, why, sizeof(why)), KVR_E_CONFIG);
		ck_assert_msg(strstr(why, bad[i][1]) != NULL, "%s: %s", bad[i][0], why);
	}
	opts.url = "mock://1";
	opts.capacity = 5;
	ck_assert_int_eq(kvr_mock_ops.open(&opts, &s, why, sizeof(why)), KVR_E_CONFIG);
	opts.url = "blackhole://";
	ck_assert_int_eq(kvr_blackhole_ops.open(&opts, &s, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(why, "capacity"));
}
END_TEST

START_TEST(a_black_hole_takes_everything_and_has_nothing)
{
	char at[16] = "before";

	open_url(BLACKHOLE, "blackhole://host:1");
	ck_assert_int_eq(put("a", 1 << 20), KVR_OK);
	ck_assert_int_eq(ask(KVR_VERB_EXISTS, "a"), KVR_E_MISS);
	ck_assert_int_eq(ask(KVR_VERB_STAT, "a"), KVR_E_MISS);
	ck_assert_int_eq(ask(KVR_VERB_DEL, "a"), KVR_E_MISS);
	ck_assert_int_eq(
	    kvr_get1(w.lane, w.subject->ops, "a", at, sizeof(at), KVR_ITEM_AT_MOST, NULL),
	    KVR_E_MISS);
	ck_assert_str_eq(at, "before");
	ck_assert_int_eq(w.subject->ops->run(w.lane, KVR_VERB_PING, NULL, 0, kvr_soon()), KVR_OK);
	kvr_kick_batch(&w.kick, 1);
	ck_assert_int_eq(
	    w.subject->ops->run(w.lane, KVR_VERB_PING, NULL, 0, kvr_soon()), KVR_E_CANCELLED);
	kvr_world_end(&w);
}
END_TEST

KVR_CHECK_MAIN("connectors.mock", time_passes_as_the_url_says, throughput_is_that_of_all_lanes,
    what_was_not_used_for_longest_goes_and_what_comes_back_is_zeros,
    a_deadline_and_a_kick_end_its_waits, a_url_that_makes_no_sense_is_told_why,
    a_black_hole_takes_everything_and_has_nothing)
