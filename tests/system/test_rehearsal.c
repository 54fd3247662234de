/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rehearsed outage, with the faults in the library and with the same faults on the wire: by the
 * deadline a caller has right bytes or an error, and when the time line comes to an end all is as
 * before. Nobody gets into a rehearsal without having said so.
 */
#include "kvr_system_bed.h"

#include "kvr_bad_net.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

enum { KEYS = 8, EACH = 50000, BUDGET_MS = 150, LATE_MS = 5000 };

static const char outage[] = "# everything, one after the other\n"
                             "0s     pass\n"
                             "100ms  error OOM 40%\n"
                             "200ms  flip 30%\n"
                             "200ms  truncate 20%\n"
                             "300ms  reset 30%\n"
                             "400ms  drop 30%\n"
                             "500ms  hang\n"
                             "600ms  down\n"
                             "700ms  delay 1ms to 5ms\n"
                             "700ms  error LOADING 20%\n"
                             "800ms  drip 2MiB/s\n"
                             "900ms  pass\n";

/* How long a dial may take: where it fails on purpose, and where a busy machine must not make it fail. */
#define SOON "200ms"
#define PATIENTLY "60s"
static const char *const tier = "{'memory':{'staging':'16MiB','objects':'4MiB'},'timeouts':"
                                "{'connect':'%s'},'trace':{'dir':'none'},%s'tiers':["
                                "{'name':'far','url':'%s','breaker':{'faults':2,"
                                "'backoff_min':'10ms','backoff_max':'50ms'}%s}]}";

static const char *
script_file(const char *text, char *ret_path, size_t cap)
{
	char dir[128];

	bed_dir(dir, sizeof(dir));
	snprintf(ret_path, cap, "%s/outage", dir);
	FILE *f = fopen(ret_path, "w");

	MUST(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "%s cannot be written", ret_path);
	return ret_path;
}

/* bed_run compares what is OK. */
static void
live_through(struct kvr *kvr, struct bed_batch *b)
{
	static const uint32_t kinds[] = { KVR_PUT, KVR_GET, KVR_LOOKUP, KVR_GET };
	uint64_t end_ns = bed_in_ms(900), worst_ns = 0;
	uint32_t n_ok = 0, n_other = 0;

	for (uint32_t turn = 0; bed_now_ns() < end_ns; turn++) {
		uint64_t until_ns = bed_in_ms(BUDGET_MS);
		enum kvr_err err = bed_run(kvr, b, kinds[turn % 4], 0, until_ns);
		uint64_t now_ns = bed_now_ns();

		if (now_ns > until_ns && now_ns - until_ns > worst_ns)
			worst_ns = now_ns - until_ns;
		n_ok += err == KVR_OK;
		n_other += err != KVR_OK;
	}
	printf("%u batches right, %u with an error, worst lateness %.3f ms\n", n_ok, n_other,
	    (double)worst_ns / 1e6);
	MUST(worst_ns < LATE_MS * bed_slowness() * 1000000U, "%llu ms late",
	    (unsigned long long)worst_ns / 1000000U);
}

static void
recovers(struct kvr *kvr, struct bed_batch *b)
{
	uint64_t until_ns = bed_in_ms(30000);

	while (bed_run(kvr, b, KVR_PUT, 0, bed_in_ms(1000)) != KVR_OK ||
	       bed_run(kvr, b, KVR_GET, 0, bed_in_ms(1000)) != KVR_OK)
		MUST(bed_now_ns() < until_ns, "it stays %s: %s", kvr_err_name(b->done.err),
		    b->done.why);
}

START_TEST(a_time_line_in_the_library)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct bed_batch *b = bed_batch_new("net", KEYS, EACH);
	char path[160], faults[200];

	snprintf(faults, sizeof(faults), ",'faults':'%s'", script_file(outage, path, sizeof(path)));
	struct kvr *kvr = bed_open(tier, SOON, "'rehearse':true,", server->url, faults);

	MUST(bed_logged("this is a rehearsal: the tier fails on purpose") == 1, "nobody is told");
	live_through(kvr, b);
	recovers(kvr, b);
	bed_close(kvr);
	bed_batch_free(b);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(the_same_time_line_on_the_wire)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_bad_net *net = kvr_bad_net_start(server->port);
	struct bed_batch *b = bed_batch_new("net", KEYS, EACH);

	MUST(kvr_bad_net_script(net, outage), "the script is wrong");
	struct kvr *kvr = bed_open(tier, SOON, "", kvr_bad_net_url(net), "");

	live_through(kvr, b);
	recovers(kvr, b);
	bed_close(kvr);
	bed_batch_free(b);
	kvr_bad_net_stop(net);
	kvr_redis_server_stop(server);
}
END_TEST

