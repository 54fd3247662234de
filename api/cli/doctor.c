/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: checks a deployment, from its configuration to a round trip of a value. Each line is ok,
 * warn or fail, with advice. Only the canary writes, and it removes what it wrote.
 */
#include "kvr_doctor.h"

#include "kvr_canary.h"
#include "kvr_connector.h"
#include "kvr_flatten.h"
#include "kvr_instance.h"
#include "kvr_system.h"

#include <stdarg.h>
#include <string.h>

static const char *const level_name[] = { "ok", "warn", "fail" };
static struct doctor *notes_for;

void
doctor_say(struct doctor *d, enum kvr_finding_level level, const char *topic, const char *advice,
    const char *fmt, ...)
{
	char text[640];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	kvr_flatten(text, strlen(text)); /* much of it is a server's */
	d->warned += level == KVR_FOUND_WARN;
	d->failed += level == KVR_FOUND_FAIL;
	if (d->cli.json) {
		printf("%s\n  {\"level\": \"%s\", \"where\": ", d->n == 0 ? "" : ",", level_name[level]);
		cli_json_text(stdout, d->where);
		printf(", \"topic\": ");
		cli_json_text(stdout, topic);
		printf(", \"text\": ");
		cli_json_text(stdout, text);
		printf(", \"advice\": ");
		cli_json_text(stdout, advice == NULL ? "" : advice);
		printf("}");
	} else {
		printf("%-4s  %-10s %-12s %s\n", level_name[level], d->where, topic, text);
		if (advice != NULL)
			printf("%*s-> %s\n", 30, "", advice);
	}
	d->n++;
}

static void
on_finding(void *doctor, const struct kvr_finding *f)
{
	doctor_say(doctor, f->level, f->topic, f->advice, "%s", f->text);
}

/* ---- configuration ---- */

static void
on_note(void *arg, const struct kvr_config_note *note)
{
	char text[512];

	(void)arg;
	kvr_config_note_print(note, false, text, sizeof(text));
	doctor_say(notes_for, note->warning ? KVR_FOUND_WARN : KVR_FOUND_FAIL, "config",
	    "kvrelay config check shows the place", "%s", text);
}

static struct kvr_config *
configuration(struct doctor *d)
{
	struct kvr_config *config = NULL;

	d->where = "config";
	notes_for = d;
	if (cli_deployment_noted(&d->cli, on_note, &config) != CLI_OK)
		return NULL;
	doctor_say(d, KVR_FOUND_OK, "config", NULL, "%u tiers", config->n_tiers);
	d->config = config;
	if (config->engine.layout.n_groups > 0 &&
	    kvr_meta_bytes(&config->engine.layout, &d->slot_bytes) != KVR_OK)
		d->slot_bytes = 0;
	return config;
}

/* ---- stores ---- */

static uint64_t
limit(const struct doctor *d)
{
	return d->cli.timeout_ns != 0 ? d->cli.timeout_ns : KVR_SEC(10);
}

static uint64_t
until(const struct doctor *d)
{
	return kvr_now_ns() + limit(d);
}

/* An error from the server itself names what must change: do not advise to look for the server. */
static const char *
advice_for(enum kvr_err err)
{
	static const struct {
		enum kvr_err err;
		const char *advice;
	} of[] = {
		{ KVR_E_AUTH, "certificates, user, password and the rights of this user on the server" },
		{ KVR_E_REFUSED,
		    "the server is there: when what it says has ended, service comes back by itself" },
		{ KVR_E_CONFIG, "the tier's URL and its settings do not fit this server" },
		{ KVR_E_PROTO, "is this its port, and not that of another service or of TLS?" },
	};

	for (size_t i = 0; i < KVR_LEN(of); i++)
		if (of[i].err == err)
			return of[i].advice;
	return "is it running, is the address right, does a firewall let us through?";
}

/*
 * Tries what an engine needs and the canary does not do, on a key that does not exist: this user's
 * rights may cover only a part.
 */
