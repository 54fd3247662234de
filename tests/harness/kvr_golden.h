/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden data for tests: tests/golden/README.md says what is in it. Everything here fails the
 * running test with file and member named, so a test needs no branch for a file that is not there.
 */
#ifndef KVR_HARNESS_GOLDEN_H
#define KVR_HARNESS_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A node of a JSON document. Nodes live as long as their document. */
struct kvr_golden;

/* name: "keys.json", from tests/golden. */
struct kvr_golden *kvr_golden_open(const char *name);
void kvr_golden_close(struct kvr_golden *take);

/* The member of an object: get fails the test when it is not there, find answers NULL. */
const struct kvr_golden *kvr_golden_get(const struct kvr_golden *, const char *member);
const struct kvr_golden *kvr_golden_find(const struct kvr_golden *, const char *member);

/* Elements of an array or members of an object, in their order; NULL at the end. */
const struct kvr_golden *kvr_golden_first(const struct kvr_golden *);
const struct kvr_golden *kvr_golden_next(const struct kvr_golden *);
size_t kvr_golden_count(const struct kvr_golden *);

#define KVR_GOLDEN_EACH(var, of)                                                                   \
	for (const struct kvr_golden *var = kvr_golden_first(of); var != NULL;                     \
	     var = kvr_golden_next(var))

const char *kvr_golden_name(const struct kvr_golden *); /* of a member; "" of an element */
bool kvr_golden_is_null(const struct kvr_golden *);
bool kvr_golden_is_text(const struct kvr_golden *);
bool kvr_golden_is_true(const struct kvr_golden *);
const char *kvr_golden_text(const struct kvr_golden *);
int64_t kvr_golden_int(const struct kvr_golden *);
/* Bytes of a text of hex digits. The caller frees them; never NULL, not even for no bytes. */
uint8_t *kvr_golden_hex(const struct kvr_golden *, size_t *ret_len);

/* Shorthands: the member of an object. */
const char *kvr_golden_text_of(const struct kvr_golden *, const char *member);
int64_t kvr_golden_int_of(const struct kvr_golden *, const char *member);
uint8_t *kvr_golden_hex_of(const struct kvr_golden *, const char *member, size_t *ret_len);

#endif
