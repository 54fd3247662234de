/* SPDX-License-Identifier: Apache-2.0 */
/* How much a get brings into an object: that of the caller, and one that is made for it. */
#include "kvr_api_bed.h"

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]"
#define SLOTS ",\"memory\":{\"objects\":\"64MiB\",\"slot_size\":\"64KiB\"}"

static char value[200000];

static void
put(struct kvr *k, const char *key, uint64_t len)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = 1,
		.keys = key,
		.at = &(void *const){ value },
		.len = &len };

	OK(kvr_run(k, &b, NULL, NULL, NULL));
}

static enum kvr_err
get(struct kvr *k, const char *key, uint32_t flags, kvr_obj *obj)
{
	const struct kvr_batch b = { .size = sizeof(b), .kind = KVR_GET, .n = 1, .keys = key, .obj = obj };
	const struct kvr_opts o = { .size = sizeof(o), .flags = flags };

	return kvr_run(k, &b, &o, NULL, NULL);
}

static struct kvr_obj_info
look(struct kvr *k, kvr_obj obj)
{
	struct kvr_obj_info i = { .size = sizeof(i) };

	OK(kvr_obj_look(kvr_get_allocator_backend(k), obj, &i));
	return i;
}

/* Exactly its length, or up to its slot. */
START_TEST(into_an_object_of_the_callers)
{
	struct kvr *k = bed_open(MEMORY SLOTS "}", NULL, NULL, NULL);
	kvr_obj obj;

	bed_fill(value, sizeof(value), 1);
	put(k, "1000", 1000);
	put(k, "65536", 65536);
	put(k, "65537", 65537);
	OK(kvr_alloc(kvr_get_allocator_backend(k), NULL, 1000, 0, &obj));
	OK(get(k, "1000", 0, &obj));
	ck_assert_uint_eq(look(k, obj).len, 1000);
	ERR(get(k, "65536", 0, &obj), KVR_E_LENGTH);
	ck_assert_uint_eq(look(k, obj).len, 1000); /* of a key that is none nothing is written */
	OK(get(k, "65536", KVR_AT_MOST, &obj));
	ck_assert_uint_eq(look(k, obj).len, 65536);
	bed_same(look(k, obj).at, 65536, 1);
	OK(get(k, "1000", KVR_AT_MOST, &obj));
	ck_assert_uint_eq(look(k, obj).len, 1000);
	ERR(get(k, "65537", KVR_AT_MOST, &obj), KVR_E_LENGTH);
	bed_close(k);
}
END_TEST

/* As large as a slot, where that is said. */
START_TEST(into_a_new_one_of_a_slot)
{
	struct kvr *k = bed_open(MEMORY SLOTS "}", NULL, NULL, NULL);
	kvr_obj obj = 0, longer = 0;

	put(k, "1000", 1000);
	put(k, "65537", 65537);
	OK(get(k, "1000", 0, &obj));
	ck_assert_uint_eq(look(k, obj).room, 65536);
	ck_assert_uint_eq(look(k, obj).len, 1000);
	ERR(get(k, "65537", 0, &longer), KVR_E_LENGTH);
	bed_close(k);
}
END_TEST

/* Else as large as the largest value so far, whoever has seen it. */
START_TEST(into_a_new_one_of_what_was_seen)
{
	struct kvr *k = bed_open(MEMORY "}", NULL, NULL, NULL);
	kvr_obj obj[3] = { 0, 0, 0 };

	put(k, "1000", 1000);
	OK(get(k, "1000", 0, &obj[0]));
	ck_assert_uint_lt(look(k, obj[0]).room, 150000);
	put(k, "150000", 150000);
	OK(get(k, "150000", 0, &obj[1]));
	OK(get(k, "1000", 0, &obj[2]));
	ck_assert_uint_ge(look(k, obj[2]).room, 150000);
	ck_assert_uint_eq(look(k, obj[2]).len, 1000);
	bed_close(k);
}
END_TEST

/* One that was not read before is asked for its length: see lmget.c. */
START_TEST(a_blocking_get_finds_out)
{
	char dir[] = "/tmp/kvr-slots-XXXXXX", json[128], command[64];
	kvr_obj obj;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(json, sizeof(json), "{\"tiers\":[{\"name\":\"a\",\"url\":\"fs://%s\"}]}", dir);
	struct kvr *writer = bed_open(json, NULL, NULL, NULL);

	bed_fill(value, sizeof(value), 2);
	put(writer, "small", 100);
	put(writer, "large", sizeof(value));
	bed_close(writer);
	struct kvr *k = bed_open(json, NULL, NULL, NULL);

	OK(kvr_get_blocking(k, "small", 0, &obj));
	ck_assert_uint_eq(look(k, obj).len, 100);
	OK(kvr_get_blocking(k, "large", 0, &obj));
	ck_assert_uint_eq(look(k, obj).len, sizeof(value));
	bed_close(k);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

KVR_CHECK_MAIN("api.slots", into_an_object_of_the_callers, into_a_new_one_of_a_slot,
    into_a_new_one_of_what_was_seen, a_blocking_get_finds_out)
