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
	/* Deadlines of tests may lie before the trace was opened. */
	put(l, " %s %.3f ms", name, (double)(int64_t)(at_ns - opened_ns) / 1e6);
}

/* ---- fields ---- */

static const char *const fields_of[KVR_MSG_N] = {
#define X(name, rows, owner, fields) [KVR_MSG_##name] = #fields,
	KVR_MSG_TABLE(X)
#undef X
};

static const char *const op_kind[KVR_OP_N] = {
	[KVR_OP_LOOKUP] = "lookup",
	[KVR_OP_GET] = "get",
	[KVR_OP_PUT] = "put",
	[KVR_OP_REMOVE] = "remove",
	[KVR_OP_SIZE] = "size",
	[KVR_OP_PREFETCH] = "prefetch",
};

struct field {
	char name[24];
	bool is_signed;
	uint32_t size;
};

/* "int32_t err; uint32_t took_us;" -> the first of them; false at the end. */
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

static void
put_field(struct line *l, const struct field *f, int64_t value, uint64_t opened_ns)
{
	size_t len = strlen(f->name);

	if (strcmp(f->name, "err") == 0 || strcmp(f->name, "reason") == 0)
		put(l, " %s %s", f->name,
		    value == KVR_PENDING ? "PENDING" : kvr_err_name((int32_t)value));
	else if (value == 0 || strncmp(f->name, "spare", 5) == 0)
		return;
	else if (strcmp(f->name, "kind") == 0 && value < KVR_OP_N)
		put(l, " %s %s", f->name, op_kind[value]);
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
	const char *text = fields_of[m->type];
	const uint8_t *from = (const uint8_t *)m->word;
	struct field f;
	size_t off = 0;

	while (next_field(&text, &f)) {
		off = (off + f.size - 1) / f.size * f.size;
		KVR_CHECK(off + f.size <= sizeof(m->word));
		put_field(l, &f, value_of(from + off, &f), opened_ns);
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

static const char *
state_name(kvr_spec_find_fn *find, uint16_t actor, unsigned state, char *ret, size_t cap)
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
	char id[24], before[32], after[32];

	put(l, " %-10s %-11s %-10s", kvr_id_name(s->rec.actor, id, sizeof(id)),
	    kvr_msg_info[m->type].name,
	    state_name(find, s->rec.actor, s->before, before, sizeof(before)));
	if (s->before == s->after)
		put(l, "               ");
	else
		put(l, " -> %-11s", state_name(find, s->rec.actor, s->after, after, sizeof(after)));
	put_op(l, "op", m->op);
	put(l, " step %" PRIu64, s->step);
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
	if (s->n_fx != 0)
		put(l, " effects %u", s->n_fx);
	put(l, " digest %016" PRIx64, s->digest);
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

	put(l, " -- %s %.*s",
	    m->mark < KVR_LEN(name) && name[m->mark] != NULL ? name[m->mark] : "mark", (int)m->len,
	    (const char *)(m + 1));
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
	if (r->kind == KVR_REC_STATE)
		put(&l, "[            ]");
	else
		put(&l, "[%10.3f ms]", (double)(int64_t)(at_ns - h->opened_mono_ns) / 1e6);
	put(&l, " %6" PRIu64, r->number);
	if (r->kind == KVR_REC_STEP)
		put_step(&l, kvr_rec_step(r), find, h->opened_mono_ns);
	else if (r->kind == KVR_REC_MARK)
		put_mark(&l, kvr_rec_mark(r));
	else if (r->kind == KVR_REC_STATE && r->actor == KVR_ID_NONE)
		put(&l, " -- rows, %" PRIu64 " bytes at %" PRIu32,
		    r->len - sizeof(struct kvr_rec_state), kvr_rec_state(r)->off);
	else if (r->kind == KVR_REC_STATE)
		put(&l, " -- state of %s in %s, %" PRIu64 " bytes at %" PRIu32,
		    kvr_id_name(r->actor, id, sizeof(id)),
		    state_name(find, r->actor, kvr_rec_state(r)->state, state, sizeof(state)),
		    r->len - sizeof(struct kvr_rec_state), kvr_rec_state(r)->off);
	return ret;
}
