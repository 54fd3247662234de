/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_subject.h"

#include "kvr_connectors.h"
#include "kvr_test_ca.h"

KVR_NEEDS_TLS

static struct kvr_test_ca    *ca;
static struct kvr_tls_server *server;

/* One authority for all tests, each of which is a process of its own. */
__attribute__((constructor)) static void
make_ca(void)
{
	ca = kvr_test_ca_make("conformance");
	kvr_test_ca_sign(ca, "server", "IP:127.0.0.1", 2);
	kvr_test_ca_sign(ca, "client", "DNS:client", 2);
}

__attribute__((destructor)) static void
drop_ca(void)
{
	kvr_test_ca_drop(ca);
}

static void
begin(struct kvr_store_opts *opts)
{
	server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	opts->url = server->url;
	opts->tls.ca = server->ca;
}

static void
begin_mutual(struct kvr_store_opts *opts)
{
	static const char *const older[] = { "--tls-protocols", "TLSv1.2", NULL };
	server = kvr_tls_server_start(ca, "server", "yes", "secret", older);
	opts->url = server->url;
	opts->password = "secret";
	opts->tls.ca = server->ca;
	opts->tls.cert = kvr_test_ca_file(ca, "client.pem");
	opts->tls.key = kvr_test_ca_file(ca, "client.key");
}

static void
end(void)
{
	kvr_tls_server_stop(server);
	server = NULL;
}

#define TLS(n, f, b) \
	.name = (n), .ops = &kvr_redis_ops, .format = (f), .begin = (b), .end = end, \
	.outlives = true, .any_key = true

const struct kvr_subject kvr_subjects[] = {
	{ TLS("rediss sealed", KVR_FORMAT_SEALED, begin), .keeps_shape = true, .keeps_raw = true },
	{ TLS("rediss bare, TLS 1.2, both signed", KVR_FORMAT_BARE, begin_mutual) },
	{ TLS("rediss lmcache", KVR_FORMAT_LMCACHE, begin), .keeps_shape = true,
	    .two_keys = true },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
