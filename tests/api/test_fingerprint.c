/* SPDX-License-Identifier: Apache-2.0 */
/* Who wrote a value: what a reader says of itself must be what the writer said, all of it. */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

enum { LEN = 4096 };

static const struct kvr_identity
	nobody = { .size = sizeof(nobody) },
	model = { .size = sizeof(model), .model = "m" },
	other_model = { .size = sizeof(other_model), .model = "n" },
	as_engine = { .size = sizeof(as_engine), .engine = "m" }, /* the same text, another member */
	whole = { .size = sizeof(whole), .model = "m", .revision = "r", .engine = "e 1", .salt = "a" },
	other_revision = { .size = sizeof(whole), .model = "m", .revision = "s", .engine = "e 1", .salt = "a" },
	other_engine = { .size = sizeof(whole), .model = "m", .revision = "r", .engine = "e 2", .salt = "a" },
	other_salt = { .size = sizeof(whole), .model = "m", .revision = "r", .engine = "e 1", .salt = "b" },
	no_salt = { .size = sizeof(whole), .model = "m", .revision = "r", .engine = "e 1" },
	empty_salt = { .size = sizeof(whole), .model = "m", .revision = "r", .engine = "e 1", .salt = "" },
	/* What does not go with a value: ranks read each other's. */
	other_rank = { .size = sizeof(whole), .model = "m", .revision = "r", .engine = "e 1", .salt = "a",
		.role = KVR_SCHEDULER, .world_size = 8, .worker_id = 3 };

static struct kvr *
open_as(const char *url, const struct kvr_identity *who)
{
	char json[256];

	snprintf(json, sizeof(json), "{\"tiers\":[{\"name\":\"a\",\"url\":\"%s\"}],\"trace\":{\"dir\":\"none\"}}",
	    url);
	return bed_open(json, who, NULL, NULL);
}

static enum kvr_err
run(struct kvr *k, enum kvr_kind kind, void *at)
{
	const uint64_t len = LEN;
	const struct kvr_batch b = {
		.size = sizeof(b), .kind = kind, .n = 1, .keys = "k", .at = &at, .len = &len
	};

	return kvr_run(k, &b, NULL, NULL, NULL);
}

static enum kvr_err
written_and_read(const char *url, const struct kvr_identity *writer, const struct kvr_identity *reader)
{
	static unsigned char memory[LEN];
	struct kvr *k = open_as(url, writer);

	bed_fill(memory, LEN, 7);
	OK(run(k, KVR_PUT, memory));
	bed_close(k);
	memset(memory, 0, LEN);
	k = open_as(url, reader);
	enum kvr_err err = run(k, KVR_GET, memory);

	if (err == KVR_OK)
		bed_same(memory, LEN, 7);
	bed_close(k);
	return err;
}

static void
identities(const char *url)
{
	/* Who says nothing of the four reads what anybody wrote. */
	OK(written_and_read(url, NULL, NULL));
	OK(written_and_read(url, &whole, NULL));
	OK(written_and_read(url, &whole, &nobody));
	OK(written_and_read(url, &whole, &whole));
	OK(written_and_read(url, &whole, &other_rank));
	OK(written_and_read(url, &no_salt, &empty_salt));
	/* Who says one of them needs all of them as they were said: a tenant is nobody's without its salt. */
	ERR(written_and_read(url, &nobody, &model), KVR_E_IDENTITY);
	ERR(written_and_read(url, &model, &other_model), KVR_E_IDENTITY);
	ERR(written_and_read(url, &model, &as_engine), KVR_E_IDENTITY);
	ERR(written_and_read(url, &whole, &model), KVR_E_IDENTITY);
	ERR(written_and_read(url, &model, &whole), KVR_E_IDENTITY);
	ERR(written_and_read(url, &whole, &other_revision), KVR_E_IDENTITY);
	ERR(written_and_read(url, &whole, &other_engine), KVR_E_IDENTITY);
	ERR(written_and_read(url, &whole, &other_salt), KVR_E_IDENTITY);
	ERR(written_and_read(url, &whole, &no_salt), KVR_E_IDENTITY);
	ERR(written_and_read(url, &no_salt, &whole), KVR_E_IDENTITY);
}

START_TEST(a_reader_says_what_the_writer_said)
{
	struct kvr_store_bed *bed = kvr_store_bed_open(KVR_STORE_FS);

	identities(kvr_store_bed_url(bed));
	kvr_store_bed_close(bed);
}
END_TEST

KVR_CHECK_MAIN("api.fingerprint", a_reader_says_what_the_writer_said)
