/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapter of EIC's SDK: finds it, checks its version, makes a client, and tells the client
 * about the memory in which payloads lie. Every dial that finds no client tries all of this again,
 * because the cause may have been removed meanwhile.
 */
#include "kvr_eic.h"
#include "kvr_stop.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static enum kvr_err
load(struct kvr_store *s, char *why, size_t why_cap)
{
	const char *path = s->opts.library != NULL ? s->opts.library : KVR_EIC_LIBRARY;
	kvr_eic_sdk_fn *sdk;
	s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (s->library == NULL) {
		snprintf(why, why_cap, "install an adapter of EIC's SDK or set eic.library: %s",
		    dlerror());
		return KVR_E_DOWN;
	}
	void *found = dlsym(s->library, "kvr_eic_sdk");
	memcpy(&sdk, &found, sizeof(sdk)); /* C has no cast from an object to a function pointer */
	s->sdk = found != NULL ? sdk() : NULL;
	if (s->sdk == NULL) {
		snprintf(why, why_cap, "eic.library: %s is no adapter, it has no kvr_eic_sdk",
		    path);
		return KVR_E_DOWN;
	}
	if (s->sdk->abi != KVR_EIC_ABI || s->sdk->size < sizeof(*s->sdk)) {
		snprintf(why, why_cap, "eic.library: %s has version %u of the interface, not %u: "
		    "build it anew", path, s->sdk->abi, KVR_EIC_ABI);
		return KVR_E_DOWN;
	}
	return KVR_OK;
}

static enum kvr_err
make_client(struct kvr_store *s, char *why, size_t why_cap)
{
	const struct kvr_eic_options options = { .size = sizeof(options),
		.log_level = s->opts.log_level, .trans_type = s->opts.trans_type,
		.instance_id = s->opts.instance_id, .endpoint = s->endpoint,
		.log_dir = s->opts.log_dir, .flag_file = s->opts.flag_file };
	char cause[200] = "";
	int rc = s->sdk->open(&options, &s->client, cause, sizeof(cause));
	if (rc == 0)
		return KVR_OK;
	s->client = NULL;
	snprintf(why, why_cap, "the SDK's init answers %d: %s", rc, cause);
	return KVR_E_DOWN;
}

/*
 * If this fails, LMCache ends the process. Values could still be moved through copies of the SDK's
 * own, but somebody has asked for GDR and would silently get something slower.
 */
static enum kvr_err
register_staging(struct kvr_store *s, char *why, size_t why_cap)
{
	char cause[160] = "the adapter cannot register memory";
	if (s->opts.trans_type != KVR_EIC_GDR || s->staging.len == 0)
		return KVR_OK;
	int rc = s->sdk->reg == NULL
	    ? -1 : s->sdk->reg(s->client, s->staging.at, s->staging.len, cause, sizeof(cause));
	s->registered = rc == 0;
	if (rc == 0)
		return KVR_OK;
	snprintf(why, why_cap, "GDR wants memory.staging registered: %s; eic.trans_type 2 does "
	    "without", cause);
	return KVR_E_DOWN;
}

/*
 * An init that hangs holds its lane. The other lanes, which need the same lock, must not hang with
 * it.
 */
static enum kvr_err
lock(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, char *why, size_t why_cap)
{
	while (pthread_mutex_trylock(&s->lock) != 0) {
		struct pollfd p = { .fd = kick != NULL ? kick->fd : -1, .events = POLLIN };
		enum kvr_err err = kvr_stop(kick, until_ns);
		if (err != KVR_OK) {
			snprintf(why, why_cap, "another lane waits for the SDK's init");
			return err;
		}
		(void)poll(&p, 1, 1);
	}
	return KVR_OK;
}

enum kvr_err
kvr_eic_load(
    struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, char *why, size_t why_cap)
{
	enum kvr_err err = lock(s, until_ns, kick, why, why_cap);
	if (err != KVR_OK)
		return err;
	if (s->client == NULL) {
		err = load(s, why, why_cap);
		if (err == KVR_OK)
			err = make_client(s, why, why_cap);
		if (err == KVR_OK)
			err = register_staging(s, why, why_cap);
		/* Otherwise the next dial would find a half-configured client. */
		if (err != KVR_OK)
			kvr_eic_unload(s);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void
kvr_eic_unload(struct kvr_store *s)
{
	if (s->registered && s->sdk->unreg != NULL)
		s->sdk->unreg(s->client, s->staging.at, s->staging.len);
	if (s->client != NULL)
		s->sdk->close(s->client);
	if (s->library != NULL)
		dlclose(s->library);
	s->client = s->library = NULL;
	s->sdk = NULL;
	s->registered = false;
}
