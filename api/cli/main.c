/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cli.h"

#include "kvr_open.h"

#include <signal.h>
#include <string.h>

static const struct {
	const char *name, *args, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "put", "KEY FILE", "store a file's bytes under a key ('-': standard input)", cli_put },
	{ "get", "KEY [-o FILE]", "load a key's bytes", cli_get },
	{ "exists", "KEY...", "say which keys are there", cli_exists },
	{ "rm", "KEY...", "remove keys from every tier", cli_rm },
	{ "stat", "KEY", "what each tier stores under a key, decoded", cli_stat },
	{ "bench", "[--chunks N] ...", "write, read back and compare KV chunks; how fast",
	    cli_bench },
	{ "config", "check|show|import|help|schema", "check or explain a configuration", cli_config },
	{ "doctor", "[--json]", "what is wrong with a deployment, and what to do", cli_doctor },
	{ "ps", "[--json]", "the instances of this user, and how they are", cli_ps },
	{ "top", "[--once] [--json]", "live view of their tiers and lanes", cli_top },
	{ "trace", "VERB [FILE]",
	    "what a run did: last, show, follow, replay, ...; 'kvrelay trace' lists all",
	    cli_trace },
	{ "version", "", "versions and what is built in", cli_version },
};

static void
usage(FILE *to)
{
	fputs("kvrelay moves KV-cache chunks between an inference engine and its stores.\n\n"
	      "usage: kvrelay COMMAND [OPTIONS] [ARGUMENTS]\n\n",
	    to);
	for (size_t i = 0; i < KVR_LEN(commands); i++)
		fprintf(
		    to, "  %-8s %-26s %s\n", commands[i].name, commands[i].args, commands[i].help);
	fputs("\nA deployment is named by --config FILE or --url URL. 'kvrelay COMMAND --help' has "
	      "the\n"
	      "options. Exit status: 0 done, 1 a miss or a mismatch, 2 an error.\n",
	    to);
}

int
main(int argc, char **argv)
{
	/* If the reader goes away (| head), the write fails and the process goes on. */
	signal(SIGPIPE, SIG_IGN);
	kvr_open_as(CLI_INSTANCE);
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? CLI_ERROR : CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0)
		return cli_version(argc - 1, argv + 1);
	for (size_t i = 0; i < KVR_LEN(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "kvrelay: no command '%s'; 'kvrelay help' lists them\n", argv[1]);
	return CLI_ERROR;
}
