/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the subcommands of `kvrelay` share. Exit status: 0 done, 1 a miss or a mismatch, 2 an error.
 * One line on standard error tells what went wrong.
 */
#ifndef KVR_CLI_H
#define KVR_CLI_H

#include "kvrelay.h"

#include "kvr_base.h"
#include "kvr_config.h"

#include <stdio.h>

/* What instances of commands are called. Their traces are not counted among those of engines. */
#define CLI_INSTANCE "cmd"

enum { CLI_OK = 0, CLI_MISS = 1, CLI_ERROR = 2 };

/* Options of every subcommand that opens a deployment. */
struct cli {
	const char *command;
	const char *config, *url; /* exactly one */
	uint64_t timeout_ns;      /* 0: from the configuration */
	bool json, verbose;
	uint32_t n_set;
	const char *set[32];
};

/* One option of a subcommand. arg NULL: a flag, which sets *into to true. */
struct cli_option {
	const char *name; /* "--size" */
	const char *arg;  /* "BYTES" */
	const char *help;
	enum { CLI_TEXT, CLI_SIZE, CLI_COUNT, CLI_TIME, CLI_FLAG } kind;
	void *into; /* const char **, uint64_t *, uint64_t *, uint64_t *, bool * */
};

/*
 * Reads options in any order and moves positional arguments to the front of argv. Returns how many
 * these are, or -1 after a line on standard error. own ends with a name of NULL. --help exits.
 */
int cli_read(struct cli *, const struct cli_option *own, int argc, char **argv);

/* Prints "kvrelay get: what" on standard error. Returns CLI_ERROR. */
int cli_fail(const struct cli *, const char *fmt, ...) KVR_PRINTF(2, 3);

/* Opens the deployment of --config or --url. NULL after a line on standard error. */
struct kvr *cli_open(struct cli *, const struct kvr_layout *);
/* Drains and frees. CLI_ERROR if something was dropped. */
int cli_close(const struct cli *, struct kvr *);
uint64_t cli_until(const struct cli *);

/*
 * Reads the deployment of --config or --url as data. note NULL: only the first mistake is reported.
 */
int cli_deployment_noted(const struct cli *, kvr_config_note_fn *note, struct kvr_config **ret);
int cli_deployment(const struct cli *, struct kvr_config **ret);

/* json_text.c. Prints a JSON string, quotes included; it is valid whatever the bytes are. */
void cli_json_text(FILE *, const char *text);
/* "1.5 MiB" */
const char *cli_bytes(uint64_t bytes, char *ret, size_t cap);

/* Subcommands. argv[0] is the name of the subcommand. */
int cli_put(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_exists(int argc, char **argv);
int cli_rm(int argc, char **argv);
int cli_stat(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_ps(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif
