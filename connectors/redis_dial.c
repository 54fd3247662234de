/* SPDX-License-Identifier: Apache-2.0 */
/* From an address to a connection that has signed in. */
#include "kvr_redis.h"
#include "kvr_control.h"
#include "kvr_resp3.h"
#include "kvr_stream_tls.h"

#include <stdio.h>
#include <string.h>

static enum kvr_err
judge(struct kvr_sock *s, const char *word, const struct kvr_control *reply,
    enum kvr_err on_plain_err)
{
	if (reply->kind == KVR_RESP_STATUS)
		return KVR_OK;
	if (reply->kind != KVR_RESP_ERROR)
		return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong kind to %s", word);
	/* The general code "ERR" says nothing; what was requested says more. */
	bool plain =
	    strncmp(reply->text, "ERR ", 4) == 0 && strstr(reply->text, "max number") == NULL;
	int32_t err = kvr_resp_error(reply->text, strlen(reply->text));
	return kvr_stream_fail(
	    s, plain ? on_plain_err : (enum kvr_err)err, "%s: %s", word, reply->text);
}

enum kvr_err
kvr_redis_demand(
    struct kvr_sock *s, uint32_t argc, const char *const *argv, enum kvr_err on_plain_err)
{
	struct kvr_control reply;
	enum kvr_err err = kvr_control(s, argc, argv, &reply);
	return err == KVR_OK ? judge(s, argv[0], &reply, on_plain_err) : kvr_stream_stage(s, argv[0]);
}

/*
 * A server that cannot save its data refuses everything that writes, and PING too. Its data can
 * still be read, and each put is told the reason: such a server counts as up.
 */
enum kvr_err
kvr_redis_ping(struct kvr_sock *s)
{
	struct kvr_control reply;
	enum kvr_err err = kvr_control(s, 1, (const char *const[]){ "PING" }, &reply);
	if (err != KVR_OK)
		return kvr_stream_stage(s, "PING");
	if (reply.kind == KVR_RESP_ERROR && strncmp(reply.text, "MISCONF ", 8) == 0)
		return KVR_OK;
	return judge(s, "PING", &reply, KVR_E_REFUSED);
}

enum kvr_err
kvr_redis_login(struct kvr_sock *s, const char *user, const char *password)
{
	if (password == NULL)
		return KVR_OK;
	if (user != NULL)
		return kvr_redis_demand(
		    s, 3, (const char *const[]){ "AUTH", user, password }, KVR_E_AUTH);
	return kvr_redis_demand(s, 2, (const char *const[]){ "AUTH", password }, KVR_E_AUTH);
}

/* Switches to RESP3, and sends the password in the same command. */
static enum kvr_err
hello(struct kvr_connector *c)
{
	char text[256];
	enum kvr_err err =
	    kvr_resp3_hello(&c->s, c->store->user, c->store->password, text, sizeof(text));
	if (err != KVR_OK)
		return kvr_stream_stage(&c->s, "HELLO");
	if (text[0] == '\0')
		return KVR_OK;
	/* "ERR unknown command" or "NOPROTO": a server before RESP3. */
	bool old = strncmp(text, "ERR ", 4) == 0 || strncmp(text, "NOPROTO", 7) == 0;
	if (old && strstr(text, "max number") == NULL)
		return kvr_stream_fail(&c->s, KVR_E_CONFIG,
		    "HELLO: %s; this server does not speak RESP3, take protocol=3 out", text);
	err = (enum kvr_err)kvr_resp_error(text, strlen(text));
	return kvr_stream_fail(&c->s, err, "HELLO: %s", text);
}

static enum kvr_err
sign_in(struct kvr_connector *c)
{
	const struct kvr_store *store = c->store;
	char db[12];
	enum kvr_err err =
	    store->resp3 ? hello(c) : kvr_redis_login(&c->s, store->user, store->password);
	if (err == KVR_OK && store->db > 0) {
		snprintf(db, sizeof(db), "%u", store->db);
		err =
		    kvr_redis_demand(&c->s, 2, (const char *const[]){ "SELECT", db }, KVR_E_CONFIG);
	}
	/*
	 * Reports now what the first batch would report otherwise: that a password is missing, that
	 * the server is still loading or has no room for us. Also measures how far away it is.
	 */
	uint64_t asked_ns = kvr_now_ns();
	if (err == KVR_OK)
		err = kvr_redis_ping(&c->s);
	if (err == KVR_OK)
		kvr_redis_trip(c, asked_ns);
	return err;
}

uint64_t
kvr_redis_share(uint64_t until_ns, uint32_t n)
{
	uint64_t now_ns = kvr_now_ns();
	return until_ns > now_ns ? now_ns + (until_ns - now_ns) / n : until_ns;
}

static enum kvr_err
end(struct kvr_connector *c, enum kvr_err err)
{
	if (err != KVR_OK)
		kvr_stream_hang_up(&c->s);
	return err;
}

static enum kvr_err
reach(struct kvr_connector *c, const char *host, uint16_t port, uint64_t until_ns,
    struct kvr_kick *kick)
{
	struct kvr_tls *tls = c->store->tls;
	enum kvr_err err = kvr_stream_dial_tcp(&c->s, host, port, until_ns, kick);
	return err == KVR_OK && tls != NULL ? kvr_stream_tls(&c->s, tls, host, until_ns) : err;
}

enum kvr_err
kvr_redis_reach(struct kvr_connector *c, const char *host, uint16_t port, uint64_t until_ns,
    struct kvr_kick *kick)
{
	enum kvr_err err = reach(c, host, port, until_ns, kick);
	if (err != KVR_OK && kvr_stream_tls_choked(&c->s)) {
		kvr_stream_hang_up(&c->s);
		err = reach(c, host, port, until_ns, kick);
	}
	if (err == KVR_OK)
		err = kvr_stream_begin(&c->s, until_ns, KVR_STREAM_AHEAD);
	return end(c, err);
}

enum kvr_err
kvr_redis_connect(struct kvr_connector *c, const char *host, uint16_t port, uint64_t until_ns,
    struct kvr_kick *kick)
{
	enum kvr_err err = kvr_redis_reach(c, host, port, until_ns, kick);
	return err == KVR_OK ? end(c, sign_in(c)) : err;
}

enum kvr_err
kvr_redis_connect_unix(struct kvr_connector *c, uint64_t until_ns, struct kvr_kick *kick)
{
	enum kvr_err err = kvr_stream_dial_unix(&c->s, c->store->host, until_ns, kick);
	if (err == KVR_OK)
		err = kvr_stream_begin(&c->s, until_ns, KVR_STREAM_AHEAD);
	return end(c, err == KVR_OK ? sign_in(c) : err);
}
