/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation lists: who is on one is refused, and so is everybody when there is no good list. */
#include "kvr_tls_bed.h"

static struct kvr_tls_server *server;

static void
begin(void)
{
	server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
}

static void
end(void)
{
	kvr_tls_server_stop(server);
}

static struct kvr_store_opts
crl_opts(const char *crl)
{
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_BARE);
	opts.tls.crl = kvr_test_ca_file(ca, crl);
	return opts;
}

static void
works(const struct kvr_store_opts *opts)
{
	struct bed b;
	bed_up(&b, opts);
	tls_round_trip(&b, 2, 1000);
	bed_down(&b);
}

START_TEST(who_is_on_the_list_is_refused)
{
	begin();
	kvr_test_ca_sign(ca, "other", "IP:127.0.0.1", 2);
	kvr_test_ca_crl(ca, "others.crl", "other", false);
	struct kvr_store_opts opts = crl_opts("others.crl");
	works(&opts);
	kvr_test_ca_crl(ca, "all.crl", "server", false);
	opts.tls.crl = kvr_test_ca_file(ca, "all.crl");
	tls_refused(&opts, KVR_E_AUTH, "certificate is revoked, give it a new one: /CN=server");
	/* Nobody asks without the option. */
	opts.tls.crl = NULL;
	works(&opts);
	end();
}
END_TEST

START_TEST(a_list_that_is_missing_old_or_forged_refuses_all)
{
	struct kvr_test_ca *forger = kvr_test_ca_make("kvr test CA");
	begin();
	kvr_test_ca_crl(other_ca, "good.crl", NULL, false);
	struct kvr_store_opts opts = crl_opts("good.crl");
	opts.tls.crl = kvr_test_ca_file(other_ca, "good.crl");
	tls_refused(&opts, KVR_E_AUTH, "no CRL of this CA, add it to tls.crl: /CN=kvr test CA");
	kvr_test_ca_crl(ca, "old.crl", NULL, true);
	opts.tls.crl = kvr_test_ca_file(ca, "old.crl");
	tls_refused(&opts, KVR_E_AUTH,
	    "the CA's CRL has expired, renew it in tls.crl: until 2020-01-02 00:00 UTC, /CN=kvr");
	kvr_test_ca_crl(forger, "forged.crl", NULL, false);
	opts.tls.crl = kvr_test_ca_file(forger, "forged.crl");
	tls_refused(&opts, KVR_E_AUTH, "a CRL of tls.crl was not accepted: /CN=kvr test CA");
	end();
	kvr_test_ca_drop(forger);
}
END_TEST

START_TEST(a_bundle_and_a_directory_will_do_and_count_from_the_next_dial)
{
	char line[512];
	begin();
	kvr_test_ca_sh(ca, "rm -f index.txt");
	kvr_test_ca_crl(ca, "clean.crl", NULL, false);
	kvr_test_ca_crl(ca, "old.crl", NULL, true);
	kvr_test_ca_crl(ca, "full.crl", "server", false);
	kvr_test_ca_crl(other_ca, "good.crl", NULL, false);
	snprintf(line, sizeof(line),
	    "cat ca.pem %s/good.crl old.crl clean.crl > bundle.pem && mkdir -p crls/sub && "
	    "cp ca.pem crls/ca.pem && cp clean.crl crls/a.crl && cp %s/good.crl crls/b.crl && "
	    "echo rubbish > crls/.hidden && cp bundle.pem moving.pem",
	    other_ca->dir, other_ca->dir);
	kvr_test_ca_sh(ca, line);
	static const struct {
		const char *crl, *revoke, *restore;
	} ways[] = {
		{ "moving.pem", "cp full.crl n && mv n moving.pem",
		    "cp bundle.pem n && mv n moving.pem" },
		{ "crls", "cp full.crl n && mv n crls/a.crl", "cp clean.crl n && mv n crls/a.crl" },
		/* In its place: the directory itself stays as it was. */
		{ "crls", "cat full.crl > crls/a.crl", "cat clean.crl > crls/a.crl" },
	};
	for (size_t i = 0; i < KVR_LEN(ways); i++) {
		struct kvr_store_opts opts = crl_opts(ways[i].crl);
		struct kvr_connector *second = NULL;
		struct bed b;
		char why[256];
		bed_up(&b, &opts);
		kvr_test_ca_sh(ca, ways[i].revoke);
		enum kvr_err err =
		    b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &second, why, sizeof(why));
		ck_assert_msg(err == KVR_E_AUTH && strstr(why, "is revoked") != NULL, "%s", why);
		/* Who is up stays up. */
		tls_round_trip(&b, 2, 1000);
		kvr_test_ca_sh(ca, ways[i].restore);
		err = b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &second, why, sizeof(why));
		ck_assert_msg(err == KVR_OK, "%s", why);
		b.ops->hang_up(second);
		bed_down(&b);
	}
	end();
}
END_TEST