/* Each fault alone and for ever, so that a slow machine cannot sleep through it. */
START_TEST(each_fault_on_the_wire_does_what_it_says)
{
	static const struct {
		const char *script;
		int32_t err, other; /* other: what may come instead */
	} want[] = {
		{ "0s error OOM\n", KVR_E_DOWN, KVR_E_TIMEOUT }, /* PING of the dial too */
		{ "0s pass\n", KVR_OK, KVR_OK },
		{ "0s delay 5ms\n", KVR_OK, KVR_OK },
		{ "0s drip 1MiB/s\n", KVR_OK, KVR_OK },
		{ "0s down\n", KVR_E_DOWN, KVR_E_TIMEOUT },
		{ "0s hang\n", KVR_E_DOWN, KVR_E_TIMEOUT },
		{ "0s drop\n", KVR_E_DOWN, KVR_E_TIMEOUT },
		{ "0s reset\n", KVR_E_DOWN, KVR_E_TIMEOUT },
		{ "0s truncate\n", KVR_E_DOWN, KVR_E_TIMEOUT },
	};
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_bad_net *net = kvr_bad_net_start(server->port);

	MUST(!kvr_bad_net_script(net, "0s dwon\n"), "it is no script");
	MUST(!kvr_bad_net_script(net, "0s hang on get\n"), "it knows no operations");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct bed_batch *b = bed_batch_new("net", KEYS, EACH);

		MUST(kvr_bad_net_script(net, want[i].script), "%s", want[i].script);
		bool well = want[i].err == KVR_OK;
		struct kvr *kvr = bed_open(tier, well ? PATIENTLY : SOON, "", kvr_bad_net_url(net), "");
		int32_t err = bed_run(kvr, b, KVR_PUT, 0, bed_in_ms(well ? 60000 : 1000));

		MUST(err == want[i].err || err == want[i].other ||
		         (!well && err == KVR_E_REFUSED) || (!well && err == KVR_E_NOSPACE),
		    "%s: %s: %s", want[i].script, kvr_err_name(err), b->done.why);
		bed_close(kvr);
		bed_batch_free(b);
	}
	kvr_bad_net_stop(net);
	kvr_redis_server_stop(server);
}
END_TEST

/* Errors in the place of replies: each key has its own, and the stream stays in step. */
START_TEST(errors_on_the_wire_are_those_of_their_keys)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_bad_net *net = kvr_bad_net_start(server->port);
	struct bed_batch *b = bed_batch_new("net", 64, 500);
	struct kvr *kvr = bed_open(tier, PATIENTLY, "", kvr_bad_net_url(net), "");
	uint32_t n_space = 0, n_ok = 0;

	OK(bed_run(kvr, b, KVR_PUT, 0, 0));
	MUST(kvr_bad_net_script(net, "0s error WRONGTYPE 50%\n"), "it is a script");
	for (uint64_t until_ns = bed_in_ms(30000); n_space == 0 || n_ok == 0;) {
		MUST(bed_now_ns() < until_ns, "%u and %u", n_space, n_ok);
		int32_t err = bed_run(kvr, b, KVR_GET, 0, bed_in_ms(30000));

		MUST(
		    err == KVR_OK || err == KVR_E_LENGTH, "%s: %s", kvr_err_name(err), b->done.why);
		for (uint32_t i = 0; i < b->n; i++) {
			n_space += b->err[i] == KVR_E_LENGTH;
			n_ok += b->err[i] == KVR_OK;
		}
	}
	bed_close(kvr);
	bed_batch_free(b);
	kvr_bad_net_stop(net);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(nobody_rehearses_by_accident)
{
	struct kvr *kvr = NULL;
	char path[160], faults[200], why[512] = "";

	snprintf(faults, sizeof(faults), ",'faults':'%s'", script_file(outage, path, sizeof(path)));
	ERR(bed_try(&kvr, why, sizeof(why), tier, SOON, "", "memory://", faults), KVR_E_CONFIG);
	MUST(strstr(why, "faults are only for a rehearsal: say \"rehearse\": true") != NULL, "%s",
	    why);
	script_file("0s pass\n1s explode\n", path, sizeof(path));
	snprintf(faults, sizeof(faults), ",'faults':'%s'", path);
	ERR(bed_try(&kvr, why, sizeof(why), tier, SOON, "'rehearse':true,", "memory://", faults),
	    KVR_E_CONFIG);
	MUST(strstr(why, "outage:2:4: \"explode\" is no fault") != NULL, "%s", why);
	MUST(kvr == NULL, "it was opened all the same");
}
END_TEST

KVR_CHECK_MAIN("system.rehearsal", a_time_line_in_the_library, the_same_time_line_on_the_wire,
    each_fault_on_the_wire_does_what_it_says, errors_on_the_wire_are_those_of_their_keys,
    nobody_rehearses_by_accident)
