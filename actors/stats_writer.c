/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Families and samples. The same walk over the statistics makes all three forms: it names families
 * and samples, and the form decides how they are written.
 */
#include "kvr_stats_own.h"

#include <stdio.h>
#include <string.h>

static void
put_char(struct kvr_writer *w, char c)
{
	if (w->len + 1 < w->cap)
		w->at[w->len] = c;
	w->len++;
}

static void
put(struct kvr_writer *w, const char *text)
{
	size_t len = strlen(text);

	if (w->len + len < w->cap) {
		memcpy(w->at + w->len, text, len);
		w->len += len;
		return;
	}
	for (; *text != '\0'; text++)
		put_char(w, *text);
}

/* Quoted and escaped, because names of tiers come from people. */
static void
put_quoted(struct kvr_writer *w, const char *text)
{
	char hex[8];

	put_char(w, '"');
	for (; *text != '\0'; text++) {
		uint8_t c = (uint8_t)*text;

		if (c == '"' || c == '\\') {
			put_char(w, '\\');
			put_char(w, *text);
		} else if (c == '\n') {
			put(w, "\\n");
		} else if (c < 0x20 && w->form == KVR_STATS_JSON) {
			snprintf(hex, sizeof(hex), "\\u%04x", c);
			put(w, hex);
		} else {
			put_char(w, *text);
		}
	}
	put_char(w, '"');
}

static void
put_number(struct kvr_writer *w, uint64_t n)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	put(w, at);
}

void
kvr_family(struct kvr_writer *w, const char *name, const char *type, const char *help)
{
	w->family = name;
	w->counter = strcmp(type, "counter") == 0;
	/* OpenMetrics names a counter's family without the suffix of its samples. */
	const char *total = w->counter && w->form != KVR_STATS_OPENMETRICS ? "_total" : "";

	if (w->form == KVR_STATS_JSON) {
		char key[128];

		/* kvrelay's own names need no prefix in JSON. */
		snprintf(key, sizeof(key), "%s%s%s",
		    strcmp(w->prefix, "kvrelay_") == 0 ? "" : w->prefix, name, total);
		put(w, w->first_family ? "" : "\n]},\n");
		put_quoted(w, key);
		put(w, ":{\"type\":");
		put_quoted(w, type);
		put(w, ",\"help\":");
		put_quoted(w, help);
		put(w, ",\"samples\":[");
	} else {
		char lines[512];

		snprintf(lines, sizeof(lines), "# HELP %s%s%s %s\n# TYPE %s%s%s %s\n", w->prefix,
		    name, total, help, w->prefix, name, total, type);
		put(w, lines);
	}
	w->first_family = false;
	w->first_sample = true;
}

static void
put_labels(struct kvr_writer *w, const struct kvr_label *labels)
{
	bool json = w->form == KVR_STATS_JSON, first = true;

	for (uint32_t i = 0; labels != NULL && i < KVR_LABELS && labels[i].name != NULL; i++) {
		if (json) {
			put_quoted(w, labels[i].name);
			put_char(w, ':');
		} else {
			put_char(w, first ? '{' : ',');
			put(w, labels[i].name);
			put_char(w, '=');
		}
		put_quoted(w, labels[i].value);
		if (json)
			put_char(w, ',');
		first = false;
	}
	if (!first && !json)
		put_char(w, '}');
}

/* The caller writes the value next, then calls sample_end. */
static void
sample(struct kvr_writer *w, const char *suffix, const struct kvr_label *labels)
{
	if (w->form == KVR_STATS_JSON) {
		put(w, w->first_sample ? "\n{" : ",\n{");
		if (suffix[0] != '\0') {
			put(w, "\"of\":");
			put_quoted(w, suffix + 1);
			put_char(w, ',');
		}
		put_labels(w, labels);
		put(w, "\"value\":");
	} else {
		put(w, w->prefix);
		put(w, w->family);
		put(w, w->counter ? "_total" : suffix);
		put_labels(w, labels);
		put_char(w, ' ');
	}
	w->first_sample = false;
}

