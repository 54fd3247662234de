/* SPDX-License-Identifier: Apache-2.0 */
/* put, get, exists, rm: single chunks by hand. */
#include "kvr_cli.h"

#include "kvr_meta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct cli_option no_options[] = { { NULL, NULL, NULL, CLI_FLAG, NULL } };

static const char *
why(const struct kvr_done *done)
{
	return done->why[0] != '\0' ? done->why : kvr_err_text(done->err);
}

/* ---- put ---- */

/* A value has less than 4 GiB, so stop there: some files do not end. */
static bool
read_all(FILE *f, uint8_t **ret, size_t *ret_len)
{
	size_t len = 0, cap = 1U << 20;
	struct stat st;
	bool fits = fstat(fileno(f), &st) != 0 || st.st_size <= (off_t)UINT32_MAX;
	uint8_t *at = fits ? malloc(cap) : NULL;

	while (at != NULL) {
		len += fread(at + len, 1, cap - len, f);
		if (len < cap)
			break;
		fits = cap <= UINT32_MAX;
		uint8_t *more = fits ? realloc(at, cap * 2) : NULL;

		if (more == NULL)
			free(at);
		at = more;
		cap *= 2;
	}
	if (at == NULL || ferror(f)) {
		free(at);
		if (!fits)
			errno = EFBIG;
		return false;
	}
	*ret = at;
	*ret_len = len;
	return true;
}

