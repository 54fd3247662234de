/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports which adapter was loaded, and whether the files given to the SDK are accessible. Does not
 * call the SDK.
 */
#include "kvr_eic.h"
#include "kvr_tell.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static void
library(const struct kvr_store *s, const struct kvr_examination *e)
{
	Dl_info of = { 0 };
	bool found = dladdr(s->sdk, &of) != 0 && of.dli_fname != NULL;
	kvr_tell(e, KVR_FOUND_OK, "library", NULL, "%s, version %u of the interface",
	    found ? of.dli_fname : KVR_EIC_LIBRARY, s->sdk->abi);
}

static void
transport(const struct kvr_store *s, const struct kvr_examination *e)
{
	static const char *const advice =
	    "set eic.trans_type to 2 (RDMA) or 0 (TCP), or take another adapter";
	bool gdr = s->opts.trans_type == KVR_EIC_GDR;
	if (gdr && s->sdk->reg == NULL)
		kvr_tell(e, KVR_FOUND_FAIL, "transport", advice,
		    "GDR, and the adapter cannot register memory");
	else
		kvr_tell(e, KVR_FOUND_OK, "transport", NULL, "%s",
		    gdr ? "GDR: memory.staging is registered, and may be pinned" :
		    s->opts.trans_type == KVR_EIC_RDMA ? "RDMA" : "TCP");
}

static void
place(const char *path, int mode, const char *topic, const char *advice,
    const struct kvr_examination *e)
{
	if (path == NULL)
		return;
	bool good = access(path, mode) == 0;
	kvr_tell(e, good ? KVR_FOUND_OK : KVR_FOUND_WARN, topic, good ? NULL : advice, "%s%s%s",
	    path, good ? "" : ": ", good ? "" : strerror(errno));
}

void
kvr_eic_examine(struct kvr_store *s, struct kvr_connector *c, const struct kvr_examination *e)
{
	(void)c;
	library(s, e);
	transport(s, e);
	place(s->opts.flag_file, R_OK, "flag_file",
	    "the SDK goes on without its flags: make it readable for this user", e);
	place(s->opts.log_dir, W_OK | X_OK, "log_dir",
	    "the SDK's log goes nowhere: make it writable for this user", e);
}
