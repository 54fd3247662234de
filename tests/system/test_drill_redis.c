/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Redis server that is there and does not do what it is asked: loading, busy with a script, a
 * replica, full, forbidding, a cluster without slots, evicting what it has just announced. Each
 * gives the outcome that the README says, no wrong byte, and service again without a restart.
 */
#include "kvr_server_drill.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

KVR_NEEDS_REDIS

START_TEST(a_server_that_loads_its_data)
{
	static const char *const slow[] = { "--key-load-delay", "20000",
		"--loading-process-events-interval-bytes", "1024", NULL };
	struct drill d = drill_open(NULL, "redis://127.0.0.1:%u");
	char file[128];

	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	raw_ok(&d, "SAVE");
	d.server->args = slow;
	kvr_redis_server_restart(d.server);
	is_told(&d, KVR_GET, KVR_E_REFUSED, "LOADING");
	heals(&d, KVR_GET, "loading");
	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	snprintf(file, sizeof(file), "%s/dump.rdb", d.server->dir);
	unlink(file);
	drill_close(&d);
}
END_TEST

static void *
run_for_ever(void *arg)
{
	const struct kvr_redis_server *server = arg;
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	const struct kvr_raw_word words[] = { { "EVAL", 4 }, { "while true do end", 17 },
		{ "0", 1 } };

	/* Comes back when it is killed. */
	MUST(kvr_raw_words(raw, words, 3).kind == '-', "it ended by itself");
	kvr_raw_close(raw);
	return NULL;
}

START_TEST(a_server_that_is_busy_with_a_script)
{
	static const char *const args[] = { "--lua-time-limit", "5", NULL };
	struct drill d = drill_open(args, "redis://127.0.0.1:%u");
	pthread_t thread;

	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	MUST(pthread_create(&thread, NULL, run_for_ever, d.server) == 0, "no thread");
	is_told(&d, KVR_GET, KVR_E_REFUSED, "BUSY");
	is_told(&d, KVR_PUT, KVR_E_REFUSED, "BUSY");
	raw_ok(&d, "SCRIPT KILL");
	pthread_join(thread, NULL);
	heals(&d, KVR_GET, "busy");
	heals(&d, KVR_PUT, "busy, puts");
	drill_close(&d);
}
END_TEST

START_TEST(a_server_that_became_a_replica)
{
	struct drill d = drill_open(NULL, "redis://127.0.0.1:%u");

	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	/* Of nobody: it keeps what it has. */
	raw_ok(&d, "REPLICAOF 127.0.0.1 1");
	is_told(&d, KVR_PUT, KVR_E_REFUSED, "READONLY");
	heals(&d, KVR_GET, "read-only, gets");
	raw_ok(&d, "CONFIG SET replica-serve-stale-data no");
	is_told(&d, KVR_GET, KVR_E_REFUSED, "MASTERDOWN");
	raw_ok(&d, "REPLICAOF NO ONE");
	heals(&d, KVR_GET, "master again");
	heals(&d, KVR_PUT, "master again, puts");
	drill_close(&d);
}
END_TEST

START_TEST(a_server_that_is_full)
{
	struct drill d = drill_open(NULL, "redis://127.0.0.1:%u");

	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	raw_ok(&d, "CONFIG SET maxmemory-policy noeviction");
	raw_ok(&d, "CONFIG SET maxmemory 1");
	is_told(&d, KVR_PUT, KVR_E_NOSPACE, "OOM");
	heals(&d, KVR_GET, "full, gets");
	raw_ok(&d, "CONFIG SET maxmemory 0");
	heals(&d, KVR_PUT, "emptied");
	drill_close(&d);
}
END_TEST

/* Until it has tried to save, with that result. */
static void
save(struct drill *d, const char *status)
{
	uint64_t until_ns = bed_in_ms(LIMIT_MS);

	raw_ok(d, "BGSAVE");
	for (;;) {
		struct kvr_raw_reply r = kvr_raw(d->raw, "INFO persistence");

		if (memmem(r.bytes, r.len, "rdb_bgsave_in_progress:0", 24) != NULL &&
		    memmem(r.bytes, r.len, status, strlen(status)) != NULL)
			return;
		MUST(bed_now_ns() < until_ns, "it is never %s", status);
	}
}

