/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef KVRELAY_SAMPLE_PATH
#define KVRELAY_SAMPLE_PATH ""
#endif

enum { SAMPLE_MIN = 4096, SAMPLE_MAX = 1 << 30 };

struct stamp {
	uint64_t run, place;
};

static int
read_sample(const struct cli *cli, FILE *f, struct sample *s)
{
	long len = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;

	if (len < 0 || fseek(f, 0, SEEK_SET) != 0)
		return cli_fail(cli, "%s: %s", s->path, strerror(errno));
	if (len < SAMPLE_MIN || len > SAMPLE_MAX)
		return cli_fail(
		    cli, "%s: has %ld bytes; a sample has 4 KiB to 1 GiB", s->path, len);
	s->len = (uint64_t)len & ~UINT64_C(1); /* whole bf16 numbers: a chunk wraps here */
	s->at = malloc(s->len);
	if (s->at == NULL)
		return cli_fail(cli, "%s: no memory for %ld bytes", s->path, len);
	if (fread(s->at, 1, s->len, f) != s->len)
		return cli_fail(
		    cli, "%s: %s", s->path,
		    ferror(f) ? strerror(errno) : "it became shorter while it was read");
	return CLI_OK;
}

int
sample_open(const struct cli *cli, const char *path, uint64_t run, struct sample *ret)
{
	const char *variable = getenv("KVRELAY_SAMPLE");

	*ret = (struct sample){ .run = run, .path = path };
	if (ret->path == NULL)
		ret->path =
		    variable != NULL && variable[0] != '\0' ? variable : KVRELAY_SAMPLE_PATH;
	if (ret->path[0] == '\0')
		return cli_fail(
		    cli, "no sample of KV data: say --input FILE or set KVRELAY_SAMPLE");
	FILE *f = fopen(ret->path, "rb");

	if (f == NULL)
		return cli_fail(cli,
		    "%s: %s; the sample of KV data is tests/data/kv_minilm_bf16.bin of the "
		    "sources: say --input FILE or set KVRELAY_SAMPLE",
		    ret->path, strerror(errno));
	int status = read_sample(cli, f, ret);

	fclose(f);
	if (status != CLI_OK)
		sample_close(ret);
	return status;
}

void
sample_close(struct sample *s)
{
	free(s->at);
	s->at = NULL;
}

/* An odd step in whole numbers, so that starts repeat as late as possible. */
static uint64_t
start_of(const struct sample *s, uint64_t chunk)
{
	return chunk % (s->len / 2) * UINT64_C(2 * 77773) % s->len;
}

/* The stamp of the stretch that begins at off. */
static struct stamp
stamp_of(const struct sample *s, uint64_t chunk, uint64_t off)
{
	return (struct stamp){ s->run, chunk << 24 ^ off / SAMPLE_STAMP_EVERY };
}

static uint64_t
run_of(const struct sample *s, uint64_t from, uint64_t left)
{
	return KVR_MIN(left, s->len - from);
}

void
sample_fill(const struct sample *s, uint64_t chunk, uint8_t *ret, uint64_t len)
{
	uint64_t from = start_of(s, chunk);

	for (uint64_t done = 0; done < len;) {
		uint64_t n = run_of(s, from, len - done);

		memcpy(ret + done, s->at + from, n);
		done += n;
		from = (from + n) % s->len;
	}
	for (uint64_t off = 0; off < len; off += SAMPLE_STAMP_EVERY) {
		struct stamp stamp = stamp_of(s, chunk, off);

		memcpy(ret + off, &stamp, KVR_MIN(sizeof(stamp), len - off));
	}
}

bool
sample_same(const struct sample *s, uint64_t chunk, const uint8_t *at, uint64_t len)
{
	uint64_t begin = start_of(s, chunk);

	for (uint64_t off = 0; off < len; off += SAMPLE_STAMP_EVERY) {
		struct stamp stamp = stamp_of(s, chunk, off);
		uint64_t end = KVR_MIN(off + SAMPLE_STAMP_EVERY, len);
		uint64_t done = off + KVR_MIN(sizeof(stamp), end - off);

		if (memcmp(at + off, &stamp, done - off) != 0)
			return false;
		while (done < end) {
			uint64_t from = (begin + done) % s->len;
			uint64_t n = run_of(s, from, end - done);

			if (memcmp(at + done, s->at + from, n) != 0)
				return false;
			done += n;
		}
	}
	return true;
}
