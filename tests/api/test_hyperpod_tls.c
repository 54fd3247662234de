/* SPDX-License-Identifier: Apache-2.0 */
/* A HyperPod daemon behind https as an embedder sees it, with a good certificate and a bad one. */
#include "kvr_api_bed.h"
#include "kvr_hyperpod_server.h"
#include "kvr_test_ca.h"
#include "kvr_tls_front.h"

KVR_NEEDS_TLS

enum { LEN = 1 << 18 };

static struct kvr_test_ca *ca, *other_ca;
static uint8_t in[LEN], out[LEN];

__attribute__((constructor)) static void
make_cas(void)
{
	ca = kvr_test_ca_make("embedder");
	other_ca = kvr_test_ca_make("another");
	kvr_test_ca_sign(ca, "server", "IP:127.0.0.1", 2);
}

__attribute__((destructor)) static void
drop_cas(void)
{
	kvr_test_ca_drop(ca);
	kvr_test_ca_drop(other_ca);
}

struct behind {
	struct kvr_hyperpod_server *server;
	struct kvr_hyperpod_page *page;
	struct kvr_tls_front *front;
	struct bed_log log;
	struct kvr *k;
};

static void
begin(struct behind *b, const struct kvr_test_ca *believed)
{
	char json[1024];
	*b = (struct behind){ .server = kvr_hyperpod_server_start(), .log = BED_LOG };
	b->page = kvr_hyperpod_server_page(b->server);
	b->front = kvr_tls_front_start((uint16_t)atomic_load(&b->page->port),
	    kvr_test_ca_file(ca, "server.pem"), kvr_test_ca_file(ca, "server.key"), NULL);
	atomic_store(&b->page->front, kvr_tls_front_port(b->front));
	bed_fill(in, LEN, 1);
	snprintf(json, sizeof(json),
	    "{ \"tiers\": [ { \"name\": \"host\", \"url\": \"memory://\", \"write\": \"never\" },"
	    "  { \"name\": \"node\", \"url\": \"sagemaker-hyperpod://127.0.0.1:%u\","
	    "  \"format\": \"bare\", \"tls\": { \"ca\": \"%s\" }, \"hyperpod\": {"
	    "  \"use_https\": true, \"shared_memory_name\": \"%s\","
	    "  \"lease_wait\": \"20ms\" } } ] }",
	    kvr_tls_front_port(b->front), kvr_test_ca_file(believed, "ca.pem"),
	    kvr_hyperpod_server_segment(b->server));
	b->k = bed_open(json, NULL, NULL, &b->log);
}

static void
end(struct behind *b)
{
	bed_close(b->k);
	ck_assert_msg(atomic_load(&b->page->deviations) == 0, "%s", b->page->first_deviation);
	ck_assert(kvr_hyperpod_server_wait_no_lease(b->server));
	kvr_hyperpod_server_stop(b->server);
	kvr_tls_front_stop(b->front);
}

static enum kvr_err
run(struct kvr *k, uint32_t kind, struct kvr_done *done)
{
	const struct kvr_batch b = { .size = sizeof(b), .kind = kind, .n = 1, .keys = "k",
		.at = &(void *const){ kind == KVR_PUT ? in : out },
		.len = &(const uint64_t){ LEN } };
	const struct kvr_opts o = { .size = sizeof(o), .until_ns = bed_in_ms(60000) };
	*done = (struct kvr_done){ .size = sizeof(*done) };
	return kvr_run(k, &b, &o, done, NULL);
}

START_TEST(what_is_stored_comes_back)
{
	struct kvr_done done;
	struct behind b;
	begin(&b, ca);
	enum kvr_err err = run(b.k, KVR_PUT, &done);
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), done.why);
	err = run(b.k, KVR_GET, &done);
	ck_assert_msg(err == KVR_OK, "%s: %s", kvr_err_name(err), done.why);
	ck_assert_mem_eq(in, out, LEN);
	ck_assert_uint_gt(kvr_tls_front_served(b.front), 0);
	end(&b);
}
END_TEST

START_TEST(a_certificate_of_somebody_else_is_no_hit_and_says_why)
{
	struct kvr_health h = { .size = sizeof(h) };
	struct kvr_done done;
	struct behind b;
	begin(&b, other_ca);
	enum kvr_err err = run(b.k, KVR_GET, &done);
	ck_assert_msg(
	    err == KVR_E_DOWN || err == KVR_E_AUTH, "%s: %s", kvr_err_name(err), done.why);
	ck_assert_uint_eq(done.n_ok, 0);
	err = run(b.k, KVR_PUT, &done);
	ck_assert_msg(err != KVR_OK, "%s", kvr_err_name(err));
	OK(kvr_health(b.k, &h));
	ck_assert_uint_eq(h.ok, 0);
	ck_assert_msg(strstr(h.why, "certificate") != NULL, "%s", h.why);
	bed_log_wait(&b.log, "tls.ca");
	/* Nothing was said to whom nobody knows. */
	ck_assert_uint_eq(atomic_load(&b.page->requests), 0);
	end(&b);
}
END_TEST

KVR_CHECK_MAIN("api.hyperpod_tls", what_is_stored_comes_back,
    a_certificate_of_somebody_else_is_no_hit_and_says_why)
