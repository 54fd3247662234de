/* SPDX-License-Identifier: Apache-2.0 */
/* The adapter of EIC's SDK: found, held against our version, and asked for a client. */
#include "kvr_eic.h"

#include <dlfcn.h>
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
	memcpy(&sdk, &found, sizeof(sdk)); /* C has no cast from an object to a function */
	s->sdk = found != NULL ? sdk() : NULL;
	if (s->sdk == NULL) {
		snprintf(why, why_cap, "eic.library: %s is no adapter, it has no kvr_eic_sdk", path);
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

enum kvr_err
kvr_eic_load(struct kvr_store *s, char *why, size_t why_cap)
{
	enum kvr_err err = KVR_OK;
	pthread_mutex_lock(&s->lock);
	if (s->client == NULL) {
		/* What was wrong may have been put right meanwhile. */
		kvr_eic_unload(s);
		err = load(s, why, why_cap);
		if (err == KVR_OK)
			err = make_client(s, why, why_cap);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void
kvr_eic_unload(struct kvr_store *s)
{
	if (s->client != NULL)
		s->sdk->close(s->client);
	if (s->library != NULL)
		dlclose(s->library);
	s->client = s->library = NULL;
	s->sdk = NULL;
}
