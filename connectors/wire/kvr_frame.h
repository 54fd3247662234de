/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value on its way into or out of a store, as a sequence of spans. A connector moves bytes
 * between the wire and the spans that it is given, and knows neither header nor seal:
 *
 *   out:  kvr_frame_out_begin; kvr_frame_out_len says the length of the value; then
 *         while ((span = kvr_frame_out_next(&f, max)).len > 0) write all of span;
 *   in:   the store says how long the value is; kvr_frame_in_begin; then
 *         while ((span = kvr_frame_in_next(&f, max)).len > 0) read n <= span.len bytes into it and
 *         tell kvr_frame_in_got(&f, n); at the end kvr_frame_in_end gives the item's status.
 *
 * The spans of the payload lie in the item's own memory: no byte is copied. Checksums are made
 * over each slice while it is in cache, so a reader should ask for 64 to 256 KiB at a time.
 *
 * A frame that turns out to be wrong (length, seal, identity) still has to be read to its end when
 * it comes from a stream; the frame then hands out a scratch span, so the connection stays in step.
 */
#ifndef KVR_FRAME_H
#define KVR_FRAME_H

#include "kvr_connector.h"
#include "kvr_hash.h"

#define KVR_SEAL_HEAD 512U       /* bytes of a sealed header; file systems use KVR_SEAL_HEAD_FS */
#define KVR_SEAL_HEAD_FS 4096U   /* so that the payload stays aligned for O_DIRECT */
#define KVR_SEAL_BLOCK KVR_MIB(1)
#define KVR_SEAL_SUFFIX "@kvr%1"
#define KVR_FRAME_SCRATCH 65536U

/* What frames of one tier have in common. Where a header stands is the connector's choice. */
struct kvr_frame_rules {
	uint32_t format;    /* enum kvr_store_format */
	uint32_t n_groups;  /* LMCACHE: groups of a header in front of the payload; 0: no header */
	uint32_t seal_head; /* SEALED: KVR_SEAL_HEAD or KVR_SEAL_HEAD_FS */
	uint32_t spare;
	uint64_t fingerprint; /* SEALED: written, and compared on read unless 0 */
};

/*
 * Scratch for heads, tails and unwanted bytes: one per connector and frame in flight, allocated
 * at dial. tail_cap bounds the values that can be sealed: see kvr_frame_tail_bytes.
 */
struct kvr_frame {
	const struct kvr_frame_rules *rules;
	struct kvr_item *item;
	uint8_t *scratch; /* KVR_FRAME_SCRATCH bytes, 64-aligned, the connector's */
	uint64_t total;   /* bytes of the whole value */
	uint64_t at;      /* bytes already handed out and moved */
	uint64_t head_len, body_len, tail_len;
	uint64_t block_hash_at; /* payload bytes that are hashed */
	int32_t  err;           /* in: the first thing that was wrong */
	uint32_t state;
	uint64_t stored[4];     /* private to kvr_frame.c */
};

/*
 * KVR_E_TOO_BIG: the payload needs a longer checksum table than scratch holds (it says so: 64 KiB
 * of scratch seal values of up to 7 GiB). KVR_E_INVALID: LMCACHE cannot say this dtype, shape or
 * number of groups.
 */
KVR_MUST_USE enum kvr_err kvr_frame_out_begin(struct kvr_frame *, const struct kvr_frame_rules *,
    struct kvr_item *, uint8_t *scratch);
static inline uint64_t
kvr_frame_out_len(const struct kvr_frame *f)
{
	return f->total;
}
/* The next bytes to write, at most max; len 0 at the end. Valid until the next call. */
struct kvr_const_span kvr_frame_out_next(struct kvr_frame *, size_t max);

/* total is what the store says. Always usable: an impossible length becomes the item's error. */
void kvr_frame_in_begin(struct kvr_frame *, const struct kvr_frame_rules *, struct kvr_item *,
    uint8_t *scratch, uint64_t total);
struct kvr_span kvr_frame_in_next(struct kvr_frame *, size_t max);
void            kvr_frame_in_got(struct kvr_frame *, size_t n);
/*
 * After the last byte: KVR_OK, LENGTH, CORRUPT or IDENTITY. Fills item->len, raw_len, serde and
 * meta; does not set item->status, for the connector may know something worse.
 */
int32_t kvr_frame_in_end(struct kvr_frame *);

/* STAT: what a value's first bytes say. have bytes of total are at head. Fills the item. */
int32_t kvr_frame_stat(const struct kvr_frame_rules *, struct kvr_item *, const uint8_t *head,
    size_t have, uint64_t total);

#endif
