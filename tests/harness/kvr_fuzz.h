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

/*
 * Writes the i-th word of the input's language, at most KVR_FUZZ_WORD_MAX bytes, and answers its
 * length; 0 when there is none of that number. A target may leave it out: it is a weak symbol.
 */
size_t kvr_fuzz_word(size_t i, uint8_t *ret) __attribute__((weak));
#define KVR_FUZZ_WORD_MAX 128U

/* Puts one of the words, if there are any, into an input of len bytes. Answers its length then. */
static inline size_t
kvr_fuzz_put_word(uint8_t *at, size_t len, size_t cap, uint64_t chance)
{
	uint8_t word[KVR_FUZZ_WORD_MAX];
	size_t n_words = 0, n, where = len == 0 ? 0 : (size_t)(chance >> 32) % len, i;

	if (kvr_fuzz_word == NULL)
		return len;
	while (kvr_fuzz_word(n_words, word) > 0)
		n_words++;
	n = kvr_fuzz_word((size_t)(chance & 0xffffffff) % n_words, word);
	if (n > cap - len)
		return len;
	for (i = len; i > where; i--)
		at[i - 1 + n] = at[i - 1];
	for (i = 0; i < n; i++)
		at[where + i] = word[i];
	return len + n;
}

#endif
