/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of TLS share: authorities, dials that must fail, and values that come back. */
#ifndef KVR_TLS_BED_H
#define KVR_TLS_BED_H

#include "kvr_redis_bed.h"
#include "kvr_test_ca.h"

KVR_NEEDS_TLS

static struct kvr_test_ca *ca, *other_ca;

__attribute__((constructor)) static void
make_cas(void)
{
	ca = kvr_test_ca_make("kvr test CA");
	other_ca = kvr_test_ca_make("another CA");
	kvr_test_ca_sign(ca, "server", "IP:127.0.0.1,DNS:localhost", 2);
	kvr_test_ca_sign(ca, "client", "DNS:client", 2);
}

__attribute__((destructor)) static void
drop_cas(void)
{
	kvr_test_ca_drop(ca);
	kvr_test_ca_drop(other_ca);
}

static inline struct kvr_store_opts
tls_opts(const struct kvr_tls_server *server, uint32_t format)
{
	struct kvr_store_opts opts = bed_opts(server->url, format);
	opts.tls.ca = server->ca;
	return opts;
}

/* The dial must answer err, and in its sentence must stand say. */
static inline void
tls_refused(const struct kvr_store_opts *opts, enum kvr_err want, const char *say)
{
	struct bed b;
	enum kvr_err err = bed_try(&b, opts, bed_in(BED_LONG));
	ck_assert_msg(err == want, "%s instead of %s: %s", kvr_err_name(err), kvr_err_name(want),
	    b.why);
	ck_assert_msg(strstr(b.why, say) != NULL, "\"%s\" is not in: %s", say, b.why);
	bed_down(&b);
}

/* By whole words: there are hundreds of megabytes of them. */
static inline void
tls_fill(uint64_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline void
tls_round_trip(struct bed *b, uint32_t n, size_t len)
{
	struct load l = load_new(n, 0);
	size_t words = (n * len + 7) / 8;
	uint64_t *sent = malloc(words * 8), *back = malloc(words * 8);
	ck_assert(sent != NULL && back != NULL);
	tls_fill(sent, words);
	memset(back, 0, words * 8);
	for (uint32_t i = 0; i < n; i++) {
		l.items[i].span = (struct kvr_span){ (uint8_t *)sent + i * len, len };
		l.items[i].raw_len = len;
	}
	bed_ok(b, KVR_VERB_PUT, l.items, n);
	for (uint32_t i = 0; i < n; i++) {
		bed_status(&l.items[i], KVR_OK);
		l.items[i].span.at = (uint8_t *)back + i * len;
	}
	bed_ok(b, KVR_VERB_EXISTS, l.items, n);
	bed_ok(b, KVR_VERB_GET, l.items, n);
	for (uint32_t i = 0; i < n; i++) {
		bed_status(&l.items[i], KVR_OK);
		ck_assert_uint_eq(l.items[i].len, len);
	}
	ck_assert_msg(memcmp(sent, back, n * len) == 0, "%u values of %zu bytes: others", n, len);
	bed_ok(b, KVR_VERB_DEL, l.items, n);
	bed_ok(b, KVR_VERB_GET, l.items, n);
	bed_status(&l.items[n - 1], KVR_E_MISS);
	free(sent);
	free(back);
	load_free(&l);
}

#endif
