/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads for the bench: real KV data, cut into chunks of any size. Each chunk begins at another
 * place of the sample, and every 64 KiB of it carry a stamp with run, chunk and place, so that no
 * chunk, and no piece of one, can stand for another. Serdes are judged by such data; random bytes
 * do not compress and made-up patterns compress too well.
 */
#ifndef KVR_SAMPLE_H
#define KVR_SAMPLE_H

#include "kvr_cli.h"

#define SAMPLE_STAMP_EVERY 65536U

struct sample {
	uint8_t *at;
	uint64_t len;
	uint64_t run; /* this run's number; stamps of another run do not fit */
	const char *path;
};

/*
 * path NULL: the variable KVRELAY_SAMPLE, else the file of the source tree. CLI_ERROR after a line
 * on standard error.
 */
int sample_open(const struct cli *, const char *path, uint64_t run, struct sample *ret);
void sample_close(struct sample *);
void sample_fill(const struct sample *, uint64_t chunk, uint8_t *ret, uint64_t len);
bool sample_same(const struct sample *, uint64_t chunk, const uint8_t *at, uint64_t len);

#endif
