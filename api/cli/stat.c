/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat: what each tier holds under a key. Asks the tiers one by one, not through the router: it
 * shows what each store has, and why an engine would not get it.
 */
#include "kvr_cli.h"

#include "kvr_connector.h"
#include "kvr_fingerprint.h"
#include "kvr_near.h"
#include "kvr_system.h"
#include "kvr_workers.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP_TEXT = 64, WHY = 256 };

struct seen {
	const struct kvr_config_tier *config;
	const struct kvr_connector_ops *ops;
	uint32_t format;
	int32_t err, read_err; /* read_err: of --verify; PENDING: not run */
	bool alien;            /* it was sealed for another model, revision, dtype or layout */
	uint64_t stored, given;
	uint32_t serde;
	struct kvr_meta meta;
	uint64_t ping_ns;
	char why[WHY];
};

struct stat_cmd {
	struct cli cli;
	const char *key;
	bool verify;
	uint64_t fingerprint;
	struct kvr_meta layout; /* of the engine's chunks, if the configuration has it */
	uint32_t n_groups;
	uint64_t slot_bytes;
};

static uint64_t
until(const struct stat_cmd *c)
{
	return kvr_now_ns() + (c->cli.timeout_ns != 0 ? c->cli.timeout_ns : KVR_SEC(10));
}

static enum kvr_err
run_one(struct kvr_connector *conn, struct seen *s, const struct stat_cmd *c, enum kvr_verb verb,
    struct kvr_item *item)
{
	item->key = c->key;
	item->key_len = (uint32_t)strlen(c->key);
	item->meta = &s->meta;
	atomic_init(&item->status, KVR_PENDING);
	enum kvr_err err = s->ops->run(conn, verb, item, 1, until(c));

	if (err != KVR_OK ||
	    (kvr_item_status(item) != KVR_OK && kvr_item_status(item) != KVR_E_MISS))
		snprintf(s->why, sizeof(s->why), "%s", s->ops->why(conn));
	return err != KVR_OK ? err : (enum kvr_err)kvr_item_status(item);
}

/* Reads the whole value, which checks its checksums, key text, layout and fingerprint. */
static void
verify(struct kvr_connector *conn, struct seen *s, const struct stat_cmd *c)
{
	struct kvr_item item = { .span = { malloc(s->stored + 1), s->stored } };

	if (item.span.at == NULL) {
		s->read_err = KVR_E_NOMEM;
		return;
	}
	s->meta = c->layout;
	s->read_err = run_one(conn, s, c, KVR_VERB_GET, &item);
	free(item.span.at);
}

/* With too little room for it a value is judged by its header. */
static void
compare(struct kvr_connector *conn, struct seen *s, const struct stat_cmd *c)
{
	char byte;
	struct kvr_item item = { .span = { &byte, 0 } };
	struct seen other = *s;

	other.meta = c->layout;
	s->alien = run_one(conn, &other, c, KVR_VERB_GET, &item) == KVR_E_IDENTITY;
	if (s->alien)
		snprintf(s->why, sizeof(s->why), "%s", other.why);
}

static void
ask(struct kvr_connector *conn, struct seen *s, const struct stat_cmd *c)
{
	struct kvr_item item = { 0 };
	uint64_t from_ns = kvr_now_ns();
	enum kvr_err err = s->ops->run(conn, KVR_VERB_PING, NULL, 0, until(c));

	s->ping_ns = kvr_now_ns() - from_ns;
	if (err != KVR_OK && err != KVR_E_UNSUPPORTED) {
		s->err = err;
		snprintf(s->why, sizeof(s->why), "%s", s->ops->why(conn));
		return;
	}
	s->err = run_one(conn, s, c, KVR_VERB_STAT, &item);
	s->stored = item.len;
	s->given = item.raw_len;
	s->serde = item.serde;
	if (s->err == KVR_OK && c->verify) {
		struct kvr_meta meta = s->meta;

		verify(conn, s, c);
		s->meta = meta;
	} else if (s->err == KVR_OK && s->format == KVR_FORMAT_SEALED) {
		compare(conn, s, c);
	} else if (s->err == KVR_E_MISS) {
		near_key(s->ops, conn, c->key, until(c), s->why, sizeof(s->why));
	}
}

