/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference adapter over a strict stand-in for the vendor's module: what the module is told,
 * call by call, and what becomes of its answers. Each test has a process, and so an interpreter, of
 * its own.
 */
#include "kvr_eic_sdk.h"
#include "kvr_redis_bed.h"

#include <pthread.h>
#include <stdlib.h>

enum { LEN = 2 * 12 * 4 * 16 * 2 };

static const struct kvr_meta chunk = { .memfmt = KVR_MEMFMT_KV_2LTD, .n_groups = 1,
	.group = { { .dtype = KVR_DTYPE_BFLOAT16, .n_dims = 4, .dim = { 2, 12, 4, 16 } } } };

static char dir[64], calls[96];

static void
make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/kvr-eic-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(calls, sizeof(calls), "%s/calls", dir);
	setenv("KVR_EIC_CALLS", calls, 1);
	setenv("PYTHONPATH", KVR_EIC_MODULE, 1);
	setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
	/* Its own allocator hides from the address sanitizer what is still pointed to. */
	setenv("PYTHONMALLOC", "malloc", 1);
}

static void
drop_dir(void)
{
	char line[128];
	snprintf(line, sizeof(line), "rm -r %s", dir);
	ck_assert_int_eq(system(line), 0);
}

static struct kvr_store_opts
eic_opts(void)
{
	struct kvr_store_opts opts =
	    bed_opts("eic://10.0.0.1:12500;10.0.0.2:12500/", KVR_FORMAT_LMCACHE);
	opts.eic.library = KVR_EIC_ADAPTER;
	opts.eic.log_level = 1;
	return opts;
}

static int32_t
one(struct bed *b, enum kvr_verb verb, const char *key, void *at)
{
	struct kvr_meta meta = verb == KVR_VERB_PUT ? chunk : (struct kvr_meta){ 0 };
	struct kvr_item item = { .key = key, .key_len = (uint32_t)strlen(key),
		.span = { at, at != NULL ? LEN : 0 }, .raw_len = LEN, .meta = &meta };
	bed_ok(b, verb, &item, 1);
	return kvr_item_status(&item);
}

/* One line for each call, as the module had it. */
static void
told(const char *want)
{
	char have[4096] = "";
	FILE *f = fopen(calls, "r");
	ck_assert_ptr_nonnull(f);
	have[fread(have, 1, sizeof(have) - 1, f)] = '\0';
	fclose(f);
	ck_assert_str_eq(have, want);
}

START_TEST(the_module_is_told_what_lmcache_tells_it)
{
	struct kvr_store_opts opts = eic_opts();
	static uint8_t in[LEN] = { 1, 2, 3 }, out[LEN];
	char want[2048], logs[96];
	struct bed b;
	make_dir();
	snprintf(logs, sizeof(logs), "%s/made/logs", dir);
	opts.eic.instance_id = "uuid-1";
	opts.eic.flag_file = "/etc/eic.flags";
	opts.eic.log_dir = logs;
	opts.eic.trans_type = KVR_EIC_RDMA;
	opts.eic.log_level = 2;
	opts.eic.ns = "team";
	opts.ttl_ms = 60000;
	bed_up(&b, &opts);
	ck_assert_int_eq(access(logs, W_OK), 0);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", in), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_EXISTS, "k", NULL), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", out), KVR_OK);
	ck_assert_mem_eq(in, out, LEN);
	ck_assert_int_eq(one(&b, KVR_VERB_DEL, "k", NULL), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", out), KVR_E_MISS);
	bed_down(&b);
	snprintf(want, sizeof(want),
	    "init uuid-1 10.0.0.1:12500;10.0.0.2:12500 log_dir=%s log_level=2 transport_type=2 "
	    "flag_file=/etc/eic.flags\n"
	    "mexist ns=team kvrelay@1@0@0@half\n"
	    "mset ns=team ttl_second=60 k_meta:28 k:3072\n"
	    "mexist ns=team k\n"
	    "mget ns=team k_meta:28\n"
	    "mget ns=team k:3072\n"
	    "mdel ns=team k_meta k\n"
	    "mget ns=team k_meta:28\n", logs);
	told(want);
	drop_dir();
}
END_TEST

