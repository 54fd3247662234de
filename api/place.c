/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a batch's memory named by addresses is: in host memory or in a device's. Only a driver can
 * tell, so an instance that was opened without one takes every address for host memory. The driver
 * is not asked about registered memory either, because that was checked when it was registered.
 */
#include "kvr_batch.h"

#include "kvr_device.h"
#include "kvr_instance.h"
#include "kvr_instance_device.h"
#include "kvr_region.h"
#include "kvr_user_log.h"

static const char where_name[][24] = { "the host's memory", "the device's memory",
	"another device" };

static enum kvr_err
mixed(struct kvr *k, uint32_t i, enum kvr_where first, enum kvr_where here)
{
	return kvr_bad(k, KVR_E_INVALID,
	    "kvr_submit: key %u lies in %s and those before it in %s: two batches", i,
	    where_name[here], where_name[first]);
}

/* All must be in the same memory. */
static enum kvr_err
where_all(struct kvr *k, const struct kvr_batch *b, enum kvr_where *ret)
{
	bool known = false;

	*ret = KVR_IN_HOST;
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->len[i] == 0)
			continue;
		enum kvr_where here = k->asks->copy->where(k->device_number, b->at[i]);

		if (known && here != *ret)
			return mixed(k, i, *ret, here);
		if (here == KVR_IN_ELSEWHERE)
			return kvr_bad(k, KVR_E_INVALID,
			    "kvr_submit: key %u lies in another device than number %u, which was "
			    "current when the instance was opened",
			    i, k->device_number);
		*ret = here;
		known = true;
	}
	return KVR_OK;
}

enum kvr_err
kvr_places_check(struct kvr *k, const struct kvr_batch *b, uint32_t *ret_flags)
{
	enum kvr_where where = KVR_IN_HOST;
	enum kvr_err err = KVR_OK;

	if (k->asks != NULL && !kvr_regions_hold(k, b))
		err = where_all(k, b, &where);
	*ret_flags = 0;
	if (err != KVR_OK)
		return err;
	if (where == KVR_IN_DEVICE && kvr_device_memory(k) == NULL)
		return kvr_bad(k, KVR_E_UNSUPPORTED,
		    "kvr_submit: places in a device's memory, and the instance has no device: "
		    "memory.device \"cuda\" insists on one and says what is missing");
	if (where == KVR_IN_DEVICE)
		*ret_flags = KVR_OPF_PAGED | KVR_OPF_DEVICE;
	else if (b->ready != NULL)
		return kvr_bad(k, KVR_E_INVALID,
		    "kvr_submit: ready is an event of a device, and the places are in the host's "
		    "memory");
	return KVR_OK;
}