START_TEST(a_server_that_cannot_save_its_snapshots)
{
	static const char *const args[] = { "--save", "3600 1", NULL };
	struct drill d = drill_open(args, "redis://127.0.0.1:%u");
	char file[128];

	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	snprintf(file, sizeof(file), "%s/dump.rdb", d.server->dir);
	MUST(mkdir(file, 0700) == 0, "%s is there", file);
	save(&d, "rdb_last_bgsave_status:err");
	is_told(&d, KVR_PUT, KVR_E_REFUSED, "MISCONF");
	/* PING is refused too, and new connections are for reading all the same. */
	raw_ok(&d, "CLIENT KILL TYPE normal SKIPME yes");
	heals(&d, KVR_GET, "no snapshots, gets");
	MUST(rmdir(file) == 0, "%s", file);
	save(&d, "rdb_last_bgsave_status:ok");
	heals(&d, KVR_PUT, "snapshots again");
	unlink(file);
	drill_close(&d);
}
END_TEST

START_TEST(a_user_who_may_not)
{
	struct drill d = { .server = kvr_redis_server_start(NULL, NULL) };
	char url[128];

	d.raw = kvr_raw_open(d.server->port, NULL);
	d.b = bed_batch_new("drill", KEYS, EACH);
	raw_ok(&d, "ACL SETUSER kv on >token ~* +@all");
	snprintf(url, sizeof(url), "redis://kv:token@127.0.0.1:%u", d.server->port);
	d.kvr = bed_open(tier, url, "sealed");
	OK(bed_run(d.kvr, d.b, KVR_PUT, 0, 0));
	raw_ok(&d, "ACL SETUSER kv -set");
	is_told(&d, KVR_PUT, KVR_E_AUTH, "NOPERM");
	MUST(bed_logged("tier far: a put was refused (AUTH): SET: NOPERM") == 1, "no line");
	heals(&d, KVR_GET, "no SET, gets");
	raw_ok(&d, "ACL SETUSER kv +set -get");
	is_told(&d, KVR_GET, KVR_E_AUTH, "NOPERM");
	/* Nobody of that name any more: connections end, and new ones are not let in. */
	raw_ok(&d, "ACL DELUSER kv");
	is_told(&d, KVR_GET, KVR_E_AUTH, "WRONGPASS");
	raw_ok(&d, "ACL SETUSER kv on >token ~* +@all");
	heals(&d, KVR_GET, "user again");
	heals(&d, KVR_PUT, "user again, puts");
	drill_close(&d);
}
END_TEST

START_TEST(a_node_of_a_cluster_that_serves_no_slot)
{
	static const char *const args[] = { "--cluster-enabled", "yes", NULL };
	struct drill d = drill_open(args, "redis://127.0.0.1:%u");
	char file[128];

	is_told(&d, KVR_PUT, KVR_E_REFUSED, "CLUSTERDOWN");
	raw_ok(&d, "CLUSTER ADDSLOTSRANGE 0 16383");
	heals(&d, KVR_PUT, "slots");
	heals(&d, KVR_GET, "slots, gets");
	snprintf(file, sizeof(file), "%s/nodes.conf", d.server->dir);
	unlink(file);
	drill_close(&d);
}
END_TEST

/* Between the lookup and the load some values go. What is there is whole, what is not is a miss. */
static void
evicted(const char *format, const char *behind)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct kvr *kvr = bed_open(tier, server->url, format);
	struct bed_batch *b = bed_batch_new("drill", KEYS, EACH);
	char line[128];

	for (uint32_t first = 0; first < KEYS; first += 5) {
		OK(bed_run(kvr, b, KVR_PUT, 0, 0));
		OK(bed_run(kvr, b, KVR_LOOKUP, 0, 0));
		MUST(b->done.prefix == KEYS, "%u", b->done.prefix);
		for (uint32_t i = first; i < KEYS; i += 7) {
			snprintf(line, sizeof(line), "DEL %s%s", b->key[i], behind);
			MUST(kvr_raw(raw, line).n == 1, "%s", line);
		}
		ERR(bed_run(kvr, b, KVR_GET, 0, 0), KVR_E_MISS);
		MUST(b->done.prefix == first, "%u of %u", b->done.prefix, first);
		for (uint32_t i = 0; i < KEYS; i++)
			ERR(b->err[i], i >= first && (i - first) % 7 == 0 ? KVR_E_MISS : KVR_OK);
	}
	bed_close(kvr);
	bed_batch_free(b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}

START_TEST(values_that_go_between_lookup_and_load)
{
	evicted("sealed", "@kvr%1");
	evicted("bare", "");
	evicted("lmcache", "kv_bytes");
	evicted("lmcache", "metadata");
}
END_TEST

KVR_CHECK_MAIN("system.drill_redis", a_server_that_loads_its_data,
    a_server_that_is_busy_with_a_script, a_server_that_became_a_replica, a_server_that_is_full,
    a_server_that_cannot_save_its_snapshots, a_user_who_may_not,
    a_node_of_a_cluster_that_serves_no_slot, values_that_go_between_lookup_and_load)
