/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fault_script.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 7 }; /* of a number, before and after the point together */

/* One line, read word by word. */
struct reader {
	const char *line_at, *at, *end;
	uint32_t line;
	const char *word; /* the last word read */
	size_t len;
	struct kvr_fault_wrong *wrong;
};

struct takes {
	const char *name;
	bool percent, verbs;
};

static const struct takes takes[KVR_FAULT_N] = {
	[KVR_FAULT_PASS] = { "pass", false, false },
	[KVR_FAULT_DOWN] = { "down", false, false },
	[KVR_FAULT_HANG] = { "hang", false, true },
	[KVR_FAULT_DELAY] = { "delay", false, true },
	[KVR_FAULT_DRIP] = { "drip", false, true },
	[KVR_FAULT_DROP] = { "drop", true, true },
	[KVR_FAULT_RESET] = { "reset", true, true },
	[KVR_FAULT_ERROR] = { "error", true, true },
	[KVR_FAULT_TRUNCATE] = { "truncate", true, false },
	[KVR_FAULT_FLIP] = { "flip", true, false },
};

const char *
kvr_fault_name(uint32_t kind)
{
	return kind < KVR_FAULT_N ? takes[kind].name : "?";
}

/* Blames the last word, or the end of the line if there was none. Always returns false. */
static bool KVR_PRINTF(2, 3) wrong(struct reader *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->wrong->what, sizeof(r->wrong->what), fmt, args);
	va_end(args);
	r->wrong->line = r->line;
	r->wrong->column = (uint32_t)(r->word - r->line_at) + 1;
	return false;
}

/* False: the line has no more words. */
static bool
next_word(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
		r->at++;
	r->word = r->at;
	while (r->at < r->end && *r->at != ' ' && *r->at != '\t' && *r->at != '#')
		r->at++;
	r->len = (size_t)(r->at - r->word);
	if (r->len == 0)
		r->at = r->end; /* the rest is a comment */
	return r->len > 0;
}

static bool
is(const struct reader *r, const char *word)
{
	return strlen(word) == r->len && memcmp(word, r->word, r->len) == 0;
}

/* Digits and at most one point, in millionths; the rest of the word is the unit. */
static bool
number(const struct reader *r, uint64_t *ret_millionths, const char **ret_unit, size_t *ret_len)
{
	uint64_t n = 0, scale = 1000000;
	size_t i = 0, digits = 0;
	bool point = false;

	for (; i < r->len; i++) {
		char c = r->word[i];
		if (c == '.' && !point) {
			point = true;
			continue;
		}
		if (c < '0' || c > '9' || ++digits > DIGITS)
			break;
		if (point && (scale /= 10) == 0)
			return false;
		n = point ? n + (uint64_t)(c - '0') * scale
		          : n * 10 + (uint64_t)(c - '0') * 1000000;
	}
	*ret_millionths = n;
	*ret_unit = r->word + i;
	*ret_len = r->len - i;
	return digits > 0 && digits <= DIGITS;
}

struct unit {
	const char *name;
	uint64_t worth;
};

static bool
measure(struct reader *r, const struct unit *units, size_t n, const char *example, uint64_t *ret)
{
	uint64_t millionths = 0;
	const char *unit = NULL;
	size_t len = 0;

	if (number(r, &millionths, &unit, &len)) {
		for (size_t i = 0; i < n; i++) {
			if (strlen(units[i].name) != len || memcmp(units[i].name, unit, len) != 0)
				continue;
			/* Seven digits of minutes stay far below 64 bits. */
			*ret = millionths / 1000000 * units[i].worth +
			       millionths % 1000000 * units[i].worth / 1000000;
			return true;
		}
	}
	return wrong(
	    r, "\"%.*s\": expected something like %s", (int)KVR_MIN(r->len, 40U), r->word, example);
}