static void
ask_for_one(struct doctor *d, const struct kvr_connector_ops *ops, struct kvr_connector *conn)
{
	static const struct {
		enum kvr_verb verb;
		const char *topic, *advice;
	} asked[] = {
		{ KVR_VERB_EXISTS, "lookup", "lookups of the engine would fail the same way" },
		{ KVR_VERB_STAT, "size",
		    "gets of large values, sizes and kvrelay get would fail the same way" },
	};
	static const char key[] = "kvrelay-doctor@1@0@0@bfloat16";
	enum kvr_err err = KVR_OK;

	for (size_t i = 0; i < KVR_LEN(asked) && err == KVR_OK; i++) {
		struct kvr_meta meta = { 0 };
		struct kvr_item item = { .key = key, .key_len = sizeof(key) - 1, .meta = &meta };

		atomic_init(&item.status, KVR_PENDING);
		err = ops->run(conn, asked[i].verb, &item, 1, until(d));
		int32_t status = err != KVR_OK ? (int32_t)err : kvr_item_status(&item);

		if (status != KVR_OK && status != KVR_E_MISS && status != KVR_E_UNSUPPORTED)
			doctor_say(d, KVR_FOUND_FAIL, asked[i].topic, asked[i].advice, "%s: %s",
			    kvr_err_name(status), ops->why(conn));
	}
}

static void
connect_to(struct doctor *d, uint32_t t, const struct kvr_connector_ops *ops,
    struct kvr_store *store)
{
	const struct kvr_config_tier *c = &d->config->tier[t];
	const struct kvr_examination e = { .until_ns = until(d),
		.slot_bytes = d->slot_bytes,
		.writes = c->write != KVR_CONFIG_WRITE_NEVER,
		.expires = c->ttl_ns != 0,
		.found = on_finding,
		.arg = d };
	struct kvr_connector *conn = NULL;
	char why[256] = "", url[256], late[48] = "";
	uint64_t since_ns = kvr_now_ns();
	enum kvr_err err = ops->dial(store, until(d), NULL, &conn, why, sizeof(why));

	kvr_config_redact(c->url, url, sizeof(url));
	if (err != KVR_OK) {
		d->down[t] = true;
		if (err == KVR_E_TIMEOUT)
			snprintf(late, sizeof(late), " (--timeout, %llu ms)",
			    (unsigned long long)(limit(d) / KVR_MS(1)));
		doctor_say(d, KVR_FOUND_FAIL, "connect", advice_for(err), "%s: %s%s",
		    kvr_err_name(err), why, late);
		return;
	}
	doctor_say(d, KVR_FOUND_OK, "connect", NULL, "%s in %.1f ms", url,
	    (double)(kvr_now_ns() - since_ns) / 1e6);
	since_ns = kvr_now_ns();
	err = ops->run(conn, KVR_VERB_PING, NULL, 0, until(d));
	if (err == KVR_OK)
		doctor_say(d, KVR_FOUND_OK, "ping", NULL, "%.2f ms",
		    (double)(kvr_now_ns() - since_ns) / 1e6);
	else if (err != KVR_E_UNSUPPORTED)
		doctor_say(d, KVR_FOUND_FAIL, "ping", NULL, "%s: %s", kvr_err_name(err), ops->why(conn));
	if (ops->examine != NULL && (err == KVR_OK || err == KVR_E_UNSUPPORTED))
		ops->examine(store, conn, &e);
	if (err == KVR_OK || err == KVR_E_UNSUPPORTED)
		ask_for_one(d, ops, conn);
	ops->hang_up(conn);
}

static void
tier(struct doctor *d, uint32_t t)
{
	const struct kvr_config_tier *c = &d->config->tier[t];
	const struct kvr_connector_ops *ops = kvr_connector_find(c->url);
	struct kvr_store *store = NULL;
	struct kvr_store_opts opts;
	char why[256] = "";

	d->where = c->name;
	if (ops == NULL) {
		doctor_say(d, KVR_FOUND_FAIL, "store", NULL, "no store serves its URL");
		return;
	}
	kvr_store_opts_of(d->config, t, &opts);
	opts.slot_bytes = d->slot_bytes;
	if (d->config->engine.layout.n_groups > 0)
		opts.n_groups = d->config->engine.layout.n_groups;
	if (ops->open(&opts, &store, why, sizeof(why)) != KVR_OK) {
		d->down[t] = true;
		doctor_say(d, KVR_FOUND_FAIL, "store", NULL, "%s", why);
		return;
	}
	if (why[0] != '\0')
		doctor_say(d, KVR_FOUND_WARN, "store", NULL, "%s", why);
	if (c->format != KVR_CONFIG_FORMAT_SEALED && strncmp(c->url, "memory:", 7) != 0)
		doctor_say(d, KVR_FOUND_WARN, "format",
		    "sealed verifies each value; lmcache and bare are for sharing a store with LMCache",
		    "%s has no checksum: what is read is not verified", kvr_config_format_name(c->format));
	connect_to(d, t, ops, store);
	ops->close(store);
}

