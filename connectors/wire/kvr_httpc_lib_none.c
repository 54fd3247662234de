/* SPDX-License-Identifier: Apache-2.0 */
/* Used instead of kvr_httpc_lib.c in a build without libcurl: no kvr_httpc can exist. */
#include "kvr_httpc.h"

#include <stdio.h>

#define NEVER KVR_WRONG("HTTP in a build that has none")

bool
kvr_httpc_is_built(void)
{
	return false;
}

enum kvr_err
kvr_httpc_check(const struct kvr_tls_opts *o, char *why, size_t why_cap)
{
	(void)o;
	snprintf(why, why_cap,
	    "this build cannot speak HTTP; install libcurl's development files "
	    "(libcurl4-openssl-dev) and build with -DKVR_CURL=ON");
	return KVR_E_CONFIG;
}

enum kvr_err
kvr_httpc_new(const struct kvr_httpc_opts *o, struct kvr_httpc **ret, char *why, size_t why_cap)
{
	(void)o;
	(void)ret;
	(void)why;
	(void)why_cap;
	NEVER;
}

void
kvr_httpc_free(struct kvr_httpc *take)
{
	KVR_CHECK(take == NULL);
}

int32_t
kvr_httpc_idle(struct kvr_httpc *h)
{
	(void)h;
	NEVER;
}

int32_t
kvr_httpc_start(struct kvr_httpc *h, const struct kvr_httpc_ask *ask)
{
	(void)h;
	(void)ask;
	NEVER;
}

enum kvr_err
kvr_httpc_wait(struct kvr_httpc *h, uint64_t until_ns, struct kvr_kick *kick)
{
	(void)h;
	(void)until_ns;
	(void)kick;
	NEVER;
}

int32_t
kvr_httpc_next(struct kvr_httpc *h)
{
	(void)h;
	NEVER;
}

void
kvr_httpc_answer(const struct kvr_httpc *h, int32_t i, struct kvr_httpc_answer *ret)
{
	(void)h;
	(void)i;
	(void)ret;
	NEVER;
}

void
kvr_httpc_end(struct kvr_httpc *h, int32_t i)
{
	(void)h;
	(void)i;
	NEVER;
}

bool
kvr_httpc_in_flight(const struct kvr_httpc *h, int32_t i)
{
	(void)h;
	(void)i;
	NEVER;
}
