/* SPDX-License-Identifier: Apache-2.0 */
/* What kvr_open refuses and why; several instances; what is left after the last one. */
#include "kvr_api_bed.h"

#include <unistd.h>

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

static const struct kvr_group group = {
	.dtype = KVR_DT_FLOAT16, .n_dims = 4, .dim = { 2, 4, 16, 32 }
};
static const struct kvr_layout chunk = {
	.size = sizeof(chunk), .format = KVR_FMT_KV_2LTD, .n_groups = 1, .group = &group
};

static void
refused(const struct kvr_options *o, uint64_t until_ns, enum kvr_err want, const char *says)
{
	struct kvr *k = NULL;
	char why[512] = "", cut[8];
	enum kvr_err err = kvr_open(o, until_ns, &k, why, sizeof(why));

	ck_assert_msg(err == want, "%s: %s", kvr_err_name(err), why);
	ck_assert_msg(strstr(why, says) != NULL, "'%s' does not say '%s'", why, says);
	ck_assert_ptr_null(k);
	ck_assert_int_eq(kvr_open(o, until_ns, &k, NULL, 0), want);
	ck_assert_int_eq(kvr_open(o, until_ns, &k, cut, sizeof(cut)), want);
	ck_assert_uint_lt(strlen(cut), sizeof(cut));
}

START_TEST(wrong_options)
{
	struct kvr_options o = { .size = sizeof(o) };
	struct kvr_layout bad = chunk;
	struct kvr_identity who = { .size = sizeof(who) };

	refused(&o, 0, KVR_E_INVALID, "exactly one");
	refused(NULL, 0, KVR_E_INVALID, "size");
	o.config_text = MEMORY;
	o.url = "memory://";
	refused(&o, 0, KVR_E_INVALID, "exactly one");
	o.url = NULL;
	refused(&o, 12345, KVR_E_INVALID, "duration");
	refused(&o, KVR_NOW, KVR_E_INVALID, "passed");
	refused(&o, KVR_NEVER, KVR_E_INVALID, "KVR_NEVER");
	o.size = 8;
	refused(&o, 0, KVR_E_INVALID, "size");
	o.size = sizeof(o);
	o.n_set = 1;
	refused(&o, 0, KVR_E_INVALID, "n_set");
	o.set = &(const char *const){ NULL };
	refused(&o, 0, KVR_E_INVALID, "NULL");
	o.n_set = 0;
	bad.format = 77;
	o.layout = &bad;
	refused(&o, 0, KVR_E_INVALID, "layout");
	o.layout = NULL;
	o.identity = &who;
	who.role = 9;
	refused(&o, 0, KVR_E_INVALID, "role");
	who = (struct kvr_identity){ .size = sizeof(who), .world_size = 2, .worker_id = 2 };
	refused(&o, 0, KVR_E_INVALID, "worker_id");
	who.size = 4;
	refused(&o, 0, KVR_E_INVALID, "kvr_identity");
}
END_TEST

static void *
get_nothing(void *arg, size_t len, size_t align)
{
	(void)arg;
	(void)len;
	(void)align;
	return NULL;
}

START_TEST(missing_arguments)
{
	struct kvr_options o = { .size = sizeof(o), .config_text = MEMORY };
	char why[256] = "";

	ERR(kvr_open(&o, 0, NULL, why, sizeof(why)), KVR_E_INVALID);
	ck_assert_str_ne(why, "");
	ERR(kvr_open(&o, 0, NULL, NULL, 0), KVR_E_INVALID);
	o.mem_get = get_nothing;
	refused(&o, 0, KVR_E_INVALID, "mem_get and mem_put come together");
}
END_TEST

/* There is a warning to be logged, which takes until then. */
static void
log_until(void *arg, int level, const char *line)
{
	(void)level;
	(void)line;
	while (bed_now_ns() <= *(const uint64_t *)arg)
		;
}

