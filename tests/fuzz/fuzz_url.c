/* SPDX-License-Identifier: Apache-2.0 */
/* URLs: what is accepted is within its limits, what is refused has a sentence. */
#include <stdlib.h>
#include <string.h>

#include "kvr_fuzz.h"
#include "kvr_url.h"

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const char *const seeds[] = { "redis://user:p%40ss@host:6379/2?db=2&protocol=2",
		"unix://kv:pw@/run/redis.sock?db=3", "redis-cluster://[::1]:7000,10.0.0.2:7001,c",
		"fs:///var/cache/kv", "redis://" };
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

static void
accepted(const struct kvr_url *u)
{
	struct kvr_url_option o;
	char why[128] = "";
	size_t at = 0, before = 0;
	enum kvr_err err;
	KVR_CHECK(strlen(u->scheme) > 0 && u->n_hosts <= KVR_URL_HOSTS_MAX);
	for (uint32_t i = 0; i < u->n_hosts; i++)
		KVR_CHECK(strlen(u->host[i].name) > 0);
	KVR_CHECK(u->path[0] == '\0' || u->path[0] == '/');
	while ((err = kvr_url_option_next(u, &at, &o, why, sizeof(why))) == KVR_OK) {
		KVR_CHECK(at > before && at <= strlen(u->query));
		before = at;
	}
	KVR_CHECK(err == KVR_E_MISS || (err == KVR_E_CONFIG && why[0] != '\0'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static struct kvr_url u;
	char why[128] = "";
	char *text = malloc(len + 1);
	KVR_CHECK(text != NULL);
	memcpy(text, at, len);
	text[len] = '\0';
	if (kvr_url_parse(text, &u, why, sizeof(why)) == KVR_OK)
		accepted(&u);
	else
		KVR_CHECK(why[0] != '\0');
	free(text);
	return 0;
}
