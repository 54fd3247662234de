/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads for the bench: real KV data, cut into chunks of any size. Each chunk starts at another
 * offset of the sample. Every 64 KiB have a stamp with run, chunk and offset, so that no chunk or
 * piece of one can pass for another. The data must be real to judge serdes: random bytes do not
 * compress, and synthetic patterns compress too well.
 */
#ifndef KVR_SAMPLE_H
#define KVR_SAMPLE_H

#include "kvr_cli.h"

#define SAMPLE_STAMP_EVERY 65536U

struct sample {
	uint8_t *at;
	uint64_t len;
	uint64_t run; /* number of this run; stamps of other runs differ */
	const char *path;
};

/*
 * path NULL: the variable KVRELAY_SAMPLE, else the file in the source tree. CLI_ERROR after a line
 * on standard error.
 */
int sample_open(const struct cli *, const char *path, uint64_t run, struct sample *ret);
void sample_close(struct sample *);
void sample_fill(const struct sample *, uint64_t chunk, uint8_t *ret, uint64_t len);
bool sample_same(const struct sample *, uint64_t chunk, const uint8_t *at, uint64_t len);

#endif