static bool
duration(struct reader *r, uint64_t *ret_ns)
{
	static const struct unit units[] = { { "us", UINT64_C(1000) }, { "ms", KVR_MS(1) },
		{ "s", KVR_SEC(1) }, { "min", KVR_SEC(60) } };

	if (r->len > 12)
		return wrong(r, "a time of more than 12 letters");
	return measure(r, units, KVR_LEN(units), "200ms, 1.5s or 2min", ret_ns);
}

static bool
rate(struct reader *r, uint64_t *ret_bytes)
{
	static const struct unit units[] = { { "B/s", 1 }, { "KiB/s", KVR_KIB(1) },
		{ "MiB/s", KVR_MIB(1) }, { "GiB/s", KVR_MIB(1024) } };

	if (!measure(r, units, KVR_LEN(units), "64KiB/s", ret_bytes))
		return false;
	return *ret_bytes > 0 || wrong(r, "a rate of nothing: write hang");
}

static bool
percent(struct reader *r, uint32_t *ret_ppm)
{
	static const struct unit units[] = { { "%", 10000 } };
	uint64_t ppm = 0;

	if (!measure(r, units, 1, "5% or 0.1%", &ppm))
		return false;
	*ret_ppm = (uint32_t)KVR_MIN(ppm, KVR_FAULT_PPM);
	return ppm <= KVR_FAULT_PPM || wrong(r, "more than 100%%");
}

/* "get,put" */
static bool
verbs(struct reader *r, uint32_t *ret)
{
	static const char *const names[] = { "lookup", "get", "put", "remove", "size" };
	const char *end = r->word + r->len;
	uint32_t set = 0;

	for (const char *at = r->word; at <= end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t len = (size_t)((comma != NULL ? comma : end) - at), i = 0;
		while (i < KVR_LEN(names) &&
		       (strlen(names[i]) != len || memcmp(names[i], at, len) != 0))
			i++;
		if (i == KVR_LEN(names)) {
			r->word = at;
			return wrong(r, "\"%.*s\": expected lookup, get, put, remove or size",
			    (int)KVR_MIN(len, 40U), at);
		}
		set |= 1U << i;
		at += len + 1;
	}
	*ret = set;
	return true;
}

static bool
error_code(struct reader *r, char ret[16])
{
	if (r->len >= 16)
		return wrong(r, "an error is one word of at most 15 capital letters: OOM");
	for (size_t i = 0; i < r->len; i++)
		if (r->word[i] < 'A' || r->word[i] > 'Z')
			return wrong(r, "an error is one word of capital letters: OOM");
	memcpy(ret, r->word, r->len);
	ret[r->len] = '\0';
	return true;
}

/* The words that only one kind takes. */
static bool
own_words(struct reader *r, struct kvr_fault *f)
{
	if (f->kind != KVR_FAULT_DELAY && f->kind != KVR_FAULT_DRIP && f->kind != KVR_FAULT_ERROR)
		return true;
	if (!next_word(r))
		return wrong(r, "%s: how much, how long or which is missing", takes[f->kind].name);
	if (f->kind == KVR_FAULT_DRIP)
		return rate(r, &f->least);
	if (f->kind == KVR_FAULT_ERROR)
		return error_code(r, f->code);
	if (!duration(r, &f->least))
		return false;
	f->most = f->least;
	return true;
}

/* "to T", "N%", "on VERBS", in any order, each only if the kind takes it. */
static bool
more_words(struct reader *r, struct kvr_fault *f)
{
	const struct takes *t = &takes[f->kind];

	while (next_word(r)) {
		bool ok;
		if (is(r, "to") && f->kind == KVR_FAULT_DELAY) {
			ok = next_word(r) ? duration(r, &f->most)
			                  : wrong(r, "to: a time is missing");
			if (ok && f->most < f->least)
				return wrong(r, "the second time is shorter than the first");
		} else if (is(r, "on") && t->verbs) {
			ok = next_word(r) ? verbs(r, &f->verbs) : wrong(r, "on: which is missing");
		} else if (t->percent) {
			ok = percent(r, &f->ppm);
		} else {
			return wrong(r, "%s does not take \"%.*s\"", t->name,
			    (int)KVR_MIN(r->len, 40U), r->word);
		}
		if (!ok)
			return false;
	}
	return true;
}

