/* SPDX-License-Identifier: Apache-2.0 */
/* config: what a deployment says, what is wrong with it, and what it needs. */
#include "kvr_cli.h"

#include "kvr_actors.h"
#include "kvr_connector.h"
#include "kvr_instance.h"
#include "kvr_ledger.h"
#include "kvr_mailbox.h"
#include "kvr_stats.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static uint32_t n_notes; /* written by one thread, while it reads a configuration */

/* ---- notes ---- */

static void
note_text(void *arg, const struct kvr_config_note *note)
{
	char text[2048];

	(void)arg;
	kvr_config_note_print(note, true, text, sizeof(text));
	fprintf(
	    stderr, "%s%s", text, text[0] != '\0' && text[strlen(text) - 1] == '\n' ? "" : "\n");
	n_notes++;
}

static void
note_json(void *arg, const struct kvr_config_note *note)
{
	(void)arg;
	printf(n_notes++ == 0 ? "" : ", ");
	printf("{\"warning\": %s, \"source\": ", note->warning ? "true" : "false");
	cli_json_text(stdout, note->source == NULL ? "" : note->source);
	printf(", \"line\": %u, \"column\": %u, \"what\": ", note->line, note->column);
	cli_json_text(stdout, note->what);
	printf("}");
}

/* ---- costs ---- */

static uint32_t
count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	uint32_t n = 0;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

static void
no_mail(void *arg, const struct kvr_msg *msg)
{
	(void)arg;
	(void)msg;
}

/* The queue library chooses its number of threads for this machine, so count them. */
static uint32_t
queue_threads(void)
{
	struct kvr_mailbox *box = NULL;
	uint32_t before = count_threads(), after;

	if (kvr_mailbox_open("config-check", 1, no_mail, NULL, &box) != KVR_OK)
		return 0;
	after = count_threads();
	kvr_mailbox_close(box);
	return after - before;
}

static struct kvr_config_costs
costs(void)
{
	enum { HOME_NOTIFIER_COPY = 3 };
	struct kvr_config_costs c = { .op_bytes =
		                          sizeof(struct kvr_call) + sizeof(struct kvr_ledger_op) +
		                          sizeof(uint32_t) + KVR_PAGES_PLACES_MAX * sizeof(void *),
		.key_bytes =
		    sizeof(struct kvr_key) + sizeof(struct kvr_side) + sizeof(struct kvr_place) +
		    KVR_TEXT_MAX / KVR_KEYS_MAX + KVR_RUNS_MAX / KVR_KEYS_MAX * sizeof(struct kvr_run),
		.row_bytes = sizeof(struct kvr_row),
		.tier_bytes = kvr_actor_bytes(&kvr_tier_spec),
		.lane_bytes = kvr_actor_bytes(&kvr_link_spec) +
		              KVR_WIDE_KEYS * (sizeof(struct kvr_item) + sizeof(struct kvr_meta)),
		.fixed_threads = HOME_NOTIFIER_COPY,
		.queue_threads = queue_threads() };
	pthread_attr_t attr;
	size_t stack = 0;

	c.fixed_bytes = kvr_actor_bytes(&kvr_router_spec) + kvr_actor_bytes(&kvr_transfer_spec) +
	                kvr_actor_bytes(&kvr_metrics_spec) + sizeof(struct kvr_stats) +
	                sizeof(struct kvr) + (KVR_ROWS_MAX - KVR_KEYS_MAX) * sizeof(struct kvr_row);
	c.fixed_bytes -= sizeof(((struct kvr *)NULL)->call);
	if (pthread_attr_init(&attr) == 0) {
		pthread_attr_getstacksize(&attr, &stack);
		pthread_attr_destroy(&attr);
	}
	c.stack_bytes = stack;
	return c;
}

/* ---- subcommands ---- */

typedef size_t text_fn(const void *arg, char *ret_text, size_t cap);

static int
print_whole(const struct cli *cli, text_fn *fn, const void *arg)
{
	size_t need = fn(arg, NULL, 0) + 1;
	char *text = malloc(need);

	if (text == NULL)
		return cli_fail(cli, "no memory");
	fn(arg, text, need);
	fputs(text, stdout);
	if (need > 1 && text[need - 2] != '\n')
		putchar('\n');
	free(text);
	return CLI_OK;
}

