/* SPDX-License-Identifier: Apache-2.0 */
/* Dials that go on with the session of an earlier connection, and all that must not. */
#include "kvr_control.h"
#include "kvr_redis.h"
#include "kvr_redis_raw.h"
#include "kvr_stream_tls.h"
#include "kvr_tls_bed.h"

/* A store, and the line of it that is dialed again and again. */
static struct kvr_tls *tls;
static struct kvr_sock sock;

static void
open_tls(const char *ca_file, const char *crl)
{
	const struct kvr_tls_opts opts = { .ca = kvr_test_ca_file(ca, ca_file),
		.crl = crl != NULL ? kvr_test_ca_file(ca, crl) : NULL };
	char why[256];
	enum kvr_err err = kvr_tls_open(&opts, &tls, why, sizeof(why));
	ck_assert_msg(err == KVR_OK, "%s", why);
}

static enum kvr_err
try_until(struct kvr_sock *s, uint16_t port, uint64_t until_ns)
{
	struct kvr_control reply;
	enum kvr_err err = kvr_stream_dial_tcp(s, "127.0.0.1", port, until_ns, NULL);
	if (err == KVR_OK)
		err = kvr_stream_tls(s, tls, "127.0.0.1", until_ns);
	if (err == KVR_OK)
		err = kvr_stream_begin(s, until_ns, KVR_STREAM_AHEAD);
	/* With TLS 1.3 the ticket comes before the first answer. */
	return err == KVR_OK ? kvr_control(s, 1, (const char *const[]){ "PING" }, &reply) : err;
}

static enum kvr_err
try(struct kvr_sock *s, uint16_t port)
{
	return try_until(s, port, bed_in(BED_LONG));
}

/* Whether it was resumed. */
static bool
dial(struct kvr_sock *s, uint16_t port)
{
	enum kvr_err err = try(s, port);
	ck_assert_msg(err == KVR_OK, "%s", s->why);
	return kvr_stream_tls_resumed(s);
}

static bool
redial(uint16_t port)
{
	kvr_stream_hang_up(&sock);
	return dial(&sock, port);
}

static void
refused(uint16_t port, const char *say)
{
	kvr_stream_hang_up(&sock);
	ck_assert_int_eq(try(&sock, port), KVR_E_AUTH);
	ck_assert_msg(strstr(sock.why, say) != NULL, "%s", sock.why);
}

static void
end(struct kvr_tls_server *server)
{
	kvr_stream_hang_up(&sock);
	kvr_tls_close(tls);
	kvr_tls_server_stop(server);
}

static void
goes_on(const char *protocol)
{
	static struct kvr_sock second;
	const char *const more[] = { "--tls-protocols", protocol, NULL };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, more);
	struct kvr_raw *raw = kvr_raw_open(server->redis->port, NULL);
	int64_t days = 0;
	open_tls("ca.pem", NULL);
	ck_assert(!dial(&sock, server->port));
	/* Nobody has hung up yet. */
	ck_assert(!dial(&second, server->port));
	ck_assert(redial(server->port));
	ck_assert(redial(server->port));
	ck_assert(kvr_stream_tls_days(&sock, &days));
	ck_assert(days == 1 || days == 2);
	/* The other's own, which it has just left behind. */
	kvr_stream_hang_up(&second);
	ck_assert(dial(&second, server->port));
	kvr_stream_hang_up(&second);
	/* A line that is cut is what resumption is for. */
	for (int i = 0; i < 3; i++) {
		struct kvr_control reply;
		kvr_raw(raw, "CLIENT KILL TYPE normal SKIPME yes");
		ck_assert_int_ne(
		    kvr_control(&sock, 1, (const char *const[]){ "PING" }, &reply), KVR_OK);
		ck_assert(redial(server->port));
	}
	kvr_raw_close(raw);
	end(server);
}

START_TEST(the_second_handshake_goes_on_with_the_first)
{
	goes_on("TLSv1.3");
}
END_TEST

START_TEST(and_so_it_does_with_tls_1_2)
{
	goes_on("TLSv1.2");
}
END_TEST