START_TEST(with_gdr_staging_is_registered_and_payloads_are_marked)
{
	static uint8_t staging[2 * LEN];
	struct kvr_store_opts opts = eic_opts();
	struct bed b;
	make_dir();
	opts.eic.trans_type = KVR_EIC_GDR;
	opts.staging = (struct kvr_span){ staging, sizeof(staging) };
	bed_up(&b, &opts);
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "k", staging), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "k", staging + LEN), KVR_OK);
	bed_down(&b);
	told("init None 10.0.0.1:12500;10.0.0.2:12500 log_level=1 transport_type=3\n"
	     "register_memory 6144 type=MemoryType.MEMORY_CUDA cuda_id=0\n"
	     "mexist ns= kvrelay@1@0@0@half\n"
	     "mset ns= ttl_second=-1 k_meta:28 k:3072r\n"
	     "mget ns= k_meta:28\n"
	     "mget ns= k:3072r\n");
	drop_dir();
}
END_TEST

START_TEST(each_answer_of_the_module_has_a_meaning)
{
	struct kvr_store_opts opts = eic_opts();
	static uint8_t in[LEN], out[LEN];
	struct kvr_meta metas[3] = { chunk, chunk, chunk };
	struct kvr_item items[3] = { { .key = "one" }, { .key = "fail" }, { .key = "\xff\xfe" } };
	struct bed b;
	make_dir();
	bed_up(&b, &opts);
	for (uint32_t i = 0; i < 3; i++) {
		items[i].key_len = (uint32_t)strlen(items[i].key);
		items[i].span = (struct kvr_span){ in, LEN };
		items[i].raw_len = LEN;
		items[i].meta = &metas[i];
	}
	/* A part of them: the last is no text of Python's, and the others go on without it. */
	bed_ok(&b, KVR_VERB_PUT, items, 3);
	bed_status(&items[0], KVR_OK);
	bed_status(&items[1], KVR_E_REFUSED);
	bed_status(&items[2], KVR_E_UNSUPPORTED);
	bed_ok(&b, KVR_VERB_EXISTS, items, 3);
	bed_status(&items[0], KVR_OK);
	bed_status(&items[1], KVR_E_REFUSED);
	bed_status(&items[2], KVR_E_MISS);
	/* Good, and no code for each key. */
	ck_assert_int_eq(one(&b, KVR_VERB_PUT, "bare", in), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "bare", out), KVR_OK);
	ck_assert_int_eq(one(&b, KVR_VERB_EXISTS, "nothing", NULL), KVR_E_MISS);
	ck_assert_int_eq(one(&b, KVR_VERB_GET, "nothing", out), KVR_E_MISS);
	bed_down(&b);
	drop_dir();
}
END_TEST

static void
ends_the_lane(struct bed *b, const char *key)
{
	struct kvr_meta meta = chunk;
	static uint8_t in[LEN];
	struct kvr_item item = { .key = key, .key_len = (uint32_t)strlen(key),
		.span = { in, LEN }, .raw_len = LEN, .meta = &meta };
	ck_assert_int_eq(bed_run(b, KVR_VERB_PUT, &item, 1), KVR_E_DOWN);
	ck_assert_int_eq(kvr_item_status(&item), KVR_PENDING);
	ck_assert_msg(strstr(b->ops->why(b->lane), "mset") != NULL, "%s", b->ops->why(b->lane));
	b->ops->hang_up(b->lane);
	ck_assert_int_eq(b->ops->dial(b->store, bed_in(BED_LONG), &b->kick, &b->lane, b->why,
	                     sizeof(b->why)), KVR_OK);
	ck_assert_int_eq(one(b, KVR_VERB_PUT, "k", in), KVR_OK);
}

