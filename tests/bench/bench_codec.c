/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_codec [--quick | --smoke] [--json FILE] [SAMPLE]: what the lossless serdes make of real KV
 * data, and how fast. The sample is tests/data/kv_minilm_bf16.bin: K or V, layer, token, hidden.
 *
 * Ratios are of each layer's K and V apart, as a store of layers sees them, and of the whole chunk.
 * Speeds are CPU time of one core over copies of the sample that no cache holds, all codecs in turns,
 * beside a memcpy of the same bytes; the median of the rounds is told. Every byte is compared.
 */
#include "kvr_planes.h"
#include "kvr_workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAYERS = 6, SLICES = 2 * LAYERS, COPIES = 24, WAYS_MAX = 8, ROUNDS_MAX = 31 };

/* memcpy, the paths of planes, zstd. */
struct way {
	const char *name;
	const struct kvr_planes_path *path;
	uint32_t serde;
	double encode[ROUNDS_MAX], decode[ROUNDS_MAX];
	size_t stored;
};

struct bench {
	struct way way[WAYS_MAX];
	uint32_t n, rounds, copies;
	size_t len; /* of one sample */
	uint8_t *raw, *stored, *back;
	size_t *stored_len; /* of each copy */
	struct kvr_codec *codec;
};

static _Noreturn void
give_up(const char *what)
{
	fprintf(stderr, "bench_codec: %s\n", what);
	exit(1);
}

static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t
encode(struct bench *b, const struct way *w, const uint8_t *from, size_t len, uint8_t *to)
{
	const struct kvr_const_span raw = { from, len };
	const struct kvr_span into = { to, len };

	if (w->path != NULL)
		return kvr_planes_encode(w->path, raw, into);
	if (w->serde != KVR_SERDE_NAIVE)
		return kvr_codec_encode(b->codec, (enum kvr_serde_id)w->serde, 2, raw, into);
	memcpy(to, from, len);
	return len;
}

static bool
decode(struct bench *b, const struct way *w, const uint8_t *from, size_t stored, uint8_t *to,
    size_t len)
{
	const struct kvr_const_span span = { from, stored };

	if (w->path != NULL)
		return kvr_planes_decode(w->path, span, to, len);
	return kvr_codec_decode(b->codec, w->serde, span, to, len) == KVR_OK;
}

static void
one_round(struct bench *b, struct way *w, uint32_t round)
{
	double gb = (double)b->len * b->copies / 1e9, at = cpu_s();

	w->stored = 0;
	for (uint32_t i = 0; i < b->copies; i++) {
		b->stored_len[i] =
		    encode(b, w, b->raw + i * b->len, b->len, b->stored + i * b->len);
		if (b->stored_len[i] == 0)
			give_up("the sample does not shrink");
		w->stored += b->stored_len[i];
	}
	w->encode[round] = gb / (cpu_s() - at);
	at = cpu_s();
	for (uint32_t i = 0; i < b->copies; i++) {
		if (!decode(b, w, b->stored + i * b->len, b->stored_len[i], b->back + i * b->len,
		        b->len))
			give_up("what was encoded cannot be decoded");
	}
	w->decode[round] = gb / (cpu_s() - at);
	if (memcmp(b->raw, b->back, b->len * b->copies) != 0)
		give_up("other bytes came back");
	memset(b->back, 0, b->len * b->copies);
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[n / 2];
}

static double
ratio(struct bench *b, uint32_t serde, const uint8_t *from, size_t len)
{
	size_t n = kvr_codec_encode(b->codec, (enum kvr_serde_id)serde, 2,
	    (struct kvr_const_span){ from, len }, (struct kvr_span){ b->stored, len });

	return n == 0 ? 1 : (double)len / (double)n;
}

