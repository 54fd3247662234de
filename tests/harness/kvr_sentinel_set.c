/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_sentinel_set.h"
#include "kvr_redis_raw.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { READY_S = 60 };

/* Not Check's macros: a program may want a set before there is a test that could fail. */
static void
need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "sentinels for a test: %s\n", what);
	abort();
}

static const char *const master_args[] = { "--masterauth", KVR_SENTINEL_DATA_PASSWORD,
	"--repl-diskless-sync-delay", "0", NULL };

static char replica_port[8];
static const char *const replica_args[] = { "--masterauth", KVR_SENTINEL_DATA_PASSWORD,
	"--replicaof", "127.0.0.1", replica_port, NULL };

/* What one sentinel must say of the set before the test may begin. */
static int
is_ready(const struct kvr_redis_server *sentinel)
{
	struct kvr_raw *raw = kvr_raw_open(sentinel->port, KVR_SENTINEL_PASSWORD);
	struct kvr_raw_reply r = kvr_raw(raw, "INFO sentinel");
	int ready = r.kind == '$' && strstr((const char *)r.bytes, "status=ok") != NULL &&
	            strstr((const char *)r.bytes, "slaves=2,sentinels=3") != NULL;
	r = kvr_raw(raw, "SENTINEL CKQUORUM " KVR_SENTINEL_SERVICE);
	ready = ready && r.kind == '+';
	kvr_raw_close(raw);
	return ready;
}

static void
wait_ready(const struct kvr_redis_server *sentinel)
{
	const struct timespec look = { .tv_nsec = 20000000 };
	time_t end = time(NULL) + READY_S;
	while (!is_ready(sentinel)) {
		need(time(NULL) < end, "they do not come to know their servers");
		nanosleep(&look, NULL);
	}
}

struct kvr_sentinel_set *
kvr_sentinel_set_start(void)
{
	static const char conf[] =
	    "sentinel monitor " KVR_SENTINEL_SERVICE " 127.0.0.1 %u 2\n"
	    "sentinel down-after-milliseconds " KVR_SENTINEL_SERVICE " 600000\n"
	    "sentinel failover-timeout " KVR_SENTINEL_SERVICE " 1000\n"
	    "sentinel auth-pass " KVR_SENTINEL_SERVICE " " KVR_SENTINEL_DATA_PASSWORD "\n"
	    "requirepass " KVR_SENTINEL_PASSWORD "\n"
	    "sentinel sentinel-pass " KVR_SENTINEL_PASSWORD "\n";
	struct kvr_sentinel_set *me = calloc(1, sizeof(*me));
	char text[sizeof(conf) + 16];
	need(me != NULL, "memory");
	me->owner = getpid();
	me->data[0] = kvr_redis_server_start(KVR_SENTINEL_DATA_PASSWORD, master_args);
	snprintf(replica_port, sizeof(replica_port), "%u", me->data[0]->port);
	for (int i = 1; i < KVR_SENTINEL_DATA; i++)
		me->data[i] = kvr_redis_server_start(KVR_SENTINEL_DATA_PASSWORD, replica_args);
	snprintf(text, sizeof(text), conf, me->data[0]->port);
	size_t len = (size_t)snprintf(me->url, sizeof(me->url), "redis-sentinel://");
	for (int i = 0; i < KVR_SENTINELS; i++) {
		me->sentinel[i] = kvr_redis_sentinel_start(text, NULL);
		len += (size_t)snprintf(me->url + len, sizeof(me->url) - len, "%s127.0.0.1:%u",
		    i == 0 ? "" : ",", me->sentinel[i]->port);
	}
	snprintf(me->url + len, sizeof(me->url) - len, "?service=" KVR_SENTINEL_SERVICE);
	for (int i = 0; i < KVR_SENTINELS; i++)
		wait_ready(me->sentinel[i]);
	return me;
}

void
kvr_sentinel_set_watch_closely(const struct kvr_sentinel_set *me)
{
	for (int i = 0; i < KVR_SENTINELS; i++) {
		struct kvr_raw *raw = kvr_raw_open(me->sentinel[i]->port, KVR_SENTINEL_PASSWORD);
		struct kvr_raw_reply r =
		    kvr_raw(raw, "SENTINEL SET " KVR_SENTINEL_SERVICE " down-after-milliseconds 500");
		need(r.kind == '+', (const char *)r.bytes);
		kvr_raw_close(raw);
	}
}

void
kvr_sentinel_set_stop(struct kvr_sentinel_set *take)
{
	if (take == NULL || take->owner != getpid())
		return;
	for (int i = 0; i < KVR_SENTINELS; i++)
		kvr_redis_server_stop(take->sentinel[i]);
	for (int i = 0; i < KVR_SENTINEL_DATA; i++)
		kvr_redis_server_stop(take->data[i]);
	free(take);
}
