/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis-sentinel://: on every dial the sentinels are asked for the master, and the server that they
 * name is asked for its role before it is used. A sentinel that was cut off may still name the old
 * master, and an old master that has come back only becomes a replica some time later.
 *
 * If replicas are read from, a sentinel is asked for them as well. A replica is used if it says
 * itself that it is one and that its master feeds it.
 *
 * Nothing is subscribed to: when a master dies or becomes a replica, its lanes lose their
 * connections, and the next dial asks again. What is remembered is which sentinel answered last,
 * and the last master: if every sentinel is silent or away, there is nobody who could have replaced
 * it or who could name another, so it is dialled if it says itself that it is the master. Lanes
 * that are still connected to it go on in the same situation. One sentinel that answers, whatever
 * it says, is believed more than the memory.
 */
#include "kvr_nest.h"
#include "kvr_redis_url.h"
#include "kvr_sentinel.h"
#include "kvr_tell.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 26379U

struct kvr_redis_sentinels {
	uint32_t n;
	_Atomic uint32_t first; /* the one to ask first: it led to a master last time */
	char *service, *user, *password;
	struct kvr_url_host at[KVR_URL_HOSTS_MAX];
	pthread_mutex_t lock; /* of the two below: lanes dial at the same time */
	struct kvr_url_host last; /* the last master; port 0: none was named */
	uint64_t last_ns;         /* when a sentinel named it */
};

struct search {
	struct kvr_connector *c;
	struct kvr_kick *kick;
	uint64_t until_ns;
	uint32_t silent;           /* sentinels that gave no answer at all */
	struct kvr_url_host tried; /* the last one that could not be used */
	bool refused;        /* it refused us: a password that is wrong there is wrong everywhere */
	char why[sizeof(((struct kvr_sock *)NULL)->why)];
};

enum kvr_err
kvr_redis_sentinels(const struct kvr_url *u, const struct kvr_store_opts *o, const char *service,
    struct kvr_store *s, const struct kvr_why *w)
{
	struct kvr_redis_sentinels *me = calloc(1, sizeof(*me));
	if (me == NULL) {
		(void)kvr_refuse(w, "no memory for a store");
		return KVR_E_NOMEM;
	}
	s->sentinels = me;
	KVR_CHECK(pthread_mutex_init(&me->lock, NULL) == 0);
	me->n = u->n_hosts;
	memcpy(me->at, u->host, sizeof(me->at));
	for (uint32_t i = 0; i < me->n; i++)
		if (me->at[i].port == 0)
			me->at[i].port = PORT_DEFAULT;
	const struct kvr_sentinel_opts *given = &o->sentinel;
	enum kvr_err err = kvr_redis_one_of(given->service, service, "service", &me->service, w);
	if (err == KVR_OK && me->service == NULL)
		return kvr_refuse(w, "the service is missing; write ?service=NAME behind the "
		                     "sentinels, or set sentinel.service");
	if (err == KVR_OK)
		err = kvr_redis_one_of(given->user, NULL, "sentinel.user", &me->user, w);
	if (err == KVR_OK)
		err =
		    kvr_redis_one_of(given->password, NULL, "sentinel.password", &me->password, w);
	if (err == KVR_OK && me->user != NULL && me->password == NULL)
		return kvr_refuse(w, "sentinel.user without sentinel.password");
	return err;
}

void
kvr_redis_sentinels_free(struct kvr_redis_sentinels *take)
{
	if (take == NULL)
		return;
	pthread_mutex_destroy(&take->lock);
	free(take->service);
	kvr_redis_wipe(take->user);
	kvr_redis_wipe(take->password);
	free(take);
}

/*
 * Added if others still had a turn afterwards. The limit for all of them is mentioned by the
 * caller.
 */
static const char *
share(enum kvr_err err, uint64_t until_ns, const struct search *search)
{
	return err == KVR_E_TIMEOUT && until_ns < search->until_ns
	    ? " (a share of timeouts.connect)" : "";
}

