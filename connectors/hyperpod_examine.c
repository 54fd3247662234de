/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports what answers at the daemon's address, and whether its shared memory can be read from end
 * to end. No lease is requested: one for a missing key would cost hyperpod.lease_wait.
 */
#include "kvr_hyperpod.h"
#include "kvr_tell.h"
#include "kvr_tls_cert.h"

static void
memory(const struct kvr_store *s, struct kvr_connector *c, const struct kvr_examination *e)
{
	char why[256] = "";
	uint8_t byte;
	if (kvr_hp_segment_fresh(&c->segment, s->segment, why, sizeof(why)) != KVR_OK) {
		kvr_tell(e, KVR_FOUND_FAIL, "memory",
		    "nothing that is stored can be read: is shared_memory_name the daemon's?", "%s",
		    why);
		return;
	}
	double mib = (double)c->segment.size / (double)KVR_MIB(1);
	if (!kvr_hp_segment_read(&c->segment, &byte, 1, 0) ||
	    !kvr_hp_segment_read(&c->segment, &byte, 1, c->segment.size - 1))
		kvr_tell(e, KVR_FOUND_FAIL, "memory", "look at the daemon: is it starting, or dying?",
		    "%s of %.1f MiB cannot be read to its end", s->segment, mib);
	else if (c->segment.size < e->slot_bytes)
		kvr_tell(e, KVR_FOUND_WARN, "memory", "give the daemon more, or make chunks smaller",
		    "%s: %.1f MiB, less than one full chunk", s->segment, mib);
	else
		kvr_tell(e, KVR_FOUND_OK, "memory", NULL, "%s: %.1f MiB, readable", s->segment, mib);
}

void
kvr_hp_examine(struct kvr_store *s, struct kvr_connector *c, const struct kvr_examination *e)
{
	/* The daemon has no health endpoint: it answers 404 to unknown paths, and so to this. */
	kvr_tell(e, KVR_FOUND_OK, "daemon", NULL, "%s answers %u to GET /health", s->where, c->health);
	kvr_tls_cert_examine(&s->tls, e);
	memory(s, c, e);
}
