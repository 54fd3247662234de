/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decider that breaks both rules: it reads the clock, and it remembers something outside its
 * state. It is compiled for test_tidy.py, which must find both; nothing links it.
 */
#include "kvr_base.h"

uint64_t kvr_planted_step(void);

uint64_t
kvr_planted_step(void)
{
	static uint64_t steps;
	return kvr_now_ns() + ++steps;
}