static enum kvr_err
ask_sentinel(struct search *search, uint32_t i, const char *what, uint64_t until_ns,
    kvr_sentinel_reader *read, void *ret)
{
	struct kvr_connector *c = search->c;
	const struct kvr_redis_sentinels *me = c->store->sentinels;
	const char *const ask[] = { "SENTINEL", what, me->service };
	enum kvr_err err =
	    kvr_redis_reach(c, me->at[i].name, me->at[i].port, until_ns, search->kick);
	if (err == KVR_OK)
		err = kvr_redis_login(&c->s, me->user, me->password);
	bool in = err == KVR_OK;
	if (in)
		err = kvr_nest_ask(&c->s, KVR_LEN(ask), ask);
	if (err == KVR_OK)
		err = read(&c->s, me->service, ret);
	if (in && err == KVR_E_TIMEOUT)
		(void)kvr_stream_stage(&c->s, "SENTINEL");
	if (err != KVR_OK)
		snprintf(search->why, sizeof(search->why), "sentinel %.60s:%u: %.80s%s",
		    me->at[i].name, (unsigned)me->at[i].port, c->s.why, share(err, until_ns, search));
	kvr_stream_hang_up(&c->s);
	return err;
}

static enum kvr_err
connect_to(struct search *search, const struct kvr_url_host *m, uint64_t until_ns)
{
	struct kvr_connector *c = search->c;
	/* Another sentinel names the same one; it has had its chance in this dial. */
	if (m->port == search->tried.port && strcmp(m->name, search->tried.name) == 0)
		return KVR_E_DOWN;
	enum kvr_err err = kvr_redis_connect(c, m->name, m->port, until_ns, search->kick);
	if (err == KVR_OK)
		err = kvr_redis_role(&c->s, "master");
	if (err == KVR_OK)
		return KVR_OK;
	search->tried = *m;
	search->refused = err == KVR_E_AUTH;
	snprintf(search->why, sizeof(search->why), "master %.60s:%u: %.80s%s", m->name,
	    (unsigned)m->port, c->s.why, share(err, until_ns, search));
	kvr_stream_hang_up(&c->s);
	return err;
}

static void
remember(struct kvr_redis_sentinels *me, const struct kvr_url_host *m, uint64_t named_ns)
{
	pthread_mutex_lock(&me->lock);
	me->last = *m;
	me->last_ns = named_ns;
	pthread_mutex_unlock(&me->lock);
}

static enum kvr_err
by_sentinel(struct search *search, uint32_t i, uint32_t n_left)
{
	struct kvr_url_host m = { .port = 0 };
	enum kvr_err err =
	    ask_sentinel(search, i, "get-master-addr-by-name",
	        kvr_redis_share(search->until_ns, n_left + 1), kvr_sentinel_master, &m);
	search->silent += err == KVR_E_DOWN || err == KVR_E_TIMEOUT;
	if (err != KVR_OK)
		return err;
	uint64_t named_ns = kvr_now_ns();
	err = connect_to(search, &m, kvr_redis_share(search->until_ns, n_left));
	if (err == KVR_OK)
		remember(search->c->store->sentinels, &m, named_ns);
	return err;
}

/* err: why no sentinel led to a master. The connection keeps a remark about how it was made. */
static enum kvr_err
by_memory(struct search *search, enum kvr_err err)
{
	struct kvr_redis_sentinels *me = search->c->store->sentinels;
	struct kvr_connector *c = search->c;
	pthread_mutex_lock(&me->lock);
	struct kvr_url_host m = me->last;
	uint64_t named_ns = me->last_ns;
	pthread_mutex_unlock(&me->lock);
	if (m.port == 0 || search->silent < me->n || err == KVR_E_CANCELLED)
		return err;
	char said[sizeof(search->why)];
	err = connect_to(search, &m, search->until_ns);
	memcpy(said, search->why, sizeof(said));
	if (err == KVR_OK)
		snprintf(c->why, sizeof(c->why),
		    "no sentinel answers; %.60s:%u says it is the master, as a sentinel did %llu s "
		    "ago",
		    m.name, (unsigned)m.port,
		    (unsigned long long)((kvr_now_ns() - named_ns) / KVR_SEC(1)));
	else
		snprintf(search->why, sizeof(search->why), "no sentinel answers; the last %.150s",
		    said);
	return err;
}

