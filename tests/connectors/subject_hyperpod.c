/* SPDX-License-Identifier: Apache-2.0 */
/* No HyperPod daemon can be had: one of its own process that is strict about what it is asked. */
#include "kvr_subject.h"

#include "kvr_connectors.h"
#include "kvr_hyperpod_server.h"

static struct kvr_hyperpod_server *server;

static void
begin(struct kvr_store_opts *opts)
{
	server = kvr_hyperpod_server_start();
	atomic_store(&kvr_hyperpod_server_page(server)->miss_at_once, 1);
	opts->url = kvr_hyperpod_server_url(server);
	opts->hyperpod.shared_memory_name = kvr_hyperpod_server_segment(server);
	/* The largest chunks take their time on a busy machine; what is asked of the daemon is as usual. */
	opts->hyperpod.timeout_ms = 60000;
	opts->hyperpod.lease_wait_ms = opts->format == KVR_FORMAT_BARE ? 0 : 5000;
}

static void
begin_in_pieces(struct kvr_store_opts *opts)
{
	begin(opts);
	/* Of the header only a part is in the first one. */
	atomic_store(&kvr_hyperpod_server_page(server)->first_fragment, 20);
	atomic_store(&kvr_hyperpod_server_page(server)->fragment, 65536);
}

static void
end(void)
{
	const struct kvr_hyperpod_page *page = kvr_hyperpod_server_page(server);
	ck_assert_msg(atomic_load(&page->deviations) == 0, "%u deviations, the first: %s",
	    atomic_load(&page->deviations), page->first_deviation);
	/* After the store was closed: every lease was given back, none was left to its time. */
	ck_assert_uint_eq(atomic_load(&page->granted), atomic_load(&page->released));
	ck_assert_uint_eq(atomic_load(&page->expired), 0);
	kvr_hyperpod_server_stop(server);
	server = NULL;
}

#define HYPERPOD                                                                                   \
	.ops = &kvr_hyperpod_ops, .end = end, .outlives = true, .no_delete = true,                 \
	.keeps_first = true, .peer_awaits = "\r\n\r\n"

const struct kvr_subject kvr_subjects[] = {
	{ .name = "hyperpod lmcache", .format = KVR_FORMAT_LMCACHE, .begin = begin,
	    .keeps_shape = true, HYPERPOD },
	{ .name = "hyperpod lmcache in pieces", .format = KVR_FORMAT_LMCACHE,
	    .begin = begin_in_pieces, .keeps_shape = true, HYPERPOD },
	{ .name = "hyperpod bare", .format = KVR_FORMAT_BARE, .begin = begin, .no_empty = true,
	    HYPERPOD },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
