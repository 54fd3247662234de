/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server whose certificate ends while it is in use, and one that gets another CA's: no connection
 * comes up, callers are told why, and service comes back with the right certificate.
 */
#include "kvr_server_drill.h"
#include "kvr_test_ca.h"

KVR_NEEDS_TLS

static struct kvr_test_ca *ca, *other_ca;

static void
set_certificate(struct drill *d, const struct kvr_test_ca *of, const char *name)
{
	char line[512];

	snprintf(line, sizeof(line), "CONFIG SET tls-cert-file %s/%s.pem tls-key-file %s/%s.key",
	    of->dir, name, of->dir, name);
	raw_ok(d, line);
}

/* Whoever is connected keeps what was agreed on, so the connections have to go. */
static void
end_connections(struct drill *d)
{
	raw_ok(d, "CLIENT KILL TYPE normal SKIPME yes");
}

START_TEST(a_certificate_that_expires)
{
	ca = kvr_test_ca_make("drill");
	other_ca = kvr_test_ca_make("another");
	kvr_test_ca_sign(ca, "good", "IP:127.0.0.1", 2);
	kvr_test_ca_sign(ca, "old", "IP:127.0.0.1", -1);
	kvr_test_ca_sign(other_ca, "foreign", "IP:127.0.0.1", 2);
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "good", "no", NULL, NULL);
	char url[192];
	struct drill d = { .server = server->redis };

	d.raw = kvr_raw_open(server->redis->port, NULL);
	d.b = bed_batch_new("drill", KEYS, EACH);
	snprintf(url, sizeof(url), "%s?ssl_ca_certs=%s", server->url, server->ca);
	d.kvr = bed_open(tier, url, "sealed");
	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	set_certificate(&d, ca, "old");
	end_connections(&d);
	is_told(&d, KVR_GET, KVR_E_AUTH, "certificate has expired");
	is_told(&d, KVR_PUT, KVR_E_AUTH, "certificate has expired");
	set_certificate(&d, ca, "good");
	heals(&d, KVR_GET, "a new certificate");
	heals(&d, KVR_PUT, "a new certificate, puts");
	set_certificate(&d, other_ca, "foreign");
	end_connections(&d);
	is_told(&d, KVR_GET, KVR_E_AUTH, "unknown CA");
	set_certificate(&d, ca, "good");
	heals(&d, KVR_GET, "the right CA again");
	bed_close(d.kvr);
	bed_batch_free(d.b);
	kvr_raw_close(d.raw);
	kvr_tls_server_stop(server);
	kvr_test_ca_drop(ca);
	kvr_test_ca_drop(other_ca);
}
END_TEST

KVR_CHECK_MAIN("system.drill_tls", a_certificate_that_expires)
