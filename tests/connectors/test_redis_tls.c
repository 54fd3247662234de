/* SPDX-License-Identifier: Apache-2.0 */
/* rediss:// against a real server: what goes through, whom it believes, and what it says if not. */
#include "kvr_finding.h"
#include "kvr_port.h"
#include "kvr_redis_limit.h"
#include "kvr_redis_raw.h"
#include "kvr_tls_bed.h"

#include <unistd.h>

static const uint32_t formats[] = { KVR_FORMAT_LMCACHE, KVR_FORMAT_BARE, KVR_FORMAT_SEALED };

START_TEST(values_of_all_sizes_come_back_in_every_format)
{
	static const struct {
		uint32_t n;
		size_t   len;
	} loads[] = { { 64, KVR_KIB(64) }, { 16, KVR_MIB(4) }, { 1, KVR_MIB(64) }, { 3, 1 },
		{ 5, 16384 }, { 5, 16385 }, { 300, 777 } };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct kvr_store_opts opts = tls_opts(server, formats[f]);
		struct bed b;
		bed_up(&b, &opts);
		for (size_t i = 0; i < KVR_LEN(loads); i++)
			tls_round_trip(&b, loads[i].n, loads[i].len);
		bed_down(&b);
	}
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(password_and_database_go_through_it)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", "pw", NULL);
	char url[96];
	struct bed b;
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	snprintf(url, sizeof(url), "rediss://:pw@localhost:%u/3", server->port);
	opts.url = url;
	bed_up(&b, &opts);
	tls_round_trip(&b, 4, 1000);
	bed_down(&b);
	snprintf(url, sizeof(url), "REDISS://:no@localhost:%u", server->port);
	tls_refused(&opts, KVR_E_AUTH, "WRONGPASS");
	kvr_tls_server_stop(server);
}
END_TEST

/* Signing in is a part of its greeting there. */
START_TEST(resp3_goes_through_it)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", "pw", NULL);
	struct kvr_raw *raw = kvr_raw_open(server->redis->port, "pw");
	char url[96];
	snprintf(url, sizeof(url), "rediss://:pw@127.0.0.1:%u/3?protocol=3", server->port);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct kvr_store_opts opts = tls_opts(server, formats[f]);
		struct bed b;
		opts.url = url;
		bed_up(&b, &opts);
		struct kvr_raw_reply r = kvr_raw(raw, "CLIENT LIST");
		ck_assert_ptr_nonnull(strstr((const char *)r.bytes, "resp=3"));
		tls_round_trip(&b, 40, 16385);
		tls_round_trip(&b, 3, KVR_MIB(4) + 5000); /* in pieces, where it is sealed */
		bed_ok(&b, KVR_VERB_PING, NULL, 0);
		bed_down(&b);
	}
	kvr_raw_close(raw);
	kvr_tls_server_stop(server);
}
END_TEST

/* What it says before it hangs up is read here too, where the rest of the value leaves no more. */
START_TEST(what_this_server_does_not_take_is_too_big)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, limit_args);
	for (size_t f = 0; f < KVR_LEN(formats); f++) {
		struct kvr_store_opts opts = tls_opts(server, formats[f]);
		beyond_what_the_server_takes(&opts, KVR_MIB(1) + 65536);
		beyond_what_the_server_takes(&opts, KVR_MIB(64));
	}
	kvr_tls_server_stop(server);
}
END_TEST

static void
keep_certificate(void *arg, const struct kvr_finding *f)
{
	if (strcmp(f->topic, "certificate") == 0)
		snprintf(arg, 128, "%d %s", (int)f->level, f->text);
}

/* It was signed for two days, which is soon over. */
START_TEST(an_examination_tells_when_the_certificate_ends)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	char said[128] = "", want[128];
	struct bed b;
	bed_up(&b, &opts);
	const struct kvr_examination look = {
		.until_ns = bed_in(BED_LONG), .found = keep_certificate, .arg = said
	};
	b.ops->examine(b.store, b.lane, &look);
	snprintf(want, sizeof(want), "%d the server's ends in 1 days", (int)KVR_FOUND_WARN);
	ck_assert_str_eq(said, want);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(valkeys_is_valkey_over_tls)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	char url[96];
	struct bed b;
	struct load l = load_new(1, 10);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	snprintf(url, sizeof(url), "valkeys://localhost:%u/3", server->port);
	opts.url = url;
	bed_up(&b, &opts);
	tls_round_trip(&b, 4, 1000);
	bed_down(&b);
	/* And is no Redis: the two names of a chunk are LMCache's for Valkey. */
	opts.format = KVR_FORMAT_LMCACHE;
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, 1);
	bed_down(&b);
	snprintf(url, sizeof(url), "rediss://localhost:%u/3", server->port);
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_EXISTS, l.items, 1);
	bed_status(&l.items[0], KVR_E_MISS);
	bed_down(&b);
	load_free(&l);
	kvr_tls_server_stop(server);
}
END_TEST

