/* SPDX-License-Identifier: Apache-2.0 */
/* RESP3 with a real server: the same values, the same errors, one word more in the URL. */
#include "kvr_peer.h"
#include "kvr_redis_bed.h"
#include "kvr_redis_raw.h"
#include "kvr_redis_server.h"

KVR_NEEDS_REDIS

static void
round_trip(struct kvr_redis_server *server, uint32_t format, uint32_t n, size_t len)
{
	struct load l = load_new(n, len);
	struct bed b;
	char url[128];

	snprintf(url, sizeof(url), "%s/2?protocol=3", server->url);
	struct kvr_store_opts opts = bed_opts(url, format);
	bed_up(&b, &opts);
	for (int verb = KVR_VERB_EXISTS; verb <= KVR_VERB_GET; verb++) {
		bed_ok(&b, (enum kvr_verb)verb, l.items, l.n);
		for (uint32_t i = 0; i < l.n; i++)
			bed_status(&l.items[i], KVR_E_MISS);
	}
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	load_wipe(&l);
	for (uint32_t i = 0; i < l.n; i++)
		bed_status(&l.items[i], KVR_OK);
	for (uint32_t i = 0; i < l.n; i += 2)
		bed_ok(&b, KVR_VERB_DEL, &l.items[i], 1);
	bed_ok(&b, KVR_VERB_GET, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++) {
		bed_status(&l.items[i], i % 2 == 0 ? KVR_E_MISS : KVR_OK);
		ck_assert(i % 2 == 0 || load_same(&l, i));
	}
	bed_ok(&b, KVR_VERB_STAT, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++)
		bed_status(&l.items[i], i % 2 == 0 ? KVR_E_MISS : KVR_OK);
	bed_ok(&b, KVR_VERB_PING, NULL, 0);
	bed_ok(&b, KVR_VERB_DEL, l.items, l.n);
	bed_down(&b);
	load_free(&l);
}

START_TEST(hits_and_misses_in_every_format)
{
	static const uint32_t formats[] = { KVR_FORMAT_LMCACHE, KVR_FORMAT_BARE,
		KVR_FORMAT_SEALED };
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);

	for (size_t f = 0; f < KVR_LEN(formats); f++)
		round_trip(server, formats[f], 40, 300);
	/* In pieces. */
	round_trip(server, KVR_FORMAT_SEALED, 3, (4 << 20) + 5000);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(the_server_takes_us_for_a_client_of_resp3)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct bed b;
	char url[128];

	snprintf(url, sizeof(url), "%s?protocol=3", server->url);
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_SEALED);
	bed_up(&b, &opts);
	struct kvr_raw_reply r = kvr_raw(raw, "CLIENT LIST");
	ck_assert_ptr_nonnull(strstr((const char *)r.bytes, "resp=3"));
	bed_down(&b);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

static void
keep_version(void *arg, const struct kvr_finding *f)
{
	if (strcmp(f->topic, "version") == 0)
		snprintf(arg, 64, "%s", f->text);
}

/* INFO is no bulk there. */
START_TEST(a_server_is_examined_as_ever)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	char url[128], said[64] = "";
	struct bed b;

	snprintf(url, sizeof(url), "%s?protocol=3", server->url);
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_SEALED);
	bed_up(&b, &opts);
	const struct kvr_examination look = {
		.until_ns = bed_in(BED_LONG), .found = keep_version, .arg = said
	};
	b.ops->examine(b.store, b.lane, &look);
	ck_assert_msg(
	    strncmp(said, "Redis ", 6) == 0 || strncmp(said, "Valkey ", 7) == 0, "\"%s\"", said);
	bed_down(&b);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(errors_are_those_of_resp2)
{
	struct kvr_redis_server *server = kvr_redis_server_start(NULL, NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, NULL);
	struct load l = load_new(4, 1000);
	struct bed b;
	char url[128];

	snprintf(url, sizeof(url), "%s?protocol=3", server->url);
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);
	bed_up(&b, &opts);
	ck_assert_int_eq(kvr_raw(raw, "CONFIG SET maxmemory 1").kind, '+');
	bed_ok(&b, KVR_VERB_PUT, l.items, l.n);
	for (uint32_t i = 0; i < l.n; i++)
		bed_status(&l.items[i], KVR_E_NOSPACE);
	ck_assert_int_eq(kvr_raw(raw, "CONFIG SET maxmemory 0").kind, '+');
	ck_assert_int_eq(kvr_raw(raw, "LPUSH m@1@0@1@half x").n, 1);
	bed_ok(&b, KVR_VERB_GET, l.items, 2);
	bed_status(&l.items[0], KVR_E_MISS);
	bed_status(&l.items[1], KVR_E_LENGTH);
	bed_down(&b);
	load_free(&l);
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

static void
sign_in(const char *url, const char *user, const char *password, enum kvr_err want, const char *say)
{
	struct bed b;
	struct kvr_store_opts opts = bed_opts(url, KVR_FORMAT_BARE);

	opts.user = user;
	opts.password = password;
	enum kvr_err err = bed_try(&b, &opts, bed_in(BED_LONG));
	ck_assert_msg(err == want, "%s: %s", kvr_err_name(err), b.why);
	ck_assert_msg(strstr(b.why, say) != NULL, "\"%s\" does not say %s", b.why, say);
	ck_assert_ptr_null(strstr(b.why, "secret"));
	if (err == KVR_OK)
		bed_ok(&b, KVR_VERB_PING, NULL, 0);
	bed_down(&b);
}

START_TEST(passwords_and_users_go_with_the_greeting)
{
	struct kvr_redis_server *server = kvr_redis_server_start("secret", NULL);
	struct kvr_raw *raw = kvr_raw_open(server->port, "secret");
	char url[128];

	snprintf(url, sizeof(url), "%s/1?protocol=3", server->url);
	ck_assert_int_eq(kvr_raw(raw, "ACL SETUSER kv on >token ~* +@all").kind, '+');
	sign_in(url, NULL, "secret", KVR_OK, "");
	sign_in(url, "kv", "token", KVR_OK, "");
	sign_in(url, "kv", "secret", KVR_E_AUTH, "WRONGPASS");
	sign_in(url, NULL, NULL, KVR_E_AUTH, "NOAUTH");
	kvr_raw_close(raw);
	kvr_redis_server_stop(server);
}
END_TEST

START_TEST(an_old_server_is_told_apart)
{
	static const struct kvr_peer_act acts[] = { { KVR_PEER_AWAIT, "3\r\n", 0 },
		{ KVR_PEER_SEND, "-ERR unknown command `HELLO`\r\n", 0 },
		{ KVR_PEER_CLOSE, NULL, 0 } };
	struct kvr_peer *peer = kvr_peer_start(acts, KVR_LEN(acts));
	char url[128];

	snprintf(url, sizeof(url), "%s?protocol=3", kvr_peer_url(peer));
	sign_in(url, NULL, NULL, KVR_E_CONFIG, "take protocol=3 out");
	kvr_peer_stop(peer);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_resp3", hits_and_misses_in_every_format,
    the_server_takes_us_for_a_client_of_resp3, a_server_is_examined_as_ever,
    errors_are_those_of_resp2, passwords_and_users_go_with_the_greeting,
    an_old_server_is_told_apart)
