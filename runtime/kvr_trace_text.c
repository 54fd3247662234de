/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a message are printed from their declarations in the message table, so a new
 * message or field is in every listing as soon as it exists.
 */
#include "kvr_trace_text.h"

#include "kvr_err.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct line {
	char *at;
	size_t n, cap;
};

static void put(struct line *, const char *format, ...) KVR_PRINTF(2, 3);

static void
put(struct line *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(l->at + l->n, l->cap - l->n, format, args);
	va_end(args);
	if (n > 0)
		l->n = KVR_MIN(l->n + (size_t)n, l->cap - 1);
}

static void
put_ms(struct line *l, const char *name, uint64_t at_ns, uint64_t opened_ns)
{
	/* Deadlines in tests may be before the trace was opened. */
	put(l, " %s %.3f ms", name, (double)(int64_t)(at_ns - opened_ns) / 1e6);
}

/* ---- fields ---- */

/* The numbers are those of enum kvr_verb, which this layer does not see. */
static const char *const verb_name[] = { "exists", "get", "put", "delete", "stat", "ping" };
static const char *const class_name[KVR_CLASS_N] = { "lookup", "prefetch", "get", "put",
	"background" };
static const char *const blame_name[] = { "none", "key", "lane", "store" };
static const char *const count_name[KVR_COUNT_N] = {
#define X(name, text) [KVR_COUNT_##name] = #name,
	KVR_COUNT_TABLE(X)
#undef X
};

/* Fields whose numbers have names. type: only in this message; KVR_MSG_N: in every message. */
static const struct {
	const char *field;
	uint16_t type;
	uint16_t n;
	const char *const *name;
} named[] = {
	{ "kind", KVR_MSG_N, KVR_OP_N, kvr_op_kind_name },
	{ "verb", KVR_MSG_N, KVR_LEN(verb_name), verb_name },
	{ "cls", KVR_MSG_N, KVR_CLASS_N, class_name },
	{ "blame", KVR_MSG_N, KVR_LEN(blame_name), blame_name },
	{ "what", KVR_MSG_COUNT, KVR_COUNT_N, count_name },
	{ "state", KVR_MSG_LINK_STATE, KVR_LINK_STATES, kvr_link_state_name },
	{ "state", KVR_MSG_TIER_STATE, KVR_TIER_STATES, kvr_tier_state_name },
};

static const char *
name_of(const char *field, uint16_t type, int64_t value)
{
	for (size_t i = 0; i < KVR_LEN(named); i++) {
		if (strcmp(named[i].field, field) == 0 &&
		    (named[i].type == KVR_MSG_N || named[i].type == type) && value >= 0 &&
		    value < named[i].n)
			return named[i].name[value];
	}
	return NULL;
}

struct field {
	char name[24];
	bool is_signed;
	uint32_t size;
};

/* Takes the first declaration off "int32_t err; uint32_t took_us;"; false at the end. */
static bool
next_field(const char **text, struct field *ret)
{
	char type[16];
	int used = 0;
	unsigned bits = 0;

	if (sscanf(*text, " %15[a-z0-9_] %23[a-z0-9_];%n", type, ret->name, &used) != 2 ||
	    used == 0)
		return false;
	ret->is_signed = type[0] == 'i';
	KVR_CHECK(
	    sscanf(type, ret->is_signed ? "int%u_t" : "uint%u_t", &bits) == 1 && bits % 8 == 0);
	ret->size = bits / 8;
	*text += used;
	return true;
}

static int64_t
value_of(const uint8_t *at, const struct field *f)
{
	uint64_t raw = 0;

	memcpy(&raw, at, f->size); /* little-endian, as the whole file is */
	if (f->is_signed && f->size < 8 && (raw >> (f->size * 8 - 1) & 1) != 0)
		raw |= ~UINT64_C(0) << (f->size * 8);
	return (int64_t)raw;
}

/* The flags of an answer, and the tiers that were left out or late. */
static void
put_done_bits(struct line *l, uint64_t bits)
{
	static const char *const name[] = { "quiet", "held", "duplicate", "degraded", "recorded" };
	const char *before = " flags ";

	_Static_assert(1U << KVR_LEN(name) == KVR_DONEB_ALL + 1, "a name for each");
	for (uint32_t i = 0; i < KVR_LEN(name); i++) {
		if ((bits >> i & 1) != 0) {
			put(l, "%s%s", before, name[i]);
			before = ",";
		}
	}
	before = " tiers ";
	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++) {
		if ((bits >> (KVR_DONEB_TIERS + t) & 1) != 0) {
			put(l, "%s%" PRIu32, before, t);
			before = ",";
		}
	}
}

