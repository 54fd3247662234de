/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store has said last, for everybody who asks; and the log lines about errors that change no
 * tier's state. (A tier's state has a log line of its own: system_tell.c.)
 */
#include "kvr_workers.h"

#include "kvr_fit.h"
#include "kvr_flatten.h"
#include "kvr_stats.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)KVR_WORDS_VERBS >= (int)KVR_VERB_N, "a row per verb");

static void
put(struct kvr_words *w, enum kvr_words_of of, const char *text)
{
	kvr_fit(w->text[of], sizeof(w->text[of]), text);
	/* Whoever asks may print them, on a terminal or as one line of a page. */
	kvr_flatten(w->text[of], strlen(w->text[of]));
	if (w->shown != NULL)
		kvr_stats_words_set(&w->shown[of], w->text[of]);
}

void
kvr_words_set(struct kvr_words *w, int32_t err, const char *text)
{
	pthread_mutex_lock(&w->lock);
	w->err = err;
	w->at_ns = kvr_now_ns();
	put(w, KVR_WORDS_LAST, text);
	pthread_mutex_unlock(&w->lock);
}

void
kvr_words_keep(struct kvr_words *w, enum kvr_words_of of, const char *text)
{
	pthread_mutex_lock(&w->lock);
	put(w, of, text);
	pthread_mutex_unlock(&w->lock);
}

void
kvr_words_kept(struct kvr_words *w, enum kvr_words_of of, char *ret, size_t cap)
{
	pthread_mutex_lock(&w->lock);
	snprintf(ret, cap, "%s", w->text[of]);
	pthread_mutex_unlock(&w->lock);
}

void
kvr_words_get(struct kvr_words *w, char *ret, size_t cap, int32_t *ret_err, uint64_t *ret_at_ns)
{
	pthread_mutex_lock(&w->lock);
	snprintf(ret, cap, "%s", w->text[KVR_WORDS_LAST]);
	if (ret_err != NULL)
		*ret_err = w->err;
	if (ret_at_ns != NULL)
		*ret_at_ns = w->at_ns;
	pthread_mutex_unlock(&w->lock);
}

/* Logs each error of each verb once a minute: callers cause thousands a second. False: not now. */
static bool
take_turn(struct kvr_words *w, enum kvr_verb verb, int32_t err, char *ret, size_t cap)
{
	uint64_t now_ns = kvr_now_ns();

	KVR_CHECK(err <= 0 && err > -KVR_WORDS_ERRS);
	pthread_mutex_lock(&w->lock);
	uint64_t *last_ns = &w->logged_ns[verb][-err];
	bool due = *last_ns == 0 || now_ns - *last_ns >= KVR_SEC(60);

	if (due)
		*last_ns = now_ns;
	snprintf(ret, cap, "%s", w->text[KVR_WORDS_LAST]);
	pthread_mutex_unlock(&w->lock);
	return due;
}

static const char *const verb_name[KVR_VERB_N] = { "lookup", "get", "put", "removal",
	"look at a size", "ping" };

/* Errors that blame neither the key nor the store have no words, with two exceptions. */
static bool
has_words(int32_t err)
{
	return err < 0 && (kvr_err_blame(err) != KVR_BLAME_NONE || err == KVR_E_BUSY ||
	                      err == KVR_E_UNSUPPORTED);
}

/*
 * A key that failed on a connection that goes on. What is refused to some callers only, or on one
 * node of many, opens no breaker. Without this line the log would say nothing of a store that is
 * full, a user that may read and not write, values of another model.
 */
void
kvr_words_of_key(const struct kvr_lane_options *o, enum kvr_verb verb, int32_t err)
{
	char text[KVR_WORDS_LEN];

	if (has_words(err) && take_turn(o->words, verb, err, text, sizeof(text)))
		kvr_log_at(o->work->log, NULL, WARN, 0, "tier %s: a %s %s (%s): %s", o->tier_name,
		    verb_name[verb],
		    kvr_err_blame(err) == KVR_BLAME_STORE && err != KVR_E_DOWN ? "was refused" : "failed",
		    kvr_err_name(err), text);
}

/* Without this line, a restarted server or a replaced directory would leave no trace in the log. */
void
kvr_words_of_end(const struct kvr_lane_options *o, int32_t err)
{
	char text[KVR_WORDS_LEN];

	if (kvr_err_blame(err) >= KVR_BLAME_LANE &&
	    take_turn(o->words, KVR_VERB_PING, err, text, sizeof(text)))
		kvr_log_at(o->work->log, NULL, INFO, 0, "tier %s: a connection has ended (%s): %s",
		    o->tier_name, kvr_err_name(err), text);
}

/* A connection that works, but not as it should: somebody has to mend what is around it. */
void
kvr_words_of_dial(const struct kvr_lane_options *o)
{
	char text[KVR_WORDS_LEN];

	if (take_turn(o->words, KVR_VERB_PING, KVR_OK, text, sizeof(text)))
		kvr_log(o->work->log, WARN, 0, "tier %s: %s", o->tier_name, text);
}
