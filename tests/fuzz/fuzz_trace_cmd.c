/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kvrelay trace`: the first byte says which verb, the second how, the rest is a file. Whatever is
 * in it, the verb ends with a status that it has, prints what a terminal can show, and with --json
 * and for Perfetto what a reader of JSON takes. What is refused is explained.
 *
 * How: 1, the sums of all records are made right; 2, deciders of another build are taken; 4, the
 * rest says which fields of which trace are overwritten.
 */
#include "kvr_cli.h"
#include "kvr_fuzz.h"
#include "kvr_trace_input.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPAIR = 1, ANYWAY = 2, PATCH = 4, ARGS_MAX = 12 };

/* FILE: that of the input; OTHER: a well-formed one; OUT: one to write to. */
#define FILE_ "\1"
#define OTHER "\2"
#define OUT "\3"

static const struct verb {
	const char *args[ARGS_MAX];
	bool json;
} verbs[] = {
	{ { "last", FILE_ }, false },
	{ { "ops", FILE_ }, false },
	{ { "follow", FILE_, "--op", "1" }, false },
	{ { "follow", FILE_, "--key", "key-1", "--verbose" }, false },
	{ { "show", FILE_, "--effects" }, false },
	{ { "show", FILE_, "--json" }, true },
	{ { "show", FILE_, "--actor", "link", "--state", "UP", "--until", "1s" }, false },
	{ { "draw", FILE_, "--op", "1" }, false },
	{ { "draw", FILE_, "--op", "1", "--as", "mermaid" }, false },
	{ { "draw", FILE_, "--as", "chrome" }, true },
	{ { "replay", FILE_ }, false },
	{ { "replay", FILE_, "--json" }, true },
	{ { "replay", FILE_, "--actor", "tier" }, false },
	{ { "step", FILE_, "--do", "n;s;n 3;e;p;l;g 9;f n_parts;w n_ops;u UP;n 100000;p 5" }, false },
	{ { "check", FILE_ }, false },
	{ { "diff", FILE_, OTHER }, false },
	{ { "stat", FILE_ }, false },
	{ { "stat", FILE_, "--json" }, true },
	{ { "states", "tier", FILE_ }, false },
	{ { "watch", FILE_, "--once" }, false },
	{ { "cut", FILE_, "--from-step", "5", "-o", OUT }, false },
	{ { "cut", FILE_, "--op", "1", "--for-report", "-o", OUT }, false },
	{ { "bless", FILE_, "-o", OUT }, false },
	{ { "info", FILE_ }, false },
	{ { "info", FILE_, "--json" }, true },
};

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	/* Every verb once with each trace as it is, once with one that is patched. */
	size_t which = i / 2 / KVR_LEN(verbs), len = kvr_trace_input_seed(which, ret + 2);

	ret[0] = (uint8_t)(i / 2 % KVR_LEN(verbs));
	ret[1] = 0;
	if (i % 2 == 0 || len == 0)
		return len == 0 ? 0 : 2 + len;
	memcpy(ret + 1, (uint8_t[]){ PATCH, (uint8_t)which, 3, 40, 0, 130 }, 6);
	return 7;
}

static char other[32];

__attribute__((constructor)) static void
set_up(void)
{
	static uint8_t at[KVR_FUZZ_LEN_MAX];
	size_t len = kvr_trace_input_seed(6, at);
	int fd = kvr_trace_input_file(other);

	KVR_CHECK(write(fd, at, len) == (ssize_t)len);
}

/* What a run of the command leaves behind. */
struct ran {
	int status;
	char *out, *err;
	size_t out_len, err_len;
};

static void
run(const struct verb *v, bool anyway, const char *file, struct ran *ret)
{
	FILE *out = stdout, *err = stderr;
	char *argv[ARGS_MAX + 2], to[32];
	int argc = 0, fd = kvr_trace_input_file(to);

	argv[argc++] = (char[]){ "trace" };
	for (int i = 0; i < ARGS_MAX && v->args[i] != NULL; i++) {
		const char *arg = v->args[i];

		arg = arg[0] == FILE_[0] ? file : arg[0] == OTHER[0] ? other : arg[0] == OUT[0] ? to : arg;
		argv[argc++] = (char *)(uintptr_t)arg;
	}
	if (anyway)
		argv[argc++] = (char[]){ "--anyway" };
	argv[argc] = NULL;
	stdout = open_memstream(&ret->out, &ret->out_len);
	stderr = open_memstream(&ret->err, &ret->err_len);
	KVR_CHECK(stdout != NULL && stderr != NULL);
	ret->status = cli_trace(argc, argv);
	fclose(stdout);
	fclose(stderr);
	stdout = out;
	stderr = err;
	close(fd);
}

static void
check_text(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		KVR_CHECK(((unsigned char)at[i] >= ' ' || at[i] == '\n' || at[i] == '\t' ||
		              (at[i] == '\r' && i + 1 < len && at[i + 1] == '\n')) &&
		          at[i] != 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static _Alignas(8) uint8_t bytes[KVR_FUZZ_LEN_MAX];
	struct ran ran = { .status = -1 };
	char path[32];

	if (len < 2 || len > sizeof(bytes))
		return 0;
	const struct verb *v = &verbs[at[0] % KVR_LEN(verbs)];
	uint8_t how = at[1];

	len -= 2;
	memcpy(bytes, at + 2, len);
	if (how & PATCH)
		len = kvr_trace_input_patched(at + 2, len, bytes);
	else if (how & REPAIR)
		kvr_trace_input_repair(bytes, len);
	int fd = kvr_trace_input_file(path);

	KVR_CHECK(len == 0 || write(fd, bytes, len) == (ssize_t)len);
	run(v, (how & ANYWAY) != 0, path, &ran);
	KVR_CHECK(ran.status == CLI_OK || ran.status == CLI_MISS || ran.status == CLI_ERROR);
	check_text(ran.out, ran.out_len);
	check_text(ran.err, ran.err_len);
	KVR_CHECK(ran.status != CLI_ERROR || ran.err_len > 0);
	if (v->json && ran.out_len > 0) {
		cJSON *json = cJSON_Parse(ran.out);

		KVR_CHECK(json != NULL);
		cJSON_Delete(json);
	}
	free(ran.out);
	free(ran.err);
	close(fd);
	return 0;
}
