/* SPDX-License-Identifier: Apache-2.0 */
/* In place of kvr_http_lib.c in a build without libcurl: there never is a kvr_http. */
#include "kvr_http.h"

#include <stdio.h>

#define NEVER KVR_WRONG("HTTP in a build that has none")

bool
kvr_http_is_built(void)
{
	return false;
}

enum kvr_err
kvr_http_check(const struct kvr_tls_opts *o, char *why, size_t why_cap)
{
	(void)o;
	snprintf(why, why_cap,
	    "this build cannot speak HTTP; install libcurl's development files "
	    "(libcurl4-openssl-dev) and build with -DKVR_CURL=ON");
	return KVR_E_CONFIG;
}

enum kvr_err
kvr_http_new(const struct kvr_http_opts *o, struct kvr_http **ret, char *why, size_t why_cap)
{
	(void)o;
	(void)ret;
	(void)why;
	(void)why_cap;
	NEVER;
}

void
kvr_http_free(struct kvr_http *take)
{
	KVR_CHECK(take == NULL);
}

int32_t
kvr_http_idle(struct kvr_http *h)
{
	(void)h;
	NEVER;
}

int32_t
kvr_http_start(struct kvr_http *h, const struct kvr_http_ask *ask)
{
	(void)h;
	(void)ask;
	NEVER;
}

enum kvr_err
kvr_http_wait(struct kvr_http *h, uint64_t until_ns, struct kvr_kick *kick)
{
	(void)h;
	(void)until_ns;
	(void)kick;
	NEVER;
}

int32_t
kvr_http_next(struct kvr_http *h)
{
	(void)h;
	NEVER;
}

void
kvr_http_answer(const struct kvr_http *h, int32_t i, struct kvr_http_answer *ret)
{
	(void)h;
	(void)i;
	(void)ret;
	NEVER;
}

void
kvr_http_end(struct kvr_http *h, int32_t i)
{
	(void)h;
	(void)i;
	NEVER;
}

bool
kvr_http_in_flight(const struct kvr_http *h, int32_t i)
{
	(void)h;
	(void)i;
	NEVER;
}