/* Beside the server's own certificate all that stand between it and the CA count. */
START_TEST(a_revoked_authority_between_is_noticed)
{
	struct kvr_test_ca *between = kvr_test_ca_make("between");
	char line[1024];
	snprintf(line, sizeof(line),
	    "openssl req -new -key ca.key -subj /CN=between -out between.csr && "
	    "echo basicConstraints=CA:TRUE > ext && "
	    "openssl x509 -req -in between.csr -CA %s/ca.pem -CAkey %s/ca.key -set_serial 900 "
	    "-days 2 -extfile ext -out ca.pem && "
	    "cp ca.pem %s/between.pem", ca->dir, ca->dir, ca->dir);
	kvr_test_ca_sh(between, line);
	kvr_test_ca_sign(between, "leaf", "IP:127.0.0.1", 2);
	snprintf(line, sizeof(line), "cat ca.pem >> leaf.pem && cp leaf.pem leaf.key %s", ca->dir);
	kvr_test_ca_sh(between, line);
	kvr_test_ca_sh(ca, "rm -f index.txt");
	kvr_test_ca_crl(ca, "clean.crl", NULL, false);
	kvr_test_ca_crl(ca, "full.crl", "between", false);
	kvr_test_ca_crl(between, "leaves.crl", NULL, false);
	snprintf(line, sizeof(line), "cat clean.crl %s/leaves.crl > both.pem && "
	    "cat full.crl %s/leaves.crl > revoked.pem", between->dir, between->dir);
	kvr_test_ca_sh(ca, line);
	server = kvr_tls_server_start(ca, "leaf", "no", NULL, NULL);
	struct kvr_store_opts opts = crl_opts("both.pem");
	works(&opts);
	opts.tls.crl = kvr_test_ca_file(ca, "revoked.pem");
	tls_refused(&opts, KVR_E_AUTH, "is revoked, give it a new one: /CN=between");
	opts.tls.crl = kvr_test_ca_file(ca, "clean.crl");
	tls_refused(&opts, KVR_E_AUTH, "no CRL of this CA, add it to tls.crl: /CN=between");
	end();
	kvr_test_ca_drop(between);
}
END_TEST

static void
not_opened(struct kvr_tls_opts tls, const char *say)
{
	struct kvr_store_opts opts = bed_opts("rediss://h", KVR_FORMAT_BARE);
	opts.tls = tls;
	tls_refused(&opts, KVR_E_CONFIG, say);
}

START_TEST(what_is_no_list_is_refused_when_a_store_is_opened)
{
	const char *pem = kvr_test_ca_file(ca, "client.pem");
	kvr_test_ca_crl(ca, "good.crl", NULL, false);
	kvr_test_ca_sh(ca, "mkdir -p empty broken && cp ca.pem empty && "
	    "sed '3s/.*/garbage/' good.crl > broken/one.crl");
	not_opened((struct kvr_tls_opts){ .crl = "/nowhere/crl.pem" },
	    "tls.crl: /nowhere/crl.pem: No such file");
	not_opened((struct kvr_tls_opts){ .crl = pem }, "no crl found");
	not_opened((struct kvr_tls_opts){ .crl = kvr_test_ca_file(ca, "empty") }, "no crl found");
	not_opened((struct kvr_tls_opts){ .crl = kvr_test_ca_file(ca, "broken") }, "tls.crl: ");
	const char *good = kvr_test_ca_file(ca, "good.crl");
	not_opened((struct kvr_tls_opts){ .crl = good, .no_verify = true },
	    "of no use where no certificate is verified");
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_tls_crl", who_is_on_the_list_is_refused,
    a_list_that_is_missing_old_or_forged_refuses_all,
    a_bundle_and_a_directory_will_do_and_count_from_the_next_dial,
    a_revoked_authority_between_is_noticed, what_is_no_list_is_refused_when_a_store_is_opened)
