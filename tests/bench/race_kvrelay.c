/* SPDX-License-Identifier: Apache-2.0 */
/* kvrelay as an engine uses it, trace and metrics included. */
#include "kvr_race.h"

#include "kvrelay.h"

#include <stdio.h>

static void *
kvr_racer_open(const struct racer *r, const struct kvr_redis_server *server)
{
	char text[512], why[512];
	struct kvr_options o = { .size = sizeof(o), .config_text = text };
	struct kvr *kvr = NULL;

	snprintf(text, sizeof(text),
	    "{ \"tiers\": [ { \"name\": \"redis\", \"url\": \"%s\", %s } ], "
	    "\"log\": { \"level\": \"warn\" }, \"trace\": { \"size\": \"16MiB\" } }",
	    server->url, r->setting);
	if (kvr_open(&o, 0, &kvr, why, sizeof(why)) != KVR_OK)
		race_give_up(r->name, why);
	return kvr;
}

static void
kvr_racer_close(void *self)
{
	if (kvr_close(self, 0, KVR_DRAIN, NULL) != KVR_OK)
		race_give_up("kvrelay", "a thread is stuck");
	kvr_free(self);
}

static void
run(struct kvr *kvr, const struct race_work *w, enum kvr_kind kind)
{
	struct kvr_batch batch = { .size = sizeof(batch),
		.kind = (uint32_t)kind,
		.n = w->n,
		.key = w->key,
		.at = w->at,
		.len = w->len };
	struct kvr_done done = { .size = sizeof(done) };
	enum kvr_err err = kvr_run(kvr, &batch, NULL, &done, NULL);

	if (err != KVR_OK)
		race_give_up("kvrelay", done.why[0] != '\0' ? done.why : kvr_err_text(err));
}

static void
kvr_racer_put(void *self, const struct race_work *w)
{
	run(self, w, KVR_PUT);
}

static void
kvr_racer_get(void *self, const struct race_work *w)
{
	run(self, w, KVR_GET);
}

static bool
kvr_racer_look(void *self, const char *key)
{
	struct kvr_batch batch = { .size = sizeof(batch), .kind = KVR_LOOKUP, .n = 1, .key = &key };

	return kvr_run(self, &batch, NULL, NULL, NULL) == KVR_OK;
}

#define RACER(variable, title, text, looks, config)                                                \
	const struct racer variable = { .name = title,                                             \
		.what = text,                                                                      \
		.for_look = looks,                                                                 \
		.open = kvr_racer_open,                                                            \
		.close = kvr_racer_close,                                                          \
		.put = kvr_racer_put,                                                              \
		.get = kvr_racer_get,                                                              \
		.look = kvr_racer_look,                                                            \
		.setting = config }

RACER(race_kvrelay_1, "kvrelay", "one bulk lane, values as they are", true,
    "\"format\": \"bare\", \"lanes\": { \"control\": 1, \"bulk\": 1 }");
RACER(race_kvrelay_2, "kvrelay x2", "two bulk lanes, values as they are", false,
    "\"format\": \"bare\", \"lanes\": { \"control\": 1, \"bulk\": 2 }");
RACER(race_kvrelay_sealed, "sealed x2", "two bulk lanes, every byte under a checksum", false,
    "\"format\": \"sealed\", \"lanes\": { \"control\": 1, \"bulk\": 2 }");