static struct kvr_store_opts
with_our_certificate(struct kvr_tls_server *server)
{
	struct kvr_store_opts opts = tls_opts(server, KVR_FORMAT_SEALED);
	opts.tls.cert = kvr_test_ca_file(ca, "client.pem");
	opts.tls.key = kvr_test_ca_file(ca, "client.key");
	return opts;
}

/* Both sides with certificates; what the server knows of ours comes with the session. */
START_TEST(a_lane_that_dials_again_goes_on)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "yes", NULL, NULL);
	struct kvr_store_opts opts = with_our_certificate(server);
	struct bed b;
	bed_up(&b, &opts);
	ck_assert(!kvr_stream_tls_resumed(&b.lane->s));
	for (int i = 0; i < 3; i++) {
		tls_round_trip(&b, 2, 100000);
		b.ops->hang_up(b.lane);
		b.lane = NULL;
		ck_assert_int_eq(b.ops->dial(b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why,
		                     sizeof(b.why)), KVR_OK);
		ck_assert(kvr_stream_tls_resumed(&b.lane->s));
	}
	tls_round_trip(&b, 2, 100000);
	bed_down(&b);
	kvr_tls_server_stop(server);
}
END_TEST

/* It hands tickets out all the same, and each costs whoever comes back with it the handshake. */
static void
keeps_none(const char *protocol)
{
	const char *const more[] = { "--tls-session-caching", "no", "--tls-protocols", protocol, NULL };
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "yes", NULL, more);
	struct kvr_store_opts opts = with_our_certificate(server);
	struct bed b;
	bed_up(&b, &opts);
	for (int i = 0; i < 3; i++) {
		tls_round_trip(&b, 2, 1000);
		b.ops->hang_up(b.lane);
		b.lane = NULL;
		enum kvr_err err = b.ops->dial(
		    b.store, bed_in(BED_LONG), &b.kick, &b.lane, b.why, sizeof(b.why));
		ck_assert_msg(err == KVR_OK, "%s", b.why);
		ck_assert(!kvr_stream_tls_resumed(&b.lane->s));
	}
	tls_round_trip(&b, 2, 1000);
	bed_down(&b);
	kvr_tls_server_stop(server);
}

START_TEST(a_server_that_takes_no_session_is_reached_all_the_same)
{
	keeps_none("TLSv1.3");
	keeps_none("TLSv1.2");
}
END_TEST

START_TEST(a_server_with_other_keys_is_reached_by_a_full_handshake)
{
	kvr_test_ca_sign(ca, "renewed", "IP:127.0.0.1", 2);
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "renewed", "no", NULL, NULL);
	open_tls("ca.pem", NULL);
	ck_assert(!dial(&sock, server->port));
	ck_assert(redial(server->port));
	kvr_test_ca_sign(ca, "renewed", "IP:127.0.0.1", 2);
	kvr_redis_server_restart(server->redis);
	ck_assert(!redial(server->port));
	ck_assert(redial(server->port));
	end(server);
}
END_TEST

START_TEST(other_files_end_all_sessions)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	kvr_test_ca_sh(ca, "cp ca.pem moving.pem");
	open_tls("moving.pem", NULL);
	ck_assert(!dial(&sock, server->port));
	ck_assert(redial(server->port));
	/* Also that of the connection that was up meanwhile. */
	kvr_test_ca_sh(ca, "cp ca.pem next.pem && mv next.pem moving.pem");
	ck_assert(!redial(server->port));
	ck_assert(redial(server->port));
	end(server);
}
END_TEST

START_TEST(a_certificate_that_is_revoked_meanwhile_does_not_slip_through)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	kvr_test_ca_crl(ca, "list.crl", NULL, false);
	open_tls("ca.pem", "list.crl");
	ck_assert(!dial(&sock, server->port));
	ck_assert(redial(server->port));
	kvr_test_ca_crl(ca, "list.crl", "server", false);
	refused(server->port, "certificate is revoked");
	refused(server->port, "certificate is revoked");
	end(server);
}
END_TEST

