/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_topology.h"
#include "kvr_nest.h"

#include <stdlib.h>
#include <string.h>

/* Four bits at a time: sixteen words instead of the usual 256, and they stay in cache. */
static uint16_t
crc16(const char *at, size_t len)
{
	static const uint16_t part[16] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6,
		0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef };
	uint32_t crc = 0;
	for (size_t i = 0; i < len; i++) {
		uint32_t byte = (unsigned char)at[i];
		crc = (crc << 4 & 0xffff) ^ part[(crc >> 12 ^ byte >> 4) & 15];
		crc = (crc << 4 & 0xffff) ^ part[(crc >> 12 ^ byte) & 15];
	}
	return (uint16_t)crc;
}

uint16_t
kvr_slot_of(const char *key, size_t len)
{
	const char *open = memchr(key, '{', len);
	if (open != NULL) {
		const char *tag = open + 1;
		const char *end = memchr(tag, '}', len - (size_t)(tag - key));
		if (end != NULL && end > tag)
			return crc16(tag, (size_t)(end - tag)) % KVR_SLOTS;
	}
	return crc16(key, len) % KVR_SLOTS;
}

static enum kvr_err
odd(struct kvr_sock *s)
{
	return kvr_stream_fail(s, KVR_E_PROTO, "a reply of the wrong form to CLUSTER SLOTS");
}

/* KVR_NO_NODE: no room for another node. */
static uint8_t
node_of(struct kvr_topology *t, const struct kvr_url_host *at)
{
	for (uint32_t i = 0; i < t->n_nodes; i++)
		if (t->node[i].port == at->port && strcmp(t->node[i].name, at->name) == 0)
			return (uint8_t)i;
	if (t->n_nodes == KVR_NODES_MAX)
		return KVR_NO_NODE;
	t->node[t->n_nodes] = *at;
	t->replica[t->n_nodes].port = 0;
	return (uint8_t)t->n_nodes++;
}

/*
 * One node of a range: its name, port, and more that is skipped. An empty or nil name is the name
 * of the server that answers; "?" means that it does not know. Port 0: cannot be reached.
 */
static enum kvr_err
read_node(struct kvr_sock *s, const struct kvr_url_host *self, struct kvr_url_host *ret)
{
	struct kvr_nest_part head, name, port;
	enum kvr_err err = kvr_nest_next(s, &head);
	if (err != KVR_OK)
		return err;
	if (head.kind != KVR_RESP_ARRAY || head.n < 2)
		return odd(s);
	if ((err = kvr_nest_next(s, &name)) != KVR_OK || (err = kvr_nest_next(s, &port)) != KVR_OK)
		return err;
	bool unnamed = name.kind == KVR_RESP_NIL || (name.kind == KVR_RESP_BULK && name.n == 0);
	if ((!unnamed && name.kind != KVR_RESP_BULK) || name.text_len > KVR_URL_HOST_LEN_MAX ||
	    port.kind != KVR_RESP_INTEGER || port.n < 0 || port.n > 65535)
		return odd(s);
	const char *text = unnamed ? self->name : name.text;
	memcpy(ret->name, text, strlen(text) + 1);
	ret->port = strcmp(name.text, "?") != 0 ? (uint16_t)port.n : 0;
	return kvr_nest_skip_n(s, head.n - 2);
}

