/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of TLS share: one authority, and dials that must fail in a certain way. */
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

#endif
