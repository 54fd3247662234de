/* SPDX-License-Identifier: Apache-2.0 */
/* Well-formed traces for fuzzers, and well-formed sums for traces that are not. */
#ifndef KVR_TRACE_INPUT_H
#define KVR_TRACE_INPUT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Traces of today's deciders, which tests/traces keeps: each whole, then the second half of it,
 * which begins with a snapshot; and one with the kinds of records that no decider makes. Two bytes
 * less than KVR_FUZZ_LEN_MAX at most. 0: none of that number.
 */
size_t kvr_trace_input_seed(size_t i, uint8_t *ret);
/*
 * A well-formed trace with some fields overwritten and its sums right: the first byte of the recipe
 * says which trace, then each four say which record, where in it, and what value. Returns its
 * length; ret has room for KVR_FUZZ_LEN_MAX bytes.
 */
size_t kvr_trace_input_patched(const uint8_t *recipe, size_t len, uint8_t *ret);
/* Makes the sums of all records right, as far as there are whole ones. at is 8-aligned. */
void kvr_trace_input_repair(uint8_t *at, size_t len);
/* A file without a name, and a path to it as long as it is open. */
int kvr_trace_input_file(char ret_path[32]);

#endif
