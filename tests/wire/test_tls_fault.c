/* SPDX-License-Identifier: Apache-2.0 */
/* The words for what goes wrong under TLS: all of them are short, and say what to do. */
#include "kvr_check.h"
#include "kvr_tls_fault.h"

static const struct {
	const char *name, *text;
	enum kvr_err err;
} table[] = {
#define X(name, err, text) { #name, text, KVR_E_##err },
	KVR_TLS_FAULT_TABLE(X)
#undef X
};

static const char *
say(enum kvr_tls_fault fault, const char *detail)
{
	static char text[256];
	kvr_tls_fault_text(fault, detail, text, sizeof(text));
	return text;
}

/* kvr_done.why holds a hundred bytes, and the URL stands before them. */
START_TEST(a_detail_stands_at_the_end_and_what_to_do_is_not_cut_off)
{
	static const char url[] = "rediss://127.0.0.1:65535: ";
	for (uint32_t i = 0; i < KVR_LEN(table); i++) {
		const char *gap = strstr(table[i].text, "%s"), *said = say((enum kvr_tls_fault)i, "%n%s");
		ck_assert_int_eq(kvr_tls_fault_err((enum kvr_tls_fault)i), table[i].err);
		ck_assert_msg(strncmp(said, "TLS: ", 5) == 0, "%s", said);
		ck_assert_msg(gap == NULL || gap[2] == '\0', "%s: a detail and no end", table[i].name);
		size_t len = strlen(said) - (gap != NULL ? 4 : 0);
		ck_assert_msg(gap == NULL || strcmp(said + len, "%n%s") == 0, "%s", said);
		ck_assert_msg(sizeof(url) - 1 + len < 100, "%s: too long: %s", table[i].name, said);
	}
}
END_TEST

START_TEST(revocation_has_words_of_its_own)
{
	static const struct {
		enum kvr_tls_fault fault;
		const char *text;
	} rows[] = {
		{ KVR_TLS_FAULT_REVOKED,
		    "TLS: the server's certificate is revoked, give it a new one: /CN=x" },
		{ KVR_TLS_FAULT_NO_CRL, "TLS: no CRL of this CA, add it to tls.crl: /CN=x" },
		{ KVR_TLS_FAULT_CRL_EXPIRED,
		    "TLS: the CA's CRL has expired, renew it in tls.crl: /CN=x" },
		{ KVR_TLS_FAULT_CRL, "TLS: a CRL of tls.crl was not accepted: /CN=x" },
	};
	for (size_t i = 0; i < KVR_LEN(rows); i++) {
		ck_assert_str_eq(say(rows[i].fault, "/CN=x"), rows[i].text);
		/* What holds for as long as nobody does anything is no outage. */
		ck_assert_int_eq(kvr_tls_fault_err(rows[i].fault), KVR_E_AUTH);
	}
}
END_TEST

KVR_CHECK_MAIN("wire.tls_fault", a_detail_stands_at_the_end_and_what_to_do_is_not_cut_off,
    revocation_has_words_of_its_own)
