/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces on their way: each is added to what goes by engine, by kernel or by stage, as the plan says. */
#include "kvr_copier_own.h"

/*
 * Where the boundaries lie between what kvr_copy_plan.h knows; tests/bench/bench_gpu.c builds others,
 * which is how they were found. On an H200 the engines need 64 to 128 KiB to a call to be as fast as
 * the bus, both ways at once, and what is gathered costs three calls more, which 512 KiB are worth.
 */
#ifndef KVR_COPY_BIG
#define KVR_COPY_BIG 131072
#endif
#ifndef KVR_COPY_RUN
#define KVR_COPY_RUN KVR_COPY_BIG
#endif
#ifndef KVR_COPY_MANY
#define KVR_COPY_MANY (512 << 10)
#endif
#ifndef KVR_COPY_BATCH
#define KVR_COPY_BATCH KVR_BUS_COPIES
#endif

/* All that has been collected for the engines. */
static enum kvr_err
copy_big(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	const char *call;
	int rc = kvr_bus_go(&c->bus, way, c->way[way].stream, &c->batches, &call);

	return rc == 0 ? KVR_OK : kvr_copier_failed(c, way, call, rc, why, why_cap);
}

/* And for the kernel itself. */
static enum kvr_err
copy_small(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	uint32_t n = c->n_small;

	c->n_small = 0;
	for (uint32_t i = 0; i < n; i += c->most) {
		int rc = kvr_kernel_copy(
		    &c->small[i], KVR_MIN(n - i, c->most), way == KVR_WAY_IN, c->way[way].stream);

		if (rc != 0)
			return kvr_copier_failed(c, way, "the copy kernel", rc, why, why_cap);
	}
	return KVR_OK;
}

/* And for the device's memory. */
static enum kvr_err
copy_staged(struct kvr_copier *c, enum kvr_way way, char *why, size_t why_cap)
{
	struct way *w = &c->way[way];
	const char *call;
	int rc = kvr_stage_go(&w->stage, way, w->stream, &c->batches, &call);

	return rc == 0 ? KVR_OK : kvr_copier_failed(c, way, call, rc, why, why_cap);
}

/* Each of its units, for a copy engine goes in straight lines. */
static enum kvr_err
add_big(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, char *why, size_t why_cap)
{
	uint64_t n = kvr_piece_units(piece);
	enum kvr_err err = KVR_OK;

	for (uint64_t i = 0; i < n && err == KVR_OK; i++) {
		struct kvr_piece unit = kvr_piece_unit(piece, i);

		kvr_bus_add(&c->bus, way, unit.chunk, unit.cache, unit.len);
		if (c->bus.n == KVR_COPY_BATCH)
			err = copy_big(c, way, why, why_cap);
	}
	return err;
}

static enum kvr_err
add_small(struct kvr_copier *c, enum kvr_way way, struct kvr_piece rest, char *why, size_t why_cap)
{
	enum kvr_err err = KVR_OK;

	while (rest.len > 0 && err == KVR_OK) {
		c->small[c->n_small++] = kvr_piece_take(&rest, KVR_PIECE_TILE);
		if (c->n_small == KVR_LEN(c->small))
			err = copy_small(c, way, why, why_cap);
	}
	return err;
}

static enum kvr_err
add_staged(struct kvr_copier *c, enum kvr_way way, struct kvr_piece rest, char *why, size_t why_cap)
{
	struct kvr_stage *s = &c->way[way].stage;
	enum kvr_err err = KVR_OK;

	while (rest.len > 0 && err == KVR_OK) {
		struct kvr_piece part = kvr_piece_take(&rest, KVR_PIECE_TILE);

		if (!kvr_stage_has_room(s, &part))
			err = copy_staged(c, way, why, why_cap);
		if (err == KVR_OK)
			kvr_stage_add(s, way, &part);
		if (err == KVR_OK && s->filled >= c->plan.share)
			err = copy_staged(c, way, why, why_cap);
	}
	return err;
}

/* At most KVR_PLAN_PIECES. */
static enum kvr_err
copy_some(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n, char *why,
    size_t why_cap)
{
	const struct kvr_stage *s = &c->way[way].stage;
	const struct kvr_copy_rules rules = { .kernel = c->most > 0,
		.big = KVR_COPY_BIG,
		.huge = 8 * (uint64_t)KVR_COPY_BIG,
		.run = KVR_COPY_RUN,
		.many = KVR_COPY_MANY,
		.slot = s->on ? s->len : 0 };
	enum kvr_err err = KVR_OK;

	kvr_copy_plan(&rules, piece, n, &c->plan);
	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		if (c->plan.by[i] == KVR_BY_STAGE)
			err = add_staged(c, way, piece[i], why, why_cap);
		else if (c->plan.by[i] == KVR_BY_KERNEL)
			err = add_small(c, way, piece[i], why, why_cap);
		else
			err = add_big(c, way, &piece[i], why, why_cap);
	}
	if (err == KVR_OK)
		err = copy_staged(c, way, why, why_cap);
	if (err == KVR_OK)
		err = copy_small(c, way, why, why_cap);
	return err == KVR_OK ? copy_big(c, way, why, why_cap) : err;
}

enum kvr_err
kvr_copier_pieces(struct kvr_copier *c, enum kvr_way way, const struct kvr_piece *piece, uint32_t n,
    char *why, size_t why_cap)
{
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < n && err == KVR_OK; i += KVR_PLAN_PIECES)
		err = copy_some(c, way, &piece[i], KVR_MIN(n - i, (uint32_t)KVR_PLAN_PIECES), why, why_cap);
	/* What a failure left behind. */
	c->bus.n = c->n_small = 0;
	kvr_stage_forget(&c->way[way].stage);
	return err;
}
