/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance reports: states, words of stores, log lines. */
#include "kvr_system_own.h"
#include "kvr_fit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Logs each change of a tier's state, because callers feel it; those of lanes only at debug. */
void
kvr_system_watch(void *arg, const struct kvr_actor *a, uint32_t before, const struct kvr_event *ev)
{
	struct kvr_system *sys = arg;
	char id[24], words[KVR_WORDS_LEN] = "";
	bool tier = a->id >= KVR_ID_TIER && a->id < KVR_ID_LINK;

	(void)ev;
	if (!tier && (a->id < KVR_ID_LINK || a->id >= KVR_ID_WORKER))
		return;
	uint32_t number = tier ? a->id - (uint32_t)KVR_ID_TIER :
	                         (a->id - (uint32_t)KVR_ID_LINK) / KVR_LANES_MAX;
	struct system_tier *t = &sys->tier[number];
	bool sick = tier && a->state == KVR_TIER_COOLING;

	if (sick)
		kvr_words_kept(&sys->tier[number].words, KVR_WORDS_LAST, words, sizeof(words));
	const char *was = a->spec->state_name[before], *is = a->spec->state_name[a->state];

	if (sick)
		kvr_log_at(sys->opt.log, &t->told, WARN, 0,
		    "tier %s is %s, its keys are answered DOWN: %s", t->config->name, is,
		    words[0] != '\0' ? words : "no connection");
	else if (tier)
		kvr_log_at(sys->opt.log, &t->told, INFO, 0, "tier %s: %s to %s", t->config->name,
		    was, is);
	else
		kvr_log(sys->opt.log, DEBUG, 0, "%s of tier %s: %s to %s",
		    kvr_id_name(a->id, id, sizeof(id)),
		    t->config->name, was, is);
}

/*
 * No store has words for a call that does not return, so these are ours. They are the reason if the
 * tier goes down over it, and its state is logged after this.
 */
void
kvr_system_hang(struct kvr_system *sys, uint32_t tier)
{
	struct system_tier *t = &sys->tier[tier];
	uint64_t now_ns = kvr_now_ns();

	for (uint32_t l = 0; l < t->n_lanes; l++) {
		const struct kvr_stats_lane *lane = &sys->stats->tier[tier].lane[l];
		uint64_t ms = (now_ns - KVR_MIN(lane->stuck_ns, now_ns)) / 1000000;
		char words[KVR_WORDS_LEN];

		if ((t->hang >> l & 1) == lane->stuck)
			continue;
		t->hang ^= 1U << l;
		snprintf(words, sizeof(words),
		    "lane %u hangs: thread kvr-lane-%u.%u is in a call that does not return", l,
		    tier, l);
		if (lane->stuck != 0)
			kvr_words_set(&t->words, KVR_E_STUCK, words);
		if (lane->stuck != 0)
			kvr_log(sys->opt.log, WARN, 0,
			    "tier %s: %s, for %" PRIu64 " ms by now; it gets no more work",
			    t->config->name, words, ms);
		else
			kvr_log(sys->opt.log, INFO, 0,
			    "tier %s: lane %u is back after %" PRIu64 " ms", t->config->name, l,
			    ms);
	}
}

