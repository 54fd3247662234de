/* SPDX-License-Identifier: Apache-2.0 */
/* The master dies under load, its sentinels make another one, and service comes back by itself. */
#include "kvr_drill.h"

#include "kvr_redis_raw.h"
#include "kvr_sentinel_set.h"

KVR_NEEDS_REDIS

enum { FORMATS = 3 };
static const char *const format[FORMATS] = { "sealed", "lmcache", "sealed" };
/* Who reads from replicas notices no more of it than the others. */
static const char *const replicas[FORMATS] = { "false", "false", "true" };

static struct kvr *
open_over(const struct kvr_sentinel_set *set, const char *with, const char *from_replicas)
{
	return bed_open(
	    "{'timeouts':{'connect':'1s'},'trace':{'dir':'none'},'tiers':[{'name':'far','url':'%s',"
	    "'password':'" KVR_SENTINEL_DATA_PASSWORD
	    "','sentinel':{'password':'" KVR_SENTINEL_PASSWORD
	    "'},'format':'%s','replicas':%s,'breaker':{'faults':3,'backoff_min':'20ms',"
	    "'backoff_max':'200ms'}}]}",
	    set->url, with, from_replicas);
}

static void
say_all(struct kvr_drill *const *d, const char *event)
{
	char text[96];

	for (int i = 0; i < FORMATS; i++) {
		snprintf(text, sizeof(text), "sentinel, %s%s, %s", format[i],
		    replicas[i][0] == 't' ? ", replicas" : "", event);
		kvr_drill_say(d[i], text);
	}
}

START_TEST(the_master_dies)
{
	struct kvr_sentinel_set *set = kvr_sentinel_set_start();
	struct kvr *kvr[FORMATS];
	struct kvr_drill *d[FORMATS];

	for (int i = 0; i < FORMATS; i++) {
		static const char *const name[FORMATS] = { "drill", "pair", "replica" };

		kvr[i] = open_over(set, format[i], replicas[i]);
		d[i] = kvr_drill_start(kvr[i], name[i], 2, 5000);
	}
	for (int i = 0; i < FORMATS; i++)
		kvr_drill_wait_good(d[i]);
	for (int i = 0; i < FORMATS; i++)
		kvr_drill_mark(d[i]);
	kvr_redis_server_kill(set->data[0]);
	kvr_sentinel_set_watch_closely(set);
	for (int i = 0; i < FORMATS; i++)
		kvr_drill_wait_bad(d[i]);
	for (int i = 0; i < FORMATS; i++)
		kvr_drill_wait_good(d[i]);
	say_all(d, "the master is killed");
	/* It comes back as it was, a master, empty; the sentinels make a replica of it. */
	for (int i = 0; i < FORMATS; i++)
		kvr_drill_mark(d[i]);
	kvr_redis_server_restart(set->data[0]);
	for (int i = 0; i < FORMATS; i++)
		kvr_drill_wait_good(d[i]);
	say_all(d, "the old master comes back");
	for (int i = 0; i < FORMATS; i++) {
		MUST(kvr_drill_bad(d[i]) == 0, "%s is not whole", format[i]);
		kvr_drill_stop(d[i]);
		bed_close(kvr[i]);
	}
	kvr_sentinel_set_stop(set);
}
END_TEST

/* The master lives, so service goes on, also for lanes whose connections break afterwards. */
START_TEST(all_sentinels_die)
{
	struct kvr_sentinel_set *set = kvr_sentinel_set_start();
	struct kvr *kvr = open_over(set, "sealed", "false");
	struct kvr_raw *raw = kvr_raw_open(set->data[0]->port, KVR_SENTINEL_DATA_PASSWORD);
	struct kvr_health h = { .size = sizeof(h) };

	OK(bed_put1(kvr, "a", 1000));
	for (int i = 0; i < KVR_SENTINELS; i++)
		kvr_redis_server_kill(set->sentinel[i]);
	for (int i = 0; i < 5; i++) {
		MUST(kvr_raw(raw, "CLIENT KILL TYPE normal").kind == ':', "no connection breaks");
		OK(bed_get1(kvr, "a", 1000, NULL));
		OK(bed_put1(kvr, "b", 1000));
	}
	OK(kvr_health(kvr, &h));
	MUST(h.ok == 1, "%s", h.why);
	MUST(bed_logged("warn: tier far: no sentinel answers; 127.0.0.1:") == 1,
	    "nobody is told, or everybody");
	bed_close(kvr);
	kvr_raw_close(raw);
	kvr_sentinel_set_stop(set);
}
END_TEST

KVR_CHECK_MAIN("system.drill_sentinel", the_master_dies, all_sentinels_die)
