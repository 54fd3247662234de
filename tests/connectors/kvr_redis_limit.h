/* SPDX-License-Identifier: Apache-2.0 */
/* A put of a value that is longer than the server's proto-max-bulk-len of 1 MiB. */
#ifndef KVR_REDIS_LIMIT_H
#define KVR_REDIS_LIMIT_H

#include "kvr_redis_bed.h"

static const char *const limit_args[] = { "--proto-max-bulk-len", "1mb", NULL };

/* Its header is read and the connection is over, however much of the value is on its way by then. */
static inline void
beyond_what_the_server_takes(const struct kvr_store_opts *opts, size_t len)
{
	struct bed b;
	struct load l = load_new(3, KVR_MIB(1) - 65536);
	uint8_t *at = calloc(1, len);
	bed_up(&b, opts);
	l.items[1].span = (struct kvr_span){ at, len };
	ck_assert_int_eq(bed_run(&b, KVR_VERB_PUT, l.items, 3), KVR_E_DOWN);
	/* Of LMCache's two only the payload is there. */
	bed_status(&l.items[0], opts->format == KVR_FORMAT_LMCACHE ? KVR_PENDING : KVR_OK);
	bed_status(&l.items[1], KVR_E_TOO_BIG);
	bed_status(&l.items[2], KVR_PENDING);
	ck_assert_ptr_nonnull(strstr(kvr_redis_ops.why(b.lane), "proto-max-bulk-len"));
	/* It is not done twice: the next connection knows the length. */
	kvr_redis_ops.hang_up(b.lane);
	ck_assert_int_eq(kvr_redis_ops.dial(b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why,
	                     sizeof(b.why)),
	    KVR_OK);
	bed_ok(&b, KVR_VERB_PUT, l.items, 3);
	bed_status(&l.items[0], KVR_OK);
	bed_status(&l.items[1], KVR_E_TOO_BIG);
	bed_status(&l.items[2], KVR_OK);
	ck_assert_ptr_nonnull(strstr(kvr_redis_ops.why(b.lane), "proto-max-bulk-len"));
	free(at);
	load_free(&l);
	bed_down(&b);
}

#endif
