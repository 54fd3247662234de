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
#include "kvr_seal.h"

#define KVR_FRAME_SCRATCH 65536U
/* The longest slice of a sealed payload: it is hashed and moved while it is in cache. */
#define KVR_FRAME_SLICE 262144U

/* What frames of one tier have in common. Where a header stands is the connector's choice. */
struct kvr_frame_rules {
	uint32_t format;    /* enum kvr_store_format */
	uint32_t n_groups;  /* LMCACHE: groups of a header in front of the payload; 0: no header */
	uint32_t seal_head; /* SEALED: KVR_SEAL_HEAD or KVR_SEAL_HEAD_FS */
	uint32_t serde_version; /* SEALED: written, and compared on read unless 0 */
	uint64_t fingerprint;   /* SEALED: written, and compared on read unless 0 */
	uint64_t serdes;        /* SEALED: bit n: serde n can be read here; 0: not compared */
	struct kvr_spoil *spoil; /* harms what comes in, before it is verified; NULL: nobody */
};

/*
 * One per value in flight. Scratch for heads, tails, checksums and unwanted bytes is the
 * connector's: one per frame in flight, allocated at dial.
 */
struct kvr_frame {
	const struct kvr_frame_rules *rules;
	struct kvr_item *item;
	uint8_t *scratch; /* KVR_FRAME_SCRATCH bytes, 64-aligned */
	uint64_t total;   /* bytes of the whole value */
	uint64_t at;      /* bytes already handed out (out) or moved (in) */
	uint64_t head_len, body_len, tail_len;
	const char *why; /* in: what was wrong, NULL: nothing */
	int32_t err;     /* in: the first thing that was wrong */
	uint32_t flip;   /* in: what is changed of the byte flip_at */
	uint64_t flip_at;
	uint64_t over;   /* in: bytes behind total that come all the same and are nobody's */
	struct kvr_seal seal; /* SEALED */
};

/*
 * item->span may be as long as the format can say. KVR_E_TOO_BIG: a sealed payload over 3.5 GiB, a
 * length or dim over 2^31 - 1 in an LMCACHE header; KVR_E_INVALID: LMCACHE cannot say this dtype,
 * shape or number of groups, or SEALED this key or number of groups. Sets item->len.
 */
KVR_MUST_USE enum kvr_err kvr_frame_out_begin(
    struct kvr_frame *, const struct kvr_frame_rules *, struct kvr_item *, uint8_t *scratch);
static inline uint64_t
kvr_frame_out_len(const struct kvr_frame *f)
{
	return f->total;
}
/*
 * The next bytes to write, at most max; len 0 at the end. A span stays valid as long as frame and
 * item, so several may be gathered into one call. A frame cannot go back: after a write that failed
 * in the middle, begin again.
 */
struct kvr_const_span kvr_frame_out_next(struct kvr_frame *, size_t max);

/*
 * total is what the store says. Always usable: an impossible length becomes the item's error. The
 * payload must be as long as item->span, or at most that with KVR_ITEM_AT_MOST, else LENGTH.
 */
void kvr_frame_in_begin(struct kvr_frame *, const struct kvr_frame_rules *, struct kvr_item *,
    uint8_t *scratch, uint64_t total);
/* Where the next bytes belong; len 0 at the end. Asking again without _got answers the same. */
struct kvr_span kvr_frame_in_next(struct kvr_frame *, size_t max);
void kvr_frame_in_got(struct kvr_frame *, size_t n);
/* The same for bytes that are there already: a head that was read before. */
void kvr_frame_in_copy(struct kvr_frame *, const uint8_t *from, size_t len);
/*
 * After the last byte: KVR_OK, LENGTH, CORRUPT, IDENTITY, or TOO_BIG for a sealed value that no
 * writer of ours makes. LENGTH too when the value did not come to its end. Fills item->len,
 * raw_len, serde and meta with what is known; does not set item->status, for the connector may know
 * something worse. Where it is not KVR_OK the span may hold bytes that mean nothing.
 */
int32_t kvr_frame_in_end(struct kvr_frame *);
/* What was wrong, as a sentence without full stop; "" when nothing was. Lives for ever. */
const char *kvr_frame_why(const struct kvr_frame *);

/* Bytes of the header in front of the payload: what kvr_frame_stat wants to see. 0: none. */
uint64_t kvr_frame_head_len(const struct kvr_frame_rules *);

/*
 * STAT: what a value's first bytes say. have bytes of total are at head. Fills the item. Identity
 * is compared by key only, for asking what is there must not depend on what one wants.
 * KVR_E_INVALID: have is less than the value has and the header needs. ret_why is written where the
 * answer is not KVR_OK: else a connector would tell the words of another key.
 */
int32_t kvr_frame_stat(const struct kvr_frame_rules *, struct kvr_item *, const uint8_t *head,
    size_t have, uint64_t total, char *ret_why, size_t why_cap);

#endif
