/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tls_keep.h"
#include "kvr_tls_lib.h"

#include <string.h>

static struct kvr_tls_kept
pull(struct kvr_tls_keep *k, uint32_t i)
{
	struct kvr_tls_kept kept = k->slot[i].kept;

	k->n--;
	memmove(&k->slot[i], &k->slot[i + 1], (k->n - i) * sizeof(k->slot[0]));
	return kept;
}

static bool
is_over(const struct kvr_tls_kept *kept, uint64_t now_ns)
{
	return now_ns >= kept->proved_ns + KVR_TLS_KEEP_NS;
}

void
kvr_tls_keep_put(struct kvr_tls_keep *k, const struct kvr_tls_peer *peer, struct kvr_tls_kept take,
    uint64_t now_ns)
{
	if (is_over(&take, now_ns)) {
		kvr_tls_session_free(take.session);
		return;
	}
	if (k->n == KVR_TLS_KEEP_MAX)
		kvr_tls_session_free(pull(k, 0).session);
	k->slot[k->n].peer = *peer;
	k->slot[k->n++].kept = take;
}

struct kvr_tls_kept
kvr_tls_keep_take(struct kvr_tls_keep *k, const struct kvr_tls_peer *peer, uint64_t now_ns)
{
	for (uint32_t i = k->n; i-- > 0;) {
		if (memcmp(&k->slot[i].peer, peer, sizeof(*peer)) != 0)
			continue;
		struct kvr_tls_kept kept = pull(k, i);

		if (!is_over(&kept, now_ns))
			return kept;
		kvr_tls_session_free(kept.session);
	}
	return (struct kvr_tls_kept){ .session = NULL };
}

void
kvr_tls_keep_forget(struct kvr_tls_keep *k, const struct kvr_tls_peer *peer)
{
	for (uint32_t i = k->n; i-- > 0;)
		if (peer == NULL || memcmp(&k->slot[i].peer, peer, sizeof(*peer)) == 0)
			kvr_tls_session_free(pull(k, i).session);
}
