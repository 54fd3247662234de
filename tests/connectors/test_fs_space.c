/* SPDX-License-Identifier: Apache-2.0 */
/* Capacity, free space, and what is counted when we come. */
#include "kvr_fs_bed.h"
#include "kvr_fs_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvr_check.h"
#include "kvr_connectors.h"

static struct kvr_fs_bed bed;

enum { LEN = 100000 };

static int32_t
put(int i)
{
	char key[16];

	snprintf(key, sizeof(key), "k%d", i);
	return kvr_fs_bed_put(&bed, key, LEN, (uint64_t)i);
}

static bool
has(int i)
{
	char key[16];

	snprintf(key, sizeof(key), "k%d", i);
	return kvr_fs_bed_get(&bed, key, LEN, (uint64_t)i) == KVR_OK;
}

START_TEST(the_capacity_is_kept_and_what_was_not_used_for_longest_goes)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	bed.opts.capacity = 5 * LEN;
	kvr_fs_bed_open(&bed);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(put(i), KVR_OK);
	ck_assert(has(0));
	ck_assert(kvr_fs_bed_has(&bed, "k1"));
	for (int i = 5; i < 7; i++) {
		ck_assert_int_eq(put(i), KVR_OK);
		ck_assert_uint_le(kvr_fs_bed_bytes(&bed), bed.opts.capacity);
	}
	ck_assert(has(0) && has(1) && !has(2) && !has(3) && has(4) && has(5) && has(6));
	/* The same key again takes no more room in the end, a bigger value does. */
	ck_assert_int_eq(put(6), KVR_OK);
	ck_assert_uint_eq(bed.store->index.bytes, kvr_fs_bed_bytes(&bed));
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "big", 5 * LEN, 9), KVR_OK);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".raw"), 1);
	ck_assert_int_eq(kvr_fs_bed_put(&bed, "bigger", 5 * LEN + 1, 9), KVR_E_TOO_BIG);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".raw"), 1);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(what_was_there_before_counts_too)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	kvr_fs_bed_open(&bed);
	for (int i = 0; i < 300; i++)
		ck_assert_int_eq(put(i), KVR_OK);
	kvr_file_write(bed.dir, "foreign.txt", "not ours", 8);
	kvr_file_write(bed.dir, "foreign.data", "another format", 14);
	kvr_fs_bed_close(&bed);
	/* Far apart in age, whatever the clock's granularity: 200 was used last, 100 never. */
	for (int i = 0; i < 300; i++) {
		char            path[512];
		struct timespec t[2] = { { .tv_sec = 1000000 + (i + 99) % 300 },
			{ .tv_sec = 1000000 } };
		snprintf(path, sizeof(path), "%s/k%d.raw", bed.dir, i);
		ck_assert_int_eq(utimensat(AT_FDCWD, path, t, 0), 0);
	}
	bed.opts.capacity = 300 * LEN;
	kvr_fs_bed_open(&bed);
	ck_assert_uint_eq(bed.store->index.bytes, 300 * LEN);
	ck_assert_uint_eq(bed.store->index.n, 300);
	ck_assert_int_eq(put(1000), KVR_OK);
	ck_assert(!kvr_fs_bed_has(&bed, "k201"));
	ck_assert(kvr_fs_bed_has(&bed, "k200") && kvr_fs_bed_has(&bed, "k202"));
	kvr_fs_bed_close(&bed);
	bed.opts.capacity = 10 * LEN;
	kvr_fs_bed_open(&bed);
	ck_assert_int_eq(put(1001), KVR_OK);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".raw"), 10);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".txt"), 1);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".data"), 1);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(files_that_others_add_and_remove_are_noticed)
{
	static uint8_t bytes[LEN];
	char           path[512];

	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	bed.opts.capacity = 5 * LEN;
	kvr_fs_bed_open(&bed);
	kvr_fill(bytes, LEN, 7);
	kvr_file_write(bed.dir, "k7.raw", bytes, LEN);
	ck_assert_uint_eq(bed.store->index.n, 0);
	ck_assert(has(7));
	ck_assert_uint_eq(bed.store->index.bytes, LEN);
	snprintf(path, sizeof(path), "%s/k7.raw", bed.dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(!has(7));
	ck_assert_uint_eq(bed.store->index.bytes, 0);
	ck_assert_int_eq(put(1), KVR_OK);
	ck_assert_int_eq(kvr_ask1(bed.lane, &kvr_fs_ops, KVR_VERB_DEL, "k1"), KVR_OK);
	ck_assert_uint_eq(bed.store->index.bytes, 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(the_floor_of_free_space_is_kept)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	bed.opts.free_floor = 1000000;
	kvr_fs_bed_open(&bed);
	kvr_fs_disk.free_bytes = 1000000 + 10 * LEN;
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(put(i), KVR_OK);
	kvr_fs_disk.free_bytes = 1000000 + 1;
	kvr_fs_disk.frees_per_file = LEN;
	ck_assert_int_eq(put(5), KVR_OK);
	ck_assert(!has(0) && has(1) && has(5));
	/* Others fill the disk: all of ours goes, and then there is no room. */
	kvr_fs_disk.free_bytes = 10;
	kvr_fs_disk.frees_per_file = 0;
	ck_assert_int_eq(put(6), KVR_E_NOSPACE);
	ck_assert_ptr_nonnull(strstr(kvr_fs_ops.why(bed.lane), "free_floor"));
	ck_assert_uint_eq(bed.store->reserved, 0);
	kvr_fs_disk.free_bytes = 1000000 + 10 * LEN;
	ck_assert_int_eq(put(6), KVR_OK);
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(a_disk_that_is_smaller_than_the_capacity_gives_up_what_is_old)
{
	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	bed.opts.capacity = 100 * LEN;
	kvr_fs_bed_open(&bed);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(put(i), KVR_OK);
	kvr_fs_disk.write_errno = ENOSPC;
	kvr_fs_disk.in = 0;
	kvr_fs_disk.heals_when_evicted = true;
	ck_assert_int_eq(put(4), KVR_OK);
	ck_assert(!has(0) && has(1) && has(4));
	ck_assert_uint_eq(bed.store->index.bytes, kvr_fs_bed_bytes(&bed));
	kvr_fs_disk.heals_when_evicted = false;
	kvr_fs_disk.write_errno = ENOSPC;
	kvr_fs_disk.in = 0;
	ck_assert_int_eq(put(5), KVR_E_NOSPACE);
	ck_assert_uint_eq(bed.store->reserved, 0);
	ck_assert_uint_eq(bed.store->index.bytes, kvr_fs_bed_bytes(&bed));
	kvr_fs_bed_remove(&bed);
}
END_TEST

START_TEST(leftovers_in_a_temporary_directory_are_removed_too)
{
	char path[512];

	kvr_fs_bed_make(&bed, KVR_FORMAT_LMCACHE);
	snprintf(path, sizeof(path), "%s/tmp", bed.dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	kvr_file_write(path, ".kvr-0123456789abcdef-0000000000000001.tmp", "x", 1);
	kvr_file_write(path, "m@1@0@ff@half.data", "somebody's", 10);
	bed.opts.tmp_dir = "tmp";
	bed.opts.capacity = KVR_MIB(1);
	kvr_fs_bed_open(&bed);
	ck_assert_uint_eq(kvr_dir_count(path, ".tmp"), 0);
	ck_assert_uint_eq(kvr_dir_count(path, ".data"), 1);
	ck_assert_uint_eq(bed.store->index.n, 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* ---- another directory ---- */

/* The tier is in a directory below the test's own, which can be moved. */
static void
below(const char *name)
{
	static char dir[300];

	snprintf(dir, sizeof(dir), "%s/%s", bed.dir, name);
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	snprintf(bed.url, sizeof(bed.url), "fs://%s", dir);
	bed.dir = dir;
}

static void
redial(void)
{
	kvr_fs_ops.hang_up(bed.lane);
	int err = kvr_fs_ops.dial(
	    bed.store, kvr_soon(), &bed.kick, &bed.lane, bed.why, sizeof(bed.why));
	ck_assert_msg(err == KVR_OK, "%s", bed.why);
}

/* Of one item; where it ends the lane the item has no status. */
static enum kvr_err
try(struct kvr_connector *lane, enum kvr_verb verb, const char *key)
{
	static uint8_t  bytes[LEN];
	struct kvr_meta meta;
	struct kvr_item item = kvr_item_of(key, &meta);

	item.span = (struct kvr_span){ bytes, LEN };
	item.raw_len = LEN;
	enum kvr_err err = kvr_fs_ops.run(lane, verb, &item, 1, kvr_soon());
	ck_assert_int_eq(err != KVR_OK, kvr_item_status(&item) == KVR_PENDING);
	return err;
}

START_TEST(a_directory_that_stands_for_another_is_counted_anew)
{
	static uint8_t        bytes[LEN];
	struct kvr_connector *late;
	struct kvr_kick       kick;
	char                  old[320], name[16];

	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	snprintf(old, sizeof(old), "%s/old", bed.dir);
	below("kv");
	bed.opts.capacity = 5 * LEN;
	kvr_fs_bed_open(&bed);
	kvr_kick_open(&kick);
	ck_assert_int_eq(kvr_fs_ops.dial(bed.store, kvr_soon(), &kick, &late, bed.why,
	    sizeof(bed.why)), KVR_OK);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(put(i), KVR_OK);
	ck_assert_int_eq(rename(bed.dir, old), 0);
	ck_assert_int_eq(mkdir(bed.dir, 0755), 0);
	for (int i = 3; i < 7; i++) {
		snprintf(name, sizeof(name), "k%d.raw", i);
		kvr_file_write(bed.dir, name, bytes, LEN);
	}
	bed.lane->looked_ns = 0; /* a second later */
	late->looked_ns = UINT64_MAX / 2; /* and this one has not looked yet */
	ck_assert_int_eq(try(bed.lane, KVR_VERB_PUT, "k9"), KVR_E_DOWN);
	redial();
	ck_assert_uint_eq(bed.store->index.bytes, 4 * LEN);
	/* It takes nothing from what is counted, nor adds to it, and leaves its own as it is. */
	ck_assert_int_eq(try(late, KVR_VERB_GET, "k0"), KVR_OK);
	ck_assert_str_eq(kvr_fs_ops.why(late), "");
	ck_assert_int_eq(try(late, KVR_VERB_EXISTS, "k6"), KVR_OK);
	ck_assert_str_eq(kvr_fs_ops.why(late), "");
	ck_assert_uint_eq(bed.store->index.bytes, 4 * LEN);
	ck_assert_int_eq(try(late, KVR_VERB_DEL, "k3"), KVR_E_DOWN);
	ck_assert_int_eq(try(late, KVR_VERB_PUT, "k9"), KVR_E_DOWN);
	ck_assert_ptr_nonnull(strstr(kvr_fs_ops.why(late), "another one now"));
	ck_assert_uint_eq(bed.store->index.bytes, 4 * LEN);
	for (int i = 10; i < 14; i++) {
		ck_assert_int_eq(put(i), KVR_OK);
		ck_assert_uint_le(kvr_fs_bed_bytes(&bed), bed.opts.capacity);
		ck_assert_uint_eq(bed.store->index.bytes, kvr_fs_bed_bytes(&bed));
	}
	ck_assert_uint_eq(kvr_dir_count(old, ".raw"), 5);
	ck_assert_uint_eq(kvr_dir_count(old, ".tmp"), 0);
	ck_assert_uint_eq(bed.store->reserved, 0);
	kvr_fs_ops.hang_up(late);
	kvr_kick_close(&kick);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* The new one may get the number of the old one, as soon as no lane has that open. */
START_TEST(a_directory_that_is_made_again_is_counted_anew)
{
	char path[320];

	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	below("kv");
	bed.opts.capacity = 5 * LEN;
	kvr_fs_bed_open(&bed);
	ck_assert_int_eq(put(1), KVR_OK);
	snprintf(path, sizeof(path), "%s/k1.raw", bed.dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(bed.dir), 0);
	bed.lane->looked_ns = 0;
	ck_assert_int_eq(try(bed.lane, KVR_VERB_EXISTS, "k1"), KVR_E_DOWN);
	redial();
	ck_assert_uint_eq(bed.store->index.bytes, 0);
	ck_assert_int_eq(put(2), KVR_OK);
	ck_assert_uint_eq(bed.store->index.bytes, LEN);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* Each long enough for a part, too short for all of it. */
static void
dial_in_parts(void)
{
	int dials = 0, err;

	do {
		err = kvr_fs_ops.dial(bed.store, kvr_now_ns() + 200000, &bed.kick, &bed.lane,
		    bed.why, sizeof(bed.why));
		ck_assert(err == KVR_OK || err == KVR_E_TIMEOUT);
		dials++;
	} while (err != KVR_OK && dials < 100000);
	ck_assert_int_eq(err, KVR_OK);
}

START_TEST(a_scan_that_runs_out_of_time_goes_on_at_the_next_dial)
{
	char name[32], old[320];

	kvr_fs_bed_make(&bed, KVR_FORMAT_BARE);
	snprintf(old, sizeof(old), "%s/old", bed.dir);
	below("kv");
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "k%d.raw", i);
		kvr_file_write(bed.dir, name, "x", 1);
	}
	bed.opts.capacity = KVR_MIB(1);
	ck_assert_int_eq(kvr_fs_ops.open(&bed.opts, &bed.store, bed.why, sizeof(bed.why)), KVR_OK);
	dial_in_parts();
	ck_assert_uint_eq(bed.store->index.n, 2000);
	ck_assert_uint_eq(bed.store->index.bytes, 2000);
	ck_assert_uint_ge(bed.store->scan.seen, 2000);
	ck_assert_uint_le(bed.store->scan.seen, 2010);
	/* So does the one of a directory that stands there instead, and what was counted goes first. */
	kvr_fs_ops.hang_up(bed.lane);
	ck_assert_int_eq(rename(bed.dir, old), 0);
	ck_assert_int_eq(mkdir(bed.dir, 0755), 0);
	kvr_file_write(bed.dir, "k1.raw", "xy", 2);
	dial_in_parts();
	ck_assert_uint_eq(bed.store->index.n, 1);
	ck_assert_uint_eq(bed.store->index.bytes, 2);
	kvr_fs_bed_remove(&bed);
}
END_TEST

/* ---- lanes ---- */

enum { LANES = 4, ROUNDS = 150, KEYS = 30 };

static _Atomic int wrong;

static void *
use(void *arg)
{
	struct kvr_connector *lane = arg;
	uint64_t              state = (uint64_t)(uintptr_t)arg;
	uint8_t              *buf = malloc(LEN);
	char                  key[8];

	for (int i = 0; i < ROUNDS; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
		unsigned k = (unsigned)(state >> 40) % KEYS;
		size_t   len = LEN - 1000 * k;
		struct kvr_meta meta;
		snprintf(key, sizeof(key), "k%u", k);
		struct kvr_item item = kvr_item_of(key, &meta);
		enum kvr_verb   verb = state >> 63 ? KVR_VERB_PUT : KVR_VERB_GET;
		if (verb == KVR_VERB_PUT)
			kvr_fill(buf, len, k);
		item.span = (struct kvr_span){ buf, len };
		item.raw_len = len;
		if (kvr_fs_ops.run(lane, verb, &item, 1, kvr_soon()) != KVR_OK)
			wrong++;
		int32_t status = kvr_item_status(&item);
		bool    hit = status == KVR_OK && (verb == KVR_VERB_PUT || kvr_filled(buf, len, k));
		wrong += !hit && (verb == KVR_VERB_PUT || status != KVR_E_MISS);
	}
	free(buf);
	return NULL;
}

START_TEST(lanes_that_evict_each_others_files_keep_the_sum)
{
	struct kvr_connector *lane[LANES];
	struct kvr_kick       kick[LANES];
	pthread_t             thread[LANES];

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	bed.opts.capacity = 10 * LEN;
	kvr_fs_bed_open(&bed);
	for (int i = 0; i < LANES; i++) {
		kvr_kick_open(&kick[i]);
		ck_assert_int_eq(kvr_fs_ops.dial(bed.store, kvr_soon(), &kick[i], &lane[i], bed.why,
		    sizeof(bed.why)), KVR_OK);
		ck_assert_int_eq(pthread_create(&thread[i], NULL, use, lane[i]), 0);
	}
	for (int i = 0; i < LANES; i++) {
		pthread_join(thread[i], NULL);
		kvr_fs_ops.hang_up(lane[i]);
		kvr_kick_close(&kick[i]);
	}
	ck_assert_int_eq(wrong, 0);
	ck_assert_uint_eq(bed.store->reserved, 0);
	ck_assert_uint_eq(bed.store->index.bytes, kvr_fs_bed_bytes(&bed));
	ck_assert_uint_le(kvr_fs_bed_bytes(&bed), bed.opts.capacity);
	ck_assert_uint_eq(kvr_dir_count(bed.dir, ".tmp"), 0);
	kvr_fs_bed_remove(&bed);
}
END_TEST

struct mover {
	struct kvr_connector *lane;
	struct kvr_kick       kick;
	unsigned              n_downs;
};

static _Atomic bool moved_enough;

static void *
put_and_come_back(void *arg)
{
	struct mover *m = arg;
	uint8_t      *buf = calloc(1, LEN);
	char          key[8], why[512];

	for (unsigned i = 0; !moved_enough; i++) {
		struct kvr_meta meta;
		snprintf(key, sizeof(key), "k%u", (i * 7 + m->n_downs) % KEYS);
		struct kvr_item item = kvr_item_of(key, &meta);
		item.span = (struct kvr_span){ buf, LEN };
		item.raw_len = LEN - i % 1000;
		m->lane->looked_ns = 0;
		enum kvr_err err = kvr_fs_ops.run(
		    m->lane, i % 5 == 0 ? KVR_VERB_DEL : KVR_VERB_PUT, &item, 1, kvr_soon());
		wrong += err != KVR_OK && err != KVR_E_DOWN;
		for (m->n_downs += err != KVR_OK; err != KVR_OK && wrong == 0;) {
			kvr_fs_ops.hang_up(m->lane);
			m->lane = NULL;
			err = kvr_fs_ops.dial(
			    bed.store, kvr_soon(), &m->kick, &m->lane, why, sizeof(why));
			wrong += err != KVR_OK && err != KVR_E_DOWN;
		}
	}
	free(buf);
	return NULL;
}

/* What the path leads to is another directory from one instant to the next. */
static void
lead_to(const char *dir)
{
	char link[310];

	snprintf(link, sizeof(link), "%s.new", bed.dir);
	ck_assert_int_eq(symlink(dir, link), 0);
	ck_assert_int_eq(rename(link, bed.dir), 0);
}

/*
 * Whether the index is of this directory. Not whether it is a newer one than before the move: a
 * lane that dialled before the move before may join late, and then the index is of this one
 * already.
 */
static bool
is_counted(const char *dir)
{
	struct stat st;

	ck_assert_int_eq(stat(dir, &st), 0);
	const struct kvr_fs_id id = { st.st_dev, st.st_ino };
	ck_assert(kvr_lock_until(&bed.store->lock, kvr_soon()));
	bool is = memcmp(&bed.store->scan.of[0], &id, sizeof(id)) == 0;
	kvr_unlock(&bed.store->lock);
	return is;
}

START_TEST(lanes_keep_the_sum_while_their_directory_changes)
{
	enum { MOVES = 12 };
	static char  dir[2][300], path[300];
	struct mover mover[LANES] = { 0 };
	pthread_t    thread[LANES];

	kvr_fs_bed_make(&bed, KVR_FORMAT_SEALED);
	for (int i = 0; i < 2; i++) {
		snprintf(dir[i], sizeof(dir[i]), "%s/%c", bed.dir, 'a' + i);
		ck_assert_int_eq(mkdir(dir[i], 0755), 0);
	}
	snprintf(path, sizeof(path), "%s/kv", bed.dir);
	bed.dir = path;
	snprintf(bed.url, sizeof(bed.url), "fs://%s", path);
	lead_to(dir[0]);
	bed.opts.capacity = 10 * LEN;
	kvr_fs_bed_open(&bed);
	for (int i = 0; i < LANES; i++) {
		kvr_kick_open(&mover[i].kick);
		ck_assert_int_eq(kvr_fs_ops.dial(bed.store, kvr_soon(), &mover[i].kick,
		    &mover[i].lane, bed.why, sizeof(bed.why)), KVR_OK);
		ck_assert_int_eq(
		    pthread_create(&thread[i], NULL, put_and_come_back, &mover[i]), 0);
	}
	for (int i = 1; i <= MOVES; i++) {
		uint64_t until_ns = kvr_soon();
		bool counted = false;

		lead_to(dir[i % 2]);
		while (!counted && wrong == 0 && kvr_now_ns() < until_ns) {
			sched_yield();
			counted = is_counted(dir[i % 2]);
		}
		ck_assert(counted);
	}
	moved_enough = true;
	for (int i = 0; i < LANES; i++) {
		pthread_join(thread[i], NULL);
		kvr_fs_ops.hang_up(mover[i].lane);
		kvr_kick_close(&mover[i].kick);
	}
	ck_assert_int_eq(wrong, 0);
	ck_assert_uint_eq(bed.store->reserved, 0);
	redial();
	ck_assert_uint_eq(bed.store->index.bytes, kvr_fs_bed_bytes(&bed));
	for (int i = 0; i < 2; i++) {
		bed.dir = dir[i];
		ck_assert_uint_le(kvr_fs_bed_bytes(&bed), bed.opts.capacity);
		ck_assert_uint_eq(kvr_dir_count(dir[i], ".tmp"), 0);
	}
	kvr_fs_bed_remove(&bed);
}
END_TEST

KVR_CHECK_MAIN("connectors.fs_space",
    the_capacity_is_kept_and_what_was_not_used_for_longest_goes, what_was_there_before_counts_too,
    files_that_others_add_and_remove_are_noticed, the_floor_of_free_space_is_kept,
    a_disk_that_is_smaller_than_the_capacity_gives_up_what_is_old,
    leftovers_in_a_temporary_directory_are_removed_too,
    a_directory_that_stands_for_another_is_counted_anew,
    a_directory_that_is_made_again_is_counted_anew,
    a_scan_that_runs_out_of_time_goes_on_at_the_next_dial,
    lanes_that_evict_each_others_files_keep_the_sum,
    lanes_keep_the_sum_while_their_directory_changes)
