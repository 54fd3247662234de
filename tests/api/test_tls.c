/* SPDX-License-Identifier: Apache-2.0 */
/* A tier over TLS as an embedder sees it: by a configuration, by a URL, and when it goes wrong. */
#include "kvr_api_bed.h"
#include "kvr_test_ca.h"

KVR_NEEDS_TLS

enum { N = 24, LEN = 1 << 20 };

static struct kvr_test_ca *ca;

__attribute__((constructor)) static void
make_ca(void)
{
	ca = kvr_test_ca_make("embedder");
	kvr_test_ca_sign(ca, "server", "DNS:cache.example", 2);
	kvr_test_ca_sign(ca, "client", "DNS:client", 2);
}

__attribute__((destructor)) static void
drop_ca(void)
{
	kvr_test_ca_drop(ca);
}

struct chunks {
	char        text[N][32];
	const char *key[N];
	void       *in[N], *out[N];
	uint64_t    len[N];
	uint8_t    *bytes;
};

static struct chunks
chunks_new(void)
{
	struct chunks c = { .bytes = calloc(2 * N, LEN) };
	ck_assert_ptr_nonnull(c.bytes);
	for (uint32_t i = 0; i < N; i++) {
		c.in[i] = c.bytes + (size_t)i * LEN;
		c.out[i] = c.bytes + (size_t)(N + i) * LEN;
		c.len[i] = LEN;
		bed_fill(c.in[i], LEN, i);
	}
	return c;
}

static enum kvr_err
run(struct kvr *k, struct chunks *c, uint32_t kind, struct kvr_done *done)
{
	for (uint32_t i = 0; i < N; i++) {
		snprintf(c->text[i], sizeof(c->text[i]), "m@1@0@%x@bfloat16", 4096 + i);
		c->key[i] = c->text[i];
	}
	const struct kvr_batch b = { .size = sizeof(b), .kind = kind, .n = N, .key = c->key,
		.at = kind == KVR_PUT ? c->in : c->out, .len = c->len };
	*done = (struct kvr_done){ .size = sizeof(*done) };
	return kvr_run(k, &b, NULL, done, NULL);
}

static void
round_trip(struct kvr *k)
{
	struct chunks c = chunks_new();
	struct kvr_done done;
	enum kvr_err err = run(k, &c, KVR_PUT, &done);
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), done.why);
	err = run(k, &c, KVR_GET, &done);
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), done.why);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_mem_eq(c.in[i], c.out[i], LEN);
	free(c.bytes);
}

START_TEST(a_tier_with_certificates_on_both_sides)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "yes", "pw", NULL);
	struct bed_log log = BED_LOG;
	char json[1024];
	ck_assert(kvr_has("tls") && kvr_has("rediss"));
	snprintf(json, sizeof(json),
	    "{ \"log\": { \"level\": \"warn\" },"
	    "  \"tiers\": [ { \"name\": \"fleet\", \"url\": \"%s\", \"password\": \"pw\","
	    "  \"serde\": \"zstd\", \"tls\": { \"ca\": \"%s\", \"cert\": \"%s/client.pem\","
	    "  \"key\": \"%s/client.key\", \"server_name\": \"cache.example\" } } ] }",
	    server->url, server->ca, ca->dir, ca->dir);
	struct kvr *k = bed_open(json, NULL, NULL, &log);
	round_trip(k);
	ck_assert_msg(bed_log_lines(&log) == 0, "%s", log.text);
	bed_close(k);
	kvr_tls_server_stop(server);
}
END_TEST

/* more: what stands in the tier's "tls" beside the CA. */
static void
is_said(const char *more, const char *what, const char *advice)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct bed_log log = BED_LOG;
	struct chunks c = chunks_new();
	struct kvr_done done;
	char json[768];
	snprintf(json, sizeof(json),
	    "{ \"tiers\": [ { \"name\": \"fleet\", \"url\": \"%s\","
	    "  \"tls\": { \"ca\": \"%s\"%s } } ] }",
	    server->url, server->ca, more);
	struct kvr *k = bed_open(json, NULL, NULL, &log);
	ERR(run(k, &c, KVR_PUT, &done), KVR_E_DOWN);
	ck_assert_msg(strstr(done.why, what) != NULL, "%s", done.why);
	ck_assert_msg(strstr(done.why, advice) != NULL, "%s", done.why);
	bed_log_wait(&log, what);
	bed_log_wait(&log, advice);
	bed_close(k);
	free(c.bytes);
	kvr_tls_server_stop(server);
}

START_TEST(the_wrong_name_is_said_where_people_look)
{
	is_said("", "cache.example", "tls.server_name");
}
END_TEST

START_TEST(what_is_revoked_is_said_there_and_so_is_a_list_that_is_missing_or_old)
{
	static const struct {
		const char *revoked, *what, *advice;
		bool        is_old;
	} lists[] = { { NULL, "CRL has expired", "renew it in tls.crl", true },
		{ "server", "certificate is revoked", "give it a new one", false } };
	static const char crl[] = ", \"server_name\": \"cache.example\", \"crl\": ";
	struct kvr_test_ca *other = kvr_test_ca_make("other");
	char more[256];
	kvr_test_ca_crl(other, "other.crl", NULL, false);
	snprintf(more, sizeof(more), "%s\"%s/other.crl\"", crl, other->dir);
	is_said(more, "no CRL of this CA", "add it to tls.crl");
	for (size_t i = 0; i < 2; i++) {
		kvr_test_ca_crl(ca, "list.crl", lists[i].revoked, lists[i].is_old);
		snprintf(more, sizeof(more), "%s\"%s/list.crl\"", crl, ca->dir);
		is_said(more, lists[i].what, lists[i].advice);
	}
	kvr_test_ca_drop(other);
}
END_TEST

START_TEST(by_lmcaches_url_and_unverified_with_a_warning)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct bed_log log = BED_LOG;
	char json[256];
	/* LEN bytes: 2 * 2 * 256 * 512 elements of 2 bytes. */
	const struct kvr_group group = { .dtype = KVR_DT_BFLOAT16, .n_dims = 4,
		.dim = { 2, 2, 256, 512 } };
	const struct kvr_layout layout = { .size = sizeof(layout), .format = KVR_FMT_KV_2LTD,
		.n_groups = 1, .group = &group };
	snprintf(json, sizeof(json), "{ \"remote_url\": \"%s?ssl_cert_reqs=none\" }", server->url);
	struct kvr *k = bed_open(json, NULL, &layout, &log);
	bed_log_has(&log, "certificate is not verified");
	round_trip(k);
	bed_close(k);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(a_file_that_is_missing_is_an_error_of_open)
{
	const struct kvr_options o = { .size = sizeof(o), .config_text =
	    "{ \"tiers\": [ { \"name\": \"fleet\", \"url\": \"rediss://h\","
	    "  \"tls\": { \"ca\": \"/nowhere/ca.pem\" } } ] }", BED_SET };
	struct kvr *k = NULL;
	char why[512] = "";
	ERR(kvr_open(&o, 0, &k, why, sizeof(why)), KVR_E_CONFIG);
	ck_assert_msg(strstr(why, "tls.ca: /nowhere/ca.pem: No such file") != NULL, "%s", why);
}
END_TEST

KVR_CHECK_MAIN("api.tls", a_tier_with_certificates_on_both_sides,
    the_wrong_name_is_said_where_people_look,
    what_is_revoked_is_said_there_and_so_is_a_list_that_is_missing_or_old,
    by_lmcaches_url_and_unverified_with_a_warning, a_file_that_is_missing_is_an_error_of_open)
