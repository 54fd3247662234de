/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorded exchanges with LMCache's server, byte by byte: first against the server that the
 * other tests use, then by the connector.
 */
#include "kvr_golden_chunk.h"
#include "kvr_lm_bed.h"

enum { BYTES_MAX = 4096 };

struct bytes {
	uint8_t at[BYTES_MAX];
	size_t  len;
};

static void
add(struct bytes *b, const struct kvr_golden *exchange, const char *member)
{
	size_t len = 0;
	uint8_t *at = kvr_golden_hex_of(exchange, member, &len);
	ck_assert_uint_le(b->len + len, BYTES_MAX);
	memcpy(b->at + b->len, at, len);
	b->len += len;
	free(at);
}

static void
expect(const struct bytes *want, const uint8_t *got, size_t len, const char *what)
{
	ck_assert_msg(
	    len == want->len, "%s: %zu bytes instead of %zu", what, len, want->len);
	ck_assert_msg(memcmp(got, want->at, len) == 0, "%s: other bytes", what);
}

static void
expect_came(struct kvr_lm_server *server, const struct bytes *want, const char *what)
{
	const uint8_t *at = NULL;
	size_t len = kvr_lm_server_came(server, &at);
	expect(want, at, len, what);
}

static void
expect_went(struct kvr_lm_server *server, const struct bytes *want, const char *what)
{
	const uint8_t *at = NULL;
	size_t len = kvr_lm_server_went(server, &at);
	expect(want, at, len, what);
}

/* Through a client of nothing but socket calls. */
static void
replay(struct kvr_lm_server *server, int fd, const struct kvr_golden *exchange, const char *what)
{
	struct bytes ask = { .len = 0 }, tell = { .len = 0 };
	uint8_t got[BYTES_MAX];
	add(&ask, exchange, "client_hex");
	add(&tell, exchange, "server_hex");
	kvr_lm_server_rewind(server);
	lm_raw_send(fd, ask.at, ask.len);
	expect(&tell, got, lm_raw_read(fd, got, tell.len), what);
}

START_TEST(the_server_of_these_tests_answers_as_lmcaches)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_golden *golden = kvr_golden_open("lm_protocol.json");
	int fd = lm_raw(server), n = 0;
	KVR_GOLDEN_EACH(exchange, kvr_golden_get(golden, "exchanges")) {
		replay(server, fd, exchange, kvr_golden_text_of(exchange, "what"));
		n++;
	}
	ck_assert_int_ge(n, 42);
	close(fd);
	kvr_golden_close(golden);
	lm_stop(server);
}
END_TEST

START_TEST(the_server_of_these_tests_closes_where_lmcaches_does)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_golden *golden = kvr_golden_open("lm_protocol.json");
	uint32_t n = 0, closed = 0;
	KVR_GOLDEN_EACH(
	    exchange, kvr_golden_get(golden, "messages_the_connector_does_not_send")) {
		int fd = lm_raw(server);
		uint8_t more;
		replay(server, fd, exchange, kvr_golden_name(exchange));
		/* Whoever has not closed answers one more question. */
		if (kvr_golden_is_true(kvr_golden_get(exchange, "server_closed_connection"))) {
			ck_assert_uint_eq(lm_raw_read(fd, &more, 1), 0);
			closed++;
		} else {
			replay(server, fd, kvr_golden_first(kvr_golden_get(golden, "exchanges")),
			    "one more");
		}
		close(fd);
		n++;
	}
	ck_assert_uint_ge(n, 10);
	ck_assert_uint_ge(closed, 5);
	/* All of them are deviations but the HEALTH, which our connector does send. */
	ck_assert_uint_eq(kvr_lm_server_count(server).deviations, n - 1);
	kvr_golden_close(golden);
	kvr_lm_server_stop(server);
}
END_TEST

