/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.device on this machine, whatever it has: cuda is there or refused with a reason, auto
 * serves in both cases and says when it is the host that does, none is silent.
 */
#include "kvr_api_bed.h"

#define DEPLOYMENT(device)                                                                         \
	"{\"memory\":{\"staging\":\"8MiB\",\"device\":\"" device "\"},"                            \
	"\"tiers\":[{\"name\":\"a\",\"url\":\"memory://"                                           \
	"\",\"format\":\"sealed\",\"serde\":\"zstd\"}]}"

struct said {
	int n;
	char line[512];
};

static void
listen_for_device(void *arg, int level, const char *line)
{
	struct said *s = arg;

	(void)level;
	if (strstr(line, "memory.device") == NULL)
		return;
	s->n++;
	snprintf(s->line, sizeof(s->line), "%s", line);
}

static enum kvr_err
open_with(const char *json, struct said *said, struct kvr **ret, char *why, size_t cap)
{
	const struct kvr_options o = {
		.size = sizeof(o), .config_text = json, .log = listen_for_device, .log_arg = said
	};

	memset(said, 0, sizeof(*said));
	return kvr_open(&o, 0, ret, why, cap);
}

/* The serde stage works in the staging arena, so this writes and reads what was locked. */
static void
works(struct kvr *k)
{
	static uint8_t value[300001], back[300001];
	const char *key = "k";
	const uint64_t len = sizeof(value);
	void *from = value, *to = back;
	struct kvr_batch b = {
		.size = sizeof(b), .kind = KVR_PUT, .n = 1, .key = &key, .at = &from, .len = &len
	};

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)(i >> 8);
	memset(back, 0, sizeof(back));
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	b.kind = KVR_GET;
	b.at = &to;
	OK(kvr_run(k, &b, NULL, NULL, NULL));
	ck_assert(memcmp(value, back, sizeof(value)) == 0);
	OK(kvr_close(k, 0, KVR_DRAIN, NULL));
	kvr_free(k);
}

static bool
cuda_opens(char *why, size_t cap)
{
	struct said said;
	struct kvr *k = NULL;
	enum kvr_err err = open_with(DEPLOYMENT("cuda"), &said, &k, why, cap);

	ck_assert_int_eq(said.n, 0); /* an error is returned or logged, not both */
	if (err == KVR_OK)
		works(k);
	else
		ERR(err, KVR_E_CONFIG);
	return err == KVR_OK;
}

START_TEST(cuda_is_there_or_refused_with_a_reason)
{
	char why[512] = "";

	if (cuda_opens(why, sizeof(why))) {
		ck_assert(kvr_has("cuda"));
		return;
	}
	ck_assert_msg(strncmp(why, "kvr_open: memory.device is \"cuda\": ", 34) == 0, "'%s'", why);
	ck_assert_msg((strstr(why, "KVR_CUDA=ON") != NULL) == !kvr_has("cuda"), "'%s'", why);
	ck_assert_msg(strstr(why, "\"auto\" goes on without") != NULL, "'%s'", why);
}
END_TEST

START_TEST(auto_serves_and_says_when_it_is_the_host)
{
	char why[512] = "";
	bool there = cuda_opens(why, sizeof(why));
	struct said said;
	struct kvr *k;

	ERR(open_with(DEPLOYMENT("auto"), &said, &k, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(said.n, there ? 0 : 1);
	if (!there)
		ck_assert_msg(
		    strstr(said.line, "the host serves") != NULL && strlen(said.line) > 60, "'%s'",
		    said.line);
	works(k);
	/* Again: what was locked has been given back. */
	ERR(open_with(DEPLOYMENT("auto"), &said, &k, why, sizeof(why)), KVR_OK);
	works(k);
}
END_TEST

START_TEST(none_is_silent)
{
	char why[512] = "";
	struct said said;
	struct kvr *k;

	ERR(open_with(DEPLOYMENT("none"), &said, &k, why, sizeof(why)), KVR_OK);
	ck_assert_int_eq(said.n, 0);
	works(k);
}
END_TEST

KVR_CHECK_MAIN("api.device", cuda_is_there_or_refused_with_a_reason,
    auto_serves_and_says_when_it_is_the_host, none_is_silent)
