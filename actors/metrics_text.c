/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters as Prometheus text and as JSON. One walk over the state makes both: a walk names
 * families and samples, and the form decides how they are written. Units are seconds, bytes, keys.
 *
 * No call to the C library, for this file is linked with a decider: numbers are written by hand.
 */
#include "kvr_metrics_state.h"

enum { LABELS = 4 };

struct label {
	const char *name, *value;
};

struct writer {
	char *at;
	size_t cap, len; /* len: bytes that all of it needs */
	bool json;
	bool first_family, first_sample;
};

static void
put_char(struct writer *w, char c)
{
	if (w->len + 1 < w->cap)
		w->at[w->len] = c;
	w->len++;
}

static void
put(struct writer *w, const char *text)
{
	for (; *text != '\0'; text++)
		put_char(w, *text);
}

/* In quotes. Names of tiers come from people. */
static void
put_quoted(struct writer *w, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	put_char(w, '"');
	for (; *text != '\0'; text++) {
		uint8_t c = (uint8_t)*text;

		if (c == '"' || c == '\\') {
			put_char(w, '\\');
			put_char(w, *text);
		} else if (c == '\n') {
			put(w, "\\n");
		} else if (c < 0x20 && w->json) {
			put(w, "\\u00");
			put_char(w, hex[c >> 4]);
			put_char(w, hex[c & 15]);
		} else {
			put_char(w, *text);
		}
	}
	put_char(w, '"');
}