/* Sentinels and the master that they name speak TLS, or neither does. */
START_TEST(sentinels_are_asked_over_tls)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", "pw", NULL);
	char conf[96], port[8], url[128];
	const char *const args[] = { "--tls-port", port, "--tls-cert-file", server->cert,
		"--tls-key-file", server->key, "--tls-ca-cert-file", server->ca,
		"--tls-auth-clients", "no", "--tls-replication", "yes", NULL };
	snprintf(conf, sizeof(conf), "sentinel monitor m 127.0.0.1 %u 1\n", server->port);
	snprintf(port, sizeof(port), "%u", kvr_port_take());
	struct kvr_redis_server *sentinel = kvr_redis_sentinel_start(conf, args);
	struct bed b;
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	snprintf(url, sizeof(url), "rediss-sentinel://:pw@127.0.0.1:%s?service=m", port);
	opts.url = url;
	bed_up(&b, &opts);
	tls_round_trip(&b, 4, 1000);
	bed_down(&b);
	opts.tls.ca = kvr_test_ca_file(other_ca, "ca.pem");
	tls_refused(&opts, KVR_E_AUTH, "sentinel 127.0.0.1:");
	kvr_redis_server_stop(sentinel);
	kvr_tls_server_stop(server);
}
END_TEST

/* All of them speak TLS to each other, too; which of them was asked is told by its plain port. */
START_TEST(replicas_behind_sentinels_are_read_over_tls)
{
	struct kvr_tls_server *master = kvr_tls_server_start(ca, "server", "no", "pw", NULL);
	char of[8], conf[200], port[8], url[128];
	snprintf(of, sizeof(of), "%u", master->port);
	const char *const follow[] = { "--replicaof", "127.0.0.1", of, "--masterauth", "pw",
		"--tls-replication", "yes", "--repl-diskless-sync-delay", "0", NULL };
	struct kvr_tls_server *replica = kvr_tls_server_start(ca, "server", "no", "pw", follow);
	const char *const args[] = { "--tls-port", port, "--tls-cert-file", master->cert,
		"--tls-key-file", master->key, "--tls-ca-cert-file", master->ca,
		"--tls-auth-clients", "no", "--tls-replication", "yes", NULL };
	snprintf(conf, sizeof(conf), "sentinel monitor m 127.0.0.1 %u 1\nsentinel auth-pass m pw\n",
	    master->port);
	snprintf(port, sizeof(port), "%u", kvr_port_take());
	struct kvr_raw *raw = kvr_raw_open(replica->redis->port, "pw");
	uint64_t until_ns = bed_in(BED_LONG);
	/* A sentinel that finds it from the start need not look for it again in ten seconds. */
	while (strstr((const char *)kvr_raw(raw, "INFO replication").bytes, "master_link_status:up") == NULL) {
		ck_assert_uint_lt(kvr_now_ns(), until_ns);
		usleep(10000);
	}
	struct kvr_redis_server *sentinel = kvr_redis_sentinel_start(conf, args);
	struct load l = load_new(20, 3000);
	struct bed b;
	struct kvr_store_opts opts = tls_opts(master, KVR_FORMAT_SEALED);
	snprintf(url, sizeof(url), "rediss-sentinel://:pw@127.0.0.1:%s?service=m", port);
	opts.url = url;
	opts.replicas = true;
	bed_up(&b, &opts);
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	until_ns = bed_in(BED_LONG);
	for (;;) {
		load_get(&b, &l);
		if (strstr((const char *)kvr_raw(raw, "INFO commandstats").bytes, "cmdstat_get") != NULL)
			break;
		ck_assert_uint_lt(kvr_now_ns(), until_ns);
		usleep(10000);
	}
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(raw);
	kvr_redis_server_stop(sentinel);
	kvr_tls_server_stop(replica);
	kvr_tls_server_stop(master);
}
END_TEST

