/* SPDX-License-Identifier: Apache-2.0 */
/* kvrelay as an engine uses it, trace and metrics included. */
#include "kvr_measure.h"

#include "kvrelay.h"

#include <stdlib.h>

static void
kvrelay_close(void *self)
{
	if (kvr_close(self, 0, KVR_DRAIN, NULL) != KVR_OK)
		bench_give_up("kvrelay", "a thread is stuck");
	kvr_free(self);
}

static void
run(struct kvr *kvr, const struct bench_work *w, enum kvr_kind kind)
{
	struct kvr_batch batch = { .size = sizeof(batch),
		.kind = (uint32_t)kind,
		.n = w->n,
		.key = w->key,
		.at = kind == KVR_LOOKUP ? NULL : w->at,
		.len = kind == KVR_LOOKUP ? NULL : w->len };
	struct kvr_done done = { .size = sizeof(done) };
	enum kvr_err err = kvr_run(kvr, &batch, NULL, &done, NULL);

	if (err != KVR_OK)
		bench_give_up("kvrelay", done.why[0] != '\0' ? done.why : kvr_err_text(err));
}

static void
kvrelay_put(void *self, const struct bench_work *w)
{
	run(self, w, KVR_PUT);
}

static void
kvrelay_get(void *self, const struct bench_work *w)
{
	run(self, w, KVR_GET);
}

static void
kvrelay_look(void *self, const struct bench_work *w)
{
	run(self, w, KVR_LOOKUP);
}

struct bench_client
kvrelay_open(const char *name, const char *tier)
{
	char text[1024], why[512];
	struct kvr_options o = { .size = sizeof(o), .config_text = text };
	struct kvr *kvr = NULL;

	snprintf(text, sizeof(text),
	    "{ \"tiers\": [ { \"name\": \"bench\", %s } ], \"log\": { \"level\": \"warn\" }, "
	    "\"timeouts\": { \"blocking\": \"120s\", \"lookup\": \"120s\", \"put\": \"120s\" } }",
	    tier);
	if (kvr_open(&o, 0, &kvr, why, sizeof(why)) != KVR_OK)
		bench_give_up(name, why);
	return (struct bench_client){ .name = name,
		.self = kvr,
		.put = kvrelay_put,
		.get = kvrelay_get,
		.look = kvrelay_look,
		.close = kvrelay_close };
}

struct bench_client
kvrelay_open_redis(const char *name, const char *url, const char *format, int lanes)
{
	char tier[256];

	snprintf(tier, sizeof(tier),
	    "\"url\": \"%s\", \"format\": \"%s\", \"lanes\": { \"control\": 1, \"bulk\": %d }", url,
	    format, lanes);
	return kvrelay_open(name, tier);
}

struct bench_client
kvrelay_open_files(const char *name, const char *dir, bool direct, const char *format, int lanes)
{
	char tier[BENCH_PATH + 128];

	snprintf(tier, sizeof(tier),
	    "\"url\": \"fs://%s\", \"direct\": %s, \"format\": \"%s\", \"lanes\": { \"bulk\": %d }",
	    dir, direct ? "true" : "false", format, lanes);
	return kvrelay_open(name, tier);
}
