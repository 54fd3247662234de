/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target is one file, tests/fuzz/fuzz_<noun>.c, with the two functions below. Built with
 * -DKVR_FUZZ=ON and clang it runs under libFuzzer; otherwise under a driver of our own, which knows
 * nothing of coverage but runs everywhere and is the same every time.
 *
 * A target says what must hold with KVR_CHECK.
 */
#ifndef KVR_HARNESS_FUZZ_H
#define KVR_HARNESS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Runs one input, which has no byte behind its end. Answers 0. */
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

#define KVR_FUZZ_LEN_MAX 16384U

/*
 * Writes the i-th well-formed input, at most KVR_FUZZ_LEN_MAX bytes, and answers its length; 0 when
 * there is none of that number. Chance alone finds no header with a checksum.
 */
size_t kvr_fuzz_seed(size_t i, uint8_t *ret);

#endif
