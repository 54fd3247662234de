/* SPDX-License-Identifier: Apache-2.0 */
/* What holds when two lanes use one store at once. */
#include "kvr_subject.h"

#include <pthread.h>

#define OPS(w) ((w).subject->ops)

static struct kvr_world w;

enum { ROUNDS = KVR_ROUNDS(60), VERSION_LEN_MAX = 400000 };

/* Versions of one key have different lengths, so half of one is never the whole of another. */
static size_t
version_len(uint64_t version)
{
	return 100000 + (size_t)(version % 7) * 50000;
}

struct user {
	struct kvr_connector *lane;
	struct kvr_kick       kick;
	pthread_t             thread;
	uint64_t              first; /* version */
	uint8_t              *buf;
	int                   wrong, hits, puts;
};

static void
write_version(struct user *u, uint64_t version)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of("shared", &meta);

	kvr_fill(u->buf, version_len(version), version);
	item.span = (struct kvr_span){ u->buf, version_len(version) };
	item.raw_len = item.span.len;
	if (OPS(w)->run(u->lane, KVR_VERB_PUT, &item, 1, kvr_soon()) != KVR_OK ||
	    kvr_item_status(&item) != KVR_OK)
		u->wrong++;
	u->puts++;
}

/* Whatever is read is one of the versions that were written, and all of it. */
static void
read_version(struct user *u)
{
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of("shared", &meta);

	item.span = (struct kvr_span){ u->buf, VERSION_LEN_MAX };
	item.flags = KVR_ITEM_AT_MOST;
	if (OPS(w)->run(u->lane, KVR_VERB_GET, &item, 1, kvr_soon()) != KVR_OK) {
		u->wrong++;
		return;
	}
	int32_t torn = w.subject->torn != 0 ? w.subject->torn : KVR_E_LENGTH;
	if (w.subject->two_keys && (kvr_item_status(&item) == torn ||
	    kvr_item_status(&item) == KVR_E_MISS))
		return;
	bool known = false;
	for (uint64_t v = 0; !known && v < (uint64_t)2 * ROUNDS; v++)
		known = version_len(v) == item.len && kvr_filled(u->buf, item.len, v);
	if (kvr_item_status(&item) != KVR_OK || !known)
		u->wrong++;
	u->hits++;
}

static void *
use(void *arg)
{
	struct user *u = arg;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		write_version(u, u->first + i);
		read_version(u);
	}
	return NULL;
}

START_TEST(two_lanes_see_only_whole_values)
{
	struct user user[2];

	kvr_world_begin(&w, _i);
	for (int i = 0; i < 2; i++) {
		user[i] = (struct user){ .first = (uint64_t)i * ROUNDS };
		kvr_kick_open(&user[i].kick);
		user[i].lane = kvr_world_dial(&w, &user[i].kick);
		user[i].buf = malloc(VERSION_LEN_MAX);
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&user[i].thread, NULL, use, &user[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(user[i].thread, NULL);
		ck_assert_int_eq(user[i].wrong, 0);
		ck_assert_int_eq(user[i].puts, ROUNDS);
		ck_assert_int_ge(user[i].hits, w.subject->two_keys ? 1 : ROUNDS);
		OPS(w)->hang_up(user[i].lane);
		kvr_kick_close(&user[i].kick);
		free(user[i].buf);
	}
	kvr_world_end(&w);
}
END_TEST

void
kvr_add_conformance_lanes(TCase *tc)
{
	tcase_add_loop_test(tc, two_lanes_see_only_whole_values, 0, kvr_subjects_n);
}