static void
put_field(struct line *l, uint16_t type, const struct field *f, int64_t value, uint64_t opened_ns)
{
	size_t len = strlen(f->name);
	const char *name = name_of(f->name, type, value);

	if (type == KVR_MSG_COMPLETE && strcmp(f->name, "flags") == 0)
		put_done_bits(l, (uint64_t)value);
	else if (strcmp(f->name, "err") == 0 || strcmp(f->name, "reason") == 0)
		put(l, " %s %s", f->name,
		    value == KVR_PENDING ? "PENDING" : kvr_err_name((int32_t)value));
	else if (name != NULL)
		put(l, " %s %s", f->name, name);
	else if (value == 0 || strncmp(f->name, "spare", 5) == 0)
		return;
	else if (len > 3 && strcmp(f->name + len - 3, "_ns") == 0)
		put_ms(l, f->name, (uint64_t)value, opened_ns);
	else if (f->is_signed)
		put(l, " %s %" PRId64, f->name, value);
	else
		put(l, " %s %" PRIu64, f->name, (uint64_t)value);
}

static void
put_fields(struct line *l, const struct kvr_msg *m, uint64_t opened_ns)
{
	const char *text = kvr_msg_info[m->type].fields;
	const uint8_t *from = (const uint8_t *)m->word;
	struct field f;
	size_t off = 0;

	while (next_field(&text, &f)) {
		off = (off + f.size - 1) / f.size * f.size;
		KVR_CHECK(off + f.size <= sizeof(m->word));
		put_field(l, m->type, &f, value_of(from + off, &f), opened_ns);
		off += f.size;
	}
}

void
kvr_msg_timeless(struct kvr_msg *m)
{
	const char *text = kvr_msg_info[m->type].fields;
	uint8_t *from = (uint8_t *)m->word;
	struct field f;
	size_t off = 0;

	m->cause = 0;
	m->deadline_ns = m->deadline_ns != 0;
	while (next_field(&text, &f)) {
		size_t len = strlen(f.name);
		bool time = len > 3 && (strcmp(f.name + len - 3, "_ns") == 0 ||
		                           strcmp(f.name + len - 3, "_us") == 0);

		off = (off + f.size - 1) / f.size * f.size;
		if (time || strcmp(f.name, "seed") == 0)
			memset(from + off, 0, f.size);
		off += f.size;
	}
}

const char *
kvr_msg_text(const struct kvr_msg *m, uint64_t opened_ns, char *ret, size_t cap)
{
	struct line l = { ret, 0, cap };

	KVR_CHECK(m->type < KVR_MSG_N && cap > 0);
	ret[0] = '\0';
	put_fields(&l, m, opened_ns);
	return ret[0] == ' ' ? memmove(ret, ret + 1, l.n) : ret;
}

/* ---- records ---- */

const char *
kvr_state_text(kvr_spec_find_fn *find, uint16_t actor, uint32_t state, char *ret, size_t cap)
{
	const struct kvr_spec *spec = find == NULL ? NULL : find(actor);

	if (state == KVR_STATE_BROKEN)
		snprintf(ret, cap, "BROKEN");
	else if (spec != NULL && state < spec->n_states)
		snprintf(ret, cap, "%s", spec->state_name[state]);
	else
		snprintf(ret, cap, "%u", state);
	return ret;
}

const char *
kvr_rows_text(const struct kvr_row *rows, uint32_t n, char *ret, size_t cap)
{
	struct line l = { ret, 0, cap };

	KVR_CHECK(cap > 0);
	ret[0] = '\0';
	for (int err = 0; err > -128; err--) {
		uint32_t k = 0;

		for (uint32_t i = 0; i < n; i++)
			k += rows[i].err == err;
		if (k > 0 && err != KVR_PENDING)
			put(&l, "%s%" PRIu32 " %s", l.n == 0 ? "" : ", ", k, kvr_err_name(err));
	}
	return ret;
}

static void
put_op(struct line *l, const char *name, uint64_t op)
{
	if (op != 0)
		put(l, " %s %" PRIu32 ".%" PRIu64, name, (uint32_t)op, op >> 32);
}

static void
put_step(struct line *l, const struct kvr_rec_step *s, kvr_spec_find_fn *find, uint64_t opened_ns)
{
	const struct kvr_msg *m = &s->msg;
	char id[24], before[32], after[32], keys[128];

	put(l, " %-10s %-11s %-10s", kvr_id_name(s->rec.actor, id, sizeof(id)),
	    kvr_msg_info[m->type].name,
	    kvr_state_text(find, s->rec.actor, s->before, before, sizeof(before)));
	if (s->before == s->after)
		put(l, "               ");
	else
		put(l, " -> %-11s", kvr_state_text(find, s->rec.actor, s->after, after, sizeof(after)));
	put_op(l, "op", m->op);
	if (m->cause != 0)
		put(l, " cause %" PRIu64, m->cause);
	put(l, " from %s", kvr_id_name(m->from, id, sizeof(id)));
	if (m->part != 0)
		put(l, " part %" PRIu32 ".%" PRIu32, KVR_PART_SLOT(m->part), m->part >> 16);
	if (m->n_rows != 0)
		put(l, " rows %" PRIu32 "+%u", m->rows, m->n_rows);
	if (m->deadline_ns != 0)
		put_ms(l, "deadline", m->deadline_ns, opened_ns);
	put_fields(l, m, opened_ns);
	if (s->rows_here != 0 && kvr_msg_info[m->type].owner == KVR_OWNER_RECEIVER) {
		kvr_rows_text(
		    (const struct kvr_row *)(const void *)(s + 1), m->n_rows, keys, sizeof(keys));
		put(l, "%s%s", keys[0] == '\0' ? "" : " keys ", keys);
	}
	if (s->n_fx != 0)
		put(l, " effects %u", s->n_fx);
	put(l, " digest %016" PRIx64, s->digest);
}

