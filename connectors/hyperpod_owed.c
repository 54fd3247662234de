/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases that must be given back, and one thread of the store that does so. So a lane can answer as
 * soon as it has copied the bytes, and a lane that is cancelled or late leaves no lease behind: it
 * hands over its connections with the leases that were requested but have not arrived, because only
 * the answer contains the id.
 *
 * A release that fails is tried again until the lease would have ended by itself. Only
 * kvr_hp_owed_free waits for any of this, and only for a moment.
 *
 * A restarted daemon may give the same ids to others, whose lease would then end while they copy.
 * So what was owed to the daemon before is forgotten: its shared memory was another file.
 */
#include "kvr_cond.h"
#include "kvr_hyperpod.h"
#include "kvr_spawn.h"

#include <stdlib.h>
#include <string.h>

enum { OWED_MAX = 4096, LINES_MAX = 32, AT_ONCE = 32, PATH = 1024 };
_Static_assert(3 * KVR_HP_ID_MAX + 32 < PATH, "every id fits");

#define TURN_NS      KVR_MS(10)  /* longest wait of the thread while a request is under way */
#define RETRY_NS     KVR_MS(100) /* pause after a release that failed */
#define GRACE_NS     KVR_SEC(1)  /* how long kvr_hp_owed_free waits for the next answer */
#define GRACE_MAX_NS KVR_SEC(2)  /* and for all answers */

struct owed {
	struct kvr_hp_term term;
	char id[KVR_HP_ID_MAX + 1];
};

struct kvr_hp_owed {
	const struct kvr_store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	/* Under lock. */
	bool started, stop;
	bool moved; /* http was made for another address than where */
	uint32_t first, n, n_lines;
	struct owed ring[OWED_MAX];
	struct kvr_hp_line *lines;
	struct kvr_addrs where;
	/* Used only by the thread. */
	struct kvr_httpc *http;
	struct owed out[AT_ONCE]; /* indexed by the number of its exchange */
	uint32_t n_out;
	uint64_t rest_until_ns;
	uint64_t stop_ns, end_ns; /* of the grace period; 0: not stopping */
};

/* ---- lines ---- */

void
kvr_hp_line_free(struct kvr_hp_line *take)
{
	if (take == NULL)
		return;
	kvr_httpc_free(take->http);
	free(take);
}

static enum kvr_err
http_new(const struct kvr_store *s, const struct kvr_addrs *addrs, uint32_t at_once,
    struct kvr_httpc **ret)
{
	char why[128];
	const struct kvr_httpc_opts opts = { .host = s->host,
		.port = s->port,
		.addrs = addrs,
		.agent = KVR_HP_AGENT,
		.accept_encoding = "gzip, deflate",
		.tls = s->https ? &s->tls : NULL,
		.connect_ns = s->connect_ns,
		.idle_ns = KVR_SEC(30),
		.at_once = at_once,
		.piece = s->piece };
	return kvr_httpc_new(&opts, ret, why, sizeof(why));
}

struct kvr_hp_line *
kvr_hp_line_new(const struct kvr_store *s, const struct kvr_addrs *addrs, uint32_t at_once)
{
	struct kvr_hp_line *line = calloc(1, sizeof(*line) + at_once * sizeof(line->note[0]));
	if (line == NULL)
		return NULL;
	line->at_once = at_once;
	if (http_new(s, addrs, at_once, &line->http) != KVR_OK) {
		free(line);
		return NULL;
	}
	return line;
}

/* ---- the thread ---- */

/* A daemon that keeps answering gets more time, however slow the machine is. */
static void
progress(struct kvr_hp_owed *o)
{
	if (o->stop_ns != 0)
		o->stop_ns = KVR_MIN(kvr_now_ns() + GRACE_NS, o->end_ns);
}

/* Handles a line for one turn. Returns whether leases of it can still arrive. */
static bool
turn_line(struct kvr_hp_owed *o, struct kvr_hp_line *line)
{
	struct kvr_httpc_answer answer;
	struct kvr_hp_lease lease;
	const char *why;
	bool flies = false;
	/* TIMEOUT: nothing arrived in this turn. */
	bool broken = kvr_httpc_wait(line->http, kvr_now_ns() + TURN_NS, NULL) == KVR_E_PROTO;
	for (int32_t i; (i = kvr_httpc_next(line->http)) >= 0; kvr_httpc_end(line->http, i)) {
		kvr_httpc_answer(line->http, i, &answer);
		if (!line->note[i].lease || answer.err != KVR_OK || answer.status != 200)
			continue;
		(void)!kvr_hp_lease_read(answer.body, &lease, &why);
		if (lease.id[0] != '\0')
			(void)!kvr_hp_owe(o, lease.id, &line->note[i].term);
		progress(o);
	}
	for (uint32_t i = 0; i < line->at_once; i++)
		flies |= kvr_httpc_in_flight(line->http, (int32_t)i);
	return flies && !broken;
}

