/* SPDX-License-Identifier: Apache-2.0 */
/* The store that fails on purpose, around memory, files and a real server. */
#include "kvr_redis_bed.h"
#include "kvr_redis_server.h"
#include "kvr_tmp_dir.h"

#include <pthread.h>

KVR_NEEDS_REDIS

static struct kvr_redis_server *server;
static const char *dir;
static char path[256], fs_url[256];

static const uint32_t formats[] = { KVR_FORMAT_SEALED, KVR_FORMAT_BARE, KVR_FORMAT_LMCACHE };

static void
begin(void)
{
	server = kvr_redis_server_start(NULL, NULL);
	dir = kvr_tmp_dir_make();
	snprintf(fs_url, sizeof(fs_url), "fs://%s/values", dir);
	snprintf(path, sizeof(path), "%s/faults", dir);
}

static void
end(void)
{
	kvr_tmp_dir_remove();
	kvr_redis_server_stop(server);
}

static struct kvr_store_opts
faulty(const char *url, uint32_t format, const char *script)
{
	struct kvr_store_opts opts = bed_opts(url, format);

	kvr_file_write(dir, "faults", script, strlen(script));
	opts.faults = path;
	return opts;
}

/* A memory store lives as long as it is open, so there the values are put through the script. */
typedef void case_fn(const char *url, uint32_t format);

static void
over_all(case_fn *run)
{
	begin();
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		run(server->url, formats[f]);
		run(fs_url, formats[f]);
		if (formats[f] != KVR_FORMAT_LMCACHE)
			run("memory://", formats[f]);
	}
	end();
}

static void
wants_why(const struct bed *b, const char *say)
{
	const char *why = b->ops->why(b->lane);

	ck_assert_msg(strstr(why, say) != NULL, "\"%s\" does not say %s", why, say);
}

static void
all_are(const struct load *l, int32_t want)
{
	for (uint32_t i = 0; i < l->n; i++)
		bed_status(&l->items[i], want);
}

static void
clean(struct bed *b, struct load *l)
{
	(void)bed_run(b, KVR_VERB_DEL, l->items, l->n);
	bed_down(b);
	load_free(l);
}

static void
pass(const char *url, uint32_t format)
{
	struct kvr_store_opts opts = faulty(url, format, "0s pass\n");
	struct load l = load_new(5, 30000);
	struct bed b;

	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	all_are(&l, KVR_OK);
	load_wipe(&l);
	for (int verb = KVR_VERB_EXISTS; verb <= KVR_VERB_GET; verb++) {
		bed_ok(&b, (enum kvr_verb)verb, l.items, l.n);
		all_are(&l, KVR_OK);
	}
	for (uint32_t i = 0; i < l.n; i++)
		ck_assert(load_same(&l, i));
	bed_ok(&b, KVR_VERB_STAT, l.items, l.n);
	all_are(&l, KVR_OK);
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	clean(&b, &l);
}

START_TEST(without_a_fault_it_is_the_store_itself)
{
	over_all(pass);
}
END_TEST

START_TEST(nobody_is_there)
{
	struct load l = load_new(2, 100);
	struct bed b;
	begin();
	struct kvr_store_opts opts = faulty(server->url, KVR_FORMAT_SEALED, "# x\n0s down\n");
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(b.why, "rehearsed: down, line 2 of"));
	bed_down(&b);
	/* A lane that is up loses what it has, in its next batch. */
	opts = faulty(fs_url, KVR_FORMAT_SEALED, "0s pass\n20ms down\n");
	while (bed_try(&b, &opts, bed_in(BED_LONG)) != KVR_OK)
		bed_down(&b);
	enum kvr_err err = KVR_OK;
	for (uint64_t end_ns = bed_in(BED_LONG); err == KVR_OK && kvr_now_ns() < end_ns;)
		err = bed_run(&b, KVR_VERB_EXISTS, l.items, 2);
	ck_assert_int_eq(err, KVR_E_DOWN);
	all_are(&l, KVR_PENDING);
	wants_why(&b, "line 2");
	bed_down(&b);
	load_free(&l);
	end();
}
END_TEST

static void *
kick_main(void *arg)
{
	struct bed *b = arg;
	bed_kick(b);
	return NULL;
}

START_TEST(silence_lasts_until_the_deadline_or_a_kick)
{
	struct load l = load_new(2, 100);
	pthread_t thread;
	struct bed b;
	begin();
	struct kvr_store_opts opts = faulty(server->url, KVR_FORMAT_SEALED, "0s hang on get\n");
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, 2);
	for (uint32_t i = 0; i < 2; i++)
		atomic_store(&l.items[i].status, KVR_PENDING);
	uint64_t until_ns = bed_in(KVR_MS(30));
	ck_assert_int_eq(b.ops->run(b.lane, KVR_VERB_GET, l.items, 2, until_ns), KVR_E_TIMEOUT);
	ck_assert_uint_ge(kvr_now_ns(), until_ns);
	all_are(&l, KVR_PENDING);
	ck_assert_int_eq(pthread_create(&thread, NULL, kick_main, &b), 0);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_GET, l.items, 2), KVR_E_CANCELLED);
	pthread_join(thread, NULL);
	bed_down(&b);
	/* One that meets everything meets dials too; their own limit blames the store. */
	opts = faulty(server->url, KVR_FORMAT_SEALED, "0s hang\n");
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(KVR_MS(20))), KVR_E_TIMEOUT);
	bed_down(&b);
	opts.connect_ns = KVR_MS(20);
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_DOWN);
	bed_down(&b);
	load_free(&l);
	end();
}
END_TEST

