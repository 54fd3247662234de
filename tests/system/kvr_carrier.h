/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in a store, read and written behind the library's back, many values at once. */
#ifndef KVR_SYSTEM_CARRIER_H
#define KVR_SYSTEM_CARRIER_H

#include <stddef.h>
#include <stdint.h>

struct kvr_carried {
	char name[96]; /* of the key in the store, or of the file */
	uint8_t *at;
	size_t len;
};

struct kvr_carrier;

struct kvr_carrier *kvr_carrier_redis(uint16_t port);
struct kvr_carrier *kvr_carrier_dir(const char *dir);
void kvr_carrier_free(struct kvr_carrier *take);

/* Fills in len, and at, which is for free() and has `more` bytes of room behind the value. */
void kvr_carrier_read(struct kvr_carrier *, struct kvr_carried *, size_t more);
void kvr_carrier_write(struct kvr_carrier *, const struct kvr_carried *, size_t n);

#endif