struct to_sum {
	const struct kvr_config *config;
	struct kvr_config_costs costs;
	uint32_t ranks;
};

static size_t
sum_text(const void *arg, char *ret_text, size_t cap)
{
	const struct to_sum *s = arg;

	return kvr_config_sum(s->config, &s->costs, s->ranks, ret_text, cap);
}

static size_t
show_text(const void *arg, char *ret_text, size_t cap)
{
	return kvr_config_show(arg, ret_text, cap);
}

static size_t
help_text(const void *arg, char *ret_text, size_t cap)
{
	(void)arg;
	return kvr_config_help(ret_text, cap);
}

static size_t
schema_text(const void *arg, char *ret_text, size_t cap)
{
	(void)arg;
	return kvr_config_schema(ret_text, cap);
}

static int
check(struct cli *cli, uint64_t ranks)
{
	struct to_sum s = { .ranks = (uint32_t)ranks };
	struct kvr_config *config = NULL;

	if (cli->json)
		printf("{\"notes\": [");
	int status = cli_deployment_noted(cli, cli->json ? note_json : note_text, &config);

	if (cli->json)
		printf("], \"valid\": %s}\n", status == CLI_OK ? "true" : "false");
	if (status != CLI_OK || cli->json) {
		kvr_config_free(config);
		return status;
	}
	s.config = config;
	s.costs = costs();
	status = print_whole(cli, sum_text, &s);
	kvr_config_free(config);
	return status;
}

static int
show(struct cli *cli)
{
	struct kvr_config *config = NULL;
	int status = cli_deployment_noted(cli, note_text, &config);

	if (status == CLI_OK)
		status = print_whole(cli, show_text, config);
	kvr_config_free(config);
	return status;
}

static int
import(struct cli *cli)
{
	const struct kvr_config_opts opts = { .schemes = kvr_connector_schemes(),
		.note = note_text };
	char why[1024] = "", *text = NULL;
	enum kvr_err err;

	if (cli->url != NULL || cli->n_set > 0)
		return cli_fail(cli, "import takes a file and nothing else");
	err = kvr_config_import(cli->config, &opts, &text, why, sizeof(why));
	if (err == KVR_E_CONFIG && n_notes > 0)
		return CLI_ERROR;
	if (err != KVR_OK)
		return cli_fail(cli, "%s", why[0] != '\0' ? why : kvr_err_text(err));
	fputs(text, stdout);
	explicit_bzero(text, strlen(text));
	free(text);
	return CLI_OK;
}

int
cli_config(int argc, char **argv)
{
	struct cli cli = { 0 };
	uint64_t ranks = 1;
	const struct cli_option own[] = {
		{ "--ranks", "N", "check: processes on a node, for the sum", CLI_COUNT, &ranks },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	int n = cli_read(&cli, own, argc, argv);

	if (n < 0)
		return CLI_ERROR;
	if (n == 1 && strcmp(argv[0], "help") == 0)
		return print_whole(&cli, help_text, NULL);
	if (n == 1 && strcmp(argv[0], "schema") == 0)
		return print_whole(&cli, schema_text, NULL);
	if (n < 1 || n > 2 || (strcmp(argv[0], "check") != 0 && strcmp(argv[0], "show") != 0 &&
	                          (strcmp(argv[0], "import") != 0 || n != 2)))
		return cli_fail(&cli,
		    "usage: kvrelay config check|show|import FILE, kvrelay config help|schema");
	if (ranks < 1 || ranks > 1024)
		return cli_fail(&cli, "--ranks: 1 to 1024");
	if (n == 2 && cli.config != NULL)
		return cli_fail(&cli, "the file is given twice");
	if (n == 2)
		cli.config = argv[1];
	if (strcmp(argv[0], "import") == 0)
		return import(&cli);
	return strcmp(argv[0], "check") == 0 ? check(&cli, ranks) : show(&cli);
}