START_TEST(only_a_server_of_a_known_ca_is_believed)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	struct bed b;
	opts.tls.ca = kvr_test_ca_file(other_ca, "ca.pem");
	tls_refused(&opts, KVR_E_AUTH, "unknown CA, set tls.ca: /CN=kvr test CA");
	/* What the system believes. */
	opts.tls.ca = NULL;
	tls_refused(&opts, KVR_E_AUTH, "unknown CA, set tls.ca: /CN=kvr test CA");
	opts.tls.no_host_check = true;
	tls_refused(&opts, KVR_E_AUTH, "unknown CA, set tls.ca: /CN=kvr test CA");
	opts.tls.no_verify = true;
	bed_up(&b, &opts);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(a_directory_of_cas_and_a_bundle_will_do)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	struct bed b;
	char line[512];
	snprintf(line, sizeof(line),
	    "mkdir -p cas && cp ca.pem cas/one.pem && openssl rehash cas && "
	    "cat %s/ca.pem ca.pem > bundle.pem", other_ca->dir);
	kvr_test_ca_sh(ca, line);
	opts.tls.ca = kvr_test_ca_file(ca, "cas");
	bed_up(&b, &opts);
	bed_down(&b);
	opts.tls.ca = kvr_test_ca_file(ca, "bundle.pem");
	bed_up(&b, &opts);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(an_expired_certificate_is_named_with_its_date)
{
	kvr_test_ca_sign(ca, "old", "IP:127.0.0.1", -1);
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "old", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	tls_refused(&opts, KVR_E_AUTH, "certificate has expired: until 20");
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(the_certificate_must_name_the_host)
{
	static const char names[] =
	    "wrong host, see tls.server_name: its certificate has DNS:cache.example, "
	    "DNS:*.kv.example";
	char by_name[64];
	struct bed b;
	kvr_test_ca_sign(ca, "names", "DNS:cache.example,DNS:*.kv.example", 2);
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "names", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	tls_refused(&opts, KVR_E_AUTH, names);
	snprintf(by_name, sizeof(by_name), "rediss://localhost:%u", server->port);
	opts.url = by_name;
	tls_refused(&opts, KVR_E_AUTH, names);
	opts.tls.server_name = "10.1.2.3";
	tls_refused(&opts, KVR_E_AUTH, "wrong host");
	opts.tls.server_name = "kv.example";
	tls_refused(&opts, KVR_E_AUTH, "wrong host");
	static const char *const good[] = { "cache.example", "cache.example.", "CACHE.example",
		"a.kv.example" };
	for (size_t i = 0; i < KVR_LEN(good); i++) {
		opts.tls.server_name = good[i];
		bed_up(&b, &opts);
		bed_down(&b);
	}
	opts.tls.server_name = NULL;
	opts.tls.no_host_check = true;
	bed_up(&b, &opts);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(an_address_is_not_a_name)
{
	struct bed b;
	char url[64];
	kvr_test_ca_sign(ca, "address", "IP:127.0.0.1", 2);
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "address", "no", NULL, NULL);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	bed_up(&b, &opts);
	bed_down(&b);
	snprintf(url, sizeof(url), "rediss://localhost:%u", server->port);
	opts.url = url;
	tls_refused(&opts, KVR_E_AUTH, "certificate has IP Address:127.0.0.1");
	kvr_tls_server_stop(server);
}
END_TEST

static void
demand_of_clients(const char *protocol)
{
	const char *const more[] = { "--tls-protocols", protocol, NULL };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "yes", NULL, more);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	struct bed b;
	tls_refused(&opts, strcmp(protocol, "TLSv1.3") == 0 ? KVR_E_AUTH : KVR_E_PROTO, "tls.cert");
	kvr_test_ca_sign(other_ca, "stranger", "DNS:x", 2);
	opts.tls.cert = kvr_test_ca_file(other_ca, "stranger.pem");
	opts.tls.key = kvr_test_ca_file(other_ca, "stranger.key");
	tls_refused(&opts, KVR_E_AUTH, "does not know the CA of tls.cert");
	kvr_test_ca_sign(ca, "late", "DNS:x", -1);
	opts.tls.cert = kvr_test_ca_file(ca, "late.pem");
	opts.tls.key = kvr_test_ca_file(ca, "late.key");
	tls_refused(&opts, KVR_E_AUTH, "tls.cert has expired");
	opts.tls.cert = kvr_test_ca_file(ca, "client.pem");
	opts.tls.key = kvr_test_ca_file(ca, "client.key");
	bed_up(&b, &opts);
	tls_round_trip(&b, 2, 100000);
	bed_down(&b);
	/* Both in one file. */
	kvr_test_ca_sh(ca, "cat client.pem client.key > both.pem");
	opts.tls.cert = kvr_test_ca_file(ca, "both.pem");
	opts.tls.key = NULL;
	bed_up(&b, &opts);
	bed_down(&b);
	kvr_tls_server_stop(server);
}

START_TEST(a_server_may_demand_a_certificate)
{
	demand_of_clients("TLSv1.3");
}
END_TEST

START_TEST(and_so_it_may_with_tls_1_2)
{
	demand_of_clients("TLSv1.2");
}
END_TEST

START_TEST(older_than_1_2_is_not_spoken)
{
	/* OpenSSL's own security level forbids 1.0 and 1.1 unless a server lowers it. */
	static const char *const old[] = { "--tls-protocols", "TLSv1.1", "--tls-ciphers",
		"ALL:@SECLEVEL=0", NULL };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, old);
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	tls_refused(&opts, KVR_E_PROTO, "allows no TLS from 1.2 on (tls-protocols)");
	kvr_tls_server_stop(server);
}
END_TEST

