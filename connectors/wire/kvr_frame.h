/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value on its way into or out of a store, as a sequence of spans. A connector moves bytes
 * between the wire and the spans that it is given, and does not know about headers or seals:
 *
 *   out:  kvr_frame_out_begin; kvr_frame_out_len returns the length of the value; then
 *         while ((span = kvr_frame_out_next(&f, max)).len > 0) write all of span;
 *   in:   the store says how long the value is; kvr_frame_in_begin; then
 *         while ((span = kvr_frame_in_next(&f, max)).len > 0) read n <= span.len bytes into it and
 *         call kvr_frame_in_got(&f, n); at the end kvr_frame_in_end returns the item's status.
 *
 * The spans of the payload lie in the item's own memory: no byte is copied. Each slice is
 * checksummed while it is in cache, so a reader should ask for 64 to 256 KiB at a time.
 *
 * A frame that turns out to be wrong (length, seal, identity) must still be read to its end when it
 * comes from a stream: it then hands out a scratch span, so that the connection stays in step.
 */
#ifndef KVR_FRAME_H
#define KVR_FRAME_H

#include "kvr_connector.h"
#include "kvr_seal.h"

#define KVR_FRAME_SCRATCH 65536U
/* The longest slice of a sealed payload: it is hashed and moved while it is in cache. */
#define KVR_FRAME_SLICE 262144U

/*
 * What the frames of one tier have in common. Where a header is stored is the connector's choice.
 */
struct kvr_frame_rules {
	uint32_t format;    /* enum kvr_store_format */
	uint32_t n_groups;  /* LMCACHE: groups of a header in front of the payload; 0: no header */
	uint32_t seal_head; /* SEALED: KVR_SEAL_HEAD or KVR_SEAL_HEAD_FS */
	uint32_t serde_version; /* SEALED: written, and compared on read unless 0 */
	uint64_t fingerprint;   /* SEALED: written, and compared on read unless 0 */
	uint64_t serdes;        /* SEALED: bit n: serde n can be read here; 0: not compared */
	struct kvr_spoil *spoil; /* damages what comes in before it is verified; NULL: nothing does */
};

/*
 * One per value in flight. The connector provides the scratch memory for heads, tails, checksums
 * and unwanted bytes: one per frame in flight, allocated by dial.
 */
struct kvr_frame {
	const struct kvr_frame_rules *rules;
	struct kvr_item *item;
	uint8_t *scratch; /* KVR_FRAME_SCRATCH bytes, 64-aligned */
	uint64_t total;   /* bytes of the whole value */
	uint64_t at;      /* bytes handed out so far (out) or moved so far (in) */
	uint64_t head_len, body_len, tail_len;
	const char *why; /* in: what was wrong; NULL: nothing */
	int32_t err;     /* in: the first error */
	uint32_t flip;   /* in: mask of the bit that is flipped in byte flip_at */
	uint64_t flip_at;
	uint64_t over;   /* in: bytes received after total, which belong to nothing */
	struct kvr_seal seal; /* SEALED */
};

/*
 * item->span may be as long as the format can represent. KVR_E_TOO_BIG: a sealed payload over 3.5
 * GiB, a length or dim over 2^31 - 1 in an LMCACHE header. KVR_E_INVALID: LMCACHE cannot represent
 * this dtype, shape or number of groups, or SEALED this key or number of groups. Sets item->len.
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
 * item, so several may be gathered into one call. A frame cannot go back: after a failed write,
 * call begin again.
 */
struct kvr_const_span kvr_frame_out_next(struct kvr_frame *, size_t max);

/*
 * total is the value's length as the store says. Cannot fail: an impossible length becomes the
 * item's error. The payload must be as long as item->span, or with KVR_ITEM_AT_MOST not longer,
 * else LENGTH.
 */
void kvr_frame_in_begin(struct kvr_frame *, const struct kvr_frame_rules *, struct kvr_item *,
    uint8_t *scratch, uint64_t total);
/* Where to put the next bytes; len 0 at the end. A second call without _got returns the same. */
struct kvr_span kvr_frame_in_next(struct kvr_frame *, size_t max);
void kvr_frame_in_got(struct kvr_frame *, size_t n);
/* The same for bytes that were read before: a head. */
void kvr_frame_in_copy(struct kvr_frame *, const uint8_t *from, size_t len);
/*
 * After the last byte: KVR_OK, LENGTH, CORRUPT, IDENTITY, or TOO_BIG for a sealed value longer than
 * any that we write. LENGTH also if the value has not arrived completely. Fills item->len, raw_len,
 * serde and meta with what is known. Does not set item->status, because the connector may know of a
 * worse error. Unless it returns KVR_OK, the contents of the span are meaningless.
 */
int32_t kvr_frame_in_end(struct kvr_frame *);
/* What was wrong, as a sentence without full stop; "" if nothing. Static storage. */
const char *kvr_frame_why(const struct kvr_frame *);

/* Bytes of the header in front of the payload, which kvr_frame_stat wants to see. 0: none. */
uint64_t kvr_frame_head_len(const struct kvr_frame_rules *);

/*
 * STAT: what the first bytes of a value say; head points to have of its total bytes. Fills the
 * item. Only the key is compared, not the rest of the identity, because what is stored must not
 * depend on who asks. KVR_E_INVALID: have is smaller than both the value and what the header needs.
 * ret_why is written whenever the result is not KVR_OK: otherwise a connector would report the
 * words for another key.
 */
int32_t kvr_frame_stat(const struct kvr_frame_rules *, struct kvr_item *, const uint8_t *head,
    size_t have, uint64_t total, char *ret_why, size_t why_cap);

#endif
