/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EIC's SDK cannot be had: an in-memory store behind the interface of its adapters, or the
 * reference adapter over a stand-in for the vendor's module.
 */
#include "kvr_subject.h"

#include "kvr_connectors.h"

#ifdef KVR_EIC_ADAPTER
#define LIBRARY KVR_EIC_ADAPTER
#define BYTES   false /* Python's texts are UTF-8 */
#define TORN    KVR_E_REFUSED /* the module does not say why */
#else
#define LIBRARY KVR_EIC_FAKE
#define BYTES   true
#define TORN    KVR_E_LENGTH
#endif

static void
begin(struct kvr_store_opts *opts)
{
	opts->url = "eic://127.0.0.1:12500";
	opts->eic.library = LIBRARY;
	opts->eic.ns = "conformance";
}

static void
end(void)
{
}

/* Every test has a process of its own, so what one stores no other one finds. */
const struct kvr_subject kvr_subjects[] = {
	{ .name = "eic lmcache", .ops = &kvr_eic_ops, .format = KVR_FORMAT_LMCACHE, .begin = begin,
	    .end = end, .any_key = BYTES, .keeps_shape = true, .two_keys = true, .torn = TORN },
};
const int kvr_subjects_n = KVR_LEN(kvr_subjects);
