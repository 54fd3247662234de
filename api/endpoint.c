/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance serves over HTTP. /healthz is about the process: it answers. /readyz is about
 * the instance: 200 while it accepts operations, even with a sick tier, because an engine must not
 * leave service because its cache is sick. /statusz is a page for people, with the verdict.
 */
#include "kvr_endpoint.h"

#include "kvr_http.h"
#include "kvr_instance.h"
#include "kvr_metrics.h"
#include "kvr_system.h"
#include "kvr_user_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_CAP 16384

struct page {
	char *at;
	size_t len;
};

static void KVR_PRINTF(2, 3)
put(struct page *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(p->at + p->len, TEXT_CAP - p->len, fmt, args);

	va_end(args);
	p->len = KVR_MIN(p->len + (size_t)n, (size_t)TEXT_CAP - 1);
}

static bool
takes_operations(struct kvr *k)
{
	return atomic_load(&k->life) == KVR_LIFE_OPEN && atomic_load(&k->dead) == 0;
}

static void
put_tier(struct page *p, const struct kvr_stats *s, uint32_t t, uint64_t now_ns)
{
	static const char *const state[KVR_TIER_STATES] = { "opening", "up", "cooling", "probing",
		"closed" };
	const struct kvr_metrics_tier *m = &s->metrics.tier[t];
	const struct kvr_stats_tier *v = &s->tier[t];
	const struct kvr_metrics_verb *get = &m->verb[KVR_VERB_GET], *set = &m->verb[KVR_VERB_PUT];
	char hang[96] = "";

	put(p, "\ntier %s  %s\n", s->head.tier[t].name, s->head.tier[t].url);
	put(p, "  state    %s, %u of %u connections%s%s\n",
	    state[KVR_MIN(m->state, (uint32_t)KVR_TIER_CLOSED)], m->links_up, v->n_lanes,
	    kvr_stats_hang_text(v, t, now_ns, hang, sizeof(hang)) ? "; " : "", hang);
	put(p, "  queue    %u parts, oldest %.3f s; %u in lanes\n", v->n_queued,
	    v->oldest_ns == 0 || v->oldest_ns > now_ns ? 0
	                                               : (double)(now_ns - v->oldest_ns) / 1e9,
	    v->n_in_lanes);
	put(p, "  get      %llu keys: %llu ok, %llu missing, %llu bytes\n",
	    (unsigned long long)get->keys, (unsigned long long)get->ok,
	    (unsigned long long)get->miss, (unsigned long long)get->bytes);
	put(p, "  put      %llu keys: %llu ok, %llu bytes\n", (unsigned long long)set->keys,
	    (unsigned long long)set->ok, (unsigned long long)set->bytes);
	if (s->words[t][KVR_WORDS_LAST].text[0] != '\0')
		put(p, "  last error  %s\n", s->words[t][KVR_WORDS_LAST].text);
}

static void
statusz(struct kvr *k, struct page *p)
{
	struct kvr_health h = { .size = sizeof(h) };
	struct kvr_stats *s = calloc(1, sizeof(*s));
	uint64_t now_ns = kvr_now_ns();

	if (s == NULL)
		return;
	kvr_system_stats(k->system, s);
	(void)kvr_health(k, &h);
	put(p, "%s%s%s\n\n", h.ok ? "healthy" : "not healthy", h.ok ? "" : ": ", h.why);
	put(p, "kvrelay %s, instance %s, process %u, up %.0f s\n", s->head.version_text,
	    s->head.instance, s->head.pid, (double)(now_ns - s->head.opened_mono_ns) / 1e9);
	put(p, "operations in flight %llu, tiers up %u of %u\n", (unsigned long long)h.in_flight,
	    h.n_up, h.n_tiers);
	put(p, "trace %s\n", s->head.trace[0] != '\0' ? s->head.trace : "in memory");
	for (uint32_t t = 0; t < s->metrics.n_tiers; t++)
		put_tier(p, s, t, now_ns);
	free(s);
}

static void
plain(struct kvr *k, const char *path, struct page *p, int32_t *ret_status)
{
	if (strcmp(path, "/healthz") == 0) {
		put(p, "ok\n");
	} else if (strcmp(path, "/readyz") == 0) {
		*ret_status = takes_operations(k) ? 200 : 503;
		put(p, *ret_status == 200 ? "ok\n" : "no operations are taken\n");
	} else if (strcmp(path, "/statusz") == 0) {
		statusz(k, p);
	} else {
		*ret_status = strcmp(path, "/") == 0 ? 200 : 404;
		put(p, "%s/metrics\n/healthz\n/readyz\n/statusz\n",
		    *ret_status == 200 ? "" : "There is no such page, but:\n");
	}
}

static void
answer(void *arg, const struct kvr_http_request *r, struct kvr_http_answer *ret)
{
	struct kvr *k = arg;

	if (strcmp(r->path, "/metrics") == 0) {
		bool open = strstr(r->accept, "application/openmetrics-text") != NULL;

		ret->type = open
		    ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		    : "text/plain; version=0.0.4; charset=utf-8";
		ret->body = kvr_metrics_take(
		    k, open ? KVR_STATS_OPENMETRICS : KVR_STATS_PROMETHEUS, &ret->len);
		return;
	}
	struct page p = { .at = malloc(TEXT_CAP) };

	if (p.at == NULL)
		return;
	p.at[0] = '\0';
	plain(k, r->path, &p, &ret->status);
	ret->body = p.at;
	ret->len = p.len;
}

static void
say(void *arg, bool bad, const char *line)
{
	kvr_say(arg, bad ? KVR_LOG_WARN : KVR_LOG_INFO, "%s", line);
}

enum kvr_err
kvr_endpoint_open(struct kvr *k, char *ret_why, size_t cap)
{
	const struct kvr_http_options o = { .listen = k->config->metrics.listen,
		.answer = answer,
		.say = say,
		.arg = k };
	char cause[200] = "";

	if (o.listen == NULL)
		return KVR_OK;
	enum kvr_err err = kvr_http_open(&o, &k->http, cause, sizeof(cause));

	if (err == KVR_E_CONFIG)
		snprintf(ret_why, cap, "metrics.listen: %s", cause);
	return err;
}

bool
kvr_endpoint_close(struct kvr *k, uint64_t until_ns)
{
	if (!kvr_http_close(k->http, until_ns))
		return false;
	k->http = NULL;
	return true;
}
