/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs of other headers than the library's: what an older one does not have is zero, what a
 * newer one has more must be zero, and nothing is written past the size that was said.
 */
#include "kvr_api_bed.h"

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

/* A struct as a newer header would have it. */
#define NEWER(type)                                                                                \
	struct {                                                                                   \
		struct type now;                                                                   \
		uint64_t    more[2];                                                               \
	}
enum { WRITTEN_BY_NOBODY = 0x5a };

static char bytes[64];
static void *const at[] = { bytes };
static const uint64_t len[] = { sizeof(bytes) };

static struct kvr_batch
put(void)
{
	return (struct kvr_batch){ .size = sizeof(struct kvr_batch),
		.kind = KVR_PUT,
		.n = 1,
		.keys = "k",
		.at = at,
		.len = len };
}

/* ---- what callers say ---- */

START_TEST(options_and_identity)
{
	NEWER(kvr_options) o = { .now = { .size = sizeof(o), .config_text = MEMORY } };
	NEWER(kvr_identity) who = { .now = { .size = sizeof(who) } };
	struct kvr *k = NULL;

	o.now.identity = &who.now;
	OK(kvr_open(&o.now, 0, &k, NULL, 0));
	kvr_free(k);
	k = NULL;
	who.more[1] = 1;
	ERR(kvr_open(&o.now, 0, &k, NULL, 0), KVR_E_INVALID);
	who.more[1] = 0;
	who.now.size = sizeof(who.now) - 1;
	ERR(kvr_open(&o.now, 0, &k, NULL, 0), KVR_E_INVALID);
	who.now.size = sizeof(who);
	o.more[0] = 1;
	ERR(kvr_open(&o.now, 0, &k, NULL, 0), KVR_E_INVALID);
	ck_assert_ptr_null(k);
}
END_TEST

START_TEST(layouts)
{
	static const struct kvr_group group = { .dtype = KVR_DT_UINT8, .n_dims = 1, .dim = { 64 } };
	NEWER(kvr_layout) l = { .now = {
		.size = sizeof(l), .format = KVR_FMT_BINARY, .n_groups = 1, .group = &group } };
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	struct kvr_batch b = put();
	kvr_obj obj = 0;

	b.layout = &l.now;
	OK(kvr_alloc(p, &l.now, 0, 0, &obj));
	OK(kvr_unref(p, obj));
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	obj = 0;
	l.more[0] = 1;
	ERR(kvr_alloc(p, &l.now, 0, 0, &obj), KVR_E_INVALID);
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_INVALID);
	ERR(kvr_set_layout(k, &l.now), KVR_E_INVALID);
	l.more[0] = 0;
	l.now.spare = 1;
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_INVALID);
	ck_assert_uint_eq(obj, 0);
	bed_close(k);
}
END_TEST

