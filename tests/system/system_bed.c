/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_system_bed.h"

#include <dirent.h>
#include <ftw.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

enum { DIRS = 16, LOG_BYTES = 262144 };

static char dirs[DIRS][64];
static int n_dirs;
static pid_t dirs_owner;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[LOG_BYTES];
static size_t log_len;

void
bed_fail(const char *file, int line, const char *what, const char *format, ...)
{
	va_list args;

	flockfile(stderr);
	fprintf(stderr, "%s:%d: %s: ", file, line, what);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	pthread_mutex_lock(&log_lock);
	size_t from = log_len > 4000 ? log_len - 4000 : 0;

	fprintf(stderr, "\nlog: %.*s\n", (int)(log_len - from), log_text + from);
	_exit(1);
}

uint64_t
bed_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t
bed_in_ms(uint64_t ms)
{
	return bed_now_ns() + ms * UINT64_C(1000000);
}

uint64_t
bed_slowness(void)
{
#if defined(__SANITIZE_THREAD__)
	return 8;
#elif defined(__SANITIZE_ADDRESS__)
	return 4;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
	return 8;
#else
	return 1;
#endif
#else
	return 1;
#endif
}

/* ---- instances ---- */

static void
on_log(void *arg, int level, const char *line)
{
	(void)arg;
	(void)level;
	size_t len = strlen(line);

	pthread_mutex_lock(&log_lock);
	if (log_len + len + 2 < LOG_BYTES) {
		memcpy(log_text + log_len, line, len);
		log_text[log_len + len] = '\n';
		log_len += len + 1;
		log_text[log_len] = '\0';
	}
	pthread_mutex_unlock(&log_lock);
}

int
bed_logged(const char *text)
{
	int n = 0;

	pthread_mutex_lock(&log_lock);
	for (const char *at = log_text; (at = strstr(at, text)) != NULL; at++)
		n++;
	pthread_mutex_unlock(&log_lock);
	return n;
}

static enum kvr_err
open_text(struct kvr **ret, char *why, size_t why_cap, const char *format, va_list args)
{
	char text[4096];
	const struct kvr_options o = { .size = sizeof(o), .config_text = text, .log = on_log };

	MUST(vsnprintf(text, sizeof(text), format, args) < (int)sizeof(text), "too long");
	for (char *c = text; *c != '\0'; c++) {
		if (*c == '\'')
			*c = '"';
	}
	return kvr_open(&o, 0, ret, why, why_cap);
}

struct kvr *
bed_open(const char *format, ...)
{
	struct kvr *kvr = NULL;
	char why[512] = "";
	va_list args;

	va_start(args, format);
	enum kvr_err err = open_text(&kvr, why, sizeof(why), format, args);

	va_end(args);
	MUST(err == KVR_OK && kvr != NULL, "%s: %s", kvr_err_name(err), why);
	return kvr;
}

enum kvr_err
bed_try(struct kvr **ret, char *why, size_t why_cap, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	enum kvr_err err = open_text(ret, why, why_cap, format, args);

	va_end(args);
	return err;
}

/* ---- metrics ---- */

static char *
metrics_text(struct kvr *kvr)
{
	/* A counter may get a digit longer between two calls. */
	size_t need = kvr_metrics_snapshot(kvr, KVR_METRICS_PROMETHEUS, NULL, 0) + 4096;
	char *text = malloc(need);

	MUST(text != NULL && need > 4096, "no metrics");
	kvr_metrics_snapshot(kvr, KVR_METRICS_PROMETHEUS, text, need);
	return text;
}

static uint64_t
sum_of(const char *text, const char *family, const char *labels)
{
	char begin[256];
	uint64_t sum = 0;
	int n = snprintf(begin, sizeof(begin), "\nkvrelay_%s%s%s", family, labels[0] != '\0' ? "{" : "", labels);

	for (const char *at = text; (at = strstr(at, begin)) != NULL;) {
		at += n;
		if (labels[0] == '\0' && *at != '{' && *at != ' ')
			continue; /* a longer name */
		const char *end = strchr(at, '\n');

		while (end[-1] != ' ')
			end--;
		sum += strtoull(end, NULL, 10);
	}
	return sum;
}

uint64_t
bed_metric(struct kvr *kvr, const char *family, const char *labels)
{
	char *text = metrics_text(kvr);
	uint64_t sum = sum_of(text, family, labels);

	free(text);
	return sum;
}

