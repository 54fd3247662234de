/* SPDX-License-Identifier: Apache-2.0 */
/* Options and their values, and opening the deployment. */
#include "kvr_cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int
cli_fail(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "kvrelay %s: ", cli->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CLI_ERROR;
}

/* A number and the unit after it. */
static bool
number(const char *text, double *ret, const char **ret_unit)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*ret = strtod(text, &end);
	*ret_unit = end;
	return errno == 0;
}

struct unit {
	const char *name;
	double factor;
};

static bool
scaled(const char *text, const struct unit *units, size_t n, uint64_t *ret)
{
	const char *unit;
	double value;

	if (!number(text, &value, &unit))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(unit, units[i].name) == 0 && value * units[i].factor < 9.2e18) {
			*ret = (uint64_t)(value * units[i].factor);
			return true;
		}
	}
	return false;
}

/* "1MiB", "64KiB", "3GB", "4096". False: not a size. */
static bool
read_size(const char *text, uint64_t *ret)
{
	static const struct unit units[] = { { "", 1 }, { "B", 1 }, { "KiB", 1024 },
		{ "MiB", 1048576 }, { "GiB", 1073741824 }, { "KB", 1e3 }, { "MB", 1e6 },
		{ "GB", 1e9 } };

	return scaled(text, units, KVR_LEN(units), ret);
}

/* "500ms", "2s". A plain number is seconds. */
static bool
read_time(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = { { "", 1e9 }, { "s", 1e9 }, { "ms", 1e6 },
		{ "us", 1e3 }, { "m", 60e9 }, { "h", 3600e9 } };

	return scaled(text, units, KVR_LEN(units), ret_ns);
}

static void
help(const struct cli *cli, const struct cli_option *const *tables)
{
	printf("usage: kvrelay %s [OPTIONS] [ARGUMENTS]\n", cli->command);
	for (; *tables != NULL; tables++) {
		for (const struct cli_option *o = *tables; o->name != NULL; o++) {
			char left[40];

			snprintf(
			    left, sizeof(left), "%s %s", o->name, o->arg == NULL ? "" : o->arg);
			printf("  %-22s %s\n", left, o->help);
		}
	}
}

static bool
take_value(const struct cli *cli, const struct cli_option *o, const char *value)
{
	uint64_t *number_into = o->into;
	bool ok = true;

	switch (o->kind) {
	case CLI_FLAG:
		*(bool *)o->into = true;
		return true;
	case CLI_TEXT:
		*(const char **)o->into = value;
		return true;
	case CLI_SIZE:
		ok = read_size(value, number_into);
		break;
	case CLI_TIME:
		ok = read_time(value, number_into);
		break;
	case CLI_COUNT:
		ok = scaled(value, &(const struct unit){ "", 1 }, 1, number_into);
		break;
	}
	if (!ok)
		cli_fail(cli, "%s takes %s, not '%s'", o->name, o->arg, value);
	return ok;
}

static const struct cli_option *
find(const struct cli_option *const *tables, const char *arg, size_t len)
{
	for (; *tables != NULL; tables++) {
		for (const struct cli_option *o = *tables; o->name != NULL; o++) {
			if (strlen(o->name) == len && memcmp(o->name, arg, len) == 0)
				return o;
		}
	}
	return NULL;
}

/* One option and its value, which may be the next argument. Returns arguments used; 0: an error. */
static int
take(struct cli *cli, const struct cli_option *const *tables, int left, char **argv)
{
	const char *equals = strchr(argv[0], '=');
	size_t len = equals == NULL ? strlen(argv[0]) : (size_t)(equals - argv[0]);
	const char *value = equals == NULL ? (left > 1 ? argv[1] : NULL) : equals + 1;
	int used = equals == NULL ? 2 : 1;

	if (len == 5 && memcmp(argv[0], "--set", 5) == 0) {
		if (value == NULL || cli->n_set == KVR_LEN(cli->set)) {
			cli_fail(
			    cli, "--set takes PATH=VALUE, at most %zu times", KVR_LEN(cli->set));
			return 0;
		}
		cli->set[cli->n_set++] = value;
		return used;
	}
	const struct cli_option *o = find(tables, argv[0], len);

	if (o == NULL) {
		cli_fail(cli, "no option '%.*s'; 'kvrelay %s --help' lists them", (int)len, argv[0],
		    cli->command);
		return 0;
	}
	if (o->kind == CLI_FLAG && equals != NULL) {
		cli_fail(cli, "%s takes no value", o->name);
		return 0;
	}
	if (o->kind != CLI_FLAG && value == NULL) {
		cli_fail(cli, "%s takes %s", o->name, o->arg);
		return 0;
	}
	if (!take_value(cli, o, value))
		return 0;
	return o->kind == CLI_FLAG ? 1 : used;
}