START_TEST(the_options_of_redis_py_are_read)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "yes", NULL, NULL);
	char url[512];
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_LMCACHE);
	struct bed b;
	snprintf(url, sizeof(url),
	    "%s/1?ssl_ca_certs=%s&ssl_certfile=%s/client.pem&ssl_keyfile=%s/client.key&"
	    "ssl_cert_reqs=required&ssl_check_hostname=True&protocol=2",
	    server->url, server->ca, ca->dir, ca->dir);
	bed_up(&b, &opts);
	tls_round_trip(&b, 2, 5000);
	bed_down(&b);
	snprintf(url, sizeof(url),
	    "%s?ssl_cert_reqs=none&ssl_certfile=%s/client.pem&ssl_keyfile=%s/client.key",
	    server->url, ca->dir, ca->dir);
	bed_up(&b, &opts);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

static void
not_opened(const char *url, struct kvr_tls_opts tls, const char *say)
{
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	opts.tls = tls;
	tls_refused(&opts, KVR_E_CONFIG, say);
}

START_TEST(what_cannot_be_meant_is_refused)
{
	const struct kvr_tls_opts none = { 0 };
	const char *pem = kvr_test_ca_file(ca, "client.pem");
	const char *key = kvr_test_ca_file(ca, "server.key");
	not_opened("rediss://h?ssl_cert_reqs=maybe", none, "required, optional and none");
	not_opened("rediss://h?ssl_check_hostname=perhaps", none, "neither true nor false");
	not_opened("rediss://h?ssl_ca_certs=/a&ssl_ca_certs=/b", none, "given twice");
	not_opened("rediss://h?ssl_ca_cert=/a", none, "\"ssl_ca_cert\" is not known");
	not_opened("redis://h?ssl_ca_certs=/a", none, "\"ssl_ca_certs\" is not known");
	not_opened("rediss://h?ssl_ca_certs=/a", (struct kvr_tls_opts){ .ca = "/b" },
	    "ssl_ca_certs in the URL and tls.ca");
	not_opened("rediss://h?ssl_cert_reqs=none", (struct kvr_tls_opts){ .no_verify = true },
	    "ssl_cert_reqs in the URL and tls.verify");
	not_opened("redis://h", (struct kvr_tls_opts){ .ca = "/b" }, "only a rediss:// or valkeys:// URL");
	not_opened("unix:///s", (struct kvr_tls_opts){ .no_verify = true }, "only a rediss:// or valkeys:// URL");
	not_opened("rediss://h", (struct kvr_tls_opts){ .ca = "/nowhere/ca.pem" },
	    "tls.ca: /nowhere/ca.pem: No such file");
	not_opened("rediss://h", (struct kvr_tls_opts){ .ca = key }, "tls.ca: ");
	not_opened("rediss://h", (struct kvr_tls_opts){ .cert = key }, "tls.cert: ");
	not_opened("rediss://h", (struct kvr_tls_opts){ .key = key }, "of no use without tls.cert");
	not_opened("rediss://h", (struct kvr_tls_opts){ .cert = pem, .key = "/nowhere" },
	    "tls.key: /nowhere: No such file");
	not_opened("rediss://h", (struct kvr_tls_opts){ .cert = pem, .key = key }, "mismatch");
}
END_TEST

/* OpenSSL's own way would be to ask at the terminal, and to wait. */
START_TEST(a_key_with_a_passphrase_is_refused_and_nobody_is_asked)
{
	kvr_test_ca_sh(ca, "openssl ec -aes128 -passout pass:x -in client.key -out locked.key");
	not_opened("rediss://h", (struct kvr_tls_opts){ .cert = kvr_test_ca_file(ca, "client.pem"),
	    .key = kvr_test_ca_file(ca, "locked.key") }, "tls.key: ");
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_tls", values_of_all_sizes_come_back_in_every_format,
    password_and_database_go_through_it, resp3_goes_through_it,
    an_examination_tells_when_the_certificate_ends, what_this_server_does_not_take_is_too_big,
    valkeys_is_valkey_over_tls, sentinels_are_asked_over_tls,
    replicas_behind_sentinels_are_read_over_tls, only_a_server_of_a_known_ca_is_believed,
    a_directory_of_cas_and_a_bundle_will_do, an_expired_certificate_is_named_with_its_date,
    the_certificate_must_name_the_host, an_address_is_not_a_name,
    a_server_may_demand_a_certificate, and_so_it_may_with_tls_1_2, older_than_1_2_is_not_spoken,
    the_options_of_redis_py_are_read, what_cannot_be_meant_is_refused,
    a_key_with_a_passphrase_is_refused_and_nobody_is_asked)