static void
turn_lines(struct kvr_hp_owed *o)
{
	pthread_mutex_lock(&o->lock);
	struct kvr_hp_line *line = o->lines;
	o->lines = NULL;
	o->n_lines = 0;
	pthread_mutex_unlock(&o->lock);
	for (struct kvr_hp_line *next; line != NULL; line = next) {
		next = line->next;
		if (turn_line(o, line))
			kvr_hp_owed_adopt(o, line);
		else
			kvr_hp_line_free(line);
	}
}

static bool
take_owed(struct kvr_hp_owed *o, struct owed *ret)
{
	bool some = false;
	pthread_mutex_lock(&o->lock);
	while (o->n > 0 && !some) {
		*ret = o->ring[o->first];
		o->first = (o->first + 1) % OWED_MAX;
		o->n--;
		some = kvr_now_ns() < ret->term.end_ns &&
		       kvr_hp_file_is(&ret->term.file, o->store->segment);
	}
	pthread_mutex_unlock(&o->lock);
	return some;
}

static void
send_releases(struct kvr_hp_owed *o)
{
	struct kvr_httpc_ask ask = {
		.method = KVR_HTTPC_POST, .type = KVR_HP_TYPE, .limit_ns = KVR_SEC(5)
	};
	struct owed owed;
	char path[PATH];
	while (o->n_out < AT_ONCE && take_owed(o, &owed)) {
		kvr_hp_release_path(owed.id, path);
		ask.path = path;
		int32_t i = kvr_httpc_start(o->http, &ask);
		if (i < 0) {
			(void)!kvr_hp_owe(o, owed.id, &owed.term);
			o->rest_until_ns = kvr_now_ns() + RETRY_NS;
			return;
		}
		o->out[i] = owed;
		o->n_out++;
	}
}

/* Its requests will never finish: they are owed again. The next turn makes a new http. */
static void
drop_http(struct kvr_hp_owed *o)
{
	for (int32_t i = 0; i < AT_ONCE; i++)
		if (kvr_httpc_in_flight(o->http, i))
			(void)!kvr_hp_owe(o, o->out[i].id, &o->out[i].term);
	kvr_httpc_free(o->http);
	o->http = NULL;
	o->n_out = 0;
	o->rest_until_ns = kvr_now_ns() + RETRY_NS;
}

static void
read_releases(struct kvr_hp_owed *o)
{
	struct kvr_httpc_answer answer;
	bool broken = kvr_httpc_wait(o->http, kvr_now_ns() + TURN_NS, NULL) == KVR_E_PROTO;
	for (int32_t i; (i = kvr_httpc_next(o->http)) >= 0; kvr_httpc_end(o->http, i)) {
		kvr_httpc_answer(o->http, i, &answer);
		o->n_out--;
		/* 404: the lease has already ended. */
		if (answer.err == KVR_OK && (answer.status == 200 || answer.status == 404)) {
			progress(o);
			continue;
		}
		(void)!kvr_hp_owe(o, o->out[i].id, &o->out[i].term);
		o->rest_until_ns = kvr_now_ns() + RETRY_NS;
	}
	if (broken)
		drop_http(o);
}

/*
 * Each dial of a lane resolves the name again, and the address may have changed. Releases under way
 * must finish first, within their time limit: no id may be given back twice.
 */
static bool
connect_to(struct kvr_hp_owed *o)
{
	struct kvr_addrs where;
	pthread_mutex_lock(&o->lock);
	bool moved = o->moved;
	if (o->n_out == 0) {
		o->moved = false;
		where = o->where;
	}
	pthread_mutex_unlock(&o->lock);
	if (o->n_out > 0)
		return !moved;
	if (moved) {
		kvr_httpc_free(o->http);
		o->http = NULL;
		o->rest_until_ns = 0;
	}
	if (o->http == NULL && http_new(o->store, &where, AT_ONCE, &o->http) != KVR_OK)
		o->rest_until_ns = kvr_now_ns() + RETRY_NS;
	return o->http != NULL;
}