int
cli_read(struct cli *cli, const struct cli_option *own, int argc, char **argv)
{
	const struct cli_option common[] = {
		{ "--config", "FILE", "the deployment", CLI_TEXT, &cli->config },
		{ "--url", "URL", "a deployment of one store", CLI_TEXT, &cli->url },
		{ "--timeout", "TIME", "deadline of each operation, like 500ms", CLI_TIME,
		    &cli->timeout_ns },
		{ "--json", NULL, "one JSON object instead of text", CLI_FLAG, &cli->json },
		{ "--verbose", NULL, "also what is only good to know", CLI_FLAG, &cli->verbose },
		{ "--set", "PATH=VALUE", "override one value of the configuration", CLI_TEXT,
		    NULL },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	const struct cli_option *const tables[] = { own, common, NULL };
	int n = 0;

	cli->command = argv[0];
	for (int i = 1; i < argc;) {
		bool option = argv[i][0] == '-' && argv[i][1] != '\0';

		if (option && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
			help(cli, tables);
			exit(CLI_OK);
		}
		if (option && strcmp(argv[i], "--") == 0) {
			for (i++; i < argc; i++)
				argv[n++] = argv[i];
			break;
		}
		if (!option) {
			argv[n++] = argv[i++];
			continue;
		}
		int used = take(cli, tables, argc - i, argv + i);

		if (used == 0)
			return -1;
		i += used;
	}
	return n;
}

uint64_t
cli_until(const struct cli *cli)
{
	return cli->timeout_ns == 0 ? 0 : kvr_now_ns() + cli->timeout_ns;
}

/*
 * A command prints warnings and errors only: connections that come and go are no news to its user.
 */
static void
say(void *arg, int level, const char *line)
{
	const struct cli *cli = arg;

	if (level <= KVR_LEVEL_WARN || cli->verbose)
		fprintf(stderr, "%s\n", line);
}

struct kvr *
cli_open(struct cli *cli, const struct kvr_layout *layout)
{
	struct kvr_options opt = { .size = sizeof(opt),
		.n_set = cli->n_set,
		.config_file = cli->config,
		.url = cli->url,
		.set = cli->set,
		.layout = layout,
		.log = say,
		.log_arg = cli };
	char why[1024] = "";
	struct kvr *kvr = NULL;

	if ((cli->config == NULL) == (cli->url == NULL)) {
		cli_fail(cli, "say which deployment: --config FILE or --url URL");
		return NULL;
	}
	enum kvr_err err = kvr_open(&opt, 0, &kvr, why, sizeof(why));

	if (err != KVR_OK) {
		cli_fail(cli, "%s", why[0] != '\0' ? why : kvr_err_text(err));
		return NULL;
	}
	return kvr;
}

int
cli_close(const struct cli *cli, struct kvr *kvr)
{
	struct kvr_close_report report = { .size = sizeof(report) };
	enum kvr_err err = kvr_close(kvr, cli_until(cli), KVR_DRAIN, &report);

	kvr_free(kvr);
	if (err != KVR_OK)
		return cli_fail(cli, "close: %s; %u threads stuck, %llu operations dropped",
		    kvr_err_text(err), report.stuck_threads, (unsigned long long)report.dropped);
	return CLI_OK;
}

const char *
cli_bytes(uint64_t bytes, char *ret, size_t cap)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t u = 0;

	while (value >= 1024 && u + 1 < KVR_LEN(unit)) {
		value /= 1024;
		u++;
	}
	snprintf(ret, cap, u == 0 ? "%.0f %s" : "%.1f %s", value, unit[u]);
	return ret;
}