/* A verb of the connector, and the bytes of one or two exchanges one after the other. */
static void
same(struct bed *b, struct kvr_lm_server *server, enum kvr_verb verb, struct kvr_item *item,
    int32_t status, const struct kvr_golden *exchange, const struct kvr_golden *then)
{
	struct bytes ask = { .len = 0 }, tell = { .len = 0 };
	const char *what = kvr_golden_text_of(exchange, "what");
	add(&ask, exchange, "client_hex");
	add(&tell, exchange, "server_hex");
	if (then != NULL) {
		add(&ask, then, "client_hex");
		add(&tell, then, "server_hex");
	}
	kvr_lm_server_rewind(server);
	bed_ok(b, verb, item, 1);
	bed_status(item, status);
	expect_came(server, &ask, what);
	expect_went(server, &tell, what);
}

static void
get_it(struct bed *b, struct kvr_lm_server *server, const struct chunk *c,
    const struct kvr_golden *exchange)
{
	struct kvr_meta found = c->meta;
	struct kvr_item item = c->item;
	uint8_t *room = calloc(1, c->len);
	item.meta = &found;
	item.span = (struct kvr_span){ room, c->len };
	same(b, server, KVR_VERB_GET, &item, KVR_OK, exchange, NULL);
	ck_assert_mem_eq(room, c->payload, c->len);
	ck_assert(kvr_meta_same(&found, &c->expected));
	ck_assert_uint_eq(item.len, c->len);
	memset(&found, 0, sizeof(found));
	same(b, server, KVR_VERB_STAT, &item, KVR_OK, exchange, NULL);
	ck_assert(kvr_meta_same(&found, &c->expected));
	ck_assert_uint_eq(item.len, c->len);
	free(room);
}

START_TEST(the_connector_says_and_understands_what_lmcaches_does)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_golden *golden = kvr_golden_open("lm_protocol.json");
	const struct kvr_golden *e = kvr_golden_first(kvr_golden_get(golden, "exchanges"));
	struct bed b;
	int n = 0;
	lm_up(&b, server);
	/* Five exchanges per chunk; a put is confirmed by the EXIST that comes next anyway. */
	while (e != NULL && strcmp(kvr_golden_text_of(e, "what"), "exist before put") == 0) {
		struct chunk c = chunk_of(e);
		struct kvr_meta meta = c.meta;
		c.item.meta = &meta;
		same(&b, server, KVR_VERB_EXISTS, &c.item, KVR_E_MISS, e, NULL);
		e = kvr_golden_next(e);
		same(&b, server, KVR_VERB_GET, &c.item, KVR_E_MISS, e, NULL);
		e = kvr_golden_next(e);
		same(&b, server, KVR_VERB_PUT, &c.item, KVR_OK, e, kvr_golden_next(e));
		e = kvr_golden_next(e);
		same(&b, server, KVR_VERB_EXISTS, &c.item, KVR_OK, e, NULL);
		e = kvr_golden_next(e);
		get_it(&b, server, &c, e);
		e = kvr_golden_next(e);
		free(c.payload);
		n++;
	}
	ck_assert_int_ge(n, 8);
	bed_down(&b);
	kvr_golden_close(golden);
	lm_stop(server);
}
END_TEST

START_TEST(shapes_of_fewer_dims_are_written_alike)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_golden *golden = kvr_golden_open("lm_protocol.json");
	uint8_t payload[64] = { 0 };
	struct kvr_meta meta = { 0 };
	struct kvr_item item = { .key = "m@1@0@abc@half", .key_len = 14, .meta = &meta };
	struct bed b;
	int n = 0;
	lm_up(&b, server);
	KVR_GOLDEN_EACH(entry, kvr_golden_get(golden, "later_version_shapes_below_4d")) {
		struct bytes want = { .len = 0 };
		const uint8_t *came = NULL;
		add(&want, entry, "client_hex");
		meta = (struct kvr_meta){ .memfmt = memfmt_of(kvr_golden_text_of(entry, "fmt")),
			.n_groups = 1 };
		meta.group[0].dtype = want.at[12] == 0 ? KVR_DTYPE_NONE : KVR_DTYPE_FLOAT16;
		KVR_GOLDEN_EACH(dim, kvr_golden_get(entry, "shape"))
			meta.group[0].dim[meta.group[0].n_dims++] = (uint64_t)kvr_golden_int(dim);
		item.span = (struct kvr_span){ payload, want.at[4] };
		kvr_lm_server_rewind(server);
		bed_ok(&b, KVR_VERB_PUT, &item, 1);
		bed_status(&item, KVR_OK);
		ck_assert_uint_gt(kvr_lm_server_came(server, &came), want.len);
		ck_assert_mem_eq(came, want.at, want.len);
		n++;
	}
	ck_assert_int_ge(n, 4);
	bed_down(&b);
	kvr_golden_close(golden);
	lm_stop(server);
}
END_TEST

