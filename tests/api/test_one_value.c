/* SPDX-License-Identifier: Apache-2.0 */
/* A key stands for one value: while one is written, also behind an answer, no other one is. */
#include "kvr_api_bed.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static enum kvr_err
run(struct kvr *k, uint32_t kind, char *at, struct kvr_done *d)
{
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = 1,
		.keys = "k",
		.at = &(void *const){ at },
		.len = &(const uint64_t){ 4 } };

	return kvr_run(k, &b, NULL, d, NULL);
}

START_TEST(what_is_written_behind_an_answer_counts)
{
	struct kvr_redis_server *s = kvr_redis_server_start(NULL, NULL);
	struct kvr_done d = { .size = sizeof(d) };
	char json[512], first[4] = "one", second[4] = "two", got[4] = "";
	uint64_t until_ns = bed_in_ms(30000);

	snprintf(json, sizeof(json),
	    "{\"timeouts\":{\"connect\":\"60s\"},\"tiers\":[{\"name\":\"near\",\"url\":\"memory://\"},"
	    "{\"name\":\"far\",\"url\":\"%s\",\"write\":\"back\",\"timeout\":\"60s\"}]}",
	    s->url);
	struct kvr *k = bed_open(json, NULL, NULL, NULL);

	ERR(run(k, KVR_GET, got, NULL), KVR_E_MISS); /* both are up */
	kvr_redis_server_pause(s);
	OK(run(k, KVR_PUT, first, &d));
	ck_assert_uint_eq(d.flags & KVR_DONE_DUPLICATE, 0);
	ck_assert(!kvr_exists_in_put_tasks(k, "k")); /* it is answered */
	OK(run(k, KVR_PUT, second, &d));
	ck_assert_uint_eq(d.flags & KVR_DONE_DUPLICATE, KVR_DONE_DUPLICATE);
	OK(run(k, KVR_GET, got, NULL));
	ck_assert_str_eq(got, first);
	/* Once it is everywhere, a key can be put again. */
	kvr_redis_server_resume(s);
	do {
		ck_assert_uint_lt(bed_now_ns(), until_ns);
		OK(run(k, KVR_PUT, second, &d));
	} while ((d.flags & KVR_DONE_DUPLICATE) != 0);
	OK(run(k, KVR_GET, got, NULL));
	ck_assert_str_eq(got, second);
	bed_close(k);
	kvr_redis_server_stop(s);
}
END_TEST

KVR_CHECK_MAIN("api.one_value", what_is_written_behind_an_answer_counts)
