/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts another command in the place of some that a RESP client sends. What is put there makes the
 * server itself answer with an error of the wanted code, so that replies keep their order and the
 * stream stays in step.
 */
#ifndef KVR_HARNESS_COMMAND_SWAP_H
#define KVR_HARNESS_COMMAND_SWAP_H

#include <stddef.h>
#include <stdint.h>

/* Where in the stream of commands we are. Zeros: at its beginning. */
struct kvr_command_swap {
	int swallow;    /* the running command is replaced */
	uint32_t words; /* of the running command, that are still to come */
	uint64_t body;  /* bytes of a word, and the two behind it, that are still to come */
	uint32_t line_len;
	char line[64];
};

enum { KVR_SWAP_IN = 8192, KVR_SWAP_OUT = 131072 };

/*
 * At most KVR_SWAP_IN bytes of a client become what the server gets, in `to`, which has room for
 * KVR_SWAP_OUT; returns how many. hits is asked once per command whether it shall fail.
 */
size_t kvr_command_swap(struct kvr_command_swap *, const char *at, size_t len, const char *code,
    int (*hits)(void *), void *arg, char *to);

#endif
