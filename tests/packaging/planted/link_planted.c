/* SPDX-License-Identifier: Apache-2.0 */
/* The innocent twin: a constant table with pointers in it, and only calls that are allowed. */
#include "kvr_base.h"

const char *kvr_planted_name(unsigned state);

static const char *const state_name[] = { "DOWN", "UP" };

const char *
kvr_planted_name(unsigned state)
{
	KVR_CHECK(state < KVR_LEN(state_name));
	return state_name[state];
}
