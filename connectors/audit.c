/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that wraps another one and logs what goes through: for each key the verb, the result, the
 * duration, and the SHA-256 of its payload as it is stored.
 *
 * The wrapped store works on copies of the items. A status is published only after the sum was
 * taken: once published it counts, and a value that is not the one that was put must not count as a
 * hit.
 */
#include "kvr_audit.h"
#include "kvr_connectors.h"
#include "kvr_stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_MAGIC KVR_MAGIC('A', 'U', 'D', 'S')
#define LANE_MAGIC  KVR_MAGIC('A', 'U', 'D', 'L')

struct kvr_store {
	uint32_t magic;
	const struct kvr_connector_ops *ops;
	struct kvr_store *inner;
	const char *tier;
	struct kvr_audit_opts opts;
	struct kvr_audit_sums sums;
};

struct kvr_connector {
	uint32_t magic;
	struct kvr_store *store;
	struct kvr_connector *inner;
	struct kvr_kick *kick;
	struct kvr_sha256 *sha;
	struct kvr_item *item; /* cap of them */
	uint8_t (*sum)[KVR_SHA256_LEN];
	uint32_t cap;
	const char *why; /* NULL: the wrapped store's why counts */
};

/* ---- the store ---- */

static enum kvr_err
open_store(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	if (opts->audit.mode >= KVR_AUDIT_SUM && !kvr_tls_lib_is_built()) {
		snprintf(why, why_cap,
		    "this build has no SHA-256: build with OpenSSL, or say audit \"log\"");
		return KVR_E_CONFIG;
	}
	struct kvr_store *s = calloc(1, sizeof(*s));
	enum kvr_err err = s == NULL ? KVR_E_NOMEM : kvr_audit_sums_open(&s->sums);

	if (err != KVR_OK) {
		free(s);
		snprintf(why, why_cap, "no memory for an audit");
		return err;
	}
	s->magic = STORE_MAGIC;
	s->ops = opts->faults != NULL ? kvr_connector_rehearse() : kvr_connector_find(opts->url);
	KVR_CHECK(s->ops != NULL && opts->audit.line != NULL);
	s->tier = opts->tier;
	s->opts = opts->audit;
	err = s->ops->open(opts, &s->inner, why, why_cap);
	if (err != KVR_OK) {
		kvr_audit_sums_close(&s->sums);
		free(s);
		return err;
	}
	*ret = s;
	return KVR_OK;
}

static void
close_store(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == STORE_MAGIC);
	take->ops->close(take->inner);
	kvr_audit_sums_close(&take->sums);
	take->magic = 0;
	free(take);
}

static uint32_t
caps(const struct kvr_store *s)
{
	return kvr_store_caps(s->ops, s->inner);
}

static void
hang_up(struct kvr_connector *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == LANE_MAGIC);
	take->store->ops->hang_up(take->inner);
	kvr_sha256_free(take->sha);
	free(take->item);
	free(take->sum);
	take->magic = 0;
	free(take);
}

static enum kvr_err
dial(struct kvr_store *s, uint64_t until_ns, struct kvr_kick *kick, struct kvr_connector **ret,
    char *why, size_t why_cap)
{
	struct kvr_connector *c = calloc(1, sizeof(*c));
	bool sums = s->opts.mode >= KVR_AUDIT_SUM;
	enum kvr_err err = KVR_E_NOMEM;

	KVR_CHECK(s->magic == STORE_MAGIC);
	if (c != NULL) {
		*c = (struct kvr_connector){ .magic = LANE_MAGIC, .store = s, .kick = kick };
		c->sha = sums ? kvr_sha256_new() : NULL;
	}
	if (c != NULL && (c->sha != NULL || !sums))
		err = s->ops->dial(s->inner, until_ns, kick, &c->inner, why, why_cap);
	else
		snprintf(why, why_cap, "no memory for a lane of an audit");
	if (err != KVR_OK) {
		hang_up(c);
		return err;
	}
	*ret = c;
	return KVR_OK;
}

/* ---- a batch ---- */

static enum kvr_err
take_sum(struct kvr_connector *c, const struct kvr_item *item, size_t len, uint64_t until_ns,
    uint8_t ret[KVR_SHA256_LEN])
{
	enum kvr_err err = KVR_OK;

	kvr_sha256_begin(c->sha);
	for (size_t at = 0; at < len && err == KVR_OK; at += KVR_STOP_SLICE) {
		kvr_sha256_add(
		    c->sha, (const char *)item->span.at + at, KVR_MIN(KVR_STOP_SLICE, len - at));
		err = kvr_stop(c->kick, until_ns);
	}
	kvr_sha256_end(c->sha, ret);
	return err;
}

static bool
has_sum(const struct kvr_connector *c, enum kvr_verb verb)
{
	return c->sha != NULL && (verb == KVR_VERB_GET || verb == KVR_VERB_PUT);
}

static void
tell(struct kvr_connector *c, enum kvr_verb verb, uint32_t i, int32_t status, uint64_t took_ns)
{
	static const char *const name[KVR_VERB_N] = { "exists", "get", "put", "del", "stat",
		"ping" };
	const struct kvr_store *s = c->store;
	const struct kvr_item *item = &c->item[i];
	char text[KVR_KEY_LEN_MAX + 160], sum[24] = "";
	bool moved = status == KVR_OK && (verb == KVR_VERB_GET || verb == KVR_VERB_PUT);

	if (s->opts.excluded >> verb & 1)
		return;
	if (has_sum(c, verb) &&
	    (verb == KVR_VERB_PUT || status == KVR_OK || status == KVR_E_CORRUPT))
		snprintf(sum, sizeof(sum), ", sha256 %02x%02x%02x%02x", c->sum[i][0], c->sum[i][1],
		    c->sum[i][2], c->sum[i][3]);
	snprintf(text, sizeof(text), "audit of tier %s: %s %.*s: %s, %llu bytes, %llu us%s",
	    s->tier, name[verb], (int)item->key_len, item->key, kvr_err_name(status),
	    (unsigned long long)(!moved                 ? 0
	                         : verb == KVR_VERB_PUT ? item->span.len
	                                                : item->len),
	    (unsigned long long)took_ns / 1000, sum);
	s->opts.line(s->opts.arg, text);
}

