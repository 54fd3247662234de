/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_drill.h"

#include <pthread.h>
#include <time.h>

enum { CALLERS_MAX = 4, KEYS = 16, EACH = 16384, STREAK = 60, LIMIT_S = 120, LATE_MS = 5000 };

struct kvr_drill {
	struct kvr *kvr;
	char name[16];
	uint64_t budget_ms;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool stop;
	uint32_t n, numbered;
	pthread_t thread[CALLERS_MAX];

	/* Under lock, and all but the streak since the mark. */
	uint64_t mark_ns, good, bad_keys, bad_puts, bad_gets, streak;
	uint64_t first_bad_ns, last_bad_ns, put_ns, hit_ns, late_ns;
	int32_t why;
};

static void
note(struct kvr_drill *d, const struct bed_batch *b, uint32_t kind, uint64_t until_ns)
{
	uint64_t now_ns = bed_now_ns();
	uint32_t n_bad = 0;
	int32_t why = KVR_OK;

	for (uint32_t i = 0; i < b->n; i++) {
		n_bad += b->err[i] != KVR_OK;
		why = b->err[i] != KVR_OK ? b->err[i] : why;
	}
	pthread_mutex_lock(&d->lock);
	d->late_ns = now_ns > until_ns + d->late_ns ? now_ns - until_ns : d->late_ns;
	d->bad_keys += n_bad;
	d->streak = n_bad > 0 ? 0 : d->streak + 1;
	if (n_bad > 0) {
		d->bad_puts += kind == KVR_PUT;
		d->bad_gets += kind == KVR_GET;
		d->first_bad_ns = d->first_bad_ns == 0 ? now_ns : d->first_bad_ns;
		d->last_bad_ns = now_ns;
		d->put_ns = d->hit_ns = 0;
		d->why = why;
	} else {
		uint64_t *first = kind == KVR_PUT ? &d->put_ns : &d->hit_ns;

		d->good++;
		*first = *first == 0 ? now_ns : *first;
	}
	pthread_cond_broadcast(&d->moved);
	pthread_mutex_unlock(&d->lock);
}

static bool
stopped(struct kvr_drill *d, uint32_t *ret_number)
{
	pthread_mutex_lock(&d->lock);
	bool stop = d->stop;

	if (ret_number != NULL)
		*ret_number = d->numbered++;
	pthread_mutex_unlock(&d->lock);
	return stop;
}

/*
 * New keys every few turns, so that a value that was never replaced is not what is read all
 * along.
 */
static void *
caller(void *arg)
{
	struct kvr_drill *d = arg;
	uint32_t number, turn = 0;
	bool stop = stopped(d, &number);

	while (!stop) {
		char name[48];

		snprintf(name, sizeof(name), "%s-%u-%u", d->name, number, turn++);
		struct bed_batch *b = bed_batch_new(name, KEYS, EACH);

		for (int i = 0; i < 6 && !stop; i++, stop = stopped(d, NULL)) {
			uint32_t kind = i % 3 == 0 ? KVR_PUT : KVR_GET;
			uint64_t until_ns = bed_in_ms(d->budget_ms);
			enum kvr_err err = bed_run(d->kvr, b, kind, 0, until_ns);

			MUST(
			    b->done.op != 0 && b->done.n == KEYS, "refused: %s", kvr_err_name(err));
			note(d, b, kind, until_ns);
		}
		bed_batch_free(b);
	}
	return NULL;
}

struct kvr_drill *
kvr_drill_start(struct kvr *kvr, const char *name, uint32_t n, uint64_t budget_ms)
{
	struct kvr_drill *d = calloc(1, sizeof(*d));

	MUST(d != NULL && n <= CALLERS_MAX, "%u callers", n);
	d->kvr = kvr;
	d->n = n;
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->budget_ms = budget_ms * bed_slowness();
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->moved, NULL);
	kvr_drill_mark(d);
	for (uint32_t i = 0; i < n; i++)
		MUST(pthread_create(&d->thread[i], NULL, caller, d) == 0, "no thread");
	return d;
}

void
kvr_drill_mark(struct kvr_drill *d)
{
	pthread_mutex_lock(&d->lock);
	d->mark_ns = bed_now_ns();
	d->good = d->bad_keys = d->bad_puts = d->bad_gets = d->streak = 0;
	d->first_bad_ns = d->last_bad_ns = d->put_ns = d->hit_ns = 0;
	d->why = KVR_OK;
	pthread_mutex_unlock(&d->lock);
}

static void
wait_until(struct kvr_drill *d, bool (*met)(const struct kvr_drill *), const char *what)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += LIMIT_S;
	pthread_mutex_lock(&d->lock);
	while (!met(d)) {
		int late = pthread_cond_timedwait(&d->moved, &d->lock, &at);

		MUST(late == 0 || met(d), "no %s: %llu good, %llu puts and %llu gets bad, last %s",
		    what, (unsigned long long)d->good, (unsigned long long)d->bad_puts,
		    (unsigned long long)d->bad_gets, kvr_err_name(d->why));
	}
	pthread_mutex_unlock(&d->lock);
}

static bool
both_bad(const struct kvr_drill *d)
{
	return d->bad_puts > 0 && d->bad_gets > 0;
}

static bool
long_good(const struct kvr_drill *d)
{
	return d->streak >= STREAK;
}

void
kvr_drill_wait_bad(struct kvr_drill *d)
{
	wait_until(d, both_bad, "failure");
}

void
kvr_drill_wait_good(struct kvr_drill *d)
{
	wait_until(d, long_good, "service");
}

static double
ms_since(const struct kvr_drill *d, uint64_t at_ns)
{
	return at_ns == 0 ? 0 : (double)(at_ns - d->mark_ns) / 1e6;
}

void
kvr_drill_say(struct kvr_drill *d, const char *event)
{
	pthread_mutex_lock(&d->lock);
	printf("%s: %llu calls whole, %llu puts and %llu gets not", event,
	    (unsigned long long)d->good, (unsigned long long)d->bad_puts,
	    (unsigned long long)d->bad_gets);
	if (d->bad_keys > 0)
		printf(" (%llu keys, the last %s), from %.0f to %.0f ms after it; first put %.0f "
		       "ms, first hit %.0f ms after it",
		    (unsigned long long)d->bad_keys, kvr_err_name(d->why),
		    ms_since(d, d->first_bad_ns), ms_since(d, d->last_bad_ns),
		    ms_since(d, d->put_ns), ms_since(d, d->hit_ns));
	printf("; 0 wrong bytes; worst lateness %.1f ms\n", (double)d->late_ns / 1e6);
	MUST(d->late_ns < LATE_MS * bed_slowness() * 1000000U, "%llu ms late",
	    (unsigned long long)(d->late_ns / 1000000U));
	pthread_mutex_unlock(&d->lock);
}

uint64_t
kvr_drill_bad(struct kvr_drill *d)
{
	pthread_mutex_lock(&d->lock);
	uint64_t n = d->bad_keys;

	pthread_mutex_unlock(&d->lock);
	return n;
}

void
kvr_drill_stop(struct kvr_drill *take)
{
	pthread_mutex_lock(&take->lock);
	take->stop = true;
	pthread_mutex_unlock(&take->lock);
	for (uint32_t i = 0; i < take->n; i++)
		pthread_join(take->thread[i], NULL);
	pthread_mutex_destroy(&take->lock);
	pthread_cond_destroy(&take->moved);
	free(take);
}