START_TEST(a_call_that_raises_or_fails_ends_the_lane)
{
	struct kvr_store_opts opts = eic_opts();
	struct bed b;
	make_dir();
	bed_up(&b, &opts);
	ends_the_lane(&b, "raise");
	ends_the_lane(&b, "down");
	bed_down(&b);
	drop_dir();
}
END_TEST

static void
refused(const struct kvr_store_opts *opts, const char *says)
{
	struct bed b;
	ck_assert_int_eq(bed_try(&b, opts, bed_in(BED_LONG)), KVR_E_DOWN);
	ck_assert_msg(strstr(b.why, says) != NULL, "%s", b.why);
	bed_down(&b);
}

START_TEST(what_keeps_a_client_from_being_made_is_said)
{
	struct kvr_store_opts opts = eic_opts();
	struct bed b;
	make_dir();
	opts.eic.instance_id = "refuse";
	refused(&opts, "init answers 5");
	opts = eic_opts();
	opts.eic.log_dir = "/proc/kvr-cannot-be";
	refused(&opts, "kvr-cannot-be");
	opts = eic_opts();
	opts.eic.trans_type = 1; /* the module's enumeration has none */
	refused(&opts, "TransportType");
	/* None of them is in the way of one that can be. */
	opts = eic_opts();
	bed_up(&b, &opts);
	bed_down(&b);
	drop_dir();
}
END_TEST

START_TEST(without_the_module_python_says_so)
{
	struct kvr_store_opts opts = eic_opts();
	make_dir();
	setenv("PYTHONPATH", "/nonexistent", 1);
	refused(&opts, "No module named 'eic'");
	drop_dir();
}
END_TEST

struct lane {
	struct bed *b;
	struct kvr_connector *lane;
	int number;
	pthread_t thread;
};

static void *
lane_main(void *arg)
{
	struct lane *l = arg;
	struct bed mine = *l->b;
	uint8_t in[LEN], out[LEN];
	char key[32];
	mine.lane = l->lane;
	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "k%d-%d", l->number, i);
		memset(in, l->number * 20 + i, LEN);
		ck_assert_int_eq(one(&mine, KVR_VERB_PUT, key, in), KVR_OK);
		ck_assert_int_eq(one(&mine, KVR_VERB_GET, key, out), KVR_OK);
		ck_assert_mem_eq(in, out, LEN);
	}
	return NULL;
}

START_TEST(lanes_call_at_the_same_time)
{
	enum { LANES = 4 };
	struct kvr_store_opts opts = eic_opts();
	struct lane lanes[LANES];
	struct bed b;
	make_dir();
	bed_up(&b, &opts);
	for (int i = 0; i < LANES; i++) {
		lanes[i] = (struct lane){ .b = &b, .number = i };
		ck_assert_int_eq(b.ops->dial(b.store, bed_in(BED_LONG), NULL, &lanes[i].lane, b.why,
		                     sizeof(b.why)), KVR_OK);
	}
	for (int i = 0; i < LANES; i++)
		ck_assert_int_eq(
		    pthread_create(&lanes[i].thread, NULL, lane_main, &lanes[i]), 0);
	for (int i = 0; i < LANES; i++) {
		pthread_join(lanes[i].thread, NULL);
		b.ops->hang_up(lanes[i].lane);
	}
	bed_down(&b);
	drop_dir();
}
END_TEST

KVR_CHECK_MAIN("connectors.eic_adapter", the_module_is_told_what_lmcache_tells_it,
    with_gdr_staging_is_registered_and_payloads_are_marked,
    each_answer_of_the_module_has_a_meaning, a_call_that_raises_or_fails_ends_the_lane,
    what_keeps_a_client_from_being_made_is_said, without_the_module_python_says_so,
    lanes_call_at_the_same_time)
