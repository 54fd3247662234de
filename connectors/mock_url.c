/* SPDX-License-Identifier: Apache-2.0 */
/* mock://CAPACITY/?peeking_latency=MS&read_throughput=GIB&write_throughput=GIB, as in LMCache. */
#include "kvr_mock.h"
#include "kvr_url.h"

#include <stdio.h>
#include <string.h>

enum { THOUSANDTHS = 1000, WHOLE_MAX = 1000000 };

/* "2", "0.5", in thousandths. Does not depend on the locale. */
static bool
parse_decimal(const char *text, uint64_t *ret)
{
	uint64_t whole = 0, part = 0, unit = THOUSANDTHS;
	const char *at = text;

	for (; *at >= '0' && *at <= '9' && whole <= WHOLE_MAX; at++)
		whole = whole * 10 + (uint64_t)(*at - '0');
	bool some = at != text;

	if (*at == '.') {
		for (at++; *at >= '0' && *at <= '9'; at++) {
			unit /= 10;
			part += (uint64_t)(*at - '0') * unit;
			some = true;
		}
	}
	*ret = whole * THOUSANDTHS + part;
	return some && *at == '\0' && whole <= WHOLE_MAX;
}

static enum kvr_err
wrong(char *why, size_t why_cap, const char *what, const char *value, const char *must)
{
	snprintf(
	    why, why_cap, "%s of a mock:// URL is \"%.40s\"; it must be %s", what, value, must);
	return KVR_E_CONFIG;
}

static enum kvr_err
read_option(const struct kvr_url_option *o, struct kvr_mock_pace *ret, char *why, size_t why_cap)
{
	bool peek = strcmp(o->name, "peeking_latency") == 0;
	bool in = strcmp(o->name, "read_throughput") == 0;
	uint64_t n;

	if (!peek && !in && strcmp(o->name, "write_throughput") != 0) {
		snprintf(why, why_cap,
		    "a mock:// URL has no option \"%.40s\"; it has peeking_latency, "
		    "read_throughput and "
		    "write_throughput",
		    o->name);
		return KVR_E_CONFIG;
	}
	if (!parse_decimal(o->value, &n) || (n == 0 && !peek))
		return wrong(why, why_cap, o->name, o->value,
		    peek ? "a number of milliseconds" : "a number of GiB/s above 0.001");
	if (peek)
		ret->peek_ns = n * KVR_MS(1) / THOUSANDTHS;
	else if (in)
		ret->read_per_s = n * (KVR_MIB(1024) / THOUSANDTHS);
	else
		ret->write_per_s = n * (KVR_MIB(1024) / THOUSANDTHS);
	return KVR_OK;
}

enum kvr_err
kvr_mock_pace_of(const char *text, struct kvr_mock_pace *ret, char *why, size_t why_cap)
{
	struct kvr_url url;
	struct kvr_url_option option;
	size_t at = 0;
	uint64_t gib;
	enum kvr_err err = kvr_url_parse(text, &url, why, why_cap);

	if (err != KVR_OK)
		return err;
	if (url.n_hosts != 1 || url.host[0].port != 0 ||
	    strspn(url.host[0].name, "0123456789") != strlen(url.host[0].name) ||
	    !parse_decimal(url.host[0].name, &gib) || gib == 0)
		return wrong(why, why_cap, "the capacity", url.n_hosts == 0 ? "" : url.host[0].name,
		    "a whole number of GiB: mock://10");
	if (url.path[0] != '\0' && strcmp(url.path, "/") != 0)
		return wrong(why, why_cap, "the path", url.path, "\"/\" or nothing");
	*ret = (struct kvr_mock_pace){ .capacity = gib / THOUSANDTHS * KVR_MIB(1024),
		.peek_ns = KVR_MS(1),
		.read_per_s = 2 * KVR_MIB(1024),
		.write_per_s = 2 * KVR_MIB(1024) };
	while ((err = kvr_url_option_next(&url, &at, &option, why, why_cap)) == KVR_OK) {
		err = read_option(&option, ret, why, why_cap);
		if (err != KVR_OK)
			return err;
	}
	return err == KVR_E_MISS ? KVR_OK : err;
}
