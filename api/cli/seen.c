/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the pages. Each is copied once, word by word; only the copy is examined. */
#include "kvr_seen.h"

#include "kvr_flatten.h"
#include "kvr_page.h"
#include "kvr_trace_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct seen *seen;
	uint64_t pid;
	bool no_memory;
};

/* The writer does not stop for us, but it writes whole words. */
static void
copy_words(void *to, const void *from, size_t bytes)
{
	const uint64_t *f = from;
	uint64_t *t = to;

	for (size_t i = 0; i < bytes / sizeof(*t); i++)
		t[i] = __atomic_load_n(&f[i], __ATOMIC_RELAXED);
}

/* Counts are within their tables; texts end where their places do, and can be printed. */
static void
clean_text(char *at, size_t cap)
{
	at[cap - 1] = '\0';
	kvr_flatten(at, strlen(at));
}

static void
clean(struct kvr_stats *s)
{
	struct kvr_stats_head *h = &s->head;

	h->n_tiers = KVR_MIN(h->n_tiers, (uint32_t)KVR_TIERS_MAX);
	s->metrics.n_bounds = KVR_MIN(s->metrics.n_bounds, (uint32_t)KVR_BOUNDS_MAX);
	clean_text(h->version_text, sizeof(h->version_text));
	clean_text(h->instance, sizeof(h->instance));
	clean_text(h->model, sizeof(h->model));
	clean_text(h->listen, sizeof(h->listen));
	clean_text(h->trace, sizeof(h->trace));
	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++) {
		clean_text(h->tier[t].name, sizeof(h->tier[t].name));
		clean_text(h->tier[t].url, sizeof(h->tier[t].url));
	}
}

static void
judge(struct seen_page *p)
{
	const struct kvr_stats *s = &p->s;

	if (!p->alive) {
		snprintf(p->why, sizeof(p->why),
		    "it has ended without a close; kvrelay trace last shows its last steps");
		return;
	}
	if (atomic_load(&s->dead) != 0) {
		snprintf(p->why, sizeof(p->why), "%s", kvr_err_text(KVR_E_DEAD));
		return;
	}
	for (uint32_t t = 0; t < s->head.n_tiers && p->why[0] == '\0'; t++) {
		const struct kvr_metrics_tier *m = &s->metrics.tier[t];
		const struct kvr_stats_words *w = s->words[t];
		const char *words = w[KVR_WORDS_LAST].text, *name = s->head.tier[t].name;

		char hang[96];
		bool hangs = kvr_stats_hang_text(&s->tier[t], t, p->at_ns, hang, sizeof(hang));

		if (m->state != KVR_TIER_UP && hangs && s->tier[t].n_stuck == s->tier[t].n_lanes)
			snprintf(p->why, sizeof(p->why), "tier %s is %s: %s", name,
			    seen_tier_state(m->state), hang);
		else if (m->state != KVR_TIER_UP)
			snprintf(p->why, sizeof(p->why), "tier %s is %s: %s", name,
			    seen_tier_state(m->state),
			    words[0] != '\0' ? words : "not connected yet");
		else if (s->tier[t].puts_ns != 0)
			snprintf(p->why, sizeof(p->why), "tier %s refuses puts: %s", name,
			    w[KVR_WORDS_PUT].text);
		else if (hangs)
			snprintf(p->why, sizeof(p->why), "tier %s: %s", name, hang);
		else if (kvr_stats_away(&s->tier[t], p->at_ns))
			snprintf(p->why, sizeof(p->why), "tier %s, one node: %s", name,
			    w[KVR_WORDS_AWAY].text);
		else if (m->canary.err != KVR_OK)
			snprintf(p->why, sizeof(p->why), "tier %s: its canary: %s%s%s", name,
			    kvr_err_name(m->canary.err),
			    w[KVR_WORDS_CANARY].text[0] != '\0' ? ": " : "",
			    w[KVR_WORDS_CANARY].text);
		else if (s->tier[t].full_len != 0)
			snprintf(p->why, sizeof(p->why),
			    "tier %s is full for values of %u bytes: %s", name,
			    s->tier[t].full_len, w[KVR_WORDS_FULL].text);
	}
}

static void
take_words(const struct kvr_stats_words *from, char ret[KVR_STATS_WHY])
{
	for (int i = 0; i < 100 && !kvr_stats_words_get(from, ret); i++)
		;
}

static void
see(void *arg, const char *path, bool alive, const void *at, size_t bytes)
{
	struct reader *r = arg;
	const struct kvr_stats *from = at;

	(void)path;
	if (bytes < sizeof(from->head) ||
	    __atomic_load_n(&from->head.magic, __ATOMIC_ACQUIRE) != KVR_STATS_MAGIC)
		return; /* being made */
	if (from->head.version != KVR_STATS_VERSION || from->head.bytes != sizeof(*from) ||
	    bytes < sizeof(*from) || from->head.n_tiers > KVR_TIERS_MAX) {
		r->seen->n_others++;
		return;
	}
	if (r->seen->n == SEEN_MAX || (r->pid != 0 && r->pid != from->head.pid))
		return;
	struct seen_page *p = calloc(1, sizeof(*p));

	r->no_memory = r->no_memory || p == NULL;
	if (p == NULL)
		return;
	copy_words(&p->s, from, sizeof(*from));
	/* What was looked at above may have changed since. */
	clean(&p->s);
	for (uint32_t t = 0; t < p->s.head.n_tiers; t++) {
		for (uint32_t of = 0; of < KVR_WORDS_N; of++) {
			take_words(&from->words[t][of], p->s.words[t][of].text);
			clean_text(p->s.words[t][of].text, sizeof(p->s.words[t][of].text));
		}
	}
	p->alive = alive;
	p->at_ns = kvr_now_ns();
	judge(p);
	r->seen->page[r->seen->n++] = p;
}

bool
seen_read(const struct cli *cli, const char *dir, uint64_t pid, struct seen *ret)
{
	struct reader r = { .seen = ret, .pid = pid };
	char path[200];

	*ret = (struct seen){ .n = 0 };
	if (kvr_page_each(dir, see, &r) < 0 && errno != ENOENT) {
		cli_fail(cli, "%s: %s", kvr_trace_dir_path(dir, path, sizeof(path)), strerror(errno));
		return false;
	}
	if (!r.no_memory)
		return true;
	seen_drop(ret);
	cli_fail(cli, "no memory");
	return false;
}

void
seen_nobody(const char *dir)
{
	char path[200];

	printf("no instance of this user is open in %s; --dir names another trace.dir\n",
	    kvr_trace_dir_path(dir, path, sizeof(path)));
}

void
seen_drop(struct seen *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->page[i]);
	s->n = 0;
}

const char *
seen_tier_state(uint32_t state)
{
	static const char *const name[KVR_TIER_STATES] = { "opening", "up", "cooling", "probing",
		"closed" };

	return state < KVR_TIER_STATES ? name[state] : "?";
}

const char *
seen_lane_state(uint32_t state)
{
	static const char *const name[KVR_LINK_STATES] = { "down", "dialing", "half open", "up",
		"closed" };

	return state < KVR_LINK_STATES ? name[state] : "?";
}

const char *
seen_age(uint64_t ns, char *ret, size_t cap)
{
	double s = (double)ns / 1e9;

	if (s < 100)
		snprintf(ret, cap, "%.1f s", s);
	else if (s < 6000)
		snprintf(ret, cap, "%.0f min", s / 60);
	else
		snprintf(ret, cap, "%.1f h", s / 3600);
	return ret;
}
