/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first look at the directories, which finds out whether they can be used and what they are. It
 * happens while an instance opens, and a network or FUSE file system whose server is gone does not
 * answer at all. So a separate thread looks, and the opener waits for it as long as for a dial. If
 * that is too long, it goes on: such a file system is a store that is down, and its lanes recover
 * by dialling. The thread is left behind with copies of everything it needs, and ends when the file
 * system answers.
 */
#include "kvr_fs.h"
#include "kvr_spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* If a dial has no limit of its own. */
#define LOOK_NS KVR_SEC(1)
/* Held by the opener and by the thread; whoever drops it last frees it. */
struct look {
	_Atomic uint32_t holders;
	_Atomic uint32_t done; /* publishes err, why and the changes to store */
	enum kvr_err     err;
	struct kvr_store store;
	char             why[512];
};

static _Atomic uint32_t n_looks; /* those that have not ended */

static enum kvr_err
look_around(struct look *l)
{
	struct kvr_fs_dir dir[KVR_FS_DIRS_MAX];
	struct kvr_store *s = &l->store;
	enum kvr_err      err = kvr_fs_open_dirs(s, dir, l->why, sizeof(l->why));

	if (err != KVR_OK)
		return err;
	/*
	 * If the opener has gone on, nothing may be written there: the place may be another's by
	 * now.
	 */
	if (atomic_load(&l->holders) > 1) {
		err = kvr_fs_probe(s, dir, l->why, sizeof(l->why));
		s->where = kvr_fs_where(dir, s->n_dirs);
		if (err == KVR_OK)
			kvr_fs_probe_direct(s, dir, l->why, sizeof(l->why));
	}
	kvr_fs_close_dirs(s, dir);
	return err;
}

static void
drop(struct look *take)
{
	if (atomic_fetch_sub_explicit(&take->holders, 1, memory_order_acq_rel) > 1)
		return;
	kvr_fs_unconfigure(&take->store);
	free(take);
}

static void *
thread_main(void *arg)
{
	struct look *l = arg;

	l->err = look_around(l);
	atomic_store(&l->done, 1);
	kvr_wake_every(&l->done);
	drop(l);
	atomic_fetch_sub(&n_looks, 1);
	return NULL;
}

static bool
start(struct look *l, pthread_t *ret)
{
	bool started = kvr_spawn(ret, thread_main, l) == 0;

	if (started)
		pthread_setname_np(*ret, "kvr-fs-look");
	return started;
}

static enum kvr_err
not_yet(const struct kvr_store *s, char *why, size_t why_cap)
{
	snprintf(why, why_cap, "%s does not answer: it is looked at again when it is dialled",
	    s->path[0]);
	return KVR_OK;
}

static enum kvr_err
wait_for(struct look *l, pthread_t thread, struct kvr_store *s, uint64_t until_ns, char *why,
    size_t why_cap)
{
	while (atomic_load(&l->done) == 0 && kvr_sleep_on(&l->done, 0, until_ns))
		;
	if (atomic_load(&l->done) == 0) {
		KVR_CHECK(pthread_detach(thread) == 0);
		return not_yet(s, why, why_cap);
	}
	KVR_CHECK(pthread_join(thread, NULL) == 0);
	s->where = l->store.where;
	s->direct = l->store.direct;
	snprintf(why, why_cap, "%s", l->why);
	/* A condition that may pass is no reason not to open. */
	return l->err == KVR_E_DOWN || l->err == KVR_E_NOSPACE ? KVR_OK : l->err;
}

enum kvr_err
kvr_fs_look(struct kvr_store *s, const struct kvr_store_opts *opts, char *why, size_t why_cap)
{
	uint64_t until_ns = kvr_now_ns() + (opts->connect_ns > 0 ? opts->connect_ns : LOOK_NS);
	struct look *l = calloc(1, sizeof(*l));
	pthread_t thread;

	if (l == NULL)
		return KVR_E_NOMEM;
	atomic_init(&l->holders, 2);
	enum kvr_err err = kvr_fs_configure(&l->store, opts, why, why_cap);
	bool room = atomic_fetch_add(&n_looks, 1) < KVR_FS_LOOKS_MAX;
	if (err == KVR_OK && room && start(l, &thread)) {
		err = wait_for(l, thread, s, until_ns, why, why_cap);
	} else {
		err = err == KVR_OK ? not_yet(s, why, why_cap) : err;
		atomic_fetch_sub(&n_looks, 1);
		drop(l);
	}
	drop(l);
	return err;
}