/* attempted = ok + miss + error{reason} + dropped{reason}, of each tier and verb. */
static void
conserved(struct kvr *kvr)
{
	static const char begin[] = "\nkvrelay_tier_keys_total{";
	static const char *const none[] = { "tier_queued_parts", "tier_parts_in_lanes", "parts_in_flight",
		"operations_in_flight", "puts_in_flight", "staging_used_bytes", "staging_kept_bytes" };
	char *text = metrics_text(kvr);
	int rows = 0;

	for (const char *at = text; (at = strstr(at, begin)) != NULL; rows++) {
		char labels[160];
		const char *end = strstr(at, "} ");

		at += sizeof(begin) - 1;
		MUST(end != NULL && end - at < (int)sizeof(labels), "labels");
		snprintf(labels, sizeof(labels), "%.*s", (int)(end - at), at);
		uint64_t keys = strtoull(end + 2, NULL, 10), ok = sum_of(text, "tier_keys_ok_total", labels),
			 miss = sum_of(text, "tier_keys_miss_total", labels),
			 error = sum_of(text, "tier_keys_error_total", labels),
			 dropped = sum_of(text, "tier_keys_dropped_total", labels);

		MUST(keys == ok + miss + error + dropped,
		    "%s: %llu keys are not %llu ok, %llu miss, %llu error, %llu dropped", labels,
		    (unsigned long long)keys, (unsigned long long)ok, (unsigned long long)miss,
		    (unsigned long long)error, (unsigned long long)dropped);
	}
	MUST(rows > 0 && rows % 5 == 0, "%d rows of tiers and verbs", rows);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		uint64_t left = sum_of(text, none[i], "");

		MUST(left == 0, "%s is still %llu", none[i], (unsigned long long)left);
	}
	free(text);
}

void
bed_close(struct kvr *take)
{
	struct kvr_close_report r = { .size = sizeof(r) };
	struct kvr_health h = { .size = sizeof(h) };

	OK(kvr_close(take, bed_in_ms(60000), KVR_DRAIN, &r));
	MUST(r.stuck_threads == 0 && r.not_quiet == 0, "%u threads, %llu keys", r.stuck_threads,
	    (unsigned long long)r.not_quiet);
	OK(kvr_health(take, &h));
	MUST(h.in_flight == 0 && h.not_quiet == 0, "%llu operations, %llu keys",
	    (unsigned long long)h.in_flight, (unsigned long long)h.not_quiet);
	conserved(take);
	kvr_free(take);
}

/* ---- directories ---- */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
remove_dirs(void)
{
	if (dirs_owner != getpid())
		return;
	for (int i = 0; i < n_dirs; i++)
		nftw(dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
bed_dir(char *ret, size_t cap)
{
	if (dirs_owner != getpid()) {
		dirs_owner = getpid();
		n_dirs = 0;
		MUST(atexit(remove_dirs) == 0, "atexit");
	}
	MUST(n_dirs < DIRS, "too many directories");
	snprintf(dirs[n_dirs], sizeof(dirs[0]), "/tmp/kvr-system-XXXXXX");
	MUST(mkdtemp(dirs[n_dirs]) != NULL, "no directory in /tmp");
	snprintf(ret, cap, "%s", dirs[n_dirs++]);
	return ret;
}

static const char *wanted_suffix;
static size_t found;

static int
count_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	size_t len = strlen(path), want = strlen(wanted_suffix);

	(void)st;
	(void)ftw;
	if (flag == FTW_F && len >= want && strcmp(path + len - want, wanted_suffix) == 0)
		found++;
	return 0;
}

size_t
bed_files(const char *dir, const char *suffix)
{
	wanted_suffix = suffix;
	found = 0;
	nftw(dir, count_one, 16, FTW_PHYS);
	return found;
}

/* ---- values ---- */

static uint64_t
seed_of(const char *key)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *key != '\0'; key++)
		h = (h ^ (uint8_t)*key) * UINT64_C(1099511628211);
	return h;
}

static uint64_t
word_at(uint64_t seed, uint64_t i)
{
	uint64_t z = seed + i * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return z ^ (z >> 27);
}

void
bed_fill(void *at, size_t len, const char *key)
{
	uint64_t seed = seed_of(key) ^ len;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t w = word_at(seed, i);

		memcpy((uint8_t *)at + i, &w, len - i < 8 ? len - i : 8);
	}
}

long
bed_wrong(const void *at, size_t len, const char *key)
{
	uint64_t seed = seed_of(key) ^ len;

	for (size_t i = 0; i < len; i += 8) {
		uint64_t w = word_at(seed, i);

		if (memcmp((const uint8_t *)at + i, &w, len - i < 8 ? len - i : 8) != 0)
			return (long)i;
	}
	return -1;
}

/* ---- batches ---- */

struct bed_batch *
bed_batch_new(const char *name, uint32_t n, size_t each)
{
	struct bed_batch *b = calloc(1, sizeof(*b));

	MUST(b != NULL, "no memory");
	b->n = n;
	b->each = each;
	b->text = calloc(n, sizeof(*b->text));
	b->key = calloc(n, sizeof(*b->key));
	b->at = calloc(n, sizeof(*b->at));
	b->len = calloc(n, sizeof(*b->len));
	b->got = calloc(n, sizeof(*b->got));
	b->err = calloc(n, sizeof(*b->err));
	b->tier = calloc(n, sizeof(*b->tier));
	b->memory = malloc(n * each + 1);
	MUST(b->text && b->key && b->at && b->len && b->got && b->err && b->tier && b->memory,
	    "no memory");
	for (uint32_t i = 0; i < n; i++) {
		snprintf(b->text[i], sizeof(b->text[i]), "%s-%u", name, i);
		b->key[i] = b->text[i];
		b->at[i] = b->memory + i * each;
		b->len[i] = each;
	}
	return b;
}