static bool
one_fault(struct reader *r, struct kvr_fault_script *s, uint64_t at_ns)
{
	if (s->n == KVR_FAULTS_MAX)
		return wrong(r, "more than %u faults", KVR_FAULTS_MAX);
	struct kvr_fault *f = &s->fault[s->n];
	*f = (struct kvr_fault){
		.at_ns = at_ns, .verbs = KVR_FAULT_ON_ALL, .ppm = KVR_FAULT_PPM, .line = r->line
	};
	while (f->kind < KVR_FAULT_N && !is(r, takes[f->kind].name))
		f->kind++;
	if (f->kind == KVR_FAULT_N)
		return wrong(r,
		    "\"%.*s\" is no fault: pass, down, hang, delay, drip, drop, reset, "
		    "error, truncate, flip or repeat",
		    (int)KVR_MIN(r->len, 24U), r->word);
	if (!own_words(r, f) || !more_words(r, f))
		return false;
	s->n++;
	return true;
}

static bool
seed(struct reader *r, struct kvr_fault_script *s)
{
	const char *unit = NULL;
	uint64_t millionths = 0;
	size_t len = 0;

	if (s->n > 0)
		return wrong(r, "seed belongs before the first fault");
	if (!next_word(r) || !number(r, &millionths, &unit, &len) || len > 0)
		return wrong(r, "seed: a number of at most %d digits is missing", DIGITS);
	s->seed = millionths / 1000000;
	return !next_word(r) || wrong(r, "seed is one number");
}

static bool
one_line(struct reader *r, struct kvr_fault_script *s)
{
	uint64_t at_ns = 0;

	if (!next_word(r))
		return true;
	if (s->period_ns > 0)
		return wrong(r, "nothing comes behind repeat");
	if (is(r, "seed"))
		return seed(r, s);
	if (!duration(r, &at_ns))
		return false;
	if (s->n > 0 && at_ns < s->fault[s->n - 1].at_ns)
		return wrong(r, "times do not go back");
	if (!next_word(r))
		return wrong(r, "what happens from then on is missing");
	if (!is(r, "repeat"))
		return one_fault(r, s, at_ns);
	if (at_ns == 0 || (s->n > 0 && at_ns == s->fault[s->n - 1].at_ns))
		return wrong(r, "repeat needs a time behind the last fault's");
	s->period_ns = at_ns;
	return !next_word(r) || wrong(r, "repeat takes nothing");
}

bool
kvr_fault_script_parse(
    const char *text, size_t len, struct kvr_fault_script *ret, struct kvr_fault_wrong *ret_wrong)
{
	const char *end = text + len;
	struct reader r = { .wrong = ret_wrong, .line_at = text };

	*ret = (struct kvr_fault_script){ .seed = 1 };
	for (const char *at = text; at < end; at = r.end + 1) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		r.line_at = r.at = r.word = at;
		r.end = stop != NULL ? stop : end;
		r.line++;
		const char *line_end = r.end;
		if (line_end > at && line_end[-1] == '\r')
			r.end--;
		bool ok = one_line(&r, ret);
		r.end = line_end;
		if (!ok)
			return false;
	}
	r.word = r.line_at;
	r.line = KVR_MAX(r.line, 1U);
	return ret->n > 0 || wrong(&r, "there is no fault in it");
}

uint32_t
kvr_fault_script_now(
    const struct kvr_fault_script *s, uint64_t since_ns, const struct kvr_fault **ret_first)
{
	uint64_t now_ns = s->period_ns > 0 ? since_ns % s->period_ns : since_ns;
	uint32_t end = 0;

	while (end < s->n && s->fault[end].at_ns <= now_ns)
		end++;
	uint32_t first = end;
	while (first > 0 && s->fault[first - 1].at_ns == s->fault[end - 1].at_ns)
		first--;
	*ret_first = &s->fault[first];
	return end - first;
}
