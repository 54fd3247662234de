/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A HyperPod daemon behind https: real handshakes with certificates that are made for the run. What
 * is not to be believed is refused before a byte of a key or a value is sent.
 */
#include "kvr_hyperpod_get.h"
#include "kvr_tls_bed.h"
#include "kvr_tls_front.h"

struct behind {
	struct hp h;
	struct kvr_tls_front *front;
	char url[96];
};

/* A daemon, and TLS in front of it with that certificate of that authority. */
static void
begin(struct behind *b, const struct kvr_test_ca *of, const char *cert, const char *clients)
{
	char pem[32], key[32];
	hp_begin(&b->h, KVR_FORMAT_LMCACHE);
	snprintf(pem, sizeof(pem), "%s.pem", cert);
	snprintf(key, sizeof(key), "%s.key", cert);
	b->front = kvr_tls_front_start((uint16_t)atomic_load(&b->h.page->port),
	    kvr_test_ca_file(of, pem), kvr_test_ca_file(of, key), clients);
	atomic_store(&b->h.page->front, kvr_tls_front_port(b->front));
	atomic_store(&b->h.page->miss_at_once, 1);
	snprintf(b->url, sizeof(b->url), "sagemaker-hyperpod://https://127.0.0.1:%u",
	    kvr_tls_front_port(b->front));
	b->h.opts.url = b->url;
	b->h.opts.tls.ca = kvr_test_ca_file(ca, "ca.pem");
}

/* The end of the daemon comes first: it waits for leases that the front has to let through. */
static void
end(struct behind *b)
{
	hp_end(&b->h);
	kvr_tls_front_stop(b->front);
}

static void
works(struct behind *b)
{
	memset(out, 0, LEN);
	for (size_t i = 0; i < LEN; i++)
		in[i] = (uint8_t)(i * 13 + (i >> 9));
	bed_up(&b->h.bed, &b->h.opts);
	ck_assert_int_eq(hp_one(&b->h, KVR_VERB_EXISTS, "k", NULL, 0), KVR_E_MISS);
	ck_assert_int_eq(hp_one(&b->h, KVR_VERB_PUT, "k", in, LEN), KVR_OK);
	ck_assert_int_eq(hp_one(&b->h, KVR_VERB_EXISTS, "k", NULL, 0), KVR_OK);
	ck_assert_int_eq(hp_one(&b->h, KVR_VERB_GET, "k", out, LEN), KVR_OK);
	ck_assert(memcmp(in, out, LEN) == 0);
	bed_down(&b->h.bed);
	ck_assert_uint_gt(kvr_tls_front_served(b->front), 0);
	ck_assert_uint_eq(atomic_load(&b->h.page->stored), 1);
	ck_assert_uint_eq(atomic_load(&b->h.page->granted), atomic_load(&b->h.page->released));
}

START_TEST(a_daemon_over_https)
{
	struct load l = load_new(40, 100000);
	struct behind b;
	begin(&b, ca, "server", NULL);
	works(&b);
	/* Many at once, over connections that are kept. */
	bed_up(&b.h.bed, &b.h.opts);
	bed_ok(&b.h.bed, KVR_VERB_PUT, l.items, l.n);
	load_wipe(&l);
	bed_ok(&b.h.bed, KVR_VERB_GET, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++) {
		bed_status(&l.items[i], KVR_OK);
		ck_assert(load_same(&l, i));
	}
	/* What asks and what gives back have connections of their own. */
	ck_assert(kvr_hyperpod_server_wait_no_lease(b.h.server));
	uint32_t handshakes = kvr_tls_front_served(b.front);
	for (int i = 0; i < 10; i++) {
		bed_ok(&b.h.bed, KVR_VERB_GET, l.items, 1);
		ck_assert(kvr_hyperpod_server_wait_no_lease(b.h.server));
	}
	ck_assert_uint_le(kvr_tls_front_served(b.front), handshakes + 2);
	bed_down(&b.h.bed);
	end(&b);
	load_free(&l);
}
END_TEST

START_TEST(the_setting_means_the_same_as_the_url)
{
	struct behind b;
	begin(&b, ca, "server", NULL);
	snprintf(b.url, sizeof(b.url), "sagemaker-hyperpod://localhost:%u",
	    kvr_tls_front_port(b.front));
	b.h.opts.hyperpod.use_https = true;
	/* The name is what the certificate is held against, and what stands in Host. */
	struct bed bed;
	bed_up(&bed, &b.h.opts);
	bed_down(&bed);
	ck_assert_uint_eq(kvr_tls_front_served(b.front), 1);
	ck_assert_uint_eq(atomic_load(&b.h.page->deviations), 1);
	ck_assert_msg(strstr(b.h.page->first_deviation, "Host: localhost") != NULL, "%s",
	    b.h.page->first_deviation);
	atomic_store(&b.h.page->deviations, 0);
	end(&b);
}
END_TEST