static void
sample_end(struct kvr_writer *w)
{
	put_char(w, w->form == KVR_STATS_JSON ? '}' : '\n');
}

void
kvr_put_u64(struct kvr_writer *w, const struct kvr_label *labels, uint64_t n)
{
	sample(w, "", labels);
	put_number(w, n);
	sample_end(w);
}

void
kvr_put_i64(struct kvr_writer *w, const struct kvr_label *labels, int64_t n)
{
	sample(w, "", labels);
	if (n < 0)
		put_char(w, '-');
	put_number(w, n < 0 ? (uint64_t)-n : (uint64_t)n);
	sample_end(w);
}

static void
put_micros(struct kvr_writer *w, uint64_t micros)
{
	char text[40];

	snprintf(text, sizeof(text), "%llu.%06llu", (unsigned long long)(micros / 1000000),
	    (unsigned long long)(micros % 1000000));
	put(w, text);
}

void
kvr_put_micros(struct kvr_writer *w, const struct kvr_label *labels, uint64_t micros)
{
	sample(w, "", labels);
	put_micros(w, micros);
	sample_end(w);
}

/* "0.00005", "1"; OpenMetrics wants a point in every bound: "1.0". */
static const char *
bound_text(const struct kvr_writer *w, uint32_t us, uint32_t unit_us, char *ret, size_t cap)
{
	size_t len = (size_t)snprintf(ret, cap, "%u.%06llu", us / unit_us,
	    (unsigned long long)(us % unit_us) * 1000000 / unit_us);
	size_t keep = w->form == KVR_STATS_OPENMETRICS ? 2 : 0; /* ".0" stays */

	while (ret[len - 1] == '0' && !(keep > 0 && ret[len - 2] == '.'))
		len--;
	if (ret[len - 1] == '.')
		len--;
	ret[len] = '\0';
	return ret;
}

void
kvr_put_times(struct kvr_writer *w, const struct kvr_label *labels,
    const struct kvr_metrics_state *state, const struct kvr_metrics_times *t,
    const uint32_t *bound_us, uint32_t n_bounds, uint32_t unit_us)
{
	struct kvr_label with[KVR_LABELS + 1] = { { NULL, NULL } };
	uint32_t n = 0, at = 0;
	uint64_t sum = 0;
	char text[32];

	for (; labels != NULL && n + 1 < KVR_LABELS && labels[n].name != NULL; n++)
		with[n] = labels[n];
	for (uint32_t i = 0; i <= n_bounds; i++) {
		uint32_t last = state->n_bounds;

		/* Buckets of the state end at their bounds; the last one has none. */
		while (i < n_bounds && at < last && state->bound_us[at] <= bound_us[i])
			sum += t->bucket[at++];
		while (i == n_bounds && at <= last)
			sum += t->bucket[at++];
		with[n] = (struct kvr_label){ "le",
			i == n_bounds ? "+Inf" :
					bound_text(w, bound_us[i], unit_us, text, sizeof(text)) };
		sample(w, "_bucket", with);
		put_number(w, sum);
		sample_end(w);
	}
	sample(w, "_sum", labels);
	put_micros(w, t->sum_us * (1000000 / unit_us));
	sample_end(w);
	sample(w, "_count", labels);
	put_number(w, sum);
	sample_end(w);
}

void
kvr_writer_begin(struct kvr_writer *w)
{
	w->first_family = true;
	put(w, w->form == KVR_STATS_JSON ? "{" : "");
}

size_t
kvr_writer_end(struct kvr_writer *w)
{
	put(w, w->form == KVR_STATS_JSON          ? "\n]}}\n"
	       : w->form == KVR_STATS_OPENMETRICS ? "# EOF\n"
	                                          : "");
	if (w->cap > 0)
		w->at[KVR_MIN(w->len, w->cap - 1)] = '\0';
	return w->len + 1;
}
