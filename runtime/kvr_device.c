/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_device.h"

#include <stdio.h>
#include <string.h>

const struct kvr_device *
kvr_device_find(const char *name)
{
	static const struct kvr_device *const all[] = {
		&kvr_device_host,
#ifdef KVR_WITH_CUDA
		&kvr_device_cuda,
#endif
	};

	for (size_t i = 0; i < KVR_LEN(all); i++) {
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	}
	return NULL;
}

enum kvr_err
kvr_device_lock(const struct kvr_device *d, void *at, uint64_t len, uint64_t piece,
    enum kvr_touch use, uint64_t until_ns, char *why, size_t why_cap)
{
	KVR_CHECK(piece > 0);
	for (uint64_t done = 0; done < len; done += piece) {
		enum kvr_err err = KVR_E_TIMEOUT;

		if (kvr_now_ns() < until_ns)
			err = d->lock(
			    (uint8_t *)at + done, KVR_MIN(piece, len - done), use, why, why_cap);
		else
			snprintf(why, why_cap, "the deadline passed after %llu of %llu bytes",
			    (unsigned long long)done, (unsigned long long)len);
		if (err != KVR_OK) {
			kvr_device_unlock(d, at, done, piece);
			return err;
		}
	}
	return KVR_OK;
}

void
kvr_device_unlock(const struct kvr_device *d, void *at, uint64_t len, uint64_t piece)
{
	KVR_CHECK(piece > 0);
	for (uint64_t done = 0; done < len; done += piece)
		d->unlock((uint8_t *)at + done, KVR_MIN(piece, len - done));
}
