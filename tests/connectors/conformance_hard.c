/* SPDX-License-Identifier: Apache-2.0 */
/* What holds when it is late or cancelled, with odd keys and big values. */
#include "kvr_subject.h"

#include <stdio.h>
#include <string.h>

#include "kvr_connectors.h"
#include "kvr_peer.h"

#define OPS(w) ((w).subject->ops)

static struct kvr_world w;

/* One put and one get of the lane, which is therefore alive. */
static void
check_alive(void)
{
	uint8_t buf[64];

	kvr_fill(buf, sizeof(buf), 9);
	ck_assert_int_eq(kvr_put1(w.lane, OPS(w), "alive", buf, sizeof(buf)), KVR_OK);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(kvr_get1(w.lane, OPS(w), "alive", buf, sizeof(buf), 0, NULL), KVR_OK);
	ck_assert(kvr_filled(buf, sizeof(buf), 9));
}

static const enum kvr_verb keyed[] = { KVR_VERB_EXISTS, KVR_VERB_GET, KVR_VERB_PUT, KVR_VERB_DEL,
	KVR_VERB_STAT };

/* Runs every verb when it must not do anything any more: nothing is done, nothing is answered. */
static void
check_stopped(enum kvr_err want, uint64_t until_ns)
{
	uint8_t         buf[64] = { 0 };
	struct kvr_meta meta;

	for (size_t i = 0; i < KVR_LEN(keyed); i++) {
		struct kvr_item item = kvr_item_of("late", &meta);
		item.span = (struct kvr_span){ buf, sizeof(buf) };
		item.raw_len = sizeof(buf);
		ck_assert_int_eq(OPS(w)->run(w.lane, keyed[i], &item, 1, until_ns), want);
		ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
		ck_assert_ptr_nonnull(OPS(w)->why(w.lane));
		OPS(w)->hang_up(w.lane);
		atomic_store(&w.kick.target, 0);
		w.lane = kvr_world_dial(&w, &w.kick);
		if (want == KVR_E_CANCELLED)
			kvr_kick_batch(&w.kick, w.kick.current);
	}
	ck_assert_int_eq(OPS(w)->run(w.lane, KVR_VERB_PING, NULL, 0, until_ns), want);
	OPS(w)->hang_up(w.lane);
	w.kick.current++;
	w.lane = kvr_world_dial(&w, &w.kick);
	ck_assert_int_eq(kvr_ask1(w.lane, OPS(w), KVR_VERB_EXISTS, "late"), KVR_E_MISS);
	check_alive();
}

START_TEST(a_deadline_in_the_past_does_nothing)
{
	kvr_world_begin(&w, _i);
	check_stopped(KVR_E_TIMEOUT, kvr_now_ns() - 1);
	kvr_world_end(&w);
}
END_TEST

START_TEST(a_dial_after_its_deadline_leaves_nothing_open)
{
	struct kvr_connector *lane = NULL;
	char                  why[512] = "";

	kvr_world_begin(&w, _i);
	ck_assert_int_eq(OPS(w)->dial(w.store, kvr_now_ns() - 1, &w.kick, &lane, why, sizeof(why)),
	    KVR_E_TIMEOUT);
	ck_assert_ptr_null(lane);
	ck_assert_str_ne(why, "");
	kvr_world_end(&w);
}
END_TEST

START_TEST(a_kick_before_the_batch_cancels_it)
{
	kvr_world_begin(&w, _i);
	kvr_kick_batch(&w.kick, w.kick.current);
	check_stopped(KVR_E_CANCELLED, kvr_soon());
	kvr_world_end(&w);
}
END_TEST

START_TEST(a_kick_that_was_meant_for_another_batch_is_ignored)
{
	kvr_world_begin(&w, _i);
	w.kick.current = 5;
	kvr_kick_batch(&w.kick, 4);
	check_alive();
	kvr_kick_batch(&w.kick, 4);
	ck_assert_int_eq(OPS(w)->run(w.lane, KVR_VERB_PING, NULL, 0, kvr_soon()), KVR_OK);
	kvr_world_end(&w);
}
END_TEST