enum kvr_err
kvr_redis_connect_master(struct kvr_connector *c, uint64_t until_ns, struct kvr_kick *kick)
{
	struct kvr_redis_sentinels *me = c->store->sentinels;
	struct search search = { .c = c, .kick = kick, .until_ns = until_ns };
	uint32_t first = atomic_load_explicit(&me->first, memory_order_relaxed);
	enum kvr_err err = KVR_E_DOWN;
	for (uint32_t n = 0; n < me->n; n++) {
		uint32_t i = (first + n) % me->n;
		err = by_sentinel(&search, i, me->n - n);
		if (err == KVR_OK) {
			atomic_store_explicit(&me->first, i, memory_order_relaxed);
			return KVR_OK;
		}
		if (err == KVR_E_CANCELLED || search.refused || kvr_now_ns() >= until_ns)
			break;
		/* Only a share of the time is over, not all of it. */
		err = err == KVR_E_TIMEOUT ? KVR_E_DOWN : err;
	}
	if ((err = by_memory(&search, err)) == KVR_OK)
		return KVR_OK;
	kvr_stream_take(&c->s, -1, kick);
	return kvr_stream_fail(&c->s, err, "%s", search.why);
}

/* Each is asked: one that answers is enough to work, and the others are for when it does not. */
void
kvr_redis_sentinels_examine(struct kvr_store *store, const struct kvr_examination *e)
{
	const struct kvr_redis_sentinels *me = store->sentinels;
	struct kvr_connector *c = kvr_redis_connector_new(store, false);
	struct search search = { .c = c, .until_ns = e->until_ns };
	struct kvr_url_host first = { .port = 0 }, m;
	uint32_t n = 0;
	for (uint32_t i = 0; c != NULL && i < me->n; i++) {
		uint64_t until_ns = kvr_redis_share(e->until_ns, me->n - i + 1);
		enum kvr_err err = ask_sentinel(
		    &search, i, "get-master-addr-by-name", until_ns, kvr_sentinel_master, &m);
		if (err != KVR_OK) {
			kvr_tell(e, KVR_FOUND_WARN, "sentinel",
			    "one less that tells of another master: start it, or take it out", "%s",
			    search.why);
			continue;
		}
		n++;
		if (first.port == 0)
			first = m;
		else if (m.port != first.port || strcmp(m.name, first.name) != 0)
			kvr_tell(e, KVR_FOUND_WARN, "sentinel",
			    "one of them is cut off from the others",
			    "%s:%u names %s:%u, and others name %s:%u", me->at[i].name,
			    (unsigned)me->at[i].port, m.name, (unsigned)m.port, first.name,
			    (unsigned)first.port);
	}
	if (n > 0 && n == me->n)
		kvr_tell(e, KVR_FOUND_OK, "sentinels", NULL, "all %u answer", n);
	kvr_redis_connector_free(c);
}

enum kvr_err
kvr_redis_connect_replica(
    struct kvr_connector *c, uint32_t turn, uint64_t until_ns, struct kvr_kick *kick)
{
	struct kvr_redis_sentinels *me = c->store->sentinels;
	struct search search = { .c = c, .kick = kick, .until_ns = until_ns };
	struct kvr_sentinel_replicas found = { .n = 0 };
	uint32_t first = atomic_load_explicit(&me->first, memory_order_relaxed);
	enum kvr_err err = KVR_E_DOWN;
	for (uint32_t n = 0; n < me->n && found.n == 0 && err != KVR_E_CANCELLED; n++)
		err = ask_sentinel(&search, (first + n) % me->n, "replicas",
		    kvr_redis_share(until_ns, me->n - n + 1), kvr_sentinel_replicas, &found);
	for (uint32_t n = 0; n < found.n; n++) {
		const struct kvr_url_host *at = &found.at[(turn + n) % found.n];
		err = kvr_redis_connect(
		    c, at->name, at->port, kvr_redis_share(until_ns, found.n - n), kick);
		if (err == KVR_OK)
			err = kvr_redis_role(&c->s, "slave");
		if (err == KVR_OK || err == KVR_E_CANCELLED)
			return err;
		kvr_stream_hang_up(&c->s);
	}
	return err;
}