static void
print_ratios(struct bench *b, FILE *json)
{
	size_t slice = b->len / SLICES;

	printf("ratio            whole");
	for (uint32_t i = 0; i < SLICES; i++)
		printf("  %c%u   ", i < LAYERS ? 'K' : 'V', i % LAYERS);
	for (uint32_t serde = KVR_SERDE_ZSTD; serde <= KVR_SERDE_PLANES; serde++) {
		const char *name = serde == KVR_SERDE_ZSTD ? "zstd" : "planes";
		double whole = ratio(b, serde, b->raw, b->len);

		printf("\n%-16s %.3f", name, whole);
		if (json != NULL)
			fprintf(json, "%s{\"serde\":\"%s\",\"whole\":%.4f,\"slices\":[",
			    serde == KVR_SERDE_ZSTD ? "" : ",", name, whole);
		for (uint32_t i = 0; i < SLICES; i++) {
			double r = ratio(b, serde, b->raw + i * slice, slice);

			printf(" %.3f", r);
			if (json != NULL)
				fprintf(json, "%s%.4f", i == 0 ? "" : ",", r);
		}
		if (json != NULL)
			fprintf(json, "]}");
	}
	printf("\n\n");
}

static void
print_speeds(struct bench *b, FILE *json)
{
	double base[2] = { 0 };

	printf("GB/s of payload, one core, cold   encode  to memcpy   decode  to memcpy\n");
	for (uint32_t i = 0; i < b->n; i++) {
		struct way *w = &b->way[i];
		double in = median(w->encode, b->rounds), out = median(w->decode, b->rounds);

		if (i == 0) {
			base[0] = in;
			base[1] = out;
		}
		printf("%-32s %7.2f %10.2f %8.2f %10.2f\n", w->name, in, in / base[0], out,
		    out / base[1]);
		if (json != NULL)
			fprintf(json,
			    "%s{\"name\":\"%s\",\"encode_gbps\":%.3f,\"decode_gbps\":%.3f}",
			    i == 0 ? "" : ",", w->name, in, out);
	}
}

static uint8_t *
room(size_t len)
{
	uint8_t *at = aligned_alloc(4096, (len + 4095) / 4096 * 4096);

	if (at == NULL)
		give_up("no memory");
	memset(at, 1, len); /* every page is there before anything is timed */
	return at;
}

static void
load(struct bench *b, const char *path)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		give_up("the sample is not there");
	fseek(f, 0, SEEK_END);
	b->len = (size_t)ftell(f);
	rewind(f);
	b->raw = room(b->len * b->copies);
	b->stored = room(b->len * b->copies);
	b->back = room(b->len * b->copies);
	b->stored_len = calloc(b->copies, sizeof(size_t));
	b->codec = kvr_codec_new();
	if (b->stored_len == NULL || b->codec == NULL || fread(b->raw, 1, b->len, f) != b->len)
		give_up("the sample cannot be read, or no memory");
	fclose(f);
	for (uint32_t i = 1; i < b->copies; i++)
		memcpy(b->raw + i * b->len, b->raw, b->len);
}

static void
ways(struct bench *b)
{
	static char name[WAYS_MAX][24];

	b->way[b->n++] = (struct way){ .name = "memcpy", .serde = KVR_SERDE_NAIVE };
	for (uint32_t p = 0; kvr_planes_path(p) != NULL; p++) {
		snprintf(name[p], sizeof(name[p]), "planes, %s", kvr_planes_path(p)->name);
		b->way[b->n++] = (struct way){ .name = name[p], .path = kvr_planes_path(p) };
	}
	b->way[b->n++] = (struct way){ .name = "zstd", .serde = KVR_SERDE_ZSTD };
}

int
main(int argc, char **argv)
{
	static struct bench b = { .rounds = 15, .copies = COPIES };
	const char *sample = KVR_SAMPLE;
	FILE *json = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0)
			b.rounds = 5;
		else if (strcmp(argv[i], "--smoke") == 0)
			b.rounds = b.copies = 1;
		else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
			json = fopen(argv[++i], "w");
		else
			sample = argv[i];
	}
	load(&b, sample);
	ways(&b);
	for (uint32_t r = 0; r < b.rounds; r++) {
		for (uint32_t i = 0; i < b.n; i++)
			one_round(&b, &b.way[(r + i) % b.n], r);
	}
	if (json != NULL)
		fprintf(json, "{\"sample_bytes\":%zu,\"rounds\":%u,\"ratios\":[", b.len, b.rounds);
	print_ratios(&b, json);
	if (json != NULL)
		fprintf(json, "],\"speeds\":[");
	print_speeds(&b, json);
	if (json != NULL && (fprintf(json, "]}\n") < 0 || fclose(json) != 0))
		give_up("the JSON file cannot be written");
	kvr_codec_free(b.codec);
	free(b.raw);
	free(b.stored);
	free(b.back);
	free(b.stored_len);
	return 0;
}
