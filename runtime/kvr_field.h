/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a decider's state, found by place and printed: "op[3].deadline_ns at 12.250 ms". */
#ifndef KVR_FIELD_H
#define KVR_FIELD_H

#include "kvr_actor.h"

enum { KVR_FIELD_NAME = 96, KVR_FIELD_VALUE = 64 };

/* One element of one field. */
struct kvr_place {
	const struct kvr_field *field;
	uint32_t off; /* in the state */
	char     name[KVR_FIELD_NAME];
};

/* The element at this byte. False: it is not described. */
bool kvr_field_at(const struct kvr_spec *, uint32_t off, struct kvr_place *ret);
/* The element of this name: "n_ops", "op[3].err". False: there is none. */
bool kvr_field_named(const struct kvr_spec *, const char *name, struct kvr_place *ret);
/* Its value in this state. Points in time count from opened_ns. Returns ret. */
const char *kvr_field_value(
    const struct kvr_place *, const void *self, uint64_t opened_ns, char *ret, size_t cap);

#endif
