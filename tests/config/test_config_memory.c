/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that runs out at the n-th allocation, for every n: an answer, no leak, no half change. */
#include "kvr_check.h"
#include "kvr_config_test.h"

#include <stdlib.h>

static long left = -1; /* allocations until one fails; below zero: none does */
static long n_cleared; /* memory that a configuration keeps is cleared */

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);

static bool
fails(void)
{
	return left >= 0 && left-- == 0;
}

void *
__wrap_malloc(size_t len)
{
	return fails() ? NULL : __real_malloc(len);
}

void *
__wrap_calloc(size_t n, size_t len)
{
	n_cleared++;
	return fails() ? NULL : __real_calloc(n, len);
}

/* Runs one call with the n-th allocation failing until it gets through. */
static void
until_it_passes(enum kvr_err call(char *why, size_t why_cap), int at_least)
{
	int n = 0;

	for (;; n++) {
		char why[200] = "";
		enum kvr_err err;

		left = n;
		err = call(why, sizeof(why));
		left = -1;
		if (err == KVR_OK)
			break;
		ck_assert_int_eq(err, KVR_E_NOMEM);
		ck_assert_str_eq(why, "no memory for the configuration");
		ck_assert_int_lt(n, 1000);
	}
	ck_assert_int_ge(n, at_least);
}

static enum kvr_err
load_a_file(char *why, size_t why_cap)
{
	struct kvr_config_opts opts = { .env = kvr_test_env };
	struct kvr_config *cfg = NULL;
	enum kvr_err err =
	    kvr_config_load(KVR_EXAMPLES "/two-tiers-redis.json", &opts, &cfg, why, why_cap);

	left = -1; /* the assertion allocates too */
	ck_assert_msg((err == KVR_OK) == (cfg != NULL), "a config or an error");
	kvr_config_free(cfg);
	return err;
}

static enum kvr_err
load_the_flat_form(char *why, size_t why_cap)
{
	struct kvr_config *cfg = NULL;
	enum kvr_err err = kvr_config_load(KVR_EXAMPLES "/lmcache.json", NULL, &cfg, why, why_cap);

	kvr_config_free(cfg);
	return err;
}

static enum kvr_err
take_a_url(char *why, size_t why_cap)
{
	struct kvr_config *cfg = NULL;
	enum kvr_err err = kvr_config_from_url("redis://h:1", NULL, &cfg, why, why_cap);

	kvr_config_free(cfg);
	return err;
}

START_TEST(reading_answers_nomem_at_every_allocation)
{
	until_it_passes(load_a_file, 5);
	until_it_passes(load_the_flat_form, 5);
	until_it_passes(take_a_url, 3);
}
END_TEST

static struct kvr_config *changed;

/* Longer than a block of the arena, so that each try allocates. */
static enum kvr_err
change_it(char *why, size_t why_cap)
{
	char set[6000] = "tiers.remote.prefix=";
	enum kvr_err err;

	memset(set + strlen(set), 'p', sizeof(set) - strlen(set) - 1);
	err = kvr_config_set(changed, &(const char *const){ set }, 1, why, why_cap);
	left = -1;
	ck_assert_msg((err == KVR_OK) == (changed->tier[0].prefix != NULL), "half a change");
	return err;
}

START_TEST(a_change_without_memory_is_none)
{
	char why[200];

	left = -1;
	ck_assert_int_eq(
	    kvr_config_from_url("redis://h:1", NULL, &changed, why, sizeof(why)), KVR_OK);
	until_it_passes(change_it, 2);
	kvr_config_free(changed);
}
END_TEST

/* An engine may set them every second, for as long as it runs. */
START_TEST(numbers_that_are_set_again_cost_no_memory)
{
	static const char flat[] = "{\"remote_url\":\"redis://h:1\"}";
	const char *const set[] = { "tiers.remote.timeout=2s", "ping_interval=5",
		"get_blocking_failed_threshold=3", "limits.put_bytes=1GiB" };
	const char *const wrong = "tiers.remote.timeout=soon";
	const struct kvr_config_opts opts = { .env = kvr_test_env };
	struct kvr_config *cfg = NULL;
	char why[200];

	ck_assert_int_eq(
	    kvr_config_parse(flat, sizeof(flat) - 1, &opts, &cfg, why, sizeof(why)), KVR_OK);
	long before = n_cleared;

	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(kvr_config_set(cfg, set, KVR_LEN(set), why, sizeof(why)), KVR_OK);
		ck_assert_int_eq(kvr_config_set(cfg, &wrong, 1, why, sizeof(why)), KVR_E_CONFIG);
	}
	ck_assert_int_eq(n_cleared, before);
	kvr_config_free(cfg);
}
END_TEST

KVR_CHECK_MAIN("config.memory", reading_answers_nomem_at_every_allocation,
    a_change_without_memory_is_none, numbers_that_are_set_again_cost_no_memory)
