/* SPDX-License-Identifier: Apache-2.0 */
/* The longest batches in one call and one completion. */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

enum { MOST = 65536, PUTS = MOST / 4 * 3, LEN = 16 };

struct many {
	char *keys;
	char *in, *out;
	void **at;
	uint64_t *len, *found;
	int32_t *err;
};

static struct many
make(void)
{
	struct many m = { .keys = malloc((size_t)MOST * 24),
		.in = malloc((size_t)MOST * LEN),
		.out = calloc(MOST, LEN),
		.at = calloc(MOST, sizeof(void *)),
		.len = calloc(MOST, sizeof(uint64_t)),
		.found = calloc(MOST, sizeof(uint64_t)),
		.err = calloc(MOST, sizeof(int32_t)) };
	char *text = m.keys;

	for (int i = 0; i < MOST; i++) {
		text += sprintf(text, "many/%d", i) + 1;
		m.at[i] = m.in + (size_t)i * LEN;
		m.len[i] = LEN;
		bed_fill(m.at[i], LEN, (uint32_t)i);
	}
	return m;
}

static void
unmake(struct many *m)
{
	free(m->keys);
	free(m->in);
	free(m->out);
	free(m->at);
	free(m->len);
	free(m->found);
	free(m->err);
}

/* The slots of a batch come back a moment after its completion, and these batches need them all. */
static enum kvr_err
run(struct kvr *k, const struct kvr_batch *b, uint32_t flags, struct kvr_done *d,
    struct kvr_results *r)
{
	const struct kvr_opts o = {
		.size = sizeof(o), .flags = flags, .until_ns = bed_in_ms(120000)
	};
	enum kvr_err err;

	do
		err = kvr_run(k, b, &o, d, r);
	while (err == KVR_E_BUSY && bed_now_ns() < o.until_ns);
	return err;
}

static void
life(const char *url)
{
	const struct kvr_options o = { .size = sizeof(o), .url = url, BED_SET };
	struct many m = make();
	struct kvr_batch b = { .size = sizeof(b),
		.kind = KVR_PUT,
		.n = PUTS,
		.keys = m.keys,
		.at = m.at,
		.len = m.len };
	struct kvr_done d = { .size = sizeof(d) };
	struct kvr_results r = { .size = sizeof(r), .cap = MOST, .err = m.err, .len = m.found };
	struct kvr *k;

	OK(kvr_open(&o, 0, &k, NULL, 0));
	OK(run(k, &b, 0, &d, &r));
	ck_assert_uint_eq(d.n_ok, PUTS);
	b.kind = KVR_LOOKUP;
	b.n = MOST;
	ERR(run(k, &b, KVR_PREFIX, &d, &r), KVR_E_MISS);
	ck_assert_uint_eq(d.prefix, PUTS);
	ck_assert_int_eq(m.err[PUTS], KVR_E_MISS);
	ck_assert_int_eq(m.err[MOST - 1], KVR_E_UNASKED);
	b.kind = KVR_GET;
	b.n = PUTS;
	for (int i = 0; i < MOST; i++)
		m.at[i] = m.out + (size_t)i * LEN;
	OK(run(k, &b, 0, &d, &r));
	ck_assert_uint_eq(d.bytes, (uint64_t)PUTS * LEN);
	ck_assert_int_eq(memcmp(m.in, m.out, (size_t)PUTS * LEN), 0);
	unmake(&m);
	bed_close(k);
}

START_TEST(the_longest_batches)
{
	struct kvr_store_bed *memory = kvr_store_bed_open(KVR_STORE_MEMORY);
	struct kvr_store_bed *redis = kvr_store_bed_open(KVR_STORE_REDIS);

	life(kvr_store_bed_url(memory));
	if (redis != NULL) {
		life(kvr_store_bed_url(redis));
		kvr_store_bed_close(redis);
	}
	kvr_store_bed_close(memory);
}
END_TEST

KVR_CHECK_MAIN("api.large", the_longest_batches)