/*
 * No file changes here, only the time: what a session's certificate was believed by is looked at
 * with every dial. On a busy machine the list may have ended before it was of use.
 */
START_TEST(what_ends_meanwhile_ends_the_session_too)
{
	kvr_test_ca_sign(ca, "brief", "IP:127.0.0.1", 2);
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "brief", "no", NULL, NULL);
	char line[256];
	bool resumed = false;
	kvr_test_ca_crl(ca, "short.crl", NULL, false);
	for (int s = 2; !resumed; s *= 2) {
		ck_assert_int_le(s, 64);
		snprintf(line, sizeof(line), "openssl ca -config crl.cnf -cert ca.pem -gencrl "
		    "-keyfile ca.key -crlsec %d -out next.crl && mv next.crl short.crl", s);
		kvr_test_ca_sh(ca, line);
		open_tls("ca.pem", "short.crl");
		uint64_t until_ns = bed_in(2 * BED_LONG);
		enum kvr_err err;
		while ((err = try(&sock, server->port)) == KVR_OK) {
			ck_assert_uint_lt(kvr_now_ns(), until_ns);
			resumed |= kvr_stream_tls_resumed(&sock);
			kvr_stream_hang_up(&sock);
			usleep(20000);
		}
		ck_assert_int_eq(err, KVR_E_AUTH);
		ck_assert_msg(strstr(sock.why, "CRL has expired") != NULL, "%s", sock.why);
		kvr_stream_hang_up(&sock);
		kvr_tls_close(tls);
	}
	kvr_tls_server_stop(server);
}
END_TEST

/* One of many lanes finds out, and the others need not. */
START_TEST(a_handshake_that_fails_ends_the_sessions_of_its_server)
{
	static struct kvr_sock second;
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	open_tls("ca.pem", NULL);
	ck_assert(!dial(&sock, server->port));
	ck_assert(!dial(&second, server->port));
	kvr_stream_hang_up(&second);
	kvr_stream_hang_up(&sock);
	kvr_redis_server_pause(server->redis);
	/* On a busy machine the time may be over before the handshake begins. */
	for (uint64_t ns = KVR_MS(100);; ns *= 2) {
		ck_assert_int_eq(try_until(&sock, server->port, bed_in(ns)), KVR_E_TIMEOUT);
		bool in_handshake = strstr(sock.why, "TLS: handshake") != NULL;
		ck_assert_msg(in_handshake || ns < KVR_SEC(10), "%s", sock.why);
		kvr_stream_hang_up(&sock);
		if (in_handshake)
			break;
	}
	kvr_redis_server_resume(server->redis);
	ck_assert(!dial(&sock, server->port));
	ck_assert(redial(server->port));
	end(server);
}
END_TEST

/* Streams outlive the store that they were dialed for, by a moment. */
START_TEST(a_store_that_closes_takes_the_sessions_along)
{
	struct kvr_tls_server *server = kvr_tls_server_start(ca, "server", "no", NULL, NULL);
	open_tls("ca.pem", NULL);
	ck_assert(!dial(&sock, server->port));
	ck_assert(redial(server->port));
	kvr_tls_close(tls);
	kvr_stream_hang_up(&sock);
	open_tls("ca.pem", NULL);
	ck_assert(!dial(&sock, server->port));
	end(server);
}
END_TEST

KVR_CHECK_MAIN("connectors.redis_tls_resume", the_second_handshake_goes_on_with_the_first,
    and_so_it_does_with_tls_1_2, a_lane_that_dials_again_goes_on,
    a_server_that_takes_no_session_is_reached_all_the_same,
    a_server_with_other_keys_is_reached_by_a_full_handshake, other_files_end_all_sessions,
    a_certificate_that_is_revoked_meanwhile_does_not_slip_through,
    what_ends_meanwhile_ends_the_session_too,
    a_handshake_that_fails_ends_the_sessions_of_its_server,
    a_store_that_closes_takes_the_sessions_along)
