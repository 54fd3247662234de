/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of an engine that learns its layers late: once, and before there is an object. */
#include "kvrelay.h"

#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_layout.h"
#include "kvr_pool.h"
#include "kvr_user_log.h"

enum kvr_err
kvr_set_layout(struct kvr *k, const struct kvr_layout *full)
{
	struct kvr_meta meta;
	uint64_t bytes;
	enum kvr_err err = kvr_enter(k);
	bool header = false;

	if (err != KVR_OK)
		return err;
	for (uint32_t t = 0; t < k->config->n_tiers; t++)
		header = header || k->config->tier[t].format == KVR_CONFIG_FORMAT_LMCACHE;
	pthread_mutex_lock(&k->end_lock);
	if (full == NULL || kvr_layout_read(full, &meta, &bytes) != KVR_OK)
		err =
		    kvr_bad(k, KVR_E_INVALID, "kvr_set_layout: the layout is none: see kvr_layout");
	else if (atomic_load(&k->has_layout))
		err = kvr_bad(k, KVR_E_INVALID, "kvr_set_layout: there is a layout already");
	else if (header && meta.n_groups != k->header_groups)
		err = kvr_bad(k, KVR_E_INVALID,
		    "kvr_set_layout: a tier in LMCache's format has headers for "
		    "%u groups: give this layout to kvr_open",
		    k->header_groups);
	else if (k->pool != NULL &&
	         !kvr_pool_set_slot(k->pool,
	             k->config->memory.slot_bytes != 0 ? k->config->memory.slot_bytes : bytes))
		err = kvr_bad(
		    k, KVR_E_INVALID, "kvr_set_layout: too late, there are objects already");
	if (err == KVR_OK) {
		k->layout = meta;
		k->layout_bytes = bytes;
		/*
		 * Pairs with the acquire where it is read: a thread that sees the flag also sees
		 * the layout.
		 */
		atomic_store_explicit(&k->has_layout, true, memory_order_release);
	}
	pthread_mutex_unlock(&k->end_lock);
	kvr_leave(k);
	return err;
}
