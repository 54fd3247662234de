/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tls_cert.h"
#include "kvr_tell.h"
#include "kvr_tls_lib.h"

#include <stdio.h>

struct life {
	int64_t from_s, until_s;
};

/* An unreadable file was reported earlier. */
static bool
life_of(const struct kvr_tls_opts *o, struct life *ret)
{
	return o->cert != NULL && kvr_tls_cert_times(o->cert, &ret->from_s, &ret->until_s);
}

void
kvr_tls_cert_remark(const struct kvr_tls_opts *o, char *ret, size_t cap)
{
	struct life l;

	ret[0] = '\0';
	if (!life_of(o, &l))
		return;
	if (l.until_s < 0)
		snprintf(ret, cap,
		    "tls.cert has expired: put a new one in its place, a server that asks for it "
		    "refuses it: %s",
		    o->cert);
	else if (l.from_s > 0)
		snprintf(ret, cap,
		    "tls.cert is not valid yet, for %lld hours: is the clock of this machine "
		    "right? %s",
		    (long long)(l.from_s + 3599) / 3600, o->cert);
}

void
kvr_tls_cert_examine(const struct kvr_tls_opts *o, const struct kvr_examination *e)
{
	struct life l;

	if (!life_of(o, &l) || l.until_s < 0 || l.from_s > 0)
		return;
	int64_t days = l.until_s / KVR_TLS_DAY_S;
	bool soon = days < KVR_TLS_SOON_DAYS;

	kvr_tell(e, soon ? KVR_FOUND_WARN : KVR_FOUND_OK, "tls.cert",
	    soon ? "put a new one in its place before that" : NULL, "ours ends in %lld days: %s",
	    (long long)days, o->cert);
}
