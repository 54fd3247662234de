/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_codec --samples FILE [--quick] [SAMPLE]: what the lossless serdes make of real KV data, and
 * how fast. The sample is tests/data/kv_minilm_bf16.bin: K or V, layer, token, hidden.
 *
 * Ratios are of each layer's K and V apart, as a store of layers sees them, and of the whole chunk.
 * Speeds are CPU time of one core over copies of the sample that no cache holds, all codecs in
 * turns, beside a memcpy of the same bytes. Every byte is compared.
 */
#include "kvr_planes.h"
#include "kvr_workers.h"

#include "kvr_measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAYERS = 6, SLICES = 2 * LAYERS, COPIES = 24, WAYS_MAX = 8 };

/* memcpy, the paths of planes, zstd. */
struct way {
	const char *name;
	const struct kvr_planes_path *path;
	uint32_t serde;
};

struct codecs {
	struct bench bench;
	struct way way[WAYS_MAX];
	uint32_t n, copies;
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
encode(struct codecs *b, const struct way *w, const uint8_t *from, size_t len, uint8_t *to)
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
decode(struct codecs *b, const struct way *w, const uint8_t *from, size_t stored, uint8_t *to,
    size_t len)
{
	const struct kvr_const_span span = { from, stored };

	if (w->path != NULL)
		return kvr_planes_decode(w->path, span, to, len);
	return kvr_codec_decode(b->codec, w->serde, span, to, len) == KVR_OK;
}

static void
one_round(struct codecs *b, struct way *w, uint32_t round)
{
	double gb = (double)b->len * b->copies / 1e9, at = cpu_s(), encode_s;

	for (uint32_t i = 0; i < b->copies; i++) {
		b->stored_len[i] =
		    encode(b, w, b->raw + i * b->len, b->len, b->stored + i * b->len);
		if (b->stored_len[i] == 0)
			give_up("the sample does not shrink");
	}
	encode_s = cpu_s() - at;
	at = cpu_s();
	for (uint32_t i = 0; i < b->copies; i++) {
		if (!decode(b, w, b->stored + i * b->len, b->stored_len[i], b->back + i * b->len,
		        b->len))
			give_up("what was encoded cannot be decoded");
	}
	if (round > 0) {
		bench_tell(
		    &b->bench, "codec", "decode", "GB/s", w->name, round, gb / (cpu_s() - at));
		bench_tell(&b->bench, "codec", "encode", "GB/s", w->name, round, gb / encode_s);
	}
	if (memcmp(b->raw, b->back, b->len * b->copies) != 0)
		give_up("other bytes came back");
	memset(b->back, 0, b->len * b->copies);
}

static double
ratio(struct codecs *b, uint32_t serde, const uint8_t *from, size_t len)
{
	size_t n = kvr_codec_encode(b->codec, (enum kvr_serde_id)serde, 2,
	    (struct kvr_const_span){ from, len }, (struct kvr_span){ b->stored, len });

	return n == 0 ? 1 : (double)len / (double)n;
}

/* Every byte counts the same in each round, so one is enough. */
static void
tell_size(struct codecs *b, const char *what, const uint8_t *from, size_t len)
{
	const struct bench *out = &b->bench;

	bench_tell(out, "codec", what, "shrinks x", "raw memcpy", 1, 1);
	bench_tell(
	    out, "codec", what, "shrinks x", "planes", 1, ratio(b, KVR_SERDE_PLANES, from, len));
	bench_tell(out, "codec", what, "shrinks x", "zstd", 1, ratio(b, KVR_SERDE_ZSTD, from, len));
}

static void
tell_sizes(struct codecs *b)
{
	size_t slice = b->len / SLICES;

	tell_size(b, "size", b->raw, b->len);
	for (uint32_t i = 0; i < SLICES; i++) {
		char what[24];

		snprintf(what, sizeof(what), "size of %c%u", i < LAYERS ? 'K' : 'V', i % LAYERS);
		tell_size(b, what, b->raw + i * slice, slice);
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
load(struct codecs *b, const char *path)
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
ways(struct codecs *b)
{
	static char name[WAYS_MAX][24];

	b->way[b->n++] = (struct way){ .name = "raw memcpy", .serde = KVR_SERDE_NAIVE };
	b->way[b->n++] = (struct way){ .name = "planes", .path = kvr_planes_path(0) };
	for (uint32_t p = 1; kvr_planes_path(p) != NULL; p++) {
		snprintf(name[p], sizeof(name[p]), "planes, %s", kvr_planes_path(p)->name);
		b->way[b->n++] = (struct way){ .name = name[p], .path = kvr_planes_path(p) };
	}
	b->way[b->n++] = (struct way){ .name = "zstd", .serde = KVR_SERDE_ZSTD };
}

int
main(int argc, char **argv)
{
	static struct codecs b = { .copies = COPIES };
	int first = bench_args(&b.bench, argc, argv);

	if (first == 0)
		give_up("usage: bench_codec --samples FILE [--quick] [SAMPLE]");
	if (b.bench.size == BENCH_TINY)
		b.copies = 1;
	load(&b, first < argc ? argv[first] : KVR_SAMPLE);
	ways(&b);
	for (uint32_t r = 0; r <= b.bench.rounds; r++) {
		for (uint32_t i = 0; i < b.n; i++)
			one_round(&b, &b.way[(r + i) % b.n], r);
	}
	tell_sizes(&b);
	bench_end(&b.bench);
	kvr_codec_free(b.codec);
	free(b.raw);
	free(b.stored);
	free(b.back);
	free(b.stored_len);
	return 0;
}
