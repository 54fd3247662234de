/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite: what is promised in connectors/table/kvr_connector.h, asked of every
 * store. One executable per kind of store: the suite's files, and one subject_<store>.c that says
 * what to run them over. Every test runs once per subject, each time with a store of its own.
 */
#ifndef KVR_SUBJECT_H
#define KVR_SUBJECT_H

#include "kvr_check.h"
#include "kvr_connector.h"

struct kvr_subject {
	const char                     *name; /* "fs sealed" */
	const struct kvr_connector_ops *ops;
	uint32_t    format;       /* enum kvr_store_format */
	bool        any_key;      /* takes every key of 1 to 512 bytes */
	bool        keeps_shape;  /* a read of another layout is IDENTITY */
	bool        keeps_raw;    /* raw_len and serde come back */
	bool        two_keys;     /* a value is two keys, so two writers may leave a pair that no
	                           * reader takes; but what it takes is whole */
	int32_t     torn;         /* what such a pair is when it is no miss; 0: LENGTH */
	bool        outlives;     /* what is stored is there again after close and open */
	bool        no_delete;    /* DEL is UNSUPPORTED */
	bool        keeps_first;  /* a put of a key that is there is OK and changes nothing */
	bool        no_empty;     /* a put of no bytes is UNSUPPORTED */
	const struct kvr_connector_ops *inner; /* of a wrapper: what it is put around, or NULL */
	const char *key_tail;     /* put behind each key that is none of LMCache's; or NULL */
	const char *peer_awaits;  /* network stores: ends what a client says first; or NULL */
	/* Makes the place and fills what open() needs beyond format and tier. */
	void (*begin)(struct kvr_store_opts *);
	void (*end)(void);
};

extern const struct kvr_subject kvr_subjects[];
extern const int                kvr_subjects_n;

/* One open store and its first lane. */
struct kvr_world {
	const struct kvr_subject *subject;
	struct kvr_store_opts     opts;
	struct kvr_store         *store;
	struct kvr_connector     *lane;
	struct kvr_kick           kick;
};

void kvr_world_begin(struct kvr_world *, int subject);
void kvr_world_end(struct kvr_world *);
/* Another lane of the same store. The kick is the caller's. */
struct kvr_connector *kvr_world_dial(struct kvr_world *, struct kvr_kick *);
void kvr_world_redial(struct kvr_world *);

void     kvr_kick_open(struct kvr_kick *);
void     kvr_kick_close(struct kvr_kick *);
void     kvr_kick_batch(struct kvr_kick *, uint64_t batch);
uint64_t kvr_soon(void); /* far enough for a slow machine, near enough to end */

/*
 * An item without payload. meta is set to plain bytes. With a key tail the key's text is good until
 * the 16th item after this one.
 */
struct kvr_item kvr_item_of(const char *key, struct kvr_meta *meta);
void kvr_item_key_tail(const char *tail);
/* The same bytes for the same number, others for another. */
void kvr_fill(void *at, size_t len, uint64_t number);
bool kvr_filled(const void *at, size_t len, uint64_t number);

/* One key, which must be answered: its status. */
int32_t kvr_put1(struct kvr_connector *, const struct kvr_connector_ops *, const char *key,
    const void *at, size_t len);
int32_t kvr_get1(struct kvr_connector *, const struct kvr_connector_ops *, const char *key,
    void *at, size_t len, uint32_t flags, uint64_t *ret_len);
int32_t kvr_ask1(struct kvr_connector *, const struct kvr_connector_ops *, enum kvr_verb,
    const char *key);

/* The suite, in parts. */
void kvr_add_conformance(TCase *);
void kvr_add_conformance_hard(TCase *);
void kvr_add_conformance_lanes(TCase *);

#endif