/* Checks a status of the wrapped store against the sum. TIMEOUT, CANCELLED: no time left for it. */
static enum kvr_err
judge(struct kvr_connector *c, enum kvr_verb verb, uint32_t i, uint64_t until_ns, int32_t *status)
{
	struct kvr_audit_sums *sums = &c->store->sums;
	const struct kvr_item *item = &c->item[i];
	bool verify = c->store->opts.mode == KVR_AUDIT_VERIFY;

	if (*status != KVR_OK || c->sha == NULL)
		return KVR_OK;
	if (verb == KVR_VERB_GET) {
		enum kvr_err err = take_sum(c, item, item->len, until_ns, c->sum[i]);

		if (err != KVR_OK)
			return err;
		if (verify && kvr_audit_sums_differ(sums, item->key, item->key_len, c->sum[i])) {
			*status = KVR_E_CORRUPT;
			c->why = "its SHA-256 is not that of what this process has put";
		}
	} else if (verb == KVR_VERB_PUT && verify) {
		kvr_audit_sums_set(sums, item->key, item->key_len, c->sum[i]);
	} else if (verb == KVR_VERB_DEL && verify) {
		kvr_audit_sums_forget(sums, item->key, item->key_len);
	}
	return KVR_OK;
}

static bool
make_room(struct kvr_connector *c, uint32_t n)
{
	if (n <= c->cap)
		return true;
	struct kvr_item *item = realloc(c->item, n * sizeof(*item));

	c->item = item != NULL ? item : c->item;
	uint8_t(*sum)[KVR_SHA256_LEN] = realloc(c->sum, n * sizeof(*sum));

	c->sum = sum != NULL ? sum : c->sum;
	if (item == NULL || sum == NULL)
		return false;
	c->cap = n;
	return true;
}

/* TIMEOUT, CANCELLED: there was no time for all sums of a put. */
static enum kvr_err
copy_items(struct kvr_connector *c, enum kvr_verb verb, const struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	enum kvr_err err = KVR_OK;

	for (uint32_t i = 0; i < n && err == KVR_OK; i++) {
		int32_t status = kvr_item_status(&items[i]);

		memcpy(&c->item[i], &items[i], sizeof(c->item[i]));
		atomic_init(&c->item[i].status, status);
		if (status == KVR_PENDING && verb == KVR_VERB_PUT && has_sum(c, verb))
			err = take_sum(c, &items[i], items[i].span.len, until_ns, c->sum[i]);
	}
	return err;
}

/*
 * A put whose answer is lost may still have replaced the earlier value. The new value must then not
 * be refused, so the earlier sum is forgotten.
 */
static void
forget_what_is_put(struct kvr_connector *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (kvr_item_status(&c->item[i]) == KVR_PENDING)
			kvr_audit_sums_forget(
			    &c->store->sums, c->item[i].key, c->item[i].key_len);
}

static enum kvr_err
publish(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns, uint64_t took_ns)
{
	for (uint32_t i = 0; i < n; i++) {
		int32_t status = kvr_item_status(&c->item[i]);

		if (kvr_item_status(&items[i]) != KVR_PENDING || status == KVR_PENDING)
			continue;
		enum kvr_err err = judge(c, verb, i, until_ns, &status);

		if (err != KVR_OK)
			return err;
		items[i].raw_len = c->item[i].raw_len;
		items[i].serde = c->item[i].serde;
		items[i].len = c->item[i].len;
		tell(c, verb, i, status, took_ns);
		kvr_item_done(&items[i], status);
	}
	return KVR_OK;
}

static enum kvr_err
run(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *items, uint32_t n,
    uint64_t until_ns)
{
	const struct kvr_connector_ops *ops = c->store->ops;

	KVR_CHECK(c->magic == LANE_MAGIC);
	c->why = NULL;
	if (verb == KVR_VERB_PING || n == 0)
		return ops->run(c->inner, verb, items, n, until_ns);
	if (!make_room(c, n)) {
		c->why = "no memory for an audit";
		return KVR_E_NOMEM;
	}
	enum kvr_err summed = copy_items(c, verb, items, n, until_ns);

	if (summed != KVR_OK)
		return summed;
	if (verb == KVR_VERB_PUT)
		forget_what_is_put(c, n);
	uint64_t since_ns = kvr_now_ns();
	enum kvr_err err = ops->run(c->inner, verb, c->item, n, until_ns);

	summed = publish(c, verb, items, n, until_ns, kvr_now_ns() - since_ns);
	return err != KVR_OK ? err : summed;
}

static const char *
why_of(const struct kvr_connector *c)
{
	return c->why != NULL ? c->why : c->store->ops->why(c->inner);
}

static const char *const schemes[] = { NULL };

static const struct kvr_connector_ops ops_of_audit = {
	.name = "audit",
	.schemes = schemes,
	.caps = UINT32_MAX,
	.open = open_store,
	.close = close_store,
	.dial = dial,
	.hang_up = hang_up,
	.run = run,
	.why = why_of,
	.store_caps = caps,
};

const struct kvr_connector_ops *
kvr_connector_audit(void)
{
	return &ops_of_audit;
}
