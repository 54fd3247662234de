/* SPDX-License-Identifier: Apache-2.0 */
/* For libFuzzer: well-formed inputs now and then, for there are no files of them, and words. */
#include "kvr_base.h"
#include "kvr_fuzz.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *at, size_t len, size_t cap);
size_t LLVMFuzzerCustomMutator(uint8_t *at, size_t len, size_t cap, unsigned seed);

size_t
LLVMFuzzerCustomMutator(uint8_t *at, size_t len, size_t cap, unsigned seed)
{
	static uint8_t input[KVR_FUZZ_LEN_MAX];

	if (len < 4 || seed % 64 == 0) {
		size_t n = kvr_fuzz_seed(seed / 64 % 64, input);

		if (n > 0 && n <= cap) {
			memcpy(at, input, n);
			len = n;
		}
	}
	if (seed % 8 == 1)
		len = kvr_fuzz_put_word(at, len, cap, seed * UINT64_C(0x9e3779b97f4a7c15));
	return LLVMFuzzerMutate(at, len, cap);
}
