/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One instance over one server that somebody does something to: until callers are told so in the
 * server's own words, and until all is whole again without them.
 */
#ifndef KVR_SERVER_DRILL_H
#define KVR_SERVER_DRILL_H

#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"
#include "kvr_system_bed.h"

enum { KEYS = 24, EACH = 3000, BUDGET_MS = 2000, LIMIT_MS = 60000 };

static const char *const tier = "{'memory':{'staging':'16MiB','objects':'4MiB'},'timeouts':"
                                "{'connect':'500ms'},'trace':{'dir':'none'},'tiers':["
                                "{'name':'far','url':'%s','format':'%s','breaker':{'faults':3,"
                                "'backoff_min':'10ms','backoff_max':'100ms'}}]}";

struct drill {
	struct kvr_redis_server *server;
	struct kvr_raw *raw; /* who does it to the server */
	struct kvr *kvr;
	struct bed_batch *b;
};

static inline struct drill
drill_open(const char *const *args, const char *url_format)
{
	struct drill d = { .server = kvr_redis_server_start(NULL, args) };
	char url[128];

	snprintf(url, sizeof(url), url_format, d.server->port);
	d.raw = kvr_raw_open(d.server->port, NULL);
	d.b = bed_batch_new("drill", KEYS, EACH);
	d.kvr = bed_open(tier, url, "sealed");
	return d;
}

static inline void
drill_close(struct drill *d)
{
	bed_close(d->kvr);
	bed_batch_free(d->b);
	kvr_raw_close(d->raw);
	kvr_redis_server_stop(d->server);
}

static inline void
raw_ok(struct drill *d, const char *line)
{
	struct kvr_raw_reply r = kvr_raw(d->raw, line);

	MUST(r.kind == '+' || r.kind == ':', "%s: %s", line, (const char *)r.bytes);
}

/*
 * Until the store's own word is in the answer. bed_run compares what is OK; what is not has to be
 * one of the errors that a store which does not serve may give.
 */
static inline void
is_told(struct drill *d, uint32_t kind, int32_t err, const char *word)
{
	for (uint64_t until_ns = bed_in_ms(LIMIT_MS);;) {
		(void)!bed_run(d->kvr, d->b, kind, 0, bed_in_ms(BUDGET_MS));
		bool told = strstr(d->b->done.why, word) != NULL;

		for (uint32_t i = 0; i < d->b->n; i++) {
			int32_t e = d->b->err[i];

			MUST(e == err || e == KVR_OK || e == KVR_E_DOWN || e == KVR_E_TIMEOUT ||
			         e == KVR_E_REFUSED,
			    "%s: %s", kvr_err_name(e), d->b->done.why);
			told = told && (e == err || e == KVR_E_DOWN);
		}
		if (told)
			return;
		MUST(bed_now_ns() < until_ns, "nobody says %s: %s", word, d->b->done.why);
	}
}

/* Every key whole, without anything that the caller does for it; gives the time that it took. */
static inline void
heals(struct drill *d, uint32_t kind, const char *what)
{
	uint64_t from_ns = bed_now_ns(), until_ns = bed_in_ms(LIMIT_MS);

	while (bed_run(d->kvr, d->b, kind, 0, bed_in_ms(BUDGET_MS)) != KVR_OK)
		MUST(bed_now_ns() < until_ns, "%s: it stays %s: %s", what,
		    kvr_err_name(d->b->done.err), d->b->done.why);
	printf("%s: whole again after %.1f ms\n", what, (double)(bed_now_ns() - from_ns) / 1e6);
}

#endif
