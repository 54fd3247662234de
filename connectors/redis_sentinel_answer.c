/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_sentinel.h"
#include "kvr_nest.h"

#include <stdlib.h>
#include <string.h>

static bool
to_port(const char *text, uint16_t *ret)
{
	char *rest = NULL;
	long n = strtol(text, &rest, 10);
	*ret = (uint16_t)n;
	return rest != text && *rest == '\0' && n > 0 && n <= 65535;
}

/* Two texts, or nil if it does not watch the service. */
enum kvr_err
kvr_sentinel_master(struct kvr_sock *s, const char *service, void *to)
{
	struct kvr_url_host *ret = to;
	struct kvr_nest_part p, host, port;
	enum kvr_err err = kvr_nest_next(s, &p);
	if (err != KVR_OK)
		return err;
	if (p.kind == KVR_RESP_NIL)
		return kvr_stream_fail(s, KVR_E_CONFIG, "watches no service \"%s\"", service);
	if (p.kind == KVR_RESP_ERROR && strncmp(p.text, "ERR unknown command", 19) == 0)
		return kvr_stream_fail(s, KVR_E_CONFIG, "is no sentinel but a data server");
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
	memcpy(ret->name, host.text, host.text_len + 1);
	return KVR_OK;
}

/* Reads one replica: names and values alternate. Adds it if it is healthy. */
static enum kvr_err
read_replica(struct kvr_sock *s, struct kvr_sentinel_replicas *ret)
{
	struct kvr_nest_part head, name, value;
	struct kvr_url_host at = { .port = 0 };
	bool well = false, down = false;
	enum kvr_err err = kvr_nest_next(s, &head);
	if (err == KVR_OK && head.kind != KVR_RESP_ARRAY)
		return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong form to SENTINEL replicas");
	for (int64_t i = 0; i + 1 < head.n && err == KVR_OK; i += 2) {
		if ((err = kvr_nest_next(s, &name)) != KVR_OK ||
		    (err = kvr_nest_next(s, &value)) != KVR_OK)
			return err;
		if (strcmp(name.text, "ip") == 0 && value.text_len <= KVR_URL_HOST_LEN_MAX)
			memcpy(at.name, value.text, value.text_len + 1);
		else if (strcmp(name.text, "port") == 0 && !to_port(value.text, &at.port))
			at.port = 0;
		else if (strcmp(name.text, "master-link-status") == 0)
			well = strcmp(value.text, "ok") == 0;
		else if (strcmp(name.text, "flags") == 0)
			down = strstr(value.text, "down") != NULL ||
			       strstr(value.text, "disconnected") != NULL;
	}
	if (err == KVR_OK && well && !down && at.port != 0 && at.name[0] != '\0' &&
	    ret->n < KVR_URL_HOSTS_MAX)
		ret->at[ret->n++] = at;
	return err == KVR_OK ? kvr_nest_skip_n(s, head.n % 2) : err;
}

enum kvr_err
kvr_sentinel_replicas(struct kvr_sock *s, const char *service, void *to)
{
	struct kvr_sentinel_replicas *ret = to;
	struct kvr_nest_part head;
	enum kvr_err err = kvr_nest_next(s, &head);
	ret->n = 0;
	if (err != KVR_OK)
		return err;
	if (head.kind == KVR_RESP_ERROR)
		return kvr_stream_fail(s, (enum kvr_err)kvr_resp_error(head.text, head.text_len),
		    "SENTINEL: \"%s\": %s", service, head.text);
	if (head.kind != KVR_RESP_ARRAY)
		return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong kind to SENTINEL");
	for (int64_t i = 0; i < head.n && err == KVR_OK; i++)
		err = read_replica(s, ret);
	if (err == KVR_OK && ret->n == 0)
		return kvr_stream_fail(s, KVR_E_DOWN, "knows no replica that is well");
	return err;
}

enum kvr_err
kvr_redis_role(struct kvr_sock *s, const char *word)
{
	struct kvr_nest_part head, role, state;
	enum kvr_err err = kvr_nest_ask(s, 1, (const char *const[]){ "ROLE" });
	if (err == KVR_OK)
		err = kvr_nest_next(s, &head);
	if (err != KVR_OK)
		return kvr_stream_stage(s, "ROLE");
	if (head.kind == KVR_RESP_ERROR)
		return kvr_stream_fail(s, (enum kvr_err)kvr_resp_error(head.text, head.text_len),
		    "ROLE: %s", head.text);
	if (head.kind != KVR_RESP_ARRAY || head.n < 1)
		return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong kind to ROLE");
	if ((err = kvr_nest_next(s, &role)) != KVR_OK)
		return err;
	if (role.kind != KVR_RESP_BULK || strcmp(role.text, word) != 0)
		return kvr_stream_fail(s, KVR_E_DOWN, "is no %s but \"%.20s\"", word, role.text);
	if (strcmp(word, "master") == 0)
		return kvr_nest_skip_n(s, head.n - 1);
	/* Role, host and port of the master, state of the link to it, offset. */
	if (head.n < 5 || (err = kvr_nest_skip_n(s, 2)) != KVR_OK)
		return err != KVR_OK ? err : kvr_stream_fail(s, KVR_E_PROTO, "a short reply to ROLE");
	if ((err = kvr_nest_next(s, &state)) != KVR_OK)
		return err;
	if (strcmp(state.text, "connected") != 0)
		return kvr_stream_fail(
		    s, KVR_E_DOWN, "is not fed by its master but \"%.20s\"", state.text);
	return kvr_nest_skip_n(s, head.n - 4);
}