/*
 * Bytes that are not printable ASCII become dots: a key may be any bytes, and a file may be
 * anybody's. A record may have megabytes of them, of which a full line takes no more.
 */
static void
put_bytes(struct line *l, const void *from, uint32_t len)
{
	const unsigned char *at = from;

	for (uint32_t i = 0; i < len && l->n + 1 < l->cap; i++)
		put(l, "%c", at[i] >= 0x20 && at[i] < 0x7f ? at[i] : '.');
}

const char *
kvr_mark_text(const struct kvr_rec_mark *m, char *ret, size_t cap)
{
	struct line l = { ret, 0, cap };

	KVR_CHECK(cap > 0);
	ret[0] = '\0';
	put_bytes(&l, m + 1, m->len);
	return ret;
}

static void
put_mark(struct line *l, const struct kvr_rec_mark *m)
{
	static const char *const name[] = {
		[KVR_MARK_SNAPSHOT_BEGIN] = "snapshot begins",
		[KVR_MARK_SNAPSHOT_END] = "snapshot ends",
		[KVR_MARK_PANIC] = "PANIC",
		[KVR_MARK_CLOSED] = "closed",
	};

	put(l, " -- %s ",
	    m->mark < KVR_LEN(name) && name[m->mark] != NULL ? name[m->mark] : "mark");
	put_bytes(l, m + 1, m->len);
}

static void
put_text(struct line *l, const struct kvr_rec_text *x)
{
	if (x->of == KVR_TEXT_OF_KEY)
		put(l, " -- key %" PRIu32, x->key);
	else
		put(l, " -- request");
	put_op(l, "of op", x->op);
	put(l, ": ");
	put_bytes(l, x + 1, x->len);
}

const char *
kvr_trace_fx(const struct kvr_fx *fx, uint64_t opened_ns, char *ret, size_t cap)
{
	const struct kvr_msg *m = &fx->msg;
	struct line l = { ret, 0, cap };
	char id[24];

	KVR_CHECK(cap > 0 && m->type < KVR_MSG_N);
	ret[0] = '\0';
	if (fx->kind == KVR_FX_LATER) {
		put(&l, "TIMER %" PRIu32, m->TIMER.timer);
		put_ms(&l, "at", fx->at_ns, opened_ns);
		return ret;
	}
	put(&l, "%s to %s", kvr_msg_info[m->type].name, kvr_id_name(m->to, id, sizeof(id)));
	put_op(&l, "op", m->op);
	if (m->part != 0)
		put(&l, " part %" PRIu32 ".%" PRIu32, KVR_PART_SLOT(m->part), m->part >> 16);
	if (m->n_rows != 0)
		put(&l, " rows %" PRIu32 "+%u", m->rows, m->n_rows);
	put_fields(&l, m, opened_ns);
	return ret;
}

const char *
kvr_trace_line(const struct kvr_trace_head *h, const struct kvr_rec *r, kvr_spec_find_fn *find,
    char *ret, size_t cap)
{
	struct line l = { ret, 0, cap };
	char id[24], state[32];
	uint64_t at_ns = r->kind == KVR_REC_STEP   ? kvr_rec_step(r)->now_ns
	                 : r->kind == KVR_REC_MARK ? kvr_rec_mark(r)->now_ns
	                                           : h->opened_mono_ns;

	KVR_CHECK(cap > 0);
	ret[0] = '\0';
	if (r->kind == KVR_REC_STATE || r->kind == KVR_REC_TEXT)
		put(&l, "[             ]");
	else
		put(&l, "[%10.3f ms]", (double)(int64_t)(at_ns - h->opened_mono_ns) / 1e6);
	if (r->kind == KVR_REC_STEP)
		put(&l, " %6" PRIu64, kvr_rec_step(r)->step);
	else
		put(&l, "       ");
	if (r->kind == KVR_REC_STEP)
		put_step(&l, kvr_rec_step(r), find, h->opened_mono_ns);
	else if (r->kind == KVR_REC_MARK)
		put_mark(&l, kvr_rec_mark(r));
	else if (r->kind == KVR_REC_TEXT)
		put_text(&l, kvr_rec_text(r));
	else if (r->kind == KVR_REC_STATE && r->actor == KVR_ID_NONE)
		put(&l, " -- rows, %" PRIu64 " bytes at %" PRIu32,
		    r->len - sizeof(struct kvr_rec_state), kvr_rec_state(r)->off);
	else if (r->kind == KVR_REC_STATE)
		put(&l, " -- state of %s in %s, %" PRIu64 " bytes at %" PRIu32,
		    kvr_id_name(r->actor, id, sizeof(id)),
		    kvr_state_text(find, r->actor, kvr_rec_state(r)->state, state, sizeof(state)),
		    r->len - sizeof(struct kvr_rec_state), kvr_rec_state(r)->off);
	return ret;
}