void
bed_batch_free(struct bed_batch *take)
{
	free(take->text);
	free(take->key);
	free(take->at);
	free(take->len);
	free(take->got);
	free(take->err);
	free(take->tier);
	free(take->memory);
	free(take);
}

void
bed_describe(struct bed_batch *b, uint32_t kind, struct kvr_batch *ret)
{
	bool moves = kind == KVR_GET || kind == KVR_PUT;

	*ret = (struct kvr_batch){ .size = sizeof(*ret),
		.kind = kind,
		.n = b->n,
		.per_chunk = b->per_chunk,
		.key = b->key,
		.at = moves ? b->at : NULL,
		.len = moves ? b->len : NULL };
}

void
bed_compare(const struct bed_batch *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->err[i] != KVR_OK)
			continue;
		MUST(b->got[i] <= b->each, "%s has %llu bytes", b->key[i],
		    (unsigned long long)b->got[i]);
		long at = bed_wrong(b->at[i], b->got[i], b->key[i]);

		MUST(at < 0, "%s of %llu bytes is wrong at %ld", b->key[i],
		    (unsigned long long)b->got[i], at);
	}
}

enum kvr_err
bed_run(struct kvr *kvr, struct bed_batch *b, uint32_t kind, uint32_t flags, uint64_t until_ns)
{
	const struct kvr_opts o = { .size = sizeof(o), .flags = flags, .until_ns = until_ns };
	struct kvr_results r = {
		.size = sizeof(r), .cap = b->n, .err = b->err, .len = b->got, .tier = b->tier
	};
	struct kvr_batch batch;

	bed_describe(b, kind, &batch);
	if (kind == KVR_PUT) {
		for (uint32_t i = 0; i < b->n; i++)
			bed_fill(b->at[i], b->each, b->key[i]);
	} else if (kind == KVR_GET) {
		memset(b->memory, 0x5c, b->n * b->each);
	}
	b->done = (struct kvr_done){ .size = sizeof(b->done) };
	enum kvr_err err = kvr_run(kvr, &batch, &o, &b->done, &r);

	if (kind == KVR_GET && b->done.op != 0)
		bed_compare(b);
	return err;
}

void
bed_all(const struct bed_batch *b, int32_t err, const char *where)
{
	for (uint32_t i = 0; i < b->n; i++)
		MUST(b->err[i] == err, "%s: %s is %s, not %s: %s", where, b->key[i],
		    kvr_err_name(b->err[i]), kvr_err_name(err), b->done.why);
}

static int32_t
run1(struct kvr *kvr, uint32_t kind, const char *key, size_t len, uint32_t *ret_tier)
{
	struct bed_batch *b = bed_batch_new("one", 1, len);

	b->key[0] = key;
	int32_t err = bed_run(kvr, b, kind, 0, 0);

	if (ret_tier != NULL)
		*ret_tier = b->tier[0];
	bed_batch_free(b);
	return err;
}

int32_t
bed_put1(struct kvr *kvr, const char *key, size_t len)
{
	return run1(kvr, KVR_PUT, key, len, NULL);
}

int32_t
bed_get1(struct kvr *kvr, const char *key, size_t len, uint32_t *ret_tier)
{
	return run1(kvr, KVR_GET, key, len, ret_tier);
}

int32_t
bed_find1(struct kvr *kvr, const char *key, uint32_t *ret_tier)
{
	return run1(kvr, KVR_LOOKUP, key, 1, ret_tier);
}

/* ---- this process ---- */

static size_t
entries(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	MUST(d != NULL, "%s cannot be read", dir);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

/*
 * Who joins a thread goes on when the thread has let go of its memory. Until the kernel has taken
 * it out of its list it stands there with PF_EXITING, which on a busy machine takes a while.
 */
static bool
lives(const char *thread)
{
	enum { EXITING = 4 };
	char path[300], stat[512] = "";
	unsigned flags = EXITING;

	snprintf(path, sizeof(path), "/proc/self/task/%s/stat", thread);
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return false;
	const char *end = fgets(stat, sizeof(stat), f) == NULL ? NULL : strrchr(stat, ')');

	fclose(f);
	return end != NULL && sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & EXITING) == 0;
}

static size_t
threads(void)
{
	DIR *d = opendir("/proc/self/task");
	size_t n = 0;

	MUST(d != NULL, "/proc/self/task cannot be read");
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.' && lives(e->d_name);
	closedir(d);
	return n;
}

void
bed_usage(struct bed_usage *ret)
{
	char line[512];
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	*ret = (struct bed_usage){ .threads = threads() };
	MUST(f != NULL, "no /proc/self/maps");
	while (fgets(line, sizeof(line), f) != NULL)
		ret->maps++;
	fclose(f);
	f = fopen("/proc/self/statm", "r");
	MUST(f != NULL && fscanf(f, "%lu", &pages) == 1, "no /proc/self/statm");
	fclose(f);
	ret->mapped_kib = pages * 4;
	const struct mallinfo2 m = mallinfo2();

	ret->heap_kib = (m.uordblks + m.hblkhd) / 1024;
	ret->fds = entries("/proc/self/fd") - 1; /* the one that reads it */
}