START_TEST(an_open_ends_by_its_instant)
{
	uint64_t until_ns = bed_in_ms(50);
	struct kvr_options o = { .size = sizeof(o),
		.config_text = "{\"remote_url\":\"memory://\",\"nobody_knows\":1}",
		.log = log_until,
		.log_arg = &until_ns };
	struct kvr *k = NULL;
	char why[256] = "";
	int threads = bed_entries("/proc/self/task");

	ERR(kvr_open(&o, until_ns, &k, why, sizeof(why)), KVR_E_TIMEOUT);
	ck_assert_ptr_null(k);
	ck_assert_msg(strstr(why, "the deadline passed") != NULL, "%s", why);
	ck_assert_int_eq(bed_entries("/proc/self/task"), threads);
}
END_TEST

START_TEST(wrong_configurations_say_where)
{
	struct kvr_options o = { .size = sizeof(o),
		.config_text = "{\n  \"tiers\": [ { \"nme\": \"a\" } ]\n}" };
	const struct kvr_identity who = { .size = sizeof(who), .model = "other" };

	refused(&o, 0, KVR_E_CONFIG, ":2:");
	o.config_text = NULL;
	o.config_file = "/nowhere/deploy.json";
	refused(&o, 0, KVR_E_CONFIG, "/nowhere/deploy.json");
	o.config_file = NULL;
	o.url = "gopher://a";
	/* By the name of the member: there is no command whose option it could be. */
	refused(&o, 0, KVR_E_CONFIG, "url: tiers.remote.url: no store has the scheme \"gopher\"");
	o.url = NULL;
	o.config_text =
	    "{\"engine\":{\"model\":\"one\"},\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}";
	o.identity = &who;
	refused(&o, 0, KVR_E_CONFIG, "one");
	o.identity = NULL;
	o.config_text = "{\"engine\":{\"kv_dtype\":\"float\",\"kv_shape\":[2,4,16,4,8]},"
	                "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}";
	o.layout = &chunk;
	refused(&o, 0, KVR_E_CONFIG, "kv_shape");
	const char *const set[] = { "tiers.a.timeout=soon" };
	o = (struct kvr_options){
		.size = sizeof(o), .config_text = MEMORY, .set = set, .n_set = 1
	};
	refused(&o, 0, KVR_E_CONFIG, "set: tiers.a.timeout is \"soon\"");
}
END_TEST

/* A service lives on where its directory was removed; only what is relative to it is an error. */
START_TEST(a_directory_that_is_gone_is_missed_by_relative_paths_only)
{
	char dir[] = "/tmp/kvr-open-XXXXXX", before[4096], why[256];
	const char *const set[] = { "timeouts.lookup=1s" };
	struct kvr_options o = { .size = sizeof(o), .url = "memory://" };
	struct kvr *k = NULL;

	ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	OK(kvr_open(&o, 0, &k, NULL, 0));
	bed_close(k);
	k = bed_open(MEMORY, NULL, NULL, NULL);
	OK(kvr_change(k, set, 1, why, sizeof(why)));
	bed_close(k);
	o.url = "fs://./here";
	refused(&o, 0, KVR_E_CONFIG, "a relative path, and there is no current directory");
	ck_assert_int_eq(chdir(before), 0);
}
END_TEST

/* A cluster's URL may name many hosts; what is wrong is told all the same. */
START_TEST(a_long_url_leaves_room_for_what_is_wrong)
{
	char url[700] = "redis-cluster://";
	struct kvr_options o = { .size = sizeof(o), .url = url };

	while (strlen(url) < 600)
		strcat(url, "node.cache.eu-central-1.example.com:6379,");
	strcat(url, "last.example.com:99999");
	refused(&o, 0, KVR_E_CONFIG, "not a number from 1 to 65535");
}
END_TEST

START_TEST(overrides_count)
{
	const char *const set[] = { "timeouts.lookup=700ms", "limits.ops=8" };
	const struct kvr_options o = {
		.size = sizeof(o), .config_text = MEMORY, .set = set, .n_set = 2
	};
	struct kvr *k;
	char why[512];
	enum kvr_err err = kvr_open(&o, 0, &k, why, sizeof(why));

	ck_assert_msg(err == KVR_OK, "%s", why);
	bed_close(k);
}
END_TEST

