/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the facade share. Sees nothing of the library but its public header. */
#ifndef KVR_API_BED_H
#define KVR_API_BED_H

#include "kvrelay.h"

#include "kvr_check.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define OK(call) ck_assert_msg((call) == KVR_OK, "%s", #call)

/* Compares errors by name, so that a failure reads well. */
#define ERR(call, want)                                                                            \
	do {                                                                                       \
		int32_t got_ = (int32_t)(call);                                                    \
		ck_assert_msg(got_ == (int32_t)(want), "%s is %s, not %s", #call,                  \
		    kvr_err_name(got_), #want);                                                    \
	} while (0)

/* The least cache there is: one layer of n tokens of so many bytes, at base[0]. */
#define BED_CACHE(place, bytes, n)                                                                 \
	{                                                                                          \
		.size = sizeof(struct kvr_cache_shape), .order = KVR_CACHE_BLOCKS,                 \
		.format = KVR_FMT_KV_MLA, .dtype = KVR_DT_UINT8, .n_layers = 1, .n_planes = 1,     \
		.n_heads = 1, .head_size = (bytes), .block_tokens = 1, .n_blocks = (n),            \
		.n_base = 1, .base = (place)                                                       \
	}

static inline uint64_t
bed_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline uint64_t
bed_in_ms(uint64_t ms)
{
	return bed_now_ns() + ms * UINT64_C(1000000);
}

/* How many entries a directory has, like that of the open files and that of the threads. */
static inline int
bed_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* In a test a broken invariant ends the process, with its name. */
static const char *const bed_set[] = { "on_panic=abort" };
#define BED_SET .set = bed_set, .n_set = 1

/* Lines come from any thread of the library, also while a test looks. */
struct bed_log {
	pthread_mutex_t lock;
	int  n, level; /* of the last line */
	char text[4096];
};
#define BED_LOG { .lock = PTHREAD_MUTEX_INITIALIZER }

static inline void
bed_log(void *arg, int level, const char *line)
{
	struct bed_log *l = arg;

	pthread_mutex_lock(&l->lock);
	size_t used = strlen(l->text);
	snprintf(l->text + used, sizeof(l->text) - used, "%s\n", line);
	l->n++;
	l->level = level;
	pthread_mutex_unlock(&l->lock);
}

static inline int
bed_log_lines(struct bed_log *l)
{
	pthread_mutex_lock(&l->lock);
	int n = l->n;
	pthread_mutex_unlock(&l->lock);
	return n;
}

/* Fails the test unless some line has this text. */
static inline void
bed_log_has(struct bed_log *l, const char *text)
{
	pthread_mutex_lock(&l->lock);
	ck_assert_msg(strstr(l->text, text) != NULL, "\"%s\" is not in the log: %s", text, l->text);
	pthread_mutex_unlock(&l->lock);
}

/* A line is written behind the step that it tells of: waits for it, a minute at most. */
static inline void
bed_log_wait(struct bed_log *l, const char *text)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t until_ns = bed_in_ms(60000);
	bool has = false;

	while (!has && bed_now_ns() < until_ns) {
		pthread_mutex_lock(&l->lock);
		has = strstr(l->text, text) != NULL;
		pthread_mutex_unlock(&l->lock);
		if (!has)
			nanosleep(&ms, NULL);
	}
	bed_log_has(l, text);
}

/* One instance from JSON, or the test fails with the sentence of kvr_open. */
static inline struct kvr *
bed_open(const char *json, const struct kvr_identity *who, const struct kvr_layout *layout,
    struct bed_log *log)
{
	const struct kvr_options o = { .size = sizeof(o),
		.config_text = json,
		.identity = who,
		.layout = layout,
		.log = log == NULL ? NULL : bed_log,
		.log_arg = log,
		BED_SET };
	struct kvr *k = NULL;
	char why[512] = "";
	enum kvr_err err = kvr_open(&o, 0, &k, why, sizeof(why));

	ck_assert_msg(err == KVR_OK && k != NULL, "%s: %s", kvr_err_name(err), why);
	return k;
}

static inline void
bed_close(struct kvr *k)
{
	struct kvr_close_report r = { .size = sizeof(r) };

	OK(kvr_close(k, bed_in_ms(20000), KVR_DRAIN, &r));
	ck_assert_uint_eq(r.stuck_threads, 0);
	ck_assert_uint_eq(r.not_quiet, 0);
	kvr_free(k);
}

/* Bytes that tell key and place, so that no two values of a test are alike. */
static inline unsigned char
bed_byte(uint32_t seed, size_t i)
{
	return (unsigned char)(seed * 131 + i * 7 + (i >> 8));
}

/* Eight of them at once: a sanitizer looks at each access, and these are most of all. */
static inline uint64_t
bed_word(uint32_t seed, size_t i)
{
	uint64_t w = 0;

	for (size_t b = 0; b < 8; b++)
		w |= (uint64_t)bed_byte(seed, i + b) << 8 * b;
	return w;
}

static inline void
bed_fill(void *at, size_t len, uint32_t seed)
{
	unsigned char *c = at;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t w = bed_word(seed, i);

		memcpy(c + i, &w, 8);
	}
	for (; i < len; i++)
		c[i] = bed_byte(seed, i);
}

static inline bool
bed_word_is(const unsigned char *c, uint32_t seed, size_t i)
{
	uint64_t w;

	memcpy(&w, c + i, 8);
	return w == bed_word(seed, i);
}

static inline void
bed_same(const void *at, size_t len, uint32_t seed)
{
	const unsigned char *c = at;
	size_t i = 0;

	while (i + 8 <= len && bed_word_is(c, seed, i))
		i += 8;
	while (i < len && c[i] == bed_byte(seed, i))
		i++;
	/* One check for all: each costs a message to Check's parent process. */
	ck_assert_msg(i == len, "byte %zu of value %u is another one", i, seed);
}

#endif
