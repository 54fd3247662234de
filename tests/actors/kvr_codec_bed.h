/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of codecs: memory whose end is watched, chance, and the real KV data of tests/data. */
#ifndef KVR_CODEC_BED_H
#define KVR_CODEC_BED_H

#include "kvr_base.h"

uint64_t bed_draw(uint64_t *seed);
/* len bytes and a guard behind them. */
uint8_t *bed_room(size_t len);
void     bed_check_guard(const uint8_t *at, size_t len);
uint8_t *bed_load(const char *name, size_t *ret_len);

#endif