START_TEST(words_are_of_their_own_batch)
{
	uint8_t buf[65];

	kvr_world_begin(&w, _i);
	check_alive();
	ck_assert_int_eq(
	    kvr_get1(w.lane, OPS(w), "alive", buf, sizeof(buf), 0, NULL), KVR_E_LENGTH);
	ck_assert_int_eq(kvr_ask1(w.lane, OPS(w), KVR_VERB_EXISTS, "alive"), KVR_OK);
	ck_assert_str_eq(OPS(w)->why(w.lane), "");
	kvr_world_end(&w);
}
END_TEST

/* Bytes that mean something to a shell, a path, a URL, a format string, a protocol or LMCache. */
static const char *const odd_keys[] = {
	"a", "/", ".", "..", "../x", "./x", "x/..", "a/b", "a//b", "a-SEP-b", "a-SEP/b",
	"a/SEP-b", "a-b", "-SEP-", "%", "%%", "%2F", "%2f", "a%2Fb", "%s%n", "@", "@@@@",
	"m@1@0@-5f@half@k%v", "m@1@0@abc@half@a%b/c", " ", " a", "a ", "a b", "a\tb", "a\nb",
	"a\r\nb", "\x01", "\x7f", "模型/通义@1@0@11@half", "\xff\xfe", "\xc3\x28", "A", "Ab", "aB",
	".hidden", ".kvr-0000000000000000-0000000000000000.tmp", "x.data", "x.kvr", "x.raw",
	"x.tmp", "x", "~", "~root", "$HOME", "`id`", "*", "?", "[a]", "\\", "\\0", "\"", "'",
	"{a}", "{a}b", "a@kvr%1", "akv_bytes", "ametadata", "a:metadata", "#", "&", ";", "|",
	"a,b", "a=b", "a+b"
};

enum { ODD = sizeof(odd_keys) / sizeof(odd_keys[0]), LONG_KEYS = 12, KEYS = ODD + LONG_KEYS };

static void
odd_key(int i, char ret[KVR_KEY_LEN_MAX + 1])
{
	static const int len[LONG_KEYS] = { 149, 150, 151, 246, 250, 251, 252, 255, 256, 400, 511,
		512 };

	if (i < ODD) {
		snprintf(ret, KVR_KEY_LEN_MAX + 1, "%s", odd_keys[i]);
		return;
	}
	memset(ret, 'k', (size_t)len[i - ODD]);
	ret[len[i - ODD]] = '\0';
	/* The last byte differs only here, so what cuts a key mixes two of them. */
	ret[len[i - ODD] - 1] = (char)('a' + i - ODD);
}

START_TEST(every_key_has_its_own_value_or_is_refused)
{
	char    key[KVR_KEY_LEN_MAX + 1];
	bool    taken[KEYS];
	uint8_t buf[40];
	int     n_taken = 0;

	kvr_world_begin(&w, _i);
	for (int i = 0; i < KEYS; i++) {
		odd_key(i, key);
		kvr_fill(buf, sizeof(buf), (uint64_t)i);
		int32_t status = kvr_put1(w.lane, OPS(w), key, buf, sizeof(buf));
		taken[i] = status == KVR_OK;
		n_taken += taken[i];
		ck_assert_msg(taken[i] || (!w.subject->any_key &&
		    (status == KVR_E_TOO_BIG || status == KVR_E_UNSUPPORTED)),
		    "%s: key \"%s\": %s", w.subject->name, key, kvr_err_name(status));
	}
	ck_assert_int_ge(n_taken, ODD * 3 / 4);
	for (int i = 0; i < KEYS; i++) {
		odd_key(i, key);
		memset(buf, 0, sizeof(buf));
		int32_t status = kvr_get1(w.lane, OPS(w), key, buf, sizeof(buf), 0, NULL);
		ck_assert_msg((status == KVR_OK) == taken[i], "%s: key \"%s\": %s", w.subject->name,
		    key, kvr_err_name(status));
		ck_assert_msg(!taken[i] || kvr_filled(buf, sizeof(buf), (uint64_t)i),
		    "%s: key \"%s\" has another's value", w.subject->name, key);
		ck_assert_int_eq(kvr_ask1(w.lane, OPS(w), KVR_VERB_EXISTS, key),
		    taken[i] ? KVR_OK : KVR_E_MISS);
		int32_t deleted = taken[i] ? KVR_OK : KVR_E_MISS;
		ck_assert_int_eq(kvr_ask1(w.lane, OPS(w), KVR_VERB_DEL, key),
		    w.subject->no_delete ? KVR_E_UNSUPPORTED : deleted);
	}
	kvr_world_end(&w);
}
END_TEST

