/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_nest.h"

#include <ctype.h>
#include <string.h>

enum kvr_err
kvr_nest_ask(struct kvr_sock *s, uint32_t argc, const char *const *argv)
{
	enum kvr_err err = kvr_resp_put_array(s, argc);
	for (uint32_t i = 0; i < argc && err == KVR_OK; i++)
		err = kvr_resp_put(s, argv[i], strlen(argv[i]));
	return err == KVR_OK ? kvr_stream_flush(s) : err;
}

/* Only printable: the texts end up in messages, and in host names that are dialed. */
static void
keep(struct kvr_nest_part *p, const char *text, size_t len)
{
	p->text_len = (uint32_t)KVR_MIN(len, KVR_NEST_TEXT_MAX);
	for (uint32_t i = 0; i < p->text_len; i++)
		p->text[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
	p->text[p->text_len] = '\0';
}

static enum kvr_err
read_bulk(struct kvr_sock *s, struct kvr_nest_part *p)
{
	char text[KVR_NEST_TEXT_MAX];
	uint64_t len = (uint64_t)p->n;
	size_t have = (size_t)KVR_MIN(len, sizeof(text));
	enum kvr_err err = kvr_stream_read_all(s, text, have);
	if (err == KVR_OK)
		err = kvr_stream_skip(s, len - have);
	if (err == KVR_OK)
		keep(p, text, have);
	return err == KVR_OK ? kvr_resp_bulk_end(s) : err;
}

/* RESP3's forms of two RESP2 replies: a map, and a nil with a type of its own. */
static bool
as_resp3(const struct kvr_const_span *line, struct kvr_resp *ret)
{
	char text[24];
	char type = line->len > 0 ? ((const char *)line->at)[0] : '\0';
	if (type == '_' && line->len == 1) {
		*ret = (struct kvr_resp){ .kind = KVR_RESP_NIL };
		return true;
	}
	if (type != '%' || line->len >= sizeof(text))
		return false;
	memcpy(text, line->at, line->len);
	text[0] = '*';
	if (!kvr_resp_parse(text, line->len, ret) || ret->kind != KVR_RESP_ARRAY)
		return false;
	ret->n *= 2;
	return true;
}

enum kvr_err
kvr_nest_next(struct kvr_sock *s, struct kvr_nest_part *ret)
{
	struct kvr_const_span line;
	struct kvr_resp r;
	enum kvr_err err = kvr_stream_line(s, &line);
	if (err == KVR_OK && !as_resp3(&line, &r))
		err = kvr_resp_of(s, &line, &r);
	if (err != KVR_OK)
		return err;
	ret->kind = r.kind;
	ret->n = r.n;
	ret->text_len = 0;
	ret->text[0] = '\0';
	if (r.kind == KVR_RESP_STATUS || r.kind == KVR_RESP_ERROR)
		keep(ret, r.text, r.text_len);
	return r.kind == KVR_RESP_BULK ? read_bulk(s, ret) : KVR_OK;
}

/* One count for all depths: what is inside a part comes before what follows it. */
static enum kvr_err
skip(struct kvr_sock *s, int64_t owed)
{
	struct kvr_nest_part p;
	for (uint32_t n = 0; owed > 0; n++, owed--) {
		if (n == KVR_NEST_PARTS_MAX)
			return kvr_stream_fail(
			    s, KVR_E_PROTO, "a reply of more than %u parts", KVR_NEST_PARTS_MAX);
		enum kvr_err err = kvr_nest_next(s, &p);
		if (err != KVR_OK)
			return err;
		if (p.kind == KVR_RESP_ARRAY)
			owed += p.n;
	}
	return s->err;
}

enum kvr_err
kvr_nest_skip(struct kvr_sock *s, const struct kvr_nest_part *head)
{
	return skip(s, head->kind == KVR_RESP_ARRAY ? head->n : 0);
}

enum kvr_err
kvr_nest_skip_n(struct kvr_sock *s, int64_t n)
{
	return skip(s, n);
}
