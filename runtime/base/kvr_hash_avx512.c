/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#define WAY    kvr_hash_avx512
#define VECTOR XXH_AVX512
#include "kvr_hash_body.h"
#endif