START_TEST(instances_do_not_know_each_other)
{
	enum { N = 3 };
	struct kvr *k[N];
	const char *key[N] = { "a", "b", "c" };
	struct kvr_queue *q;
	kvr_op op;

	for (int i = 0; i < N; i++) {
		const struct kvr_batch b = { .size = sizeof(b),
			.kind = KVR_PUT,
			.n = 1,
			.key = &key[i],
			.at = &(void *const){ &k[i] },
			.len = &(const uint64_t){ 4 } };

		k[i] = bed_open(MEMORY, NULL, NULL, NULL);
		OK(kvr_run(k[i], &b, NULL, NULL, NULL));
	}
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++)
			ERR(kvr_contains(k[i], key[j], false, 0), i == j ? KVR_OK : KVR_E_MISS);
	}
	OK(kvr_queue_open(k[0], &q));
	const struct kvr_batch ask = {
		.size = sizeof(ask), .kind = KVR_LOOKUP, .n = 1, .keys = "a"
	};
	const struct kvr_opts o = { .size = sizeof(o), .queue = q };
	ERR(kvr_submit(k[1], &ask, &o, &op), KVR_E_INVALID);
	bed_close(k[1]);
	OK(kvr_contains(k[0], key[0], false, 0));
	OK(kvr_contains(k[2], key[2], false, 0));
	bed_close(k[2]);
	bed_close(k[0]);
}
END_TEST

START_TEST(nothing_is_left)
{
	bed_close(bed_open(MEMORY, NULL, NULL, NULL)); /* the queue library keeps its threads */
	int fds = bed_entries("/proc/self/fd"), threads = bed_entries("/proc/self/task");

	for (int i = 0; i < 20; i++) {
		struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
		struct kvr_queue *q;
		kvr_obj obj;

		OK(kvr_queue_open(k, &q));
		OK(kvr_alloc(kvr_get_allocator_backend(k), NULL, 100000, 0, &obj));
		bed_close(k);
	}
	ck_assert_int_eq(bed_entries("/proc/self/fd"), fds);
	/* Who joins a thread goes on before the kernel has taken it out of its list. */
	for (uint64_t until_ns = bed_in_ms(20000); bed_entries("/proc/self/task") != threads;)
		ck_assert_uint_lt(bed_now_ns(), until_ns);
}
END_TEST

START_TEST(queues_are_bounded)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_queue *q;

	ERR(kvr_queue_open(k, NULL), KVR_E_INVALID);
	for (int i = 0; i < 64; i++)
		OK(kvr_queue_open(k, &q));
	ERR(kvr_queue_open(k, &q), KVR_E_BUSY);
	bed_close(k);
}
END_TEST

START_TEST(features_and_errors)
{
	ck_assert(kvr_has("redis") && kvr_has("fs") && kvr_has("memory") && kvr_has("zstd") && kvr_has("planes"));
	ck_assert(!kvr_has("gopher") && !kvr_has("") && !kvr_has(NULL));
	ck_assert_uint_eq(
	    kvr_version(), KVR_VERSION_MAJOR << 16 | KVR_VERSION_MINOR << 8 | KVR_VERSION_PATCH);
	ck_assert_str_eq(kvr_err_name(KVR_E_TOO_SMALL), "TOO_SMALL");
	ck_assert_str_eq(kvr_err_name(KVR_E_DEVICE - 1), "?");
	ck_assert(kvr_err_may_pass(KVR_E_BUSY) && !kvr_err_may_pass(KVR_E_INVALID));
	ck_assert(kvr_has("sealed") && kvr_has("lmcache") && kvr_has("bare") && kvr_has("estimate"));
	ck_assert(kvr_has("tls") == kvr_has("rediss") && kvr_has("http") == kvr_has("sagemaker-hyperpod"));
}
END_TEST