START_TEST(a_prefix_keeps_tiers_apart)
{
	struct kvr_connector *mine, *lane = NULL;
	struct kvr_store     *store = NULL;
	struct kvr_store_opts opts;
	char                  why[512];
	uint8_t               buf[8] = { 1 };

	kvr_world_begin(&w, _i);
	mine = w.lane;
	opts = w.opts;
	opts.prefix = "tenant/7:";
	ck_assert_int_eq(OPS(w)->open(&opts, &store, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(OPS(w)->dial(store, kvr_soon(), &w.kick, &lane, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(kvr_put1(lane, OPS(w), "k", buf, 8), KVR_OK);
	ck_assert_int_eq(kvr_get1(lane, OPS(w), "k", buf, 8, 0, NULL), KVR_OK);
	ck_assert_int_eq(kvr_ask1(mine, OPS(w), KVR_VERB_EXISTS, "k"), KVR_E_MISS);
	OPS(w)->hang_up(lane);
	OPS(w)->close(store);
	kvr_world_end(&w);
}
END_TEST

START_TEST(the_largest_chunk_goes_through)
{
	size_t   len = (size_t)KVR_MIB(64);
	uint8_t *buf = malloc(len);

	kvr_world_begin(&w, _i);
	kvr_fill(buf, len, 64);
	ck_assert_int_eq(kvr_put1(w.lane, OPS(w), "big", buf, len), KVR_OK);
	memset(buf, 0, len);
	ck_assert_int_eq(kvr_get1(w.lane, OPS(w), "big", buf, len, 0, NULL), KVR_OK);
	ck_assert(kvr_filled(buf, len, 64));
	check_alive();
	kvr_world_end(&w);
	free(buf);
}
END_TEST

/* ---- what a store says of itself ---- */

static int
try_open(const struct kvr_store_opts *opts)
{
	struct kvr_store *store = NULL;
	char              why[512] = "";
	int               err = OPS(w)->open(opts, &store, why, sizeof(why));

	ck_assert_msg(err == KVR_OK || why[0] != '\0', "%s without a sentence", kvr_err_name(err));
	ck_assert(err != KVR_OK || store != NULL);
	OPS(w)->close(err == KVR_OK ? store : NULL);
	return err;
}

START_TEST(the_bits_say_what_the_store_does)
{
	const struct kvr_connector_ops *ops;

	kvr_world_begin(&w, _i);
	ck_assert_uint_eq(kvr_store_caps(OPS(w), w.store) & ~OPS(w)->caps, 0);
	/* What is put around a store can do what that can, and is not found by its URL. */
	ops = w.subject->inner != NULL ? w.subject->inner : OPS(w);
	ck_assert_uint_eq(kvr_store_caps(OPS(w), w.store) & ~ops->caps, 0);
	ck_assert(ops->formats & KVR_FORMAT_BIT(ops->format_tier));
	ck_assert(ops->formats & KVR_FORMAT_BIT(ops->format_url));
	for (uint32_t f = KVR_FORMAT_LMCACHE; f <= KVR_FORMAT_SEALED; f++) {
		struct kvr_store_opts opts = w.opts;
		opts.format = f;
		if (f != w.opts.format) {
			opts.no_chunk_meta = false;
			opts.tmp_dir = NULL;
		}
		ck_assert_int_eq(try_open(&opts),
		    (ops->formats & KVR_FORMAT_BIT(f)) != 0 ? KVR_OK : KVR_E_CONFIG);
	}
	struct kvr_store_opts opts = w.opts;
	opts.ttl_ms = 60000;
	ck_assert_int_eq(try_open(&opts), ops->caps & KVR_CAP(TTL) ? KVR_OK : KVR_E_CONFIG);
	opts = w.opts;
	opts.capacity = KVR_MIB(256);
	ck_assert_int_eq(try_open(&opts), ops->caps & KVR_CAP(CAPACITY) ? KVR_OK : KVR_E_CONFIG);
	ck_assert_ptr_eq(kvr_connector_find(w.opts.url), ops);
	kvr_world_end(&w);
}
END_TEST

START_TEST(what_a_url_cannot_mean_is_refused_with_a_sentence)
{
	char url[1024];

	kvr_world_begin(&w, _i);
	struct kvr_store_opts opts = w.opts;
	opts.url = url;
	snprintf(url, sizeof(url), "%s?no_such_option=1", w.opts.url);
	ck_assert_int_eq(try_open(&opts), KVR_E_CONFIG);
	snprintf(url, sizeof(url), "%s#fragment", w.opts.url);
	ck_assert_int_eq(try_open(&opts), KVR_E_CONFIG);
	kvr_world_end(&w);
}
END_TEST

/* ---- peers that misbehave ---- */

/* Dials and reads one key. What counts: an error, soon, and no hit. */
static void
check_peer(const struct kvr_peer_act *acts, size_t n)
{
	struct kvr_peer      *peer = kvr_peer_start(acts, n);
	struct kvr_store_opts opts = w.opts;
	struct kvr_store     *store = NULL;
	struct kvr_connector *lane = NULL;
	struct kvr_meta       meta;
	struct kvr_item       item = kvr_item_of("k", &meta);
	uint8_t               buf[64];
	char                  why[512] = "", url[64];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%u", OPS(w)->schemes[0], kvr_peer_port(peer));
	opts.url = url;
	opts.user = opts.password = NULL;
	item.span = (struct kvr_span){ buf, sizeof(buf) };
	ck_assert_int_eq(OPS(w)->open(&opts, &store, why, sizeof(why)), KVR_OK);
	int err = OPS(w)->dial(store, kvr_soon(), &w.kick, &lane, why, sizeof(why));
	if (err == KVR_OK)
		err = OPS(w)->run(lane, KVR_VERB_GET, &item, 1, kvr_soon());
	ck_assert_int_ne(err, KVR_OK);
	ck_assert_int_ne(err, KVR_E_TIMEOUT);
	ck_assert_int_eq(kvr_err_stream(err), KVR_STREAM_CLOSE);
	ck_assert_int_ne(kvr_item_status(&item), KVR_OK);
	OPS(w)->hang_up(err == KVR_OK ? NULL : lane);
	OPS(w)->close(store);
	kvr_peer_stop(peer);
}

START_TEST(a_peer_that_closes_or_talks_rubbish_ends_the_lane)
{
	kvr_world_begin(&w, _i);
	const char *awaits = w.subject->peer_awaits;
	if (awaits != NULL) {
		const struct kvr_peer_act closes[] = { { KVR_PEER_CLOSE, NULL, 0 } };
		const struct kvr_peer_act drops[] = { { KVR_PEER_AWAIT, awaits, 0 },
			{ KVR_PEER_RESET, NULL, 0 } };
		const struct kvr_peer_act rubbish[] = { { KVR_PEER_AWAIT, awaits, 0 },
			{ KVR_PEER_SEND, "HTTP/1.1 400 Bad Request\r\n\r\n", 0 },
			{ KVR_PEER_STALL, NULL, 0 } };
		const struct kvr_peer_act zeros[] = { { KVR_PEER_AWAIT, awaits, 0 },
			{ KVR_PEER_FILL, "\0", 100000 }, { KVR_PEER_STALL, NULL, 0 } };
		check_peer(closes, KVR_LEN(closes));
		check_peer(drops, KVR_LEN(drops));
		check_peer(rubbish, KVR_LEN(rubbish));
		check_peer(zeros, KVR_LEN(zeros));
	}
	kvr_world_end(&w);
}
END_TEST

void
kvr_add_conformance_hard(TCase *tc)
{
	const TTest *const tests[] = { a_deadline_in_the_past_does_nothing,
		a_dial_after_its_deadline_leaves_nothing_open, a_kick_before_the_batch_cancels_it,
		a_kick_that_was_meant_for_another_batch_is_ignored, words_are_of_their_own_batch,
		every_key_has_its_own_value_or_is_refused, a_prefix_keeps_tiers_apart,
		the_largest_chunk_goes_through,
		the_bits_say_what_the_store_does, what_a_url_cannot_mean_is_refused_with_a_sentence,
		a_peer_that_closes_or_talks_rubbish_ends_the_lane };

	for (size_t i = 0; i < KVR_LEN(tests); i++)
		tcase_add_loop_test(tc, tests[i], 0, kvr_subjects_n);
}
