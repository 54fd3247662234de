/* SPDX-License-Identifier: Apache-2.0 */
/* How much may be in flight, besides operations and keys: texts, prefetches, blocking gets. */
#include "kvr_api_bed.h"
#include "kvr_fake_system.h"

#define MEMORY "{\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}"

enum { ALL_KEYS = 65536, TEXTS = 16 << 20 };

/* n texts of len bytes, NULs included, each another one. */
static char *
texts(uint32_t n, uint32_t len)
{
	char *all = malloc((size_t)n * len);

	ck_assert_ptr_nonnull(all);
	memset(all, 'k', (size_t)n * len);
	for (uint32_t i = 0; i < n; i++)
		snprintf(all + (size_t)i * len + len - 9, 9, "%08x", i);
	return all;
}

static struct kvr_batch
lookup(const char *keys, uint32_t n)
{
	return (struct kvr_batch){
		.size = sizeof(struct kvr_batch), .kind = KVR_LOOKUP, .n = n, .keys = keys
	};
}

START_TEST(sixteen_mib_of_texts)
{
	enum { LEN = 512, MOST = TEXTS / LEN };
	struct bed_log log = BED_LOG;
	struct kvr *k = bed_open(MEMORY, NULL, NULL, &log);
	char *keys = texts(ALL_KEYS, LEN);
	struct kvr_batch b = lookup(keys, MOST + 1);
	kvr_op op, more;

	ERR(kvr_submit(k, &b, NULL, &op), KVR_E_TOO_BIG);
	bed_log_has(&log, "bytes of key text");
	kvr_fake_hold(true);
	b.n = MOST;
	OK(kvr_submit(k, &b, NULL, &op));
	b.n = 1;
	ERR(kvr_submit(k, &b, NULL, &more), KVR_E_BUSY);
	kvr_fake_hold(false);
	ERR(kvr_wait(k, op, 0, NULL, NULL), KVR_E_MISS);
	free(keys);
	bed_close(k);
}
END_TEST

/* What nobody waits for takes no room from what somebody does. */
START_TEST(prefetches_leave_a_quarter_too)
{
	struct kvr *k = bed_open("{\"limits\":{\"ops\":16,\"keys\":64},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);
	char *keys = texts(64, 16);
	struct kvr_batch b = lookup(keys, 49);
	kvr_op op[16];

	b.kind = KVR_PREFETCH;
	ERR(kvr_submit(k, &b, NULL, &op[0]), KVR_E_TOO_BIG);
	b.n = 1;
	kvr_fake_hold(true);
	for (int i = 0; i < 12; i++)
		OK(kvr_submit(k, &b, NULL, &op[i]));
	ERR(kvr_submit(k, &b, NULL, &op[12]), KVR_E_BUSY);
	b.kind = KVR_SIZE;
	for (int i = 12; i < 16; i++)
		OK(kvr_submit(k, &b, NULL, &op[i]));
	ERR(kvr_submit(k, &b, NULL, &op[0]), KVR_E_BUSY);
	kvr_fake_hold(false);
	free(keys);
	bed_close(k);
}
END_TEST

/* An outcome for each key, however many there are. */
START_TEST(a_blocking_get_of_too_many)
{
	enum { MANY = ALL_KEYS + 1 };
	struct kvr *k = bed_open(MEMORY, NULL, NULL, NULL);
	const char **key = malloc(MANY * sizeof(key[0]));
	kvr_obj *obj = malloc(MANY * sizeof(obj[0]));
	int32_t *err = malloc(MANY * sizeof(err[0]));

	ck_assert(key != NULL && obj != NULL && err != NULL);
	memset(obj, 0x5a, MANY * sizeof(obj[0]));
	memset(err, 0x5a, MANY * sizeof(err[0]));
	for (uint32_t i = 0; i < MANY; i++)
		key[i] = "k";
	ERR(kvr_batched_get_blocking(k, key, MANY, 0, obj, err), KVR_E_TOO_BIG);
	for (uint32_t i = 0; i < MANY; i++) {
		if (obj[i] != 0 || err[i] != KVR_E_TOO_BIG)
			ck_abort_msg("key %u: object %#llx, %s", i, (unsigned long long)obj[i],
			    kvr_err_name(err[i]));
	}
	ck_assert_uint_eq(kvr_fake_submits(), 0);
	free(key);
	free(obj);
	free(err);
	bed_close(k);
}
END_TEST

/* Its own limit may be lower than the library's. */
START_TEST(a_blocking_get_of_too_many_for_this_instance)
{
	struct kvr *k = bed_open("{\"limits\":{\"ops\":16,\"keys\":64},"
	                         "\"tiers\":[{\"name\":\"a\",\"url\":\"memory://\"}]}",
	    NULL, NULL, NULL);
	const char *key[65];
	kvr_obj obj[65];
	int32_t err[65];

	memset(obj, 0x5a, sizeof(obj));
	for (int i = 0; i < 65; i++)
		key[i] = "k";
	ERR(kvr_batched_get_blocking(k, key, 65, 0, obj, err), KVR_E_TOO_BIG);
	for (int i = 0; i < 65; i++) {
		ck_assert_uint_eq(obj[i], 0);
		ERR(err[i], KVR_E_TOO_BIG);
	}
	bed_close(k);
}
END_TEST

KVR_CHECK_MAIN("api.limits", sixteen_mib_of_texts, prefetches_leave_a_quarter_too,
    a_blocking_get_of_too_many, a_blocking_get_of_too_many_for_this_instance)
