/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance says over HTTP, with a store that is well and with one that has died. */
#include "kvr_system_bed.h"

#include "kvr_http_get.h"
#include "kvr_redis_server.h"

#include <unistd.h>

KVR_NEEDS_REDIS

static const char *const config =
    "{'memory':{'staging':'16MiB','objects':'4MiB','slot_size':'64KiB'},'timeouts':{'connect':'"
    "20s'},'metrics':{'listen':'%s'},'log':{'level':'info'},"
    "'trace':{'dir':'none'},'tiers':[{'name':'host','url':'memory://'},{'name':'far','url':'%s',"
    "'breaker':{'faults':2,'backoff_min':'20ms','backoff_max':'100ms'}}]}";

static char sock[128];

static void
expect(const char *path, int status, const char *has)
{
	struct kvr_http_got g = kvr_http_fetch(sock, path, "");

	MUST(g.status == status, "%s: %d\n%s", path, g.status, g.body == NULL ? "" : g.body);
	MUST(strstr(g.body, has) != NULL, "%s has no \"%s\": %s", path, has, g.body);
	kvr_http_drop(&g);
}

static void
wait_for(const char *path, const char *has)
{
	uint64_t until_ns = bed_in_ms(30000);

	for (;;) {
		struct kvr_http_got g = kvr_http_fetch(sock, path, "");
		int found = g.status != 0 && strstr(g.body, has) != NULL;

		kvr_http_drop(&g);
		if (found)
			return;
		MUST(bed_now_ns() < until_ns, "%s never has \"%s\"", path, has);
	}
}

static const char *
make_sock(void)
{
	char dir[64];

	snprintf(sock, sizeof(sock), "unix:%s/metrics", bed_dir(dir, sizeof(dir)));
	return sock;
}

START_TEST(a_sick_tier_is_told_and_does_not_take_the_engine_away)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr *kvr = bed_open(config, make_sock(), server->url);

	wait_for("/metrics", "\nkvrelay_healthy 1\n");
	OK(bed_put1(kvr, "a", 1000));
	expect("/healthz", 200, "ok\n");
	expect("/readyz", 200, "ok\n");
	expect("/statusz", 200, "healthy\n");
	expect("/metrics", 200, "\nkvrelay_tier_keys_ok_total{tier=\"far\",verb=\"put\"} 1\n");
	wait_for("/metrics", "\nkvrelay_lane_state{tier=\"far\",lane=\"2\",state=\"up\"} 1\n");
	kvr_redis_server_kill(server);
	while (bed_put1(kvr, "b", 1000) == KVR_OK)
		;
	wait_for("/metrics", "\nkvrelay_healthy 0\n");
	wait_for("/statusz", "not healthy: tier far: ");
	expect("/healthz", 200, "ok\n");
	expect("/readyz", 200, "ok\n");
	kvr_redis_server_restart(server);
	wait_for("/metrics", "\nkvrelay_healthy 1\n");
	bed_close(kvr);
	kvr_redis_server_stop(server);
	struct kvr_http_got g = kvr_http_fetch(sock, "/healthz", "");

	MUST(g.status == 0 && access(sock + 5, F_OK) != 0, "it is still served");
	kvr_http_drop(&g);
}
END_TEST

START_TEST(who_accepts_openmetrics_gets_it)
{
	struct kvr *kvr = bed_open("{'trace':{'dir':'none'},'metrics':{'listen':'%s'},"
	    "'tiers':[{'name':'host','url':'memory://'}]}", make_sock());
	struct kvr_http_got g = kvr_http_fetch(sock, "/metrics",
	    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1");

	MUST(g.status == 200, "%d", g.status);
	MUST(strstr(g.head, "application/openmetrics-text; version=1.0.0; charset=utf-8") != NULL, "%s", g.head);
	MUST(strcmp(g.body + g.len - 6, "# EOF\n") == 0, "no end");
	kvr_http_drop(&g);
	g = kvr_http_fetch(sock, "/metrics", "text/plain");
	MUST(strstr(g.head, "text/plain; version=0.0.4; charset=utf-8") != NULL, "%s", g.head);
	MUST(strstr(g.body, "# EOF") == NULL, "it has an end");
	kvr_http_drop(&g);
	expect("/", 200, "/statusz");
	expect("/nothing", 404, "/metrics");
	bed_close(kvr);
}
END_TEST

/* Two instances of one configuration: the second waits for the address and says so. */
START_TEST(an_address_that_is_taken_is_no_failure)
{
	static const char *const text = "{'trace':{'dir':'none'},'metrics':{'listen':'%s'},"
	    "'tiers':[{'name':'host','url':'memory://'}]}";
	struct kvr *one = bed_open(text, make_sock()), *two = bed_open(text, sock);

	MUST(bed_logged("it is tried again every second") == 1, "nothing is said");
	OK(bed_put1(two, "a", 100));
	bed_close(one);
	wait_for("/healthz", "ok");
	bed_close(two);
}
END_TEST

START_TEST(an_address_that_cannot_be_is_a_mistake_of_the_configuration)
{
	static const char *const text = "{'trace':{'dir':'none'},'metrics':{'listen':'%s'},"
	    "'tiers':[{'name':'host','url':'memory://'}]}";
	struct kvr *kvr = NULL;
	char why[512] = "";

	ERR(bed_try(&kvr, why, sizeof(why), text, "example.org:9477"), KVR_E_CONFIG);
	MUST(strstr(why, "metrics.listen: example.org:9477 is no address") != NULL, "%s", why);
	ERR(bed_try(&kvr, why, sizeof(why), text, "127.0.0.1:65000+{rank}"), KVR_E_CONFIG);
	MUST(strstr(why, "metrics.listen has {rank}, and the rank is not known") != NULL, "%s", why);
}
END_TEST

KVR_CHECK_MAIN("system.endpoint", a_sick_tier_is_told_and_does_not_take_the_engine_away,
    who_accepts_openmetrics_gets_it, an_address_that_is_taken_is_no_failure,
    an_address_that_cannot_be_is_a_mistake_of_the_configuration)