/* kvr_fit shortens the whole: the tier's name in front must not cost the words their end. */
static void KVR_PRINTF(3, 4)
say(char *ret, size_t cap, const char *fmt, ...)
{
	char    whole[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(whole, sizeof(whole), fmt, args);
	va_end(args);
	kvr_fit(ret, cap, whole);
}

/* Whether words about `said` explain a key that is `err`. With one tier, any of its words do. */
static bool
explains(const struct kvr_system *sys, int32_t said, int32_t err)
{
	if (said == KVR_E_CANCELLED)
		return false; /* the reason for the cancel says more */
	if (sys->n_tiers == 1 || err == KVR_E_PARTIAL)
		return said != KVR_OK; /* from any tier that does not have it, for whatever reason */
	return said == err || (err == KVR_E_DOWN && kvr_err_stream(said) == KVR_STREAM_CLOSE);
}

bool
kvr_system_why_since(struct kvr_system *sys, int32_t err, uint64_t since_ns, char *ret, size_t cap)
{
	bool found = false;

	for (uint32_t t = 0; t < sys->n_tiers; t++) {
		char words[KVR_WORDS_LEN];
		int32_t said;
		uint64_t at_ns;

		kvr_words_get(&sys->tier[t].words, words, sizeof(words), &said, &at_ns);
		if (words[0] == '\0' || at_ns < since_ns || !explains(sys, said, err))
			continue;
		if (sys->n_tiers == 1)
			snprintf(ret, cap, "%s", words);
		else
			say(ret, cap, "tier %s: %s", sys->tier[t].config->name, words);
		since_ns = at_ns;
		found = true;
	}
	return found;
}

struct cooling {
	uint32_t state;
	uint64_t until_ns, puts_ns; /* puts_ns: 0 if it takes puts */
};

static void
take_cooling(void *arg, const struct kvr_actor *a)
{
	struct cooling *c = arg;
	struct kvr_stats_tier t = { 0 };

	kvr_tier_stats(a->self, &t);
	c->state = a->state;
	c->until_ns = t.cool_ns;
	c->puts_ns = a->state == KVR_TIER_UP ? t.puts_ns : 0;
}

/* put: for a put that was not sent. */
static struct cooling
look_why(struct kvr_system *sys, uint32_t tier, bool put, char *ret, size_t cap)
{
	struct cooling c;

	KVR_CHECK(tier < sys->n_tiers);
	kvr_domain_look(sys->domain, take_cooling, &c, KVR_ID_TIER_OF(tier));
	c.puts_ns = put ? c.puts_ns : 0;
	kvr_words_kept(
	    &sys->tier[tier].words, c.puts_ns != 0 ? KVR_WORDS_PUT : KVR_WORDS_LAST, ret, cap);
	return c;
}

void
kvr_system_why(struct kvr_system *sys, uint32_t tier, bool put, char *ret, size_t cap)
{
	(void)look_why(sys, tier, put, ret, cap);
}

/* Looks now, not when the tier was left out; so it can say what has happened since. */
void
kvr_system_left_out(struct kvr_system *sys, uint32_t tier, bool put, char *ret, size_t cap)
{
	char words[KVR_WORDS_LEN], when[64];
	uint64_t now_ns = kvr_now_ns();
	struct cooling c = look_why(sys, tier, put, words, sizeof(words));

	if (c.state == KVR_TIER_COOLING && c.until_ns > now_ns)
		snprintf(when, sizeof(when), "is left out for %" PRIu64 " ms",
		    (c.until_ns - now_ns + 999999) / 1000000);
	else if (c.puts_ns > now_ns)
		snprintf(when, sizeof(when), "refuses puts and gets none for %" PRIu64 " ms",
		    (c.puts_ns - now_ns + 999999) / 1000000);
	else if (c.puts_ns != 0)
		snprintf(when, sizeof(when), "refuses puts");
	else if (c.state == KVR_TIER_COOLING || c.state == KVR_TIER_PROBING)
		snprintf(when, sizeof(when), "is being tried again");
	else
		snprintf(when, sizeof(when), "was not asked");
	say(ret, cap, "tier %s %s: %s", sys->tier[tier].config->name, when,
	    words[0] != '\0' ? words : "no connection");
}

void
kvr_system_late(struct kvr_system *sys, uint32_t tier, uint64_t took_ns, char *ret, size_t cap)
{
	KVR_CHECK(tier < sys->n_tiers);
	say(ret, cap, "tier %s had not answered when its time was over; the call took %" PRIu64 " ms",
	    sys->tier[tier].config->name, took_ns / 1000000);
}

void
kvr_system_device_why(struct kvr_system *sys, char *ret, size_t cap)
{
	kvr_words_get(&sys->device_words, ret, cap, NULL, NULL);
}

struct canaries {
	struct kvr_metrics_canary of[KVR_TIERS_MAX];
};

static void
take_canaries(void *arg, const struct kvr_actor *a)
{
	const struct kvr_metrics_state *m = a->self;
	struct canaries *c = arg;

	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++)
		c->of[t] = m->tier[t].canary;
}

static void
take_tier(void *arg, const struct kvr_actor *a)
{
	struct kvr_tier_view *v = arg;
	struct kvr_stats_tier t = { 0 };

	kvr_tier_stats(a->self, &t);
	v->state = a->state;
	v->refuses_puts = t.puts_ns != 0;
	v->full_len = t.full_len;
	v->away = kvr_stats_away(&t, kvr_now_ns());
	(void)kvr_stats_hang_text(&t, a->id - (uint32_t)KVR_ID_TIER, kvr_now_ns(), v->hang,
	    sizeof(v->hang));
	v->all_hang = t.n_stuck == t.n_lanes;
}

static void
take_state(void *arg, const struct kvr_actor *a)
{
	*(uint32_t *)arg = a->state;
}

static void
kept(struct system_tier *t, enum kvr_words_of of, char ret[KVR_WORDS_LEN])
{
	kvr_words_kept(&t->words, of, ret, KVR_WORDS_LEN);
}

uint32_t
kvr_system_tiers(struct kvr_system *sys, struct kvr_tier_view *ret, uint32_t cap)
{
	struct canaries canary;

	kvr_domain_look(sys->domain, take_canaries, &canary, KVR_ID_METRICS);
	for (uint32_t t = 0; t < sys->n_tiers && t < cap; t++) {
		struct kvr_tier_view *v = &ret[t];

		*v = (struct kvr_tier_view){ .name = sys->tier[t].config->name,
			.n_links = sys->tier[t].n_lanes,
			.verified = sys->tier[t].format == KVR_FORMAT_SEALED,
			.canary_err = canary.of[t].err, .canary_step = canary.of[t].step };
		kvr_domain_look(sys->domain, take_tier, v, KVR_ID_TIER_OF(t));
		for (uint32_t l = 0; l < v->n_links; l++) {
			uint32_t state;

			kvr_domain_look(sys->domain, take_state, &state, KVR_ID_LINK_OF(t, l));
			v->links_up += state == KVR_LINK_UP;
		}
		kvr_words_kept(&sys->tier[t].words, KVR_WORDS_LAST, v->why, sizeof(v->why));
		kept(&sys->tier[t], KVR_WORDS_PUT, v->why_puts);
		kept(&sys->tier[t], KVR_WORDS_FULL, v->why_full);
		kept(&sys->tier[t], KVR_WORDS_AWAY, v->why_away);
		kept(&sys->tier[t], KVR_WORDS_CANARY, v->why_canary);
	}
	return sys->n_tiers;
}

void
kvr_system_canary_why(struct kvr_system *sys, uint32_t tier, const char *words)
{
	KVR_CHECK(tier < sys->n_tiers);
	kvr_words_keep(&sys->tier[tier].words, KVR_WORDS_CANARY, words);
}
