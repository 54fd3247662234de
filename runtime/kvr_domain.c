/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_domain_own.h"

#include "kvr_map.h"

#include <stdlib.h>

void
kvr_domain_look(
    struct kvr_domain *d, void (*fn)(void *arg, const struct kvr_actor *), void *arg, uint16_t id)
{
	KVR_CHECK(id < KVR_ID_N && d->actor[id] != NULL);
	kvr_lock(&d->guard);
	fn(arg, d->actor[id]);
	kvr_unlock(&d->guard);
}

bool
kvr_domain_dead(const struct kvr_domain *d)
{
	return atomic_load(&d->dead);
}

const char *
kvr_domain_why(const struct kvr_domain *d)
{
	return kvr_domain_dead(d) ? d->why : "";
}

/* ---- life ---- */

static uint64_t
real_now_ns(void *arg)
{
	(void)arg;
	return kvr_now_ns();
}

enum kvr_err
kvr_domain_open(const struct kvr_domain_options *opt, struct kvr_domain **ret)
{
	struct kvr_domain *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return KVR_E_NOMEM;
	d->opt = *opt;
	if (d->opt.world.now_ns == NULL)
		d->opt.world.now_ns = real_now_ns;
	if (d->opt.ledger != NULL)
		d->out.row_table = d->opt.ledger->rows;
	d->local = calloc(KVR_DOMAIN_LOCAL, sizeof(d->local[0]));
	d->timers = kvr_timers_new(KVR_DOMAIN_TIMERS);
	if (d->local == NULL || d->timers == NULL ||
	    kvr_mailbox_open(opt->name, KVR_DOMAIN_INBOX, kvr_domain_on_inbox, d, &d->inbox) !=
	        KVR_OK) {
		kvr_domain_free(d);
		return KVR_E_NOMEM;
	}
	*ret = d;
	return KVR_OK;
}

enum kvr_err
kvr_domain_add(struct kvr_domain *d, uint16_t id, const struct kvr_spec *spec)
{
	return kvr_domain_add_at(d, id, spec, NULL);
}

enum kvr_err
kvr_domain_add_at(struct kvr_domain *d, uint16_t id, const struct kvr_spec *spec, void *self)
{
	KVR_CHECK(atomic_load(&d->life) == KVR_LIFE_NEW && id < KVR_ID_N && d->actor[id] == NULL);
	struct kvr_actor *a = calloc(1, sizeof(*a));
	void *bytes = kvr_map(kvr_actor_bytes(spec));

	if (a == NULL || bytes == NULL) {
		kvr_unmap(bytes, kvr_actor_bytes(spec));
		free(a);
		return KVR_E_NOMEM;
	}
	kvr_actor_init(a, spec, id, bytes);
	if (self != NULL)
		a->self = self;
	d->actor[id] = a;
	d->mapped[id] = bytes;
	return KVR_OK;
}

void
kvr_domain_kick(struct kvr_domain *d, uint16_t id, kvr_kick_fn *fn, void *arg)
{
	KVR_CHECK(atomic_load(&d->life) == KVR_LIFE_NEW && id < KVR_ID_N);
	d->worker[id].kick = fn;
	d->worker[id].kick_arg = arg;
}

void
kvr_domain_attach(struct kvr_domain *d, uint16_t id, struct kvr_mailbox *box)
{
	KVR_CHECK(atomic_load(&d->life) == KVR_LIFE_NEW && id < KVR_ID_N && d->actor[id] == NULL);
	d->worker[id].mailbox = box;
}

enum kvr_err
kvr_domain_start(struct kvr_domain *d)
{
	KVR_CHECK(atomic_load(&d->life) == KVR_LIFE_NEW);
	for (uint16_t id = 0; id < KVR_ID_N; id++)
		if (d->actor[id] != NULL)
			d->in_order[d->n_actors++] = d->actor[id];
	if (d->opt.trace != NULL)
		kvr_trace_actors(
		    d->opt.trace, (const struct kvr_actor *const *)d->in_order, d->n_actors);
	atomic_store(&d->life, KVR_LIFE_RUNNING);
	enum kvr_err err = kvr_thread_start("kvr-home", kvr_domain_at_home, d, &d->home);
	if (err != KVR_OK)
		atomic_store(&d->life, KVR_LIFE_STOPPED);
	return err;
}

void
kvr_domain_stop(struct kvr_domain *d)
{
	kvr_lock(&d->guard);
	if (atomic_load(&d->life) != KVR_LIFE_STOPPED && d->opt.trace != NULL)
		kvr_trace_mark(d->opt.trace, KVR_MARK_CLOSED, d->now_ns, "");
	atomic_store(&d->life, KVR_LIFE_STOPPED);
	atomic_fetch_add(&d->bell, 1);
	kvr_unlock(&d->guard);
	kvr_wake(&d->bell);
	if (d->home != NULL)
		KVR_CHECK(kvr_thread_join(d->home, UINT64_MAX) == KVR_OK);
	d->home = NULL;
}

void
kvr_domain_free(struct kvr_domain *take)
{
	if (take == NULL)
		return;
	kvr_domain_stop(take);
	kvr_mailbox_close(take->inbox);
	for (uint32_t id = 0; id < KVR_ID_N; id++) {
		if (take->actor[id] == NULL)
			continue;
		kvr_unmap(take->mapped[id], kvr_actor_bytes(take->actor[id]->spec));
		free(take->actor[id]);
	}
	kvr_timers_free(take->timers);
	free(take->local);
	free(take);
}