/* ---- the canary ---- */

static void
silent(void *arg, int level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* Opens it as an engine does, without what another process may have: the listener, the canary. */
static struct kvr *
open_instance(struct doctor *d)
{
	const char *set[KVR_LEN(d->cli.set) + 2];
	struct kvr *kvr = NULL;
	char why[512] = "";
	struct kvr_options o = { .size = sizeof(o), .set = set, .config_file = d->cli.config,
		.url = d->cli.url, .log = silent };

	for (; o.n_set < d->cli.n_set; o.n_set++)
		set[o.n_set] = d->cli.set[o.n_set];
	set[o.n_set++] = "metrics.listen=off";
	set[o.n_set++] = "metrics.canary=off";
	enum kvr_err err = kvr_open(&o, 0, &kvr, why, sizeof(why));

	if (err == KVR_OK)
		return kvr;
	doctor_say(d, KVR_FOUND_FAIL, "open", NULL, "%s: %s", kvr_err_name(err), why);
	return NULL;
}

static void
canaries(struct doctor *d)
{
	d->where = "instance";
	struct kvr *kvr = open_instance(d);

	for (uint32_t t = 0; kvr != NULL && t < d->config->n_tiers; t++) {
		struct kvr_canary_end end;

		d->where = d->config->tier[t].name;
		if (d->config->tier[t].write == KVR_CONFIG_WRITE_NEVER || d->down[t])
			continue;
		kvr_canary_run(kvr, t, until(d), &end);
		if (end.err == KVR_OK)
			doctor_say(d, KVR_FOUND_OK, "canary", NULL, "written, read, compared, %s",
			    end.step == KVR_CANARY_REMOVE ? "deleted"
			                                  : "left: the store cannot delete");
		else
			doctor_say(d, KVR_FOUND_FAIL, "canary",
			    "puts and gets of the engine would fail the same way", "%s: %s: %s",
			    kvr_canary_step_name(end.step), kvr_err_name(end.err),
			    end.why[0] != '\0' ? end.why : kvr_err_text(end.err));
	}
	if (kvr == NULL)
		return;
	(void)kvr_close(kvr, kvr_now_ns() + KVR_SEC(5), KVR_ABORT, NULL);
	kvr_free(kvr);
}

int
cli_doctor(int argc, char **argv)
{
	struct doctor d = { .where = "" };
	const struct cli_option own[] = {
		{ "--no-canary", NULL, "write nothing at all", CLI_FLAG, &d.no_canary },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	int n = cli_read(&d.cli, own, argc, argv);

	if (n < 0)
		return CLI_ERROR;
	if (n != 0)
		return cli_fail(&d.cli, "it takes no arguments");
	if ((d.cli.config == NULL) == (d.cli.url == NULL))
		return cli_fail(&d.cli, "say which deployment: --config FILE or --url URL");
	printf(d.cli.json ? "{\"findings\": [" : "");
	struct kvr_config *config = configuration(&d);

	if (config != NULL) {
		doctor_machine(&d);
		for (uint32_t t = 0; t < config->n_tiers; t++)
			tier(&d, t);
		if (!d.no_canary)
			canaries(&d);
		kvr_config_free(config);
	}
	if (d.cli.json)
		printf("\n], \"ok\": %u, \"warned\": %u, \"failed\": %u}\n", d.n - d.warned - d.failed,
		    d.warned, d.failed);
	else
		printf("%u ok, %u to look at, %u wrong\n", d.n - d.warned - d.failed, d.warned, d.failed);
	return d.failed > 0 || config == NULL ? CLI_ERROR : d.warned > 0 ? CLI_MISS : CLI_OK;
}
