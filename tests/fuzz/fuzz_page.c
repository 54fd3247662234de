/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics pages, which belong to other processes: the first byte says how they are shown, then
 * each four say where in a page that was well-formed, and what stands there instead. What ps and
 * top print of it is text, and with --json what a reader of JSON takes.
 */
#include "kvr_fuzz.h"
#include "kvr_seen.h"
#include "kvr_top.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PS, PS_JSON, TOP, TOP_JSON, N, PATCH = 4 };

static char dir[64], path[96];
static int file;

static void
fill(struct kvr_stats *s)
{
	memset(s, 0, sizeof(*s));
	s->head = (struct kvr_stats_head){ .magic = KVR_STATS_MAGIC, .version = KVR_STATS_VERSION,
		.bytes = sizeof(*s), .pid = 7, .n_tiers = 2, .rank = -1 };
	memcpy(s->head.instance, "kvr1", 5);
	memcpy(s->head.tier[0].name, "host", 5);
	memcpy(s->head.tier[0].url, "memory://", 10);
	memcpy(s->head.tier[1].name, "far", 4);
	memcpy(s->words[1][KVR_WORDS_LAST].text, "PING: no answer", 16);
	s->tier[0].n_lanes = s->tier[1].n_lanes = 2;
	s->metrics.n_tiers = 2;
	s->metrics.n_bounds = 3;
	for (uint32_t i = 0; i < 3; i++)
		s->metrics.bound_us[i] = 100 * (i + 1);
	s->metrics.tier[0].state = KVR_TIER_UP;
	s->metrics.tier[0].verb[KVR_VERB_GET].keys = s->metrics.tier[0].verb[KVR_VERB_GET].ok = 9;
	s->metrics.tier[0].verb[KVR_VERB_GET].times.bucket[1] = 9;
}

__attribute__((constructor)) static void
set_up(void)
{
	snprintf(dir, sizeof(dir), "%s/kvr-fuzz-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	KVR_CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/.fuzz.1.0.kvrs", dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	KVR_CHECK(file >= 0);
}

__attribute__((destructor)) static void
clean_up(void)
{
	close(file);
	(void)unlink(path);
	(void)rmdir(dir);
}

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	/* A text without an end, a count, a bound, a state. */
	static const size_t at[] = { offsetof(struct kvr_stats, head.instance),
		offsetof(struct kvr_stats, head.tier[1].url), offsetof(struct kvr_stats, head.n_tiers),
		offsetof(struct kvr_stats, metrics.n_bounds), offsetof(struct kvr_stats, tier[0].n_lanes),
		offsetof(struct kvr_stats, metrics.tier[0].state), offsetof(struct kvr_stats, words[1]) };

	if (i >= N * KVR_LEN(at))
		return 0;
	size_t off = at[i / N];

	ret[0] = (uint8_t)(i % N);
	memcpy(ret + 1, (uint8_t[]){ (uint8_t)off, (uint8_t)(off >> 8), (uint8_t)(off >> 16), 0xfd },
	    PATCH);
	return 1 + PATCH;
}

/* One to eight equal bytes, or 64: a text may be as long. */
static void
patch(uint8_t *page, const uint8_t *by)
{
	static const uint8_t bytes[] = { 0, 1, 2, 8, 16, 0x1b, 0x0a, 0x7f, 0x80, 0xc2, 0x9b, 0xff };
	size_t off = ((size_t)by[0] | (size_t)by[1] << 8 | (size_t)by[2] << 16) % sizeof(struct kvr_stats);
	size_t n = (by[3] & 3) == 3 ? 64 : (size_t)1 << (by[3] & 3);

	memset(page + off, bytes[by[3] / 4 % KVR_LEN(bytes)],
	    KVR_MIN(n, sizeof(struct kvr_stats) - off));
}

static void
show(uint32_t how)
{
	const struct cli cli = { .command = "top" };
	static struct top_row rows[SEEN_MAX];
	struct seen seen;

	if (how == PS || how == PS_JSON) {
		char *argv[] = { (char[]){ "ps" }, (char[]){ "--dir" }, dir, (char[]){ "--json" }, NULL };
		int status = cli_ps(how == PS ? 3 : 4, argv);

		KVR_CHECK(status == CLI_OK || status == CLI_MISS);
		return;
	}
	KVR_CHECK(seen_read(&cli, dir, 0, &seen));
	memset(rows, 0, sizeof(rows));
	for (uint32_t i = 0; i < seen.n; i++) {
		rows[i].now = seen.page[i];
		top_rates(&rows[i]);
		rows[i].before = seen.page[i];
		top_rates(&rows[i]);
	}
	if (how == TOP)
		top_text(rows, seen.n);
	else
		top_json(rows, seen.n);
	seen_drop(&seen);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	static struct kvr_stats page;
	FILE *out = stdout, *err = stderr;
	char *text = NULL, *said = NULL;
	size_t text_len = 0, said_len = 0;

	if (len == 0)
		return 0;
	fill(&page);
	for (size_t i = 1; i + PATCH <= len; i += PATCH)
		patch((uint8_t *)&page, at + i);
	KVR_CHECK(pwrite(file, &page, sizeof(page), 0) == (ssize_t)sizeof(page));
	stdout = open_memstream(&text, &text_len);
	stderr = open_memstream(&said, &said_len);
	show(at[0] % N);
	fclose(stdout);
	fclose(stderr);
	stdout = out;
	stderr = err;
	for (size_t i = 0; i < text_len; i++)
		KVR_CHECK(((unsigned char)text[i] >= ' ' || text[i] == '\n') && text[i] != 0x7f);
	if (at[0] % N == PS_JSON || at[0] % N == TOP_JSON) {
		cJSON *json = cJSON_Parse(text);

		KVR_CHECK(json != NULL);
		cJSON_Delete(json);
	}
	free(text);
	free(said);
	return 0;
}
