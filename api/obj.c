/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions for memory objects. They work until kvr_free, even after kvr_close. */
#include "kvrelay.h"

#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_layout.h"
#include "kvr_pool.h"
#include "kvr_user_log.h"

struct kvr_pool *
kvr_get_allocator_backend(struct kvr *k)
{
	return kvr_check_instance(k) == KVR_OK ? k->pool : NULL;
}

static enum kvr_err
check_pool(const struct kvr_pool *p)
{
	if (kvr_forked())
		return KVR_E_FORKED;
	if (p == NULL)
		return KVR_E_UNSUPPORTED;
	return p->magic == KVR_POOL_MAGIC ? KVR_OK : KVR_E_INVALID;
}

enum kvr_err
kvr_alloc(struct kvr_pool *p, const struct kvr_layout *layout, size_t len, uint64_t until_ns,
    kvr_obj *ret)
{
	KVR_UNCANCELLED;
	struct kvr_meta meta, cut;
	uint64_t bytes, at_ns;
	enum kvr_err err = check_pool(p);

	if (err != KVR_OK)
		return err;
	if (ret == NULL)
		return kvr_bad(p->kvr, KVR_E_INVALID, "kvr_alloc: no place for the object");
	if (kvr_in_callback() && until_ns != KVR_NOW)
		return kvr_bad(
		    p->kvr, KVR_E_INVALID, "kvr_alloc: a callback may not wait: pass KVR_NOW");
	err = kvr_layout_read(layout, &meta, &bytes);
	if (err != KVR_OK)
		return kvr_bad(p->kvr, err, "kvr_alloc: the layout is none: %s", kvr_err_text(err));
	if (len == 0)
		len = bytes;
	if (len == 0 || (layout != NULL && !kvr_layout_cut(&meta, bytes, len, &cut)))
		return kvr_bad(p->kvr, KVR_E_INVALID,
		    "kvr_alloc: %zu bytes are no object of that layout", len);
	err = kvr_until(
	    p->kvr, "kvr_alloc", until_ns, atomic_load(&p->kvr->limit.blocking_ns), false, &at_ns);
	if (err != KVR_OK)
		return err;
	return kvr_pool_make(p, &meta, bytes, len, until_ns == KVR_NOW ? 0 : at_ns, ret);
}

static enum kvr_err
change(struct kvr_pool *p, kvr_obj obj, enum kvr_pool_change what, uint64_t len, const char *call)
{
	enum kvr_err err = check_pool(p);

	if (err != KVR_OK)
		return err;
	err = kvr_pool_change(p, obj, what, len);
	if (err == KVR_E_STALE || err == KVR_E_INVALID)
		return kvr_bad(p->kvr, err, "%s: object %#llx: %s", call, (unsigned long long)obj,
		    err == KVR_E_STALE ? "gone already, one reference too many was dropped"
		                       : "not pinned, or no such length");
	return err;
}

enum kvr_err
kvr_ref(struct kvr_pool *p, kvr_obj obj)
{
	return change(p, obj, KVR_POOL_REF, 0, "kvr_ref");
}

enum kvr_err
kvr_unref(struct kvr_pool *p, kvr_obj obj)
{
	return change(p, obj, KVR_POOL_UNREF, 0, "kvr_unref");
}

enum kvr_err
kvr_obj_pin(struct kvr_pool *p, kvr_obj obj, bool pin)
{
	return change(p, obj, pin ? KVR_POOL_PIN : KVR_POOL_UNPIN, 0, "kvr_obj_pin");
}

enum kvr_err
kvr_obj_shrink(struct kvr_pool *p, kvr_obj obj, size_t len)
{
	return change(p, obj, KVR_POOL_SHRINK, len, "kvr_obj_shrink");
}

enum kvr_err
kvr_obj_look(struct kvr_pool *p, kvr_obj obj, struct kvr_obj_info *ret)
{
	enum kvr_err err = check_pool(p);

	if (err != KVR_OK)
		return err;
	if (ret == NULL || ret->size < sizeof(*ret))
		return kvr_bad(
		    p->kvr, KVR_E_INVALID, "kvr_obj_look: size of kvr_obj_info is not set");
	return kvr_pool_look(p, obj, ret);
}