START_TEST(delays_and_drips_take_their_time)
{
	struct load l = load_new(10, 1000);
	struct bed b;
	begin();
	struct kvr_store_opts opts = faulty("memory://", KVR_FORMAT_SEALED,
	    "0s delay 30ms to 31ms on put\n"
	    "0s drip 100KiB/s on get\n");
	bed_up(&b, &opts);
	uint64_t before_ns = kvr_now_ns();
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	ck_assert_uint_ge(kvr_now_ns(), before_ns + KVR_MS(30));
	before_ns = kvr_now_ns();
	load_wipe(&l);
	bed_ok(&b, KVR_VERB_GET, l.items, l.n);
	ck_assert_uint_ge(kvr_now_ns(), before_ns + KVR_MS(97));
	for (uint32_t i = 0; i < l.n; i++)
		ck_assert(load_same(&l, i));
	/* Some items come in time. */
	for (uint32_t i = 0; i < l.n; i++)
		atomic_store(&l.items[i].status, KVR_PENDING);
	ck_assert_int_eq(
	    b.ops->run(b.lane, KVR_VERB_GET, l.items, l.n, bed_in(KVR_MS(60))), KVR_E_TIMEOUT);
	wants_why(&b, "rehearsed: drip");
	bed_status(&l.items[9], KVR_PENDING);
	ck_assert_int_eq(
	    b.ops->run(b.lane, KVR_VERB_PUT, l.items, l.n, bed_in(KVR_MS(5))), KVR_E_TIMEOUT);
	wants_why(&b, "rehearsed: delay");
	bed_down(&b);
	load_free(&l);
	end();
}
END_TEST

/* What a put under that script left in the server. */
static uint32_t
left_by(const char *script, uint32_t n)
{
	struct kvr_store_opts opts = faulty(server->url, KVR_FORMAT_SEALED, script);
	struct kvr_store_opts plain = bed_opts(server->url, KVR_FORMAT_SEALED);
	struct load l = load_new(n, 1000);
	struct bed b;
	uint32_t found = 0;

	bed_up(&b, &opts);
	ck_assert_int_eq(bed_run(&b, KVR_VERB_PUT, l.items, n), KVR_E_DOWN);
	wants_why(&b, "rehearsed");
	bed_status(&l.items[n - 1], KVR_PENDING);
	bed_down(&b);
	bed_up(&b, &plain);
	load_wipe(&l);
	bed_ok(&b, KVR_VERB_GET, l.items, n);
	for (uint32_t i = 0; i < n; i++) {
		found += kvr_item_status(&l.items[i]) == KVR_OK;
		ck_assert(kvr_item_status(&l.items[i]) != KVR_OK || load_same(&l, i));
	}
	clean(&b, &l);
	return found;
}

START_TEST(a_lost_connection_has_done_nothing_or_some)
{
	begin();
	ck_assert_uint_eq(left_by("0s drop\n", 5), 0);
	/* The one whose answer was lost is there. */
	ck_assert_uint_eq(left_by("0s reset\n", 1), 1);
	uint32_t most = 0;
	for (int seed = 1; seed < 9; seed++) {
		char script[64];
		snprintf(script, sizeof(script), "seed %d\n0s reset on put\n", seed);
		uint32_t left = left_by(script, 8);
		ck_assert_uint_ge(left, 1);
		most = KVR_MAX(most, left);
	}
	ck_assert_uint_gt(most, 1);
	end();
}
END_TEST

static void
errors(const char *url, uint32_t format)
{
	static const struct {
		const char *code;
		int32_t want;
	} codes[] = { { "OOM", KVR_E_NOSPACE }, { "LOADING", KVR_E_REFUSED },
		{ "READONLY", KVR_E_REFUSED }, { "BUSY", KVR_E_REFUSED },
		{ "WRONGTYPE", KVR_E_LENGTH }, { "NOPERM", KVR_E_AUTH } };
	struct load l = load_new(60, 100);
	char script[64];

	for (size_t i = 0; i < KVR_LEN(codes); i++) {
		uint32_t refused = 0, in = 0;
		struct bed b;
		snprintf(script, sizeof(script), "0s error %s 50%% on put\n", codes[i].code);
		struct kvr_store_opts opts = faulty(url, format, script);
		bed_up(&b, &opts);
		bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
		wants_why(&b, codes[i].code);
		for (uint32_t k = 0; k < l.n; k++) {
			in += kvr_item_status(&l.items[k]) == KVR_OK;
			refused += kvr_item_status(&l.items[k]) == codes[i].want;
		}
		ck_assert_uint_eq(in + refused, l.n);
		ck_assert(in > 0 && refused > 0);
		bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
		bed_down(&b);
	}
	load_free(&l);
}

