/* SPDX-License-Identifier: Apache-2.0 */
/* Values as they lie in a store, written and read through frames in pieces of random length. */
#ifndef KVR_HARNESS_VALUE_H
#define KVR_HARNESS_VALUE_H

#include "kvr_frame.h"

struct kvr_value {
	uint8_t *at;
	size_t len;
};

/* splitmix64, so that a test can say its seed. */
uint64_t kvr_value_draw(uint64_t *rand);

#define KVR_VALUE_GUARD 64U

/* Memory full of 0xa5 with a guard behind it; kvr_value_check_guard, then free(). */
void *kvr_value_room(size_t len);
void kvr_value_check_guard(const void *at, size_t len);
/* The payload of the sealed golden values: no two blocks are alike. */
uint8_t *kvr_value_payload(size_t len);

/* An item with key "a-key". */
void kvr_value_item(struct kvr_item *ret, struct kvr_meta *meta, void *at, size_t len);

/* What a connector would send. The caller frees it. */
struct kvr_value kvr_value_write(const struct kvr_frame_rules *, struct kvr_item *, uint64_t seed);
/* Reads all of it, whatever is wrong with it, for a stream must stay in step. */
int32_t kvr_value_read(
    const struct kvr_frame_rules *, struct kvr_item *, struct kvr_value, uint64_t seed);

/* Rules of each kind, and a chunk of 100 bytes. */
extern const struct kvr_frame_rules kvr_value_bare, kvr_value_lmcache, kvr_value_headless;
extern const struct kvr_frame_rules kvr_value_sealed, kvr_value_sealed_fs;
extern const struct kvr_frame_rules *const kvr_value_rules[5];
extern const struct kvr_meta kvr_value_meta;

#endif