/* The first node of a range is its master; the others are the master's replicas. */
static enum kvr_err
read_range(struct kvr_sock *s, const struct kvr_url_host *self, struct kvr_topology *t)
{
	struct kvr_nest_part head, from, to;
	struct kvr_url_host node;
	uint8_t master = KVR_NO_NODE;
	enum kvr_err err = kvr_nest_next(s, &head);
	if (err != KVR_OK)
		return err;
	if (head.kind != KVR_RESP_ARRAY || head.n < 3)
		return odd(s);
	if ((err = kvr_nest_next(s, &from)) != KVR_OK || (err = kvr_nest_next(s, &to)) != KVR_OK)
		return err;
	if (from.kind != KVR_RESP_INTEGER || to.kind != KVR_RESP_INTEGER || from.n < 0 ||
	    from.n > to.n || to.n >= (int64_t)KVR_SLOTS)
		return odd(s);
	for (int64_t i = 0; i < head.n - 2; i++) {
		if ((err = read_node(s, self, &node)) != KVR_OK)
			return err;
		if (i == 0 && node.port > 0) {
			master = node_of(t, &node);
			if (master == KVR_NO_NODE)
				return kvr_stream_fail(s, KVR_E_CONFIG,
				    "a cluster of more than %u masters, which is the most that a tier takes",
				    KVR_NODES_MAX);
		} else if (master != KVR_NO_NODE && i - 1 == t->turn % (head.n - 3)) {
			t->replica[master] = node;
		}
	}
	memset(t->of + from.n, master, (size_t)(to.n - from.n) + 1);
	return KVR_OK;
}

enum kvr_err
kvr_topology_ask(struct kvr_sock *s, const struct kvr_url_host *self, struct kvr_topology *ret)
{
	struct kvr_nest_part head;
	enum kvr_err err = kvr_nest_ask(s, 2, (const char *const[]){ "CLUSTER", "SLOTS" });
	if (err == KVR_OK)
		err = kvr_nest_next(s, &head);
	if (err != KVR_OK)
		return kvr_stream_stage(s, "CLUSTER SLOTS");
	if (head.kind == KVR_RESP_ERROR) {
		int32_t why = kvr_resp_error(head.text, head.text_len);
		/* "ERR This instance has cluster support disabled" will not change by itself. */
		bool plain = strncmp(head.text, "ERR ", 4) == 0;
		return kvr_stream_fail(
		    s, plain ? KVR_E_CONFIG : (enum kvr_err)why, "CLUSTER SLOTS: %s", head.text);
	}
	if (head.kind != KVR_RESP_ARRAY || head.n > (int64_t)KVR_SLOTS)
		return odd(s);
	ret->n_nodes = 0;
	memset(ret->of, KVR_NO_NODE, sizeof(ret->of));
	for (int64_t i = 0; i < head.n && err == KVR_OK; i++)
		err = read_range(s, self, ret);
	if (err == KVR_OK && ret->n_nodes == 0)
		return kvr_stream_fail(s, KVR_E_DOWN,
		    "the cluster serves no slot yet: see redis-cli --cluster check");
	return err;
}

/* Reads a number of at most five digits, after which *at must be at stop. */
static bool
number(const char **at, const char *end, char stop, uint32_t max, uint32_t *ret)
{
	const char *from = *at;
	*ret = 0;
	while (*at < end && **at >= '0' && **at <= '9' && *at - from < 5)
		*ret = *ret * 10 + (uint32_t)(*(*at)++ - '0');
	return *at > from && *ret <= max && (stop == '\0' ? *at == end : *at < end && **at == stop);
}

/* "MOVED 3999 127.0.0.1:6381". The last ':' precedes the port; IPv6 addresses contain more. */
bool
kvr_redirect_parse(const struct kvr_resp *r, struct kvr_redirect *ret)
{
	const char *at = r->text, *end = r->text + r->text_len;
	uint32_t slot = 0, port = 0;
	bool moved = kvr_resp_is_code(r, "MOVED");
	if (!moved && !kvr_resp_is_code(r, "ASK"))
		return false;
	at += moved ? 6 : 4;
	if (at >= end || !number(&at, end, ' ', KVR_SLOTS - 1, &slot))
		return false;
	const char *name = at + 1;
	const char *colon = memrchr(name, ':', (size_t)(end - name));
	if (colon == NULL || (size_t)(colon - name) > KVR_URL_HOST_LEN_MAX)
		return false;
	at = colon + 1;
	if (!number(&at, end, '\0', 65535, &port) || port == 0)
		return false;
	*ret = (struct kvr_redirect){ .asks = !moved, .slot = (uint16_t)slot };
	memcpy(ret->to.name, name, (size_t)(colon - name));
	ret->to.port = (uint16_t)port;
	return ret->to.name[0] != '?' && strlen(ret->to.name) == (size_t)(colon - name);
}