START_TEST(keys_are_answered_with_errors)
{
	over_all(errors);
}
END_TEST

/* Large enough to come in pieces, where there are pieces: every byte is slow under a sanitizer. */
static size_t
large(const char *url, uint32_t format)
{
	bool pieces = format == KVR_FORMAT_SEALED && url == server->url;

	return pieces ? (4U << 20) + 5000 : 70000;
}

static void
truncated(const char *url, uint32_t format)
{
	struct kvr_store_opts opts = faulty(url, format, "0s truncate\n");
	struct load l = load_new(2, large(url, format)), small = load_new(40, 300);
	struct bed b;
	int32_t want = format == KVR_FORMAT_SEALED ? KVR_E_CORRUPT : KVR_E_LENGTH;

	bed_up(&b, &opts);
	for (int i = 0; i < 2; i++) {
		struct load *of = i == 0 ? &l : &small;
		bed_ok(&b, KVR_VERB_PUT, of->items, of->n);
		bed_ok(&b, KVR_VERB_GET, of->items, of->n);
		all_are(of, want);
		/* The stream is in step, and the value is whole where it lies. */
		bed_ok(&b, KVR_VERB_STAT, of->items, of->n);
		all_are(of, KVR_OK);
	}
	load_free(&small);
	clean(&b, &l);
}

START_TEST(a_value_that_ends_early_is_never_a_hit)
{
	over_all(truncated);
}
END_TEST

/* Delivered with another bit: sealed must not, the others do, for they cannot know. */
static void
flipped(const char *url, uint32_t format)
{
	struct kvr_store_opts opts = faulty(url, format, "0s flip\n");
	struct load l = load_new(3, large(url, format)), small = load_new(200, 500);
	struct bed b;

	bed_up(&b, &opts);
	for (int turn = 0; turn < 2; turn++) {
		struct load *of = turn == 0 ? &l : &small;
		uint32_t wrong = 0;
		bed_ok(&b, KVR_VERB_PUT, of->items, of->n);
		load_wipe(of);
		for (uint32_t i = 0; i < of->n; i++)
			of->metas[i] = (struct kvr_meta){ 0 };
		bed_ok(&b, KVR_VERB_GET, of->items, of->n);
		for (uint32_t i = 0; i < of->n; i++) {
			bool hit = kvr_item_status(&of->items[i]) == KVR_OK;
			ck_assert(!hit || format != KVR_FORMAT_SEALED);
			wrong += hit && !load_same(of, i);
		}
		ck_assert((wrong > 0) == (format != KVR_FORMAT_SEALED));
	}
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	(void)bed_run(&b, KVR_VERB_DEL, small.items, small.n);
	load_free(&small);
	clean(&b, &l);
}

START_TEST(a_flipped_bit_is_caught_by_the_seal_and_by_nothing_else)
{
	over_all(flipped);
}
END_TEST

static void
refused(const char *script, const char *url, const char *say)
{
	struct kvr_store_opts opts = faulty(url, KVR_FORMAT_BARE, script == NULL ? "" : script);
	char nowhere[256];
	struct bed b;

	snprintf(nowhere, sizeof(nowhere), "%s/nowhere", dir);
	if (script == NULL)
		opts.faults = nowhere;
	ck_assert_int_eq(bed_try(&b, &opts, bed_in(BED_LONG)), KVR_E_CONFIG);
	ck_assert_msg(strstr(b.why, say) != NULL, "\"%s\" does not say %s", b.why, say);
	close(b.kick.fd);
}

START_TEST(wrong_scripts_are_refused_with_their_place)
{
	begin();
	refused("0s pass\n1s dwon\n", "memory://", "/faults:2:4: \"dwon\" is no fault");
	refused("", "memory://", "/faults:1:1: there is no fault in it");
	refused(NULL, "memory://", "nowhere: the faults cannot be read: No such file");
	refused("0s pass\n", "redis://a,b", "one host");
	char *long_text = malloc(70000);
	memset(long_text, '#', 70000);
	long_text[69999] = '\0';
	refused(long_text, "memory://", "65536 bytes");
	free(long_text);
	end();
}
END_TEST

KVR_CHECK_MAIN("connectors.fault", without_a_fault_it_is_the_store_itself, nobody_is_there,
    silence_lasts_until_the_deadline_or_a_kick, delays_and_drips_take_their_time,
    a_lost_connection_has_done_nothing_or_some, keys_are_answered_with_errors,
    a_value_that_ends_early_is_never_a_hit, a_flipped_bit_is_caught_by_the_seal_and_by_nothing_else,
    wrong_scripts_are_refused_with_their_place)