/* Each has a name and a sentence of its own, whoever asks and whenever. */
START_TEST(errors_have_names_and_texts)
{
	for (int32_t err = KVR_E_DEVICE; err <= KVR_OK; err++) {
		ck_assert_str_ne(kvr_err_name(err), "?");
		ck_assert_str_ne(kvr_err_text(err), "");
		ck_assert_ptr_eq(kvr_err_name(err), kvr_err_name(err));
		for (int32_t other = err + 1; other <= KVR_OK; other++) {
			ck_assert_str_ne(kvr_err_name(err), kvr_err_name(other));
			ck_assert_str_ne(kvr_err_text(err), kvr_err_text(other));
		}
	}
	const int32_t none[] = { 1, KVR_E_DEVICE - 1, INT32_MIN, INT32_MAX };

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ck_assert_str_eq(kvr_err_name(none[i]), "?");
		ck_assert_ptr_nonnull(kvr_err_text(none[i]));
		ck_assert(!kvr_err_may_pass(none[i]));
	}
}
END_TEST

START_TEST(health_metrics_and_estimate)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_health h = { .size = sizeof(h) };
	char *value = calloc(1, 1 << 20), text[64];
	const char *key = "k";
	struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = 1,
		.key = &key,
		.at = &(void *const){ value },
		.len = &(const uint64_t){ 1 << 20 } };
	uint64_t ns = 0, more = 0;

	ERR(kvr_estimate(k, 1, 1, &ns), KVR_E_UNFINISHED);
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	OK(kvr_health(k, &h));
	ck_assert_uint_eq(h.ok, 1);
	ck_assert_uint_eq(h.n_tiers, 1);
	ck_assert_uint_eq(h.n_up, 1);
	ck_assert_uint_eq(h.in_flight, 0);
	ck_assert_str_eq(h.why, "");
	h.size = 4;
	ERR(kvr_health(k, &h), KVR_E_INVALID);
	b.kind = KVR_GET;
	for (int i = 0; i < 20; i++)
		OK(kvr_run(k, &b, NULL, NULL, NULL));
	OK(kvr_estimate(k, 1, 1 << 20, &ns));
	OK(kvr_estimate(k, 100, 100 << 20, &more));
	ck_assert_uint_gt(ns, 0);
	ck_assert_uint_gt(more, 20 * ns);
	ERR(kvr_estimate(k, 1, 1, NULL), KVR_E_INVALID);
	size_t need = kvr_metrics_snapshot(k, KVR_METRICS_PROMETHEUS, NULL, 0);
	ck_assert_uint_gt(need, sizeof(text));
	ck_assert_uint_eq(kvr_metrics_snapshot(k, KVR_METRICS_PROMETHEUS, text, sizeof(text)), need);
	ck_assert_uint_eq(strlen(text), sizeof(text) - 1);
	char *all = malloc(need);
	ck_assert_uint_eq(kvr_metrics_snapshot(k, KVR_METRICS_PROMETHEUS, all, need), need);
	ck_assert_uint_eq(strlen(all), need - 1);
	ck_assert_uint_gt(kvr_metrics_snapshot(k, KVR_METRICS_JSON, all, need), 2);
	ck_assert_int_eq(all[0], '{');
	/* What is wrong needs no bytes, and leaves an empty text. */
	all[0] = 'x';
	ck_assert_uint_eq(kvr_metrics_snapshot(k, KVR_METRICS_JSON + 1, all, need), 0);
	ck_assert_str_eq(all, "");
	free(all);
	free(value);
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.open", wrong_options, missing_arguments, an_open_ends_by_its_instant,
    wrong_configurations_say_where,
    a_long_url_leaves_room_for_what_is_wrong,
    a_directory_that_is_gone_is_missed_by_relative_paths_only, overrides_count,
    instances_do_not_know_each_other, nothing_is_left, queues_are_bounded, features_and_errors,
    errors_have_names_and_texts, health_metrics_and_estimate)
