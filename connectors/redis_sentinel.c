/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis-sentinel://: the sentinels are asked on every dial who the master is, and whoever they name
 * is asked for its role before it is believed. A sentinel that was cut off may still name the old
 * master, and an old master that has come back becomes a replica only some time later.
 *
 * Nothing is subscribed to and nothing is remembered but which sentinel answered last: a lane whose
 * master dies, or turns into a replica, loses its connection, and the next dial asks again.
 */
#include "kvr_redis_url.h"
#include "kvr_nest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 26379U

struct kvr_redis_sentinels {
	uint32_t n;
	_Atomic uint32_t first; /* to be asked first: the one that led to a master last */
	char *service, *user, *password;
	struct kvr_url_host at[KVR_URL_HOSTS_MAX];
};

struct master {
	char host[KVR_URL_HOST_LEN_MAX + 1];
	uint16_t port; /* 0: nobody was named */
};

struct search {
	struct kvr_connector *c;
	struct kvr_kick *kick;
	uint64_t until_ns;
	struct master tried; /* the last one that was of no use */
	bool refused;        /* by it: a password that is wrong there is wrong everywhere */
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
	free(take->service);
	kvr_redis_wipe(take->user);
	kvr_redis_wipe(take->password);
	free(take);
}

static bool
to_port(const char *text, uint16_t *ret)
{
	char *rest = NULL;
	long n = strtol(text, &rest, 10);
	*ret = (uint16_t)n;
	return rest != text && *rest == '\0' && n > 0 && n <= 65535;
}

/* What a sentinel says: two texts, or nil when it watches no such service. */
static enum kvr_err
read_master(struct kvr_sock *s, const char *service, struct master *ret)
{
	struct kvr_nest_part p, host, port;
	enum kvr_err err = kvr_nest_next(s, &p);
	if (err != KVR_OK)
		return err;
	if (p.kind == KVR_RESP_NIL)
		return kvr_stream_fail(s, KVR_E_CONFIG, "watches no service \"%s\"", service);
	if (p.kind == KVR_RESP_ERROR)
		return kvr_stream_fail(
		    s, (enum kvr_err)kvr_resp_error(p.text, p.text_len), "SENTINEL: %s", p.text);
	if (p.kind != KVR_RESP_ARRAY || p.n != 2)
		return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong kind to SENTINEL");
	if ((err = kvr_nest_next(s, &host)) != KVR_OK || (err = kvr_nest_next(s, &port)) != KVR_OK)
		return err;
	if (host.kind != KVR_RESP_BULK || host.text_len == 0 ||
	    host.text_len > KVR_URL_HOST_LEN_MAX || port.kind != KVR_RESP_BULK ||
	    !to_port(port.text, &ret->port))
		return kvr_stream_fail(s, KVR_E_PROTO, "names a master that is no host and port");
	memcpy(ret->host, host.text, host.text_len + 1);
	return KVR_OK;
}

static enum kvr_err
ask_sentinel(struct search *search, uint32_t i, uint64_t until_ns, struct master *ret)
{
	struct kvr_connector *c = search->c;
	const struct kvr_redis_sentinels *me = c->store->sentinels;
	const char *const ask[] = { "SENTINEL", "get-master-addr-by-name", me->service };
	enum kvr_err err =
	    kvr_redis_reach(c, me->at[i].name, me->at[i].port, until_ns, search->kick);
	if (err == KVR_OK)
		err = kvr_redis_login(&c->s, me->user, me->password);
	if (err == KVR_OK)
		err = kvr_nest_ask(&c->s, KVR_LEN(ask), ask);
	if (err == KVR_OK)
		err = read_master(&c->s, me->service, ret);
	if (err != KVR_OK)
		snprintf(search->why, sizeof(search->why), "sentinel %.60s:%u: %.100s",
		    me->at[i].name, (unsigned)me->at[i].port, c->s.why);
	kvr_stream_hang_up(&c->s);
	return err;
}

static enum kvr_err
demand_master(struct kvr_sock *s)
{
	struct kvr_nest_part head, role;
	enum kvr_err err = kvr_nest_ask(s, 1, (const char *const[]){ "ROLE" });
	if (err == KVR_OK)
		err = kvr_nest_next(s, &head);
	if (err != KVR_OK)
		return err;
	if (head.kind == KVR_RESP_ERROR)
		return kvr_stream_fail(s, (enum kvr_err)kvr_resp_error(head.text, head.text_len),
		    "ROLE: %s", head.text);
	if (head.kind != KVR_RESP_ARRAY || head.n < 1)
		return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong kind to ROLE");
	if ((err = kvr_nest_next(s, &role)) != KVR_OK)
		return err;
	if (role.kind != KVR_RESP_BULK || strcmp(role.text, "master") != 0)
		return kvr_stream_fail(s, KVR_E_DOWN, "is no master but \"%.20s\"", role.text);
	return kvr_nest_skip_n(s, head.n - 1);
}

static enum kvr_err
connect_to(struct search *search, const struct master *m, uint64_t until_ns)
{
	struct kvr_connector *c = search->c;
	/* Another sentinel names it again; it has had its chance in this dial. */
	if (m->port == search->tried.port && strcmp(m->host, search->tried.host) == 0)
		return KVR_E_DOWN;
	enum kvr_err err = kvr_redis_connect(c, m->host, m->port, until_ns, search->kick);
	if (err == KVR_OK)
		err = demand_master(&c->s);
	if (err == KVR_OK)
		return KVR_OK;
	search->tried = *m;
	search->refused = err == KVR_E_AUTH;
	snprintf(search->why, sizeof(search->why), "master %.60s:%u: %.100s", m->host,
	    (unsigned)m->port, c->s.why);
	kvr_stream_hang_up(&c->s);
	return err;
}

static enum kvr_err
by_sentinel(struct search *search, uint32_t i, uint32_t n_left)
{
	struct master m = { .port = 0 };
	enum kvr_err err =
	    ask_sentinel(search, i, kvr_redis_share(search->until_ns, n_left + 1), &m);
	if (err != KVR_OK)
		return err;
	return connect_to(search, &m, kvr_redis_share(search->until_ns, n_left));
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
		/* A share of the time is not all of it. */
		err = err == KVR_E_TIMEOUT ? KVR_E_DOWN : err;
	}
	kvr_stream_take(&c->s, -1, kick);
	return kvr_stream_fail(&c->s, err, "%s", search.why);
}
