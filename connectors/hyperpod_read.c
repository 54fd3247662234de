/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a lease into the destination, in one copy. Bytes count only if, after they were copied,
 *
 *   the lease had time left, counted from before it was requested, so that the daemon's own count
 *   cannot end earlier; and
 *   the daemon's shared memory was still the file that was opened before the lease was requested: a
 *   restarted daemon has made a new file, and its leases mean other offsets.
 *
 * All fragments are checked against the size of the shared memory before a byte is touched.
 */
#include "kvr_hyperpod.h"
#include "kvr_le.h"
#include "kvr_stop.h"

#include <stdio.h>
#include <string.h>

/* The bytes of a lease, in the order of the object. */
struct source {
	const struct kvr_hp_lease *lease;
	uint64_t end_ns;
	size_t   at;
	uint64_t offset, left; /* of the fragment being read */
	bool     late;         /* stopped because the lease has no time left */
};

static bool
is_late(struct source *s)
{
	s->late |= kvr_now_ns() >= s->end_ns;
	return s->late;
}

static enum kvr_err
take(struct kvr_connector *c, struct source *s, void *to, size_t len)
{
	uint8_t *at = to;
	while (len > 0 && !is_late(s)) {
		if (s->left == 0)
			KVR_CHECK(kvr_hp_lease_next(s->lease, &s->at, &s->offset, &s->left));
		enum kvr_err err = kvr_stop(c->kick, c->until_ns);
		if (err != KVR_OK)
			return kvr_hp_fail(c, err, "a copy was under way");
		size_t n = (size_t)KVR_MIN(KVR_MIN(len, s->left), KVR_STOP_SLICE);
		if (!kvr_hp_segment_read(&c->segment, at, n, s->offset))
			return kvr_hp_fail(c, KVR_E_DOWN,
			    "the shared memory ended under a copy: the daemon has started again");
		at += n;
		len -= n;
		s->offset += n;
		s->left -= n;
	}
	return KVR_OK;
}

static bool
in_bounds(const struct kvr_connector *c, const struct kvr_hp_lease *lease)
{
	uint64_t offset, len;
	size_t at = 0;
	while (kvr_hp_lease_next(lease, &at, &offset, &len))
		if (offset > c->segment.size || len > c->segment.size - offset)
			return false;
	return true;
}

/* Reads the header, if there is one, and from it the length of the value; the rest is padding. */
static enum kvr_err
take_head(struct kvr_connector *c, struct source *s, uint8_t *head, uint64_t *ret_whole)
{
	bool has_head = c->store->rules.format == KVR_FORMAT_LMCACHE;
	*ret_whole = s->lease->total;
	if (!has_head || s->lease->total < KVR_HP_HEAD_LEN)
		return KVR_OK;
	enum kvr_err err = take(c, s, head, KVR_HP_HEAD_LEN);
	uint64_t whole = KVR_HP_HEAD_LEN + (uint64_t)kvr_le32(head);
	if (err == KVR_OK && !s->late)
		*ret_whole = KVR_MIN(whole, s->lease->total);
	return err;
}

static enum kvr_err
take_payload(struct kvr_connector *c, struct source *s, struct kvr_item *item,
    const uint8_t *head, uint64_t whole, int32_t *ret_status)
{
	struct kvr_frame *f = &c->frame;
	enum kvr_err err = KVR_OK;
	kvr_frame_in_begin(f, &c->store->rules, item, c->scratch, whole);
	if (c->store->rules.format == KVR_FORMAT_LMCACHE && whole >= KVR_HP_HEAD_LEN)
		kvr_frame_in_copy(f, head, KVR_HP_HEAD_LEN);
	/* A value that is already known to be wrong need not be read to its end. */
	while (err == KVR_OK && !s->late && kvr_frame_why(f)[0] == '\0') {
		struct kvr_span span = kvr_frame_in_next(f, KVR_STOP_SLICE);
		if (span.len == 0)
			break;
		err = take(c, s, span.at, span.len);
		if (err == KVR_OK && !s->late)
			kvr_frame_in_got(f, span.len);
	}
	if (err != KVR_OK || s->late)
		return err;
	*ret_status = kvr_frame_in_end(f);
	if (*ret_status != KVR_OK)
		snprintf(c->why, sizeof(c->why), "GET: %s", kvr_frame_why(f));
	return KVR_OK;
}

/* Errors that are known before anything is copied. */
static int32_t
refuse(struct kvr_connector *c, const struct kvr_hp_lease *lease)
{
	const char *why = NULL;
	int32_t err = KVR_OK;
	if (lease->n == 0)
		return KVR_E_MISS;
	if (c->store->max_lease > 0 && lease->total > c->store->max_lease) {
		err = KVR_E_TOO_BIG;
		why = "is longer than max_lease_size";
	} else if (!in_bounds(c, lease)) {
		err = KVR_E_CORRUPT;
		why = "reaches beyond the shared memory";
	}
	if (why != NULL)
		snprintf(c->why, sizeof(c->why), "a lease of %llu bytes %s",
		    (unsigned long long)lease->total, why);
	return err;
}

enum kvr_err
kvr_hp_read(struct kvr_connector *c, enum kvr_verb verb, struct kvr_item *item,
    const struct kvr_hp_lease *lease, uint64_t end_ns)
{
	struct source s = { .lease = lease, .end_ns = end_ns };
	uint8_t head[KVR_HP_HEAD_LEN] = { 0 };
	uint64_t whole = 0;
	int32_t status = refuse(c, lease);
	if (status != KVR_OK) {
		kvr_item_done(item, status);
		return KVR_OK;
	}
	enum kvr_err err = take_head(c, &s, head, &whole);
	if (err == KVR_OK && verb == KVR_VERB_GET)
		err = take_payload(c, &s, item, head, whole, &status);
	else if (err == KVR_OK)
		status = kvr_frame_stat(&c->store->rules, item, head, sizeof(head), whole, c->why,
		    sizeof(c->why));
	if (err != KVR_OK)
		return err;
	if (!kvr_hp_file_is(&c->segment.file, c->store->segment))
		return kvr_hp_fail(c, KVR_E_DOWN,
		    "the daemon has made new shared memory while a lease was read");
	if (is_late(&s)) {
		status = KVR_E_STALE;
		snprintf(c->why, sizeof(c->why), "the lease ended before the copy; lease_ttl is "
		    "%llu ms", (unsigned long long)c->store->ttl_ms);
	}
	kvr_item_done(item, status);
	return KVR_OK;
}