START_TEST(a_key_of_a_layer_is_written_alike)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_golden *golden = kvr_golden_open("lm_protocol.json");
	struct bed b;
	lm_up(&b, server);
	const struct kvr_golden *e = kvr_golden_first(kvr_golden_get(golden, "exchanges"));
	struct chunk first = chunk_of(e);
	while (strcmp(kvr_golden_text_of(e, "what"), "put layer key") != 0)
		e = kvr_golden_next(e);
	struct bytes ask = { .len = 0 };
	add(&ask, e, "client_hex");
	first.item.key = kvr_golden_text_of(e, "key");
	first.item.key_len = (uint32_t)strlen(first.item.key);
	first.item.meta = &first.meta;
	first.item.span = (struct kvr_span){ ask.at + 186, ask.len - 186 };
	same(&b, server, KVR_VERB_PUT, &first.item, KVR_OK, e, kvr_golden_next(e));
	free(first.payload);
	bed_down(&b);
	kvr_golden_close(golden);
	lm_stop(server);
}
END_TEST

START_TEST(keys_have_150_bytes_not_characters)
{
	struct kvr_lm_server *server = kvr_lm_server_start();
	struct kvr_golden *golden = kvr_golden_open("lm_protocol.json");
	uint8_t byte = 1;
	struct kvr_meta meta = { 0 };
	struct bed b;
	int too_long = 0, fits = 0;
	lm_up(&b, server);
	KVR_GOLDEN_EACH(limit, kvr_golden_get(golden, "key_length_limits")) {
		const char *key = kvr_golden_text_of(limit, "key");
		bool in = kvr_golden_int_of(limit, "utf8_bytes") <= 150;
		struct kvr_item item = { .key = key, .key_len = (uint32_t)strlen(key),
			.meta = &meta, .span = { &byte, 1 } };
		bed_ok(&b, KVR_VERB_PUT, &item, 1);
		bed_status(&item, in ? KVR_OK : KVR_E_TOO_BIG);
		if (!in)
			ck_assert_ptr_nonnull(strstr(b.ops->why(b.lane), "150 bytes"));
		kvr_lm_server_rewind(server);
		bed_ok(&b, KVR_VERB_EXISTS, &item, 1);
		bed_status(&item, in ? KVR_OK : KVR_E_MISS);
		struct bytes want = { .len = 0 };
		if (in)
			add(&want, kvr_golden_get(limit, "result"), "client_hex");
		/* What LMCache's client would cut is not sent at all. */
		expect_came(server, &want, key);
		too_long += !in;
		fits += in;
	}
	ck_assert_int_ge(too_long, 2);
	ck_assert_int_ge(fits, 2);
	bed_down(&b);
	kvr_golden_close(golden);
	lm_stop(server);
}
END_TEST

KVR_CHECK_MAIN("connectors.lm_golden", the_server_of_these_tests_answers_as_lmcaches,
    the_server_of_these_tests_closes_where_lmcaches_does,
    the_connector_says_and_understands_what_lmcaches_does,
    shapes_of_fewer_dims_are_written_alike, a_key_of_a_layer_is_written_alike,
    keys_have_150_bytes_not_characters)
