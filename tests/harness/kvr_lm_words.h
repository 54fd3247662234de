/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of lm:// as a server reads and writes them. Shares no code with the connector, so
 * that a mistake made there is not made here too.
 */
#ifndef KVR_HARNESS_LM_WORDS_H
#define KVR_HARNESS_LM_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define KVR_LM_WORDS_ASK 186
#define KVR_LM_WORDS_TELL 36
#define KVR_LM_WORDS_HEAD 28 /* length, format, dtype, four dims */
#define KVR_LM_WORDS_KEY 150

enum {
	KVR_LM_WORDS_PUT = 1,
	KVR_LM_WORDS_GET,
	KVR_LM_WORDS_EXIST,
	KVR_LM_WORDS_LIST,
	KVR_LM_WORDS_HEALTH
};

struct kvr_lm_words {
	int32_t command;
	size_t  len; /* of a put */
	uint8_t head[KVR_LM_WORDS_HEAD];
	char    key[KVR_LM_WORDS_KEY + 1]; /* without the blanks at its ends */
};

/*
 * 0: LMCache's server closes the connection on this. odd: what LMCache's client would not have
 * sent; untouched when there is nothing.
 */
int kvr_lm_words_read(
    const uint8_t ask[KVR_LM_WORDS_ASK], struct kvr_lm_words *ret, char *odd, size_t odd_cap);
/* head NULL: that of an answer without payload. */
void kvr_lm_words_tell(uint8_t ret[KVR_LM_WORDS_TELL], int yes, const uint8_t *head);

#endif
