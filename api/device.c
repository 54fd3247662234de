/* SPDX-License-Identifier: Apache-2.0 */
/* memory.device: who page-locks the staging arena, and what is done without a device. */
#include "kvr_instance_device.h"

#include "kvr_device.h"
#include "kvr_instance.h"
#include "kvr_ledger.h"
#include "kvr_user_log.h"

#include <stdio.h>

/* NULL: there is none that can be used, and why says so. */
static const struct kvr_device *
find(char *why, size_t cap)
{
	const struct kvr_device *d = kvr_device_find("cuda");

	if (d == NULL)
		snprintf(why, cap, "this build has no CUDA: configure it with KVR_CUDA=ON");
	return d == NULL || d->count(why, cap) == 0 ? NULL : d;
}

enum kvr_err
kvr_device_take(struct kvr *k, uint64_t until_ns, char *ret_why, size_t cap)
{
	bool must = k->config->memory.device == KVR_CONFIG_DEVICE_CUDA;
	const struct kvr_device *d;
	enum kvr_err err = KVR_E_CONFIG;
	char why[192] = "";

	if (k->config->memory.device == KVR_CONFIG_DEVICE_NONE)
		return KVR_OK;
	d = find(why, sizeof(why));
	/* Also if it cannot be used: an address in its memory is then refused and not read. */
	k->asks = d;
	if (d != NULL)
		err = kvr_device_lock(d, k->ledger->staging, k->ledger->staging_bytes, KVR_DEVICE_PIECE,
		    KVR_TOUCH_FRESH, until_ns, why, sizeof(why));
	if (err == KVR_OK) {
		k->device = d;
		k->device_number = d->copy->current();
		return KVR_OK;
	}
	/* The memory is ours and fresh, so whatever the driver says, some resource is short. */
	if (err == KVR_E_INVALID || err == KVR_E_DEVICE)
		err = KVR_E_NOMEM;
	if (must || err == KVR_E_TIMEOUT) {
		snprintf(ret_why, cap, "kvr_open: memory.device is \"%s\": %s%s",
		    must ? "cuda" : "auto", why, must ? "; \"auto\" goes on without" : "");
		return err;
	}
	kvr_say(k, KVR_LOG_INFO, "memory.device: the host serves, for cuda is not there: %s", why);
	k->device = &kvr_device_host;
	return kvr_device_lock(k->device, k->ledger->staging, k->ledger->staging_bytes,
	    KVR_DEVICE_PIECE, KVR_TOUCH_FRESH, UINT64_MAX, ret_why, cap);
}

const struct kvr_device *
kvr_device_memory(const struct kvr *k)
{
	return k->device == &kvr_device_host ? NULL : k->device;
}

void
kvr_device_give(struct kvr *k)
{
	if (k->device != NULL)
		kvr_device_unlock(k->device, k->ledger->staging, k->ledger->staging_bytes,
		    KVR_DEVICE_PIECE);
	k->device = NULL;
}
