/* SPDX-License-Identifier: Apache-2.0 */
/* Stores and serdes that LMCache's configurations name, through the whole library. */
#include "kvr_system_bed.h"

#define QUIET "'trace':{'dir':'none'}"

START_TEST(an_audit_tells_each_key_in_the_log)
{
	char dir[64];

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{'remote_url':'audit://h:1'," QUIET ",'keys':'opaque','extra_config':{"
	             "'audit_actual_remote_url':'fs://host:1%s',"
	             "'audit_exclude_cmds':'exists'}}",
	        dir);
	struct bed_batch *b = bed_batch_new("m@1@0@a1@bfloat16@t%x", 30, 1000);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	OK(bed_run(kvr, b, KVR_LOOKUP, 0, 0));
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	/* More than a place of the log may write in a second, and none is left out. */
	MUST(bed_logged("audit of tier remote: put ") == 30, "%d",
	    bed_logged("audit of tier remote: put "));
	MUST(bed_logged("audit of tier remote: get ") == 30, "%d",
	    bed_logged("audit of tier remote: get "));
	MUST(bed_logged("audit of tier remote: exists ") == 0, "excluded");
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

START_TEST(a_black_hole_and_a_mock_serve_an_engine)
{
	struct kvr *kvr = bed_open("{" QUIET ",'tiers':[{'name':'hole','url':'blackhole://h:1'}]}");
	struct bed_batch *b = bed_batch_new("hole", 20, 4096);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	ERR(bed_run(kvr, b, KVR_GET, 0, 0), KVR_E_MISS);
	MUST(b->done.n_ok == 0, "%u hits", b->done.n_ok);
	bed_close(kvr);
	kvr = bed_open("{" QUIET ",'tiers':[{'name':'mock','url':'mock://1/?peeking_latency=5'}]}");
	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	uint64_t start_ns = bed_now_ns();

	OK(bed_run(kvr, b, KVR_LOOKUP, 0, 0));
	MUST(bed_now_ns() - start_ns >= 5000000, "a look takes its latency");
	ERR(bed_run(kvr, b, KVR_LOOKUP, 0, bed_in_ms(1)), KVR_E_TIMEOUT);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

static void
put_object(struct kvr *kvr, const char *key, uint32_t len)
{
	struct kvr_pool *pool = kvr_get_allocator_backend(kvr);
	struct kvr_obj_info info = { .size = sizeof(info) };
	kvr_obj obj, others[64];
	kvr_op op;

	OK(kvr_alloc(pool, NULL, len, 0, &obj));
	OK(kvr_obj_look(pool, obj, &info));
	bed_fill(info.at, len, key);
	OK(kvr_submit_put_task(kvr, key, obj, NULL, NULL, &op));
	/* The caller's reference goes at once; memory that was free too early would be written over. */
	OK(kvr_unref(pool, obj));
	for (int i = 0; i < 64; i++) {
		OK(kvr_alloc(pool, NULL, len, 0, &others[i]));
		OK(kvr_obj_look(pool, others[i], &info));
		memset(info.at, 0xee, len);
	}
	OK(kvr_wait(kvr, op, 0, NULL, NULL));
	for (int i = 0; i < 64; i++)
		OK(kvr_unref(pool, others[i]));
	ERR(kvr_unref(pool, obj), KVR_E_STALE);
}

/* kivi is the identity: what it writes is what naive reads, and its references are in order. */
START_TEST(kivi_is_the_identity_and_keeps_its_references)
{
	enum { LEN = 65536 };
	char dir[64], at[LEN];
	uint64_t len = LEN;
	const char *key = "m@1@0@a1@bfloat16";
	const struct kvr_batch get = { .size = sizeof(get),
		.kind = KVR_GET,
		.n = 1,
		.key = &key,
		.at = &(void *const){ at },
		.len = &len };

	bed_dir(dir, sizeof(dir));
	struct kvr *kvr =
	    bed_open("{'remote_url':'fs://host:1%s','remote_serde':'kivi'," QUIET "}", dir);

	put_object(kvr, key, LEN);
	OK(kvr_run(kvr, &get, NULL, NULL, NULL));
	MUST(bed_wrong(at, LEN, key) < 0, "byte %ld", bed_wrong(at, LEN, key));
	bed_close(kvr);
	kvr = bed_open("{'remote_url':'fs://host:1%s'," QUIET "}", dir);
	memset(at, 0, LEN);
	OK(kvr_run(kvr, &get, NULL, NULL, NULL));
	MUST(bed_wrong(at, LEN, key) < 0, "byte %ld", bed_wrong(at, LEN, key));
	bed_close(kvr);
}
END_TEST

/* Its stored form is a pickle: reading one from a shared store would run whatever stands in it. */
START_TEST(cachegen_is_refused_with_the_reason)
{
	struct kvr *kvr = NULL;
	char why[256];

	ERR(bed_try(
	        &kvr, why, sizeof(why), "{'remote_url':'redis://h:1','remote_serde':'cachegen'}"),
	    KVR_E_CONFIG);
	MUST(strstr(why, "pickle") != NULL, "%s", why);
}
END_TEST

/* Every plugin gets every put, and a get asks them in their order. */
START_TEST(plugins_are_served_in_their_order)
{
	char one[64], two[64];

	bed_dir(one, sizeof(one));
	bed_dir(two, sizeof(two));
	struct kvr *kvr = bed_open("{'remote_storage_plugins':['fs.one','fs.two']," QUIET
	                           ",'extra_config':{'remote_storage_plugin.fs.one.base_path':'%s',"
	                           "'remote_storage_plugin.fs.two.base_path':'%s'}}",
	    one, two);
	struct bed_batch *b = bed_batch_new("m@1@0@a1@bfloat16@t%x", 5, 1000);

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	MUST(bed_files(one, ".data") == 5 && bed_files(two, ".data") == 5, "%zu and %zu",
	    bed_files(one, ".data"), bed_files(two, ".data"));
	OK(bed_run(kvr, b, KVR_GET, 0, 0));
	for (uint32_t i = 0; i < 5; i++)
		MUST(b->tier[i] == 0, "tier %u", b->tier[i]);
	bed_close(kvr);
	bed_batch_free(b);
}
END_TEST

KVR_CHECK_MAIN("system.stores", an_audit_tells_each_key_in_the_log,
    a_black_hole_and_a_mock_serve_an_engine, kivi_is_the_identity_and_keeps_its_references,
    cachegen_is_refused_with_the_reason, plugins_are_served_in_their_order)