static void
look(const struct stat_cmd *c, struct kvr_store_opts *opts, struct seen *s)
{
	struct kvr_connector *conn = NULL;
	struct kvr_store *store = NULL;

	opts->n_groups = c->n_groups;
	opts->fingerprint = c->fingerprint;
	opts->slot_bytes = c->slot_bytes;
	s->err = s->ops->open(opts, &store, s->why, sizeof(s->why));
	if (s->err != KVR_OK)
		return;
	s->err = s->ops->dial(store, until(c), NULL, &conn, s->why, sizeof(s->why));
	if (s->err == KVR_OK) {
		ask(conn, s, c);
		s->ops->hang_up(conn);
	}
	s->ops->close(store);
	if (s->err == KVR_E_MISS && s->why[0] == '\0')
		near_format(s->ops, opts, c->key, until(c), s->why, sizeof(s->why));
}

/* ---- output ---- */

static const char *
group_text(const struct kvr_shape *g, char *ret, size_t cap)
{
	const char *dtype = kvr_dtype_name(g->dtype);
	size_t n = (size_t)snprintf(ret, cap, "%s [", dtype == NULL ? "?" : dtype);

	for (uint32_t d = 0; d < g->n_dims && d < KVR_DIMS && n < cap; d++)
		n += (size_t)snprintf(
		    ret + n, cap - n, "%s%llu", d == 0 ? "" : ", ", (unsigned long long)g->dim[d]);
	if (n < cap)
		snprintf(ret + n, cap - n, "]");
	return ret;
}

/* Serde numbers in sealed values differ from those of the configuration. */
static const char *
serde_text(uint32_t serde, char *ret, size_t cap)
{
	snprintf(ret, cap,
	    serde == KVR_SERDE_NAIVE    ? "naive"
	    : serde == KVR_SERDE_ZSTD   ? "zstd"
	    : serde == KVR_SERDE_PLANES ? "planes"
	                                : "serde %u",
	    serde);
	return ret;
}

static const char *
memfmt_text(const struct kvr_meta *m)
{
	const char *name = kvr_memfmt_name(m->memfmt);

	return m->n_groups == 0 ? "plain bytes" : name == NULL ? "?" : name;
}

static void
tell_text(const struct seen *s)
{
	char human[32], shape[160];

	printf("%-10s ", s->config->name);
	if (s->err != KVR_OK) {
		printf("%s%s%s\n", s->err == KVR_E_MISS ? "not there" : kvr_err_name(s->err),
		    s->why[0] ? ": " : "", s->why);
		return;
	}
	printf("%s, %s (%llu bytes)", kvr_config_format_name(s->config->format),
	    cli_bytes(s->given, human, sizeof(human)), (unsigned long long)s->given);
	if (s->serde != 0)
		printf(", stored as %llu bytes by %s", (unsigned long long)s->stored,
		    serde_text(s->serde, shape, sizeof(shape)));
	printf(", %s", memfmt_text(&s->meta));
	for (uint32_t g = 0; g < s->meta.n_groups && g < KVR_GROUPS_MAX; g++)
		printf("%s %s", g == 0 ? "" : ";",
		    group_text(&s->meta.group[g], shape, sizeof(shape)));
	if (s->read_err == KVR_OK)
		printf(s->format == KVR_FORMAT_SEALED ? ", seal and fingerprint fit"
		                                      : ", readable (no checksum in this format)");
	else if (s->read_err != KVR_PENDING)
		printf(", %s%s%s", kvr_err_name(s->read_err), s->why[0] ? ": " : "", s->why);
	if (s->alien)
		printf(", but a get would be IDENTITY: %s", s->why);
	putchar('\n');
}

