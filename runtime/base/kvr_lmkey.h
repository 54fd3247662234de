/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMCache's key texts. A key is stored under the text that the engine gave. The text is only read,
 * and at most its worker id is replaced; it is never taken apart and put together again, because a
 * hash of bytes would lose its leading zeros that way.
 *
 *   NOW     model@world@worker@hash@dtype[@layer][@tag%value]...          since February 2026
 *   LATE25  engine@model@world@worker@hash@dtype[@layer][@tag%value]...   autumn 2025
 *   MID25   engine@model@world@worker@hash[@layer][@tag%value]...         before that
 *   MP      model@rank@hash, model@rank@group@hash[@salt]                 multi-process mode
 *
 * Nothing is escaped. Reading is as tolerant as LMCache's own reading (signs, blanks and
 * underscores in numbers, upper case and 0x in the hash), except that digits must be ASCII.
 */
#ifndef KVR_LMKEY_H
#define KVR_LMKEY_H

#include "kvr_err.h"

#define KVR_LMKEY_LEN_MAX 512U
/* Bound of world sizes and worker ids, both signs: eight digits in that place are MP's kv_rank. */
#define KVR_LMKEY_RANK_MAX 9999999

enum kvr_lmkey_form {
	KVR_LMKEY_NOW,
	KVR_LMKEY_LATE25, /* a model with one '@' in its name looks like this, too */
	KVR_LMKEY_MID25,
	KVR_LMKEY_MP,
	KVR_LMKEY_AT /* NOW with two '@' or more in the model; LMCache cannot read its own such keys */
};

/* All spans point into the parsed text and are valid as long as it is. */
struct kvr_lmkey {
	uint32_t form;                /* enum kvr_lmkey_form */
	uint32_t dtype;               /* enum kvr_dtype_code; NONE where the form has none */
	struct kvr_const_span engine; /* empty in NOW, AT and MP */
	struct kvr_const_span model;
	struct kvr_const_span worker; /* the field of the worker id; empty in MP */
	struct kvr_const_span hash;   /* as written in the text */
	struct kvr_const_span tags;   /* "name%value@name%value"; MP: the salt */
	int64_t world_size, worker_id;
	int64_t layer;   /* -1: none */
	uint64_t group;  /* MP: the object group */
	uint32_t n_tags; /* all of them, including repeated names */
	bool old_dtype;  /* "fp8_e4m3", of 2025, which since February 2026 is an error to LMCache */
	uint8_t spare[3];
};

/* KVR_E_INVALID: not LMCache's (it may still be a valid key). KVR_E_TOO_BIG: over 512 bytes. */
KVR_MUST_USE enum kvr_err kvr_lmkey_parse(const char *text, size_t len, struct kvr_lmkey *ret);

/*
 * The next tag; rest starts as a copy of the key's tags. A value ends at the next '@', a name at
 * its first '%'. False at the end. LMCache keeps the last value of a repeated name.
 */
bool kvr_lmkey_next_tag(
    struct kvr_const_span *rest, struct kvr_const_span *ret_name, struct kvr_const_span *ret_value);

/*
 * The text with worker id 0 and everything else byte for byte: what all ranks of an MLA model
 * share. Never longer than text. Keys of worker 0 and of form MP are copied unchanged. ret has cap
 * bytes and gets a NUL behind the text; KVR_E_TOO_SMALL when len + 1 is more than cap.
 */
KVR_MUST_USE enum kvr_err kvr_lmkey_worker0(
    const struct kvr_lmkey *, const char *text, size_t len, char *ret, size_t cap, size_t *ret_len);

struct kvr_lmtag {
	const char *name, *value;
};

enum kvr_lmhash_kind {
	KVR_LMHASH_INT64,   /* hash_int */
	KVR_LMHASH_BYTES,   /* hash_bytes as hex digits, with all zeros */
	KVR_LMHASH_NATURAL, /* hash_bytes as an integer, highest byte first */
	KVR_LMHASH_NEGATIVE /* the same with a minus sign */
};

struct kvr_lmkey_parts {
	const char *engine; /* NULL: form NOW, else LATE25 */
	const char *model;
	int64_t world_size, worker_id;
	int64_t layer; /* -1: none; 0 is the first layer */
	int64_t hash_int;
	const uint8_t *hash_bytes;
	uint32_t n_hash_bytes;
	uint32_t hash_kind; /* enum kvr_lmhash_kind */
	uint32_t dtype;
	uint32_t n_tags;
	const struct kvr_lmtag *tags;
};

/*
 * Writes the text and a NUL. KVR_E_INVALID: what LMCache itself could not read back ('@' in the
 * model or in a tag, a hash of no bytes, no dtype), a rank beyond its bound, a layer below -1 or
 * above 2^31 - 1. KVR_E_TOO_BIG: over 512 bytes. KVR_E_TOO_SMALL: cap. A '%' in a tag's name is
 * written, but reads back as the end of the name.
 */
KVR_MUST_USE enum kvr_err kvr_lmkey_format(
    const struct kvr_lmkey_parts *, char *ret, size_t cap, size_t *ret_len);

#endif
