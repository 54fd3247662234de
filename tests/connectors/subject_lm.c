/* SPDX-License-Identifier: Apache-2.0 */
/* LMCache's server cannot be installed everywhere: a server of its protocol, strict about it. */
#include "kvr_subject.h"

#include "kvr_connectors.h"
#include "kvr_lm_server.h"

static struct kvr_lm_server *server;

static void
begin(struct kvr_store_opts *opts)
{
	server = kvr_lm_server_start();
	opts->url = kvr_lm_server_url(server);
}

static void
end(void)
{
	struct kvr_lm_count count = kvr_lm_server_count(server);
	ck_assert_msg(count.deviations == 0, "%u deviations, the first: %s", count.deviations,
	    count.first_deviation);
	ck_assert_uint_eq(count.broken, 0);
	kvr_lm_server_stop(server);
	server = NULL;
}

const struct kvr_subject kvr_subjects[] = {
	{ .name = "lm lmcache", .ops = &kvr_lm_ops, .format = KVR_FORMAT_LMCACHE, .begin = begin,
	    .end = end, .outlives = true, .keeps_shape = true, .no_delete = true,
	    .key_tail = "@1@0@1@half", .peer_awaits = "@half                    " },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