static void
json_meta(const struct kvr_meta *m)
{
	printf(", \"memory_format\": ");
	cli_json_text(stdout, memfmt_text(m));
	printf(", \"groups\": [");
	for (uint32_t g = 0; g < m->n_groups && g < KVR_GROUPS_MAX; g++) {
		const char *dtype = kvr_dtype_name(m->group[g].dtype);

		printf("%s{\"dtype\": \"%s\", \"shape\": [", g == 0 ? "" : ", ",
		    dtype == NULL ? "?" : dtype);
		for (uint32_t d = 0; d < m->group[g].n_dims && d < KVR_DIMS; d++)
			printf(
			    "%s%llu", d == 0 ? "" : ", ", (unsigned long long)m->group[g].dim[d]);
		printf("]}");
	}
	printf("]");
}

static void
tell_json(const struct seen *s, bool first)
{
	char serde[32];

	printf("%s{\"tier\": ", first ? "" : ", ");
	cli_json_text(stdout, s->config->name);
	printf(", \"result\": \"%s\", \"why\": ", kvr_err_name(s->err));
	cli_json_text(stdout, s->why);
	printf(", \"format\": \"%s\", \"ping_ms\": %.3f", kvr_config_format_name(s->config->format),
	    (double)s->ping_ns / 1e6);
	if (s->err == KVR_OK) {
		printf(", \"given\": %llu, \"stored\": %llu, \"serde\": \"%s\"",
		    (unsigned long long)s->given, (unsigned long long)s->stored,
		    serde_text(s->serde, serde, sizeof(serde)));
		json_meta(&s->meta);
		printf(", \"fits\": %s", s->alien ? "false" : "true");
	}
	if (s->read_err != KVR_PENDING)
		printf(", \"verified\": \"%s\"", kvr_err_name(s->read_err));
	printf("}");
}

static int
each_tier(const struct stat_cmd *c, const struct kvr_config *config)
{
	bool found = false, damaged = false, failed = false;

	printf(c->cli.json ? "{\"tiers\": [" : "");
	for (uint32_t t = 0; t < config->n_tiers; t++) {
		struct seen s = { .config = &config->tier[t],
			.ops = kvr_connector_find(config->tier[t].url),
			.err = KVR_E_MISS,
			.read_err = KVR_PENDING };
		struct kvr_store_opts opts;

		if (s.ops == NULL)
			return cli_fail(
			    &c->cli, "tier %s: no store serves its URL", s.config->name);
		kvr_store_opts_of(config, t, &opts);
		s.format = opts.format;
		if (strncmp(s.config->url, "memory:", 7) == 0)
			snprintf(s.why, sizeof(s.why),
			    "a memory tier belongs to the process that opened it");
		else
			look(c, &opts, &s);
		if (c->cli.json)
			tell_json(&s, t == 0);
		else
			tell_text(&s);
		found = found || s.err == KVR_OK;
		failed = failed || (s.err != KVR_OK && s.err != KVR_E_MISS);
		damaged = damaged || (s.read_err != KVR_PENDING && s.read_err != KVR_OK);
	}
	printf(c->cli.json ? "]}\n" : "");
	return failed ? CLI_ERROR : found && !damaged ? CLI_OK : CLI_MISS;
}

int
cli_stat(int argc, char **argv)
{
	struct stat_cmd c = { .n_groups = 1 };
	const struct cli_option own[] = {
		{ "--verify", NULL, "read the value: seal, key and fingerprint", CLI_FLAG,
		    &c.verify },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	struct kvr_config *config = NULL;
	int n = cli_read(&c.cli, own, argc, argv);

	if (n < 0)
		return CLI_ERROR;
	if (n != 1)
		return cli_fail(&c.cli, "usage: kvrelay stat KEY");
	c.key = argv[0];
	if (c.key[0] == '\0' || strlen(c.key) > KVR_KEY_MAX)
		return cli_fail(&c.cli, "a key has 1 to %u bytes", KVR_KEY_MAX);
	if (cli_deployment(&c.cli, &config) != CLI_OK)
		return CLI_ERROR;
	c.fingerprint = kvr_fingerprint(config, NULL, NULL);
	if (config->engine.layout.n_groups > 0) {
		c.layout = config->engine.layout;
		c.n_groups = config->engine.layout.n_groups;
		if (kvr_meta_bytes(&config->engine.layout, &c.slot_bytes) != KVR_OK)
			c.slot_bytes = 0;
	}
	int status = each_tier(&c, config);

	kvr_config_free(config);
	return status;
}