static void
refused(struct behind *b, enum kvr_err want, const char *say)
{
	char where[64];
	snprintf(where, sizeof(where), "https://127.0.0.1:%u", kvr_tls_front_port(b->front));
	tls_refused(&b->h.opts, want, where);
	tls_refused(&b->h.opts, want, say);
	ck_assert_uint_eq(atomic_load(&b->h.page->requests), 0);
	end(b);
}

START_TEST(certificates_that_are_not_to_be_believed)
{
	struct behind b;
	begin(&b, other_ca, "server", NULL);
	refused(&b, KVR_E_AUTH, "tls.ca");
	begin(&b, ca, "old", NULL);
	refused(&b, KVR_E_AUTH, "expired");
	begin(&b, ca, "client", NULL); /* signed, and another's */
	refused(&b, KVR_E_AUTH, "127.0.0.1");
	begin(&b, ca, "server", kvr_test_ca_file(ca, "ca.pem"));
	/* In TLS 1.3 the client's handshake is over when the server says no. */
	struct bed bed;
	enum kvr_err err = bed_try(&bed, &b.h.opts, bed_in(BED_LONG));
	ck_assert_msg(err != KVR_OK && strstr(bed.why, "https://") != NULL, "%s", bed.why);
	bed_down(&bed);
	ck_assert_uint_eq(atomic_load(&b.h.page->requests), 0);
	end(&b);
}
END_TEST

START_TEST(certificates_that_are_on_a_list)
{
	struct behind b;
	kvr_test_ca_crl(ca, "clean.crl", NULL, false);
	begin(&b, ca, "server", NULL);
	b.h.opts.tls.crl = kvr_test_ca_file(ca, "clean.crl");
	works(&b);
	end(&b);
	begin(&b, ca, "server", NULL);
	b.h.opts.tls.crl = kvr_test_ca_file(ca, "old.crl");
	kvr_test_ca_crl(ca, "old.crl", NULL, true);
	refused(&b, KVR_E_AUTH, "tls.crl");
	begin(&b, ca, "server", NULL);
	b.h.opts.tls.crl = kvr_test_ca_file(ca, "full.crl");
	kvr_test_ca_crl(ca, "full.crl", "server", false);
	refused(&b, KVR_E_AUTH, "revoked");
	begin(&b, ca, "server", NULL);
	b.h.opts.tls.crl = ca->dir;
	tls_refused(&b.h.opts, KVR_E_CONFIG, "tls.crl: a directory");
	end(&b);
}
END_TEST

START_TEST(what_was_asked_for_makes_them_good)
{
	struct behind b;
	begin(&b, other_ca, "server", NULL);
	b.h.opts.tls.ca = NULL;
	b.h.opts.tls.no_verify = true;
	works(&b);
	end(&b);
	begin(&b, ca, "server", kvr_test_ca_file(ca, "ca.pem"));
	b.h.opts.tls.cert = kvr_test_ca_file(ca, "client.pem");
	b.h.opts.tls.key = kvr_test_ca_file(ca, "client.key");
	works(&b);
	end(&b);
}
END_TEST

START_TEST(https_to_a_daemon_that_speaks_http)
{
	struct behind b;
	begin(&b, ca, "server", NULL);
	snprintf(b.url, sizeof(b.url), "sagemaker-hyperpod://https://127.0.0.1:%u",
	    atomic_load(&b.h.page->port));
	/* Each waits for the other to say something. */
	b.h.opts.connect_ns = KVR_MS(200);
	struct bed bed;
	enum kvr_err err = bed_try(&bed, &b.h.opts, bed_in(BED_LONG));
	ck_assert_msg(err == KVR_E_DOWN, "%s: %s", kvr_err_name(err), bed.why);
	ck_assert_msg(strstr(bed.why, "https://127.0.0.1") != NULL, "%s", bed.why);
	bed_down(&bed);
	end(&b);
}
END_TEST

__attribute__((constructor)) static void
more_certificates(void)
{
	kvr_test_ca_sign(other_ca, "server", "IP:127.0.0.1", 2);
	kvr_test_ca_sign(ca, "old", "IP:127.0.0.1", -1);
}

KVR_CHECK_MAIN("connectors.hyperpod_tls", a_daemon_over_https,
    the_setting_means_the_same_as_the_url, certificates_that_are_not_to_be_believed,
    certificates_that_are_on_a_list, what_was_asked_for_makes_them_good,
    https_to_a_daemon_that_speaks_http)