/* "2,32,256,1024" */
static bool
read_shape(const char *text, struct kvr_group *group)
{
	while (group->n_dims < KVR_DIMS_MAX) {
		char *end;
		unsigned long long dim = strtoull(text, &end, 10);

		if (end == text || dim == 0)
			return false;
		group->dim[group->n_dims++] = dim;
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
	return false;
}

static int
read_layout(const struct cli *cli, const char *shape, const char *dtype, const char *format,
    struct kvr_group *group, struct kvr_layout *ret)
{
	int code = dtype == NULL ? -1 : kvr_dtype_find(dtype, strlen(dtype));

	*ret = (struct kvr_layout){
		.size = sizeof(*ret), .format = KVR_FMT_KV_2LTD, .n_groups = 1, .group = group
	};
	if (shape == NULL || dtype == NULL)
		return cli_fail(cli, "--shape and --dtype go together");
	if (code < 0)
		return cli_fail(cli,
		    "--dtype: no dtype '%s'; LMCache's names: half, bfloat16, float, ...", dtype);
	if (!read_shape(shape, group))
		return cli_fail(cli, "--shape: '%s' is not one to four numbers with commas", shape);
	group->dtype = (uint32_t)code;
	for (uint32_t f = 0; format != NULL; f++) {
		if (kvr_memfmt_name(f) == NULL)
			return cli_fail(cli, "--format: no memory format '%s'", format);
		if (strcmp(kvr_memfmt_name(f), format) == 0) {
			ret->format = f;
			break;
		}
	}
	return CLI_OK;
}

static int
put_bytes(struct cli *cli, const char *key, void *at, uint64_t len, const struct kvr_layout *layout)
{
	struct kvr *kvr = cli_open(cli, layout);
	struct kvr_batch batch = { .size = sizeof(batch),
		.kind = KVR_PUT,
		.n = 1,
		.key = &key,
		.at = &at,
		.len = &len,
		.layout = layout };
	struct kvr_opts opts = { .size = sizeof(opts), .until_ns = cli_until(cli) };
	struct kvr_done done = { .size = sizeof(done) };
	char human[32];

	if (kvr == NULL)
		return CLI_ERROR;
	enum kvr_err err = kvr_run(kvr, &batch, &opts, &done, NULL);

	if (err != KVR_OK) {
		cli_fail(cli, "%s: %s", kvr_err_name(err),
		    done.err != KVR_OK ? why(&done) : kvr_err_text(err));
		kvr_free(kvr);
		return CLI_ERROR;
	}
	if (cli->json)
		printf("{\"stored\": %llu, \"took_ms\": %.3f}\n", (unsigned long long)len,
		    (double)done.took_ns / 1e6);
	else
		printf("stored %s in %.3f ms\n", cli_bytes(len, human, sizeof(human)),
		    (double)done.took_ns / 1e6);
	return cli_close(cli, kvr);
}

/* A key with a KV dtype promises a shape to readers that use LMCache. */
static bool
needs_shape(const char *key)
{
	struct kvr_key_parts parts = { .size = sizeof(parts) };
	char scratch[KVR_KEY_MAX * 4];

	return kvr_key_parse(key, &parts, scratch, sizeof(scratch)) == KVR_OK &&
	       parts.dtype != KVR_DT_NONE;
}

int
cli_put(int argc, char **argv)
{
	struct cli cli = { 0 };
	const char *shape = NULL, *dtype = NULL, *format = NULL;
	bool raw = false;
	const struct cli_option own[] = {
		{ "--shape", "DIMS", "of a KV chunk, like 2,32,256,1024", CLI_TEXT, &shape },
		{ "--dtype", "NAME", "bfloat16, half, fp8_e4m3fn, ...", CLI_TEXT, &dtype },
		{ "--format", "NAME", "memory format, KV_2LTD by default", CLI_TEXT, &format },
		{ "--raw", NULL, "plain bytes although the key has a dtype", CLI_FLAG, &raw },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	struct kvr_group group = { 0 };
	struct kvr_layout layout;
	bool shaped = false;
	uint8_t *at;
	size_t len;

	if (cli_read(&cli, own, argc, argv) != 2)
		return cli_fail(&cli, "usage: kvrelay put KEY FILE");
	if (shape != NULL || dtype != NULL) {
		if (read_layout(&cli, shape, dtype, format, &group, &layout) != CLI_OK)
			return CLI_ERROR;
		shaped = true;
	} else if (!raw && needs_shape(argv[0])) {
		return cli_fail(
		    &cli, "the key names a KV dtype: say --shape and --dtype, or --raw");
	}
	FILE *f = strcmp(argv[1], "-") == 0 ? stdin : fopen(argv[1], "rb");

	if (f == NULL || !read_all(f, &at, &len))
		return cli_fail(&cli, "%s: %s", argv[1], strerror(errno));
	int status = put_bytes(&cli, argv[0], at, len, shaped ? &layout : NULL);

	if (f != stdin)
		fclose(f);
	free(at);
	return status;
}

/* ---- get ---- */

static int
write_out(const struct cli *cli, const char *path, const void *at, size_t len)
{
	FILE *f = path == NULL || strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");

	if (f == NULL)
		return cli_fail(cli, "%s: %s", path, strerror(errno));
	bool ok = fwrite(at, 1, len, f) == len && fflush(f) == 0;

	if (f != stdout)
		ok = fclose(f) == 0 && ok;
	return ok ? CLI_OK
	          : cli_fail(
	                cli, "%s: %s", path == NULL ? "standard output" : path, strerror(errno));
}

/* A value was there but failed its checks. */
static bool
is_mismatch(enum kvr_err err)
{
	return err == KVR_E_CORRUPT || err == KVR_E_IDENTITY || err == KVR_E_LENGTH;
}

static int
one_key(const struct cli *cli, struct kvr *kvr, enum kvr_kind kind, const char *key, void *at,
    uint64_t *len)
{
	struct kvr_batch batch = {
		.size = sizeof(batch), .kind = (uint32_t)kind, .n = 1, .key = &key
	};
	struct kvr_opts opts = { .size = sizeof(opts), .until_ns = cli_until(cli) };
	struct kvr_done done = { .size = sizeof(done) };
	int32_t key_err = KVR_E_MISS;
	uint64_t found = 0;
	struct kvr_results res = { .size = sizeof(res), .cap = 1, .err = &key_err, .len = &found };

	if (kind == KVR_GET) {
		batch.at = &at;
		batch.len = len;
	}
	enum kvr_err err = kvr_run(kvr, &batch, &opts, &done, &res);

	if (err == KVR_E_MISS) {
		fprintf(stderr, "kvrelay %s: %s: no tier has it\n", cli->command, key);
		return CLI_MISS;
	}
	if (err != KVR_OK) {
		int status = cli_fail(cli, "%s: %s", kvr_err_name(err),
		    done.err != KVR_OK ? why(&done) : kvr_err_text(err));
		return is_mismatch(err) ? CLI_MISS : status;
	}
	*len = found;
	return CLI_OK;
}

int
cli_get(int argc, char **argv)
{
	struct cli cli = { 0 };
	const char *path = NULL;
	const struct cli_option own[] = {
		{ "-o", "FILE", "where to write; '-' or nothing: standard output", CLI_TEXT,
		    &path },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	uint64_t len = 0;

	if (cli_read(&cli, own, argc, argv) != 1)
		return cli_fail(&cli, "usage: kvrelay get KEY [-o FILE]");
	struct kvr *kvr = cli_open(&cli, NULL);

	if (kvr == NULL)
		return CLI_ERROR;
	/* The size first, for a buffer that is neither too small nor wasted. */
	int status = one_key(&cli, kvr, KVR_SIZE, argv[0], NULL, &len);
	void *at = status == CLI_OK ? malloc(len + 1) : NULL;

	if (status == CLI_OK && at == NULL)
		status = cli_fail(&cli, "no memory for %llu bytes", (unsigned long long)len);
	if (status == CLI_OK)
		status = one_key(&cli, kvr, KVR_GET, argv[0], at, &len);
	if (status == CLI_OK)
		status = write_out(&cli, path, at, len);
	free(at);
	int closed = cli_close(&cli, kvr);

	return status == CLI_OK ? closed : status;
}

/* ---- exists, rm ---- */

static void
tell_key(const struct cli *cli, const char *key, int32_t err, const char *good, bool first)
{
	if (!cli->json) {
		printf("%-8s %s\n", err == KVR_OK ? good : kvr_err_name(err), key);
		return;
	}
	printf("%s", first ? "{" : ", ");
	cli_json_text(stdout, key);
	printf(": ");
	cli_json_text(stdout, err == KVR_OK ? good : kvr_err_name(err));
}

static int
many_keys(int argc, char **argv, enum kvr_kind kind, const char *good)
{
	struct cli cli = { 0 };
	int n = cli_read(&cli, no_options, argc, argv);
	int32_t *errs = calloc((size_t)(n > 0 ? n : 1), sizeof(*errs));
	int status = CLI_OK;

	if (n < 1 || errs == NULL) {
		free(errs);
		return cli_fail(&cli, "usage: kvrelay %s KEY...", argv[0]);
	}
	struct kvr *kvr = cli_open(&cli, NULL);
	struct kvr_batch batch = { .size = sizeof(batch),
		.kind = (uint32_t)kind,
		.n = (uint32_t)n,
		.key = (const char *const *)argv };
	struct kvr_opts opts = { .size = sizeof(opts), .until_ns = cli_until(&cli) };
	struct kvr_done done = { .size = sizeof(done) };
	struct kvr_results res = { .size = sizeof(res), .cap = (uint32_t)n, .err = errs };

	if (kvr == NULL) {
		free(errs);
		return CLI_ERROR;
	}
	enum kvr_err err = kvr_run(kvr, &batch, &opts, &done, &res);

	if (err == KVR_E_INVALID || err == KVR_E_BUSY || err == KVR_E_TOO_BIG)
		status = cli_fail(&cli, "%s", kvr_err_text(err));
	for (int i = 0; i < n && status == CLI_OK; i++)
		tell_key(&cli, argv[i], errs[i], good, i == 0);
	if (cli.json && status == CLI_OK)
		printf("}\n");
	for (int i = 0; i < n && status != CLI_ERROR; i++) {
		if (errs[i] != KVR_OK)
			status = errs[i] == KVR_E_MISS ? CLI_MISS : CLI_ERROR;
	}
	if (status == CLI_ERROR && done.why[0] != '\0')
		cli_fail(&cli, "%s", done.why);
	int closed = cli_close(&cli, kvr);

	free(errs);
	return status == CLI_OK ? closed : status;
}

int
cli_exists(int argc, char **argv)
{
	return many_keys(argc, argv, KVR_LOOKUP, "yes");
}

int
cli_rm(int argc, char **argv)
{
	return many_keys(argc, argv, KVR_REMOVE, "removed");
}