START_TEST(batches_and_their_options)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	NEWER(kvr_batch) b = { .now = put() };
	NEWER(kvr_opts) o = { .now = { .size = sizeof(o) } };

	b.now.size = sizeof(b);
	OK(kvr_run(k, &b.now, &o.now, NULL, NULL));
	o.more[1] = 1;
	ERR(kvr_run(k, &b.now, &o.now, NULL, NULL), KVR_E_INVALID);
	o.more[1] = 0;
	o.now.size = sizeof(o.now) - 8;
	ERR(kvr_run(k, &b.now, &o.now, NULL, NULL), KVR_E_INVALID);
	/* Before there were events of devices: what lies behind it is somebody else's. */
	b.now.ready = &b;
	b.now.recorded = &b;
	b.now.size = offsetof(struct kvr_batch, ready);
	OK(kvr_run(k, &b.now, NULL, NULL, NULL));
	b.now.size = offsetof(struct kvr_batch, ready) - 1;
	ERR(kvr_run(k, &b.now, NULL, NULL, NULL), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

START_TEST(tokens)
{
	static void *const base[] = { bytes };
	static const int32_t block[] = { 0 };
	const struct kvr_cache_shape shape = BED_CACHE(base, sizeof(bytes), 1);
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	NEWER(kvr_tokens) t = { .now = { .size = sizeof(t), .n = 1, .block = block } };
	struct kvr_batch b = put();

	OK(kvr_cache_open(k, &shape, &t.now.cache));
	b.at = NULL;
	b.tokens = &t.now;
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	t.more[0] = 1;
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_INVALID);
	/* Before there were groups. */
	t.now.next = &t.now;
	t.now.size = offsetof(struct kvr_tokens, next);
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	t.now.size = offsetof(struct kvr_tokens, next) - 1;
	ERR(kvr_run(k, &b, NULL, NULL, NULL), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

/* ---- what they are told ---- */

#define STAINED(var) memset(&(var), WRITTEN_BY_NOBODY, sizeof(var))

static void
untouched(const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(((const unsigned char *)from)[i], WRITTEN_BY_NOBODY);
}

START_TEST(results)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = put();
	NEWER(kvr_done) d;
	NEWER(kvr_results) r = { .now = { .size = sizeof(r), .cap = 1 } };
	uint32_t layers = 7;

	STAINED(d);
	d.now.size = sizeof(d);
	r.now.layers = &layers;
	OK(kvr_run(k, &b, NULL, &d.now, &r.now));
	ck_assert_uint_eq(d.now.size, sizeof(d));
	ck_assert_uint_eq(d.now.n_ok, 1);
	untouched(d.more, sizeof(d.more));
	ck_assert_uint_eq(layers, 0);
	/* Before there were layers. */
	layers = 7;
	r.now.size = offsetof(struct kvr_results, layers);
	OK(kvr_run(k, &b, NULL, NULL, &r.now));
	ck_assert_uint_eq(layers, 7);
	r.now.size = offsetof(struct kvr_results, layers) - 1;
	ERR(kvr_run(k, &b, NULL, NULL, &r.now), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

/* The size of the first is the stride of all. */
START_TEST(completions_of_a_queue)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const struct kvr_batch b = put();
	struct kvr_queue *q;
	NEWER(kvr_done) d[3];
	kvr_op op[3];

	OK(kvr_queue_open(k, &q));
	STAINED(d);
	d[0].now.size = sizeof(d[0]);
	for (uint64_t i = 0; i < 3; i++) {
		const struct kvr_opts o = { .size = sizeof(o), .queue = q, .tag = i };

		OK(kvr_submit(k, &b, &o, &op[i]));
		OK(kvr_quiet(k, 0, NULL));
	}
	ck_assert_int_eq(kvr_drain(q, &d[0].now, 3, NULL), 3);
	for (uint64_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(d[i].now.size, sizeof(d[0]));
		ck_assert_uint_eq(d[i].now.tag, i);
		ck_assert_uint_eq(d[i].now.op, op[i]);
		untouched(d[i].more, sizeof(d[i].more));
	}
	d[0].now.size = sizeof(d[0].now) + 1; /* no stride that an array could have */
	ck_assert_int_eq(kvr_drain(q, &d[0].now, 3, NULL), KVR_E_INVALID);
	bed_close(k);
}
END_TEST

START_TEST(what_is_known_of_objects_and_instances)
{
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	struct kvr_pool *p = kvr_get_allocator_backend(k);
	NEWER(kvr_obj_info) info;
	NEWER(kvr_health) health;
	NEWER(kvr_close_report) report;
	kvr_obj obj;

	STAINED(info);
	STAINED(health);
	STAINED(report);
	info.now.size = sizeof(info);
	health.now.size = sizeof(health);
	report.now.size = sizeof(report);
	OK(kvr_alloc(p, NULL, 10, 0, &obj));
	OK(kvr_obj_look(p, obj, &info.now));
	OK(kvr_health(k, &health.now));
	ck_assert_uint_eq(info.now.len, 10);
	ck_assert_uint_eq(health.now.n_tiers, 1);
	OK(kvr_close(k, 0, KVR_ABORT, &report.now));
	ck_assert_uint_eq(report.now.stuck_threads, 0);
	ck_assert_uint_eq(report.now.size, sizeof(report));
	untouched(info.more, sizeof(info.more));
	untouched(health.more, sizeof(health.more));
	untouched(report.more, sizeof(report.more));
	kvr_free(k);
}
END_TEST

START_TEST(parts_of_keys)
{
	char text[KVR_KEY_MAX + 1], scratch[4096];
	NEWER(kvr_key_parts) p;

	STAINED(p);
	p.now.size = sizeof(p);
	OK(kvr_key_parse("m@1@0@ff@half", &p.now, scratch, sizeof(scratch)));
	ck_assert_uint_eq(p.now.size, sizeof(p));
	untouched(p.more, sizeof(p.more));
	ERR(kvr_key_format(&p.now, text, sizeof(text)), KVR_E_INVALID);
	memset(p.more, 0, sizeof(p.more));
	OK(kvr_key_format(&p.now, text, sizeof(text)));
	ck_assert_str_eq(text, "m@1@0@ff@half");
	p.now.size = sizeof(p.now) - 1;
	ERR(kvr_key_parse("m@1@0@ff@half", &p.now, scratch, sizeof(scratch)), KVR_E_INVALID);
}
END_TEST

KVR_CHECK_MAIN("api.sizes", options_and_identity, layouts, batches_and_their_options, tokens,
    results, completions_of_a_queue, what_is_known_of_objects_and_instances, parts_of_keys)