/* False: there is nothing to do, or the time for it is over. */
static bool
wait_for_work(struct kvr_hp_owed *o)
{
	pthread_mutex_lock(&o->lock);
	while (!o->stop && o->n == 0 && o->lines == NULL && o->n_out == 0)
		pthread_cond_wait(&o->more, &o->lock);
	bool work = o->n > 0 || o->lines != NULL || o->n_out > 0;
	if (o->stop && o->stop_ns == 0) {
		o->stop_ns = kvr_now_ns() + GRACE_NS;
		o->end_ns = kvr_now_ns() + GRACE_MAX_NS;
		o->rest_until_ns = 0; /* try once more, at once */
	}
	bool rests = o->n_out == 0 && o->lines == NULL && kvr_now_ns() < o->rest_until_ns;
	/* A daemon that does not accept them now is not waited for. */
	bool over = o->stop && (!work || rests || kvr_now_ns() >= o->stop_ns);
	if (rests && !over)
		(void)kvr_cond_wait(&o->more, &o->lock, kvr_now_ns() + TURN_NS);
	pthread_mutex_unlock(&o->lock);
	return !over;
}

static void *
owed_main(void *arg)
{
	struct kvr_hp_owed *o = arg;
	while (wait_for_work(o)) {
		turn_lines(o);
		if (connect_to(o) && kvr_now_ns() >= o->rest_until_ns)
			send_releases(o);
		if (o->n_out > 0)
			read_releases(o);
	}
	return NULL;
}

/* ---- called by the lanes ---- */

/* Under lock. */
static bool
start(struct kvr_hp_owed *o)
{
	if (o->started)
		return true;
	o->started = kvr_spawn(&o->thread, owed_main, o) == 0;
	if (o->started)
		pthread_setname_np(o->thread, "kvr-hp-owed");
	return o->started;
}

/* The first lease starts the thread: a store that is only written to needs none. */
bool
kvr_hp_owed_ready(struct kvr_hp_owed *o)
{
	pthread_mutex_lock(&o->lock);
	bool ready = start(o);
	pthread_mutex_unlock(&o->lock);
	return ready;
}

bool
kvr_hp_owe(struct kvr_hp_owed *o, const char *id, const struct kvr_hp_term *term)
{
	pthread_mutex_lock(&o->lock);
	bool room = o->n < OWED_MAX;
	if (room) {
		struct owed *owed = &o->ring[(o->first + o->n++) % OWED_MAX];
		owed->term = *term;
		memcpy(owed->id, id, strlen(id) + 1);
		pthread_cond_signal(&o->more);
	}
	pthread_mutex_unlock(&o->lock);
	return room;
}

void
kvr_hp_owed_adopt(struct kvr_hp_owed *o, struct kvr_hp_line *take)
{
	pthread_mutex_lock(&o->lock);
	bool room = o->n_lines < LINES_MAX;
	if (room) {
		take->next = o->lines;
		o->lines = take;
		o->n_lines++;
		pthread_cond_signal(&o->more);
	}
	pthread_mutex_unlock(&o->lock);
	if (!room)
		kvr_hp_line_free(take);
}

/* In any order: a resolver rotates them with every answer. */
static bool
same(const struct kvr_addrs *a, const struct kvr_addrs *b)
{
	uint32_t found = 0;
	for (uint32_t i = 0; i < a->n; i++)
		for (uint32_t k = 0; k < b->n; k++)
			if (a->addr[i].len == b->addr[k].len &&
			    memcmp(&a->addr[i].at, &b->addr[k].at, a->addr[i].len) == 0) {
				found++;
				break;
			}
	return a->n == b->n && found == a->n;
}

void
kvr_hp_owed_where(struct kvr_hp_owed *o, const struct kvr_addrs *addrs)
{
	pthread_mutex_lock(&o->lock);
	if (!same(&o->where, addrs)) {
		o->where = *addrs;
		o->moved = true;
	}
	pthread_mutex_unlock(&o->lock);
}

struct kvr_hp_owed *
kvr_hp_owed_new(const struct kvr_store *store)
{
	struct kvr_hp_owed *o = calloc(1, sizeof(*o));
	if (o == NULL)
		return NULL;
	o->store = store;
	KVR_CHECK(pthread_mutex_init(&o->lock, NULL) == 0);
	kvr_cond_init(&o->more);
	return o;
}

void
kvr_hp_owed_free(struct kvr_hp_owed *take)
{
	if (take == NULL)
		return;
	pthread_mutex_lock(&take->lock);
	take->stop = true;
	pthread_cond_signal(&take->more);
	pthread_mutex_unlock(&take->lock);
	if (take->started)
		pthread_join(take->thread, NULL);
	for (struct kvr_hp_line *line = take->lines, *next; line != NULL; line = next) {
		next = line->next;
		kvr_hp_line_free(line);
	}
	kvr_httpc_free(take->http);
	pthread_cond_destroy(&take->more);
	pthread_mutex_destroy(&take->lock);
	free(take);
}