static void
put_number(struct writer *w, uint64_t n)
{
	char digits[20];
	uint32_t i = 0;

	do {
		digits[i++] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	while (i > 0)
		put_char(w, digits[--i]);
}

/* Microseconds as seconds. */
static void
put_seconds(struct writer *w, uint64_t us)
{
	put_number(w, us / 1000000);
	put_char(w, '.');
	for (uint64_t unit = 100000; unit > 0; unit /= 10)
		put_char(w, (char)('0' + us / unit % 10));
}

static void
family(struct writer *w, const char *name, const char *type, const char *help)
{
	if (w->json) {
		put(w, w->first_family ? "" : "\n]},\n");
		put_quoted(w, name);
		put(w, ":{\"type\":");
		put_quoted(w, type);
		put(w, ",\"help\":");
		put_quoted(w, help);
		put(w, ",\"samples\":[");
	} else {
		put(w, "# HELP kvrelay_");
		put(w, name);
		put_char(w, ' ');
		put(w, help);
		put(w, "\n# TYPE kvrelay_");
		put(w, name);
		put_char(w, ' ');
		put(w, type);
		put_char(w, '\n');
	}
	w->first_family = false;
	w->first_sample = true;
}

/* The value follows, then sample_end. */
static void
sample(struct writer *w, const char *name, const char *suffix, const struct label *labels)
{
	bool first = true;

	if (w->json) {
		put(w, w->first_sample ? "\n{" : ",\n{");
		if (suffix[0] != '\0') {
			put(w, "\"of\":");
			put_quoted(w, suffix + 1);
			put_char(w, ',');
		}
	} else {
		put(w, "kvrelay_");
		put(w, name);
		put(w, suffix);
	}
	for (uint32_t i = 0; i < LABELS && labels[i].name != NULL; i++) {
		if (w->json) {
			put_quoted(w, labels[i].name);
			put_char(w, ':');
		} else {
			put_char(w, first ? '{' : ',');
			put(w, labels[i].name);
			put_char(w, '=');
		}
		put_quoted(w, labels[i].value);
		if (w->json)
			put_char(w, ',');
		first = false;
	}
	put(w, w->json ? "\"value\":" : first ? " " : "} ");
	w->first_sample = false;
}

static void
sample_end(struct writer *w)
{
	put_char(w, w->json ? '}' : '\n');
}

static void
one(struct writer *w, const char *name, const struct label *labels, uint64_t n)
{
	sample(w, name, "", labels);
	put_number(w, n);
	sample_end(w);
}

static void
times(struct writer *w, const char *name, const struct label *labels,
    const struct kvr_metrics_times *t)
{
	static const char *const bound[KVR_METRICS_BUCKETS] = {
#define X(us, seconds) seconds,
		KVR_METRICS_BOUNDS(X)
#undef X
		    "+Inf",
	};
	struct label with[LABELS] = { labels[0], labels[1] };
	uint64_t sum = 0;

	for (uint32_t i = 0; i < KVR_METRICS_BUCKETS; i++) {
		sum += t->bucket[i];
		with[labels[1].name != NULL ? 2 : 1] = (struct label){ "le", bound[i] };
		sample(w, name, "_bucket", with);
		put_number(w, sum);
		sample_end(w);
	}
	sample(w, name, "_sum", labels);
	put_seconds(w, t->sum_us);
	sample_end(w);
	sample(w, name, "_count", labels);
	put_number(w, sum);
	sample_end(w);
}

static const char *const kind_name[KVR_OP_N] = { "lookup", "get", "put", "remove", "size",
	"prefetch" };
static const char *const verb_name[KVR_VERB_PING] = { "exists", "get", "put", "delete", "stat" };
static const char *const tier_state_name[KVR_TIER_STATES] = { "opening", "up", "cooling", "probing",
	"closed" };

static const struct {
	const char *name, *help;
} count_entry[KVR_COUNT_N] = {
#define X(name, text) { #name, text },
	KVR_COUNT_TABLE(X)
#undef X
};

static void
operations(struct writer *w, const struct kvr_metrics_state *s)
{
	family(w, "operations_total", "counter", "Operations answered, by their result");
	for (uint32_t k = 0; k < KVR_OP_N; k++) {
		for (int32_t e = 0; e < KVR_METRICS_ERRS; e++) {
			struct label l[LABELS] = { { "kind", kind_name[k] },
				{ "result", kvr_err_name(-e) } };

			one(w, "operations_total", l, s->op[k].result[e]);
		}
	}
	family(w, "operation_keys_total", "counter", "Keys of answered operations");
	for (uint32_t k = 0; k < KVR_OP_N; k++)
		one(w, "operation_keys_total", (struct label[LABELS]){ { "kind", kind_name[k] } },
		    s->op[k].keys);
	family(w, "operation_keys_ok_total", "counter", "Keys of them that were found or done");
	for (uint32_t k = 0; k < KVR_OP_N; k++)
		one(w, "operation_keys_ok_total",
		    (struct label[LABELS]){ { "kind", kind_name[k] } }, s->op[k].keys_ok);
	family(w, "operation_bytes_total", "counter", "Payload bytes of answered operations");
	for (uint32_t k = 0; k < KVR_OP_N; k++)
		one(w, "operation_bytes_total", (struct label[LABELS]){ { "kind", kind_name[k] } },
		    s->op[k].bytes);
	family(w, "operation_seconds", "histogram", "Time from submission to answer");
	for (uint32_t k = 0; k < KVR_OP_N; k++)
		times(w, "operation_seconds", (struct label[LABELS]){ { "kind", kind_name[k] } },
		    &s->op[k].times);
}

/* Each verb of each tier. */
#define EACH_VERB(s, t, v)                                                                         \
	for (uint32_t t = 0; t < (s)->n_tiers; t++)                                                \
		for (uint32_t v = 0; v < KVR_VERB_PING; v++)

static void
reasons(struct writer *w, const struct kvr_metrics_state *s, const char *const *names, bool dropped)
{
	const char *name = dropped ? "tier_keys_dropped_total" : "tier_keys_error_total";

	EACH_VERB(s, t, v)
	{
		const struct kvr_metrics_verb *verb = &s->tier[t].verb[v];

		/* 0 is OK and 1 is MISS: neither is an error. */
		for (int32_t e = 2; e < KVR_METRICS_ERRS; e++) {
			struct label l[LABELS] = { { "tier", names[t] }, { "verb", verb_name[v] },
				{ "reason", kvr_err_name(-e) } };

			one(w, name, l, dropped ? verb->dropped[e] : verb->error[e]);
		}
	}
}

enum column { KEYS, OK, MISSED, BYTES, PARTS };

static void
verbs(struct writer *w, const struct kvr_metrics_state *s, const char *const *names,
    const char *name, const char *help, enum column column)
{
	family(w, name, "counter", help);
	EACH_VERB(s, t, v)
	{
		const struct kvr_metrics_verb *verb = &s->tier[t].verb[v];
		uint64_t n = column == KEYS     ? verb->keys
		             : column == OK     ? verb->ok
		             : column == MISSED ? verb->miss
		             : column == BYTES  ? verb->bytes
		                                : verb->parts;

		one(w, name,
		    (struct label[LABELS]){ { "tier", names[t] }, { "verb", verb_name[v] } }, n);
	}
}

static void
traffic(struct writer *w, const struct kvr_metrics_state *s, const char *const *names)
{
	verbs(w, s, names, "tier_keys_total",
	    "Keys asked of a tier: the sum of ok, miss, error and dropped", KEYS);
	verbs(w, s, names, "tier_keys_ok_total", "Keys of them that were found or done", OK);
	verbs(w, s, names, "tier_keys_miss_total", "Keys of them that the tier does not have",
	    MISSED);
	family(w, "tier_keys_error_total", "counter", "Keys of them that failed at a lane");
	reasons(w, s, names, false);
	family(w, "tier_keys_dropped_total", "counter", "Keys of them that no lane was given");
	reasons(w, s, names, true);
	verbs(w, s, names, "tier_bytes_total", "Payload bytes moved", BYTES);
	verbs(w, s, names, "tier_parts_total", "Parts answered", PARTS);
	family(w, "tier_part_seconds", "histogram", "Time of a part in a lane");
	EACH_VERB(s, t, v)
	times(w, "tier_part_seconds",
	    (struct label[LABELS]){ { "tier", names[t] }, { "verb", verb_name[v] } },
	    &s->tier[t].verb[v].times);
}

static void
events(struct writer *w, const struct kvr_metrics_state *s, const char *const *names)
{
	char name[48];

	for (uint32_t c = 0; c < KVR_COUNT_N; c++) {
		uint32_t n = 0;

		for (const char *p = count_entry[c].name; *p != '\0' && n < sizeof(name) - 7; p++)
			name[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		for (const char *p = "_total"; *p != '\0'; p++)
			name[n++] = *p;
		name[n] = '\0';
		family(w, name, "counter", count_entry[c].help);
		/* No tier: of the instance as a whole. */
		one(w, name, (struct label[LABELS]){ { "tier", "" } }, s->count[c]);
		for (uint32_t t = 0; t < s->n_tiers; t++)
			one(w, name, (struct label[LABELS]){ { "tier", names[t] } },
			    s->tier[t].count[c]);
	}
}

#define EACH_STATE(s, t, i)                                                                        \
	for (uint32_t t = 0; t < (s)->n_tiers; t++)                                                \
		for (uint32_t i = 0; i < KVR_TIER_STATES; i++)

static void
states(struct writer *w, const struct kvr_metrics_state *s, const char *const *names)
{
	family(w, "tier_state", "gauge", "1 for the state that a tier is in");
	EACH_STATE(s, t, i)
	{
		struct label l[LABELS] = { { "tier", names[t] }, { "state", tier_state_name[i] } };

		one(w, "tier_state", l, s->tier[t].state == i);
	}
	family(w, "tier_state_entered_total", "counter", "Times that a tier came into a state");
	EACH_STATE(s, t, i)
	{
		struct label l[LABELS] = { { "tier", names[t] }, { "state", tier_state_name[i] } };

		one(w, "tier_state_entered_total", l, s->tier[t].entered[i]);
	}
	family(w, "tier_links_up", "gauge", "Connections of a tier that stand");
	for (uint32_t t = 0; t < s->n_tiers; t++)
		one(w, "tier_links_up", (struct label[LABELS]){ { "tier", names[t] } },
		    s->tier[t].links_up);
}

size_t
kvr_metrics_text(const struct kvr_metrics_state *state, const char *const *names, uint32_t n_tiers,
    bool json, char *ret, size_t cap)
{
	struct writer w = { .at = ret, .cap = cap, .json = json, .first_family = true };

	KVR_CHECK(n_tiers >= state->n_tiers);
	put(&w, json ? "{" : "");
	operations(&w, state);
	traffic(&w, state, names);
	events(&w, state, names);
	states(&w, state, names);
	put(&w, json ? "\n]}}\n" : "");
	if (cap > 0)
		ret[KVR_MIN(w.len, cap - 1)] = '\0';
	return w.len + 1;
}
