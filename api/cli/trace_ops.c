/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a trace knows of its operations. Their beginning is a record, SUBMIT. Their answer is an
 * effect of the router, known only where a replay is possible.
 */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct trace_op *
find(const struct trace_ops *o, uint64_t id)
{
	/* Most searches are for the newest. */
	for (uint64_t i = o->n; i-- > 0;) {
		if (o->op[i].id == id)
			return &o->op[i];
	}
	return NULL;
}

static struct trace_op *
find_or_add(struct trace_ops *o, uint64_t id, uint64_t first)
{
	struct trace_op *op = find(o, id);

	if (op != NULL)
		return op;
	if (o->n == o->cap) {
		uint64_t cap = o->cap == 0 ? 256 : 2 * o->cap;
		struct trace_op *at = realloc(o->op, cap * sizeof(o->op[0]));

		if (at == NULL)
			return NULL;
		o->op = at;
		o->cap = cap;
	}
	op = &o->op[o->n++];
	*op = (struct trace_op){ .id = id, .first = first, .kind = KVR_OP_N };
	return op;
}

static void
submitted(struct trace_op *op, const struct kvr_rec_step *s)
{
	op->asked_ns = s->now_ns;
	op->deadline_ns = s->msg.deadline_ns;
	op->n_keys = s->msg.SUBMIT.n;
	op->flags = s->msg.SUBMIT.flags;
	op->row = s->msg.SUBMIT.first;
	op->kind = s->msg.SUBMIT.kind;
	op->request = s->msg.SUBMIT.request;
}

static void
answered(struct trace_op *op, const struct kvr_msg *m, uint64_t now_ns)
{
	if (op->asked_ns != 0 && m->rows != op->row) { /* ahead of its copies: rows of its own */
		op->ahead_ns = now_ns;
		op->n_ahead++;
		return;
	}
	if (op->n_complete++ == 0)
		op->answered_ns = now_ns;
	if ((m->COMPLETE.flags & KVR_DONEB_QUIET) != 0)
		op->quiet_ns = now_ns;
	op->err = m->COMPLETE.err;
	op->done_bits = m->COMPLETE.flags;
	op->n_ok = m->COMPLETE.n_ok;
	op->bytes = m->COMPLETE.bytes;
}

/* A miss is an answer, and a part that is no longer wanted is nobody's fault. */
static bool
is_failure(int32_t err)
{
	switch (err) {
	case KVR_OK:
	case KVR_PENDING:
	case KVR_E_MISS:
	case KVR_E_EXISTS:
	case KVR_E_UNASKED:
	case KVR_E_CANCELLED:
		return false;
	default:
		return true;
	}
}

/*
 * Notes the first error of a part. Its rows are in the record of the link that got it from its
 * worker. A part that no worker saw reaches the router with one error for all rows.
 */
static void
came_back(struct trace_op *op, const struct kvr_rec_step *s)
{
	const struct kvr_row *rows = (const struct kvr_row *)(const void *)(s + 1);
	uint8_t tier = s->msg.PART_DONE.tier;

	if (op->answered_ns != 0 || s->msg.PART_DONE.cls == KVR_CLASS_BACKGROUND ||
	    tier >= KVR_TIERS_MAX)
		return;
	if (op->said[tier] == 0 && is_failure(s->msg.PART_DONE.err))
		op->said[tier] = (int8_t)s->msg.PART_DONE.err;
	for (uint32_t i = 0; s->rows_here != 0 && i < s->msg.n_rows; i++)
		if (op->said[tier] == 0 && is_failure(rows[i].err))
			op->said[tier] = rows[i].err;
}

bool
trace_ops_of(const struct trace_model *m, struct trace_ops *ret)
{
	*ret = (struct trace_ops){ .n = 0 };
	for (uint64_t i = 0; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];
		struct trace_op *op = NULL;

		if (s->rec->msg.op != 0 && s->rec->rec.actor == KVR_ID_ROUTER) {
			op = find_or_add(ret, s->rec->msg.op, i);
			if (op == NULL)
				return false;
		}
		if (op != NULL && s->rec->msg.type == KVR_MSG_SUBMIT)
			submitted(op, s->rec);
		if (s->rec->msg.type == KVR_MSG_PART_DONE)
			op = find(ret, s->rec->msg.op);
		if (op != NULL && s->rec->msg.type == KVR_MSG_PART_DONE)
			came_back(op, s->rec);
		for (uint32_t k = 0; k < s->n_fx; k++) {
			const struct kvr_msg *e = &m->fx[s->fx + k].msg;

			if (e->to != KVR_ID_API || e->op == 0)
				continue;
			op = find_or_add(ret, e->op, i);
			if (op == NULL)
				return false;
			if (e->type == KVR_MSG_COMPLETE)
				answered(op, e, s->rec->now_ns);
			else if (e->type == KVR_MSG_RELEASE && op->n_release++ == 0)
				op->released_ns = s->rec->now_ns;
		}
	}
	return true;
}

void
trace_ops_free(struct trace_ops *o)
{
	free(o->op);
	*o = (struct trace_ops){ .n = 0 };
}

const char *
trace_op_text(const struct trace_op *op, char *ret, size_t cap)
{
	if (op->kind >= KVR_OP_N)
		snprintf(ret, cap, "asked for before the trace begins");
	else
		snprintf(ret, cap, "%s of %u key%s", kvr_op_kind_name[op->kind], op->n_keys,
		    op->n_keys == 1 ? "" : "s");
	return ret;
}

/* The tiers that were skipped, or were late. */
static int
blamed(const struct trace_op *op, char *ret, size_t cap)
{
	const char *before = (op->done_bits & KVR_DONEB_DEGRADED) != 0
	                         ? "; left out or late: tier "
	                         : "; late: tier ";
	int n = 0;

	for (uint32_t t = 0; t < KVR_TIERS_MAX; t++) {
		if ((op->done_bits >> (KVR_DONEB_TIERS + t) & 1) == 0)
			continue;
		n += snprintf(ret + n, cap - (size_t)n, "%s%u", before, t);
		before = ", ";
	}
	return n;
}

/* If the answer is not OK: tiers with an error that blamed() does not name. */
static int
failed(const struct trace_op *op, char *ret, size_t cap)
{
	const char *before = "; ";
	int n = 0;

	for (uint32_t t = 0; t < KVR_TIERS_MAX && op->err != KVR_OK; t++) {
		if (op->said[t] == 0 || (op->done_bits >> (KVR_DONEB_TIERS + t) & 1) != 0)
			continue;
		n += snprintf(ret + n, cap - (size_t)n, "%stier %u said %s", before, t,
		    kvr_err_name(op->said[t]));
		before = ", ";
	}
	return n;
}

const char *
trace_op_end(const struct trace_model *m, const struct trace_op *op, char *ret, size_t cap)
{
	char bytes[32];
	uint64_t end_ns = trace_end_ns(m);

	if (op->answered_ns == 0) {
		snprintf(ret, cap, "not answered when the trace ends, %.3f ms after it was asked",
		    op->asked_ns == 0 ? 0 : (double)(end_ns - op->asked_ns) / 1e6);
		return ret;
	}
	int n = snprintf(ret, cap, "%s, %u of %u keys, %s", kvr_err_name(op->err), op->n_ok,
	    op->n_keys, cli_bytes(op->bytes, bytes, sizeof(bytes)));
	if (op->asked_ns != 0)
		n += snprintf(ret + n, cap - (size_t)n, ", after %.3f ms",
		    (double)(op->answered_ns - op->asked_ns) / 1e6);
	if (op->ahead_ns != 0)
		n += snprintf(ret + n, cap - (size_t)n, ", its copies begun after %.3f ms",
		    (double)(op->ahead_ns - op->asked_ns) / 1e6);
	n += blamed(op, ret + n, cap - (size_t)n);
	n += failed(op, ret + n, cap - (size_t)n);
	if (op->released_ns == 0)
		snprintf(ret + n, cap - (size_t)n, "; not released when the trace ends");
	return ret;
}

/* ---- parts under way ---- */

static struct trace_held *
held_of(struct trace_held *held, uint32_t *n, uint32_t part)
{
	for (uint32_t i = 0; i < *n; i++) {
		if (held[i].part == part)
			return &held[i];
	}
	if (*n == TRACE_PARTS_MAX)
		return NULL;
	held[*n] = (struct trace_held){ .part = part };
	return &held[(*n)++];
}

static void
forget(struct trace_held *held, uint32_t *n, uint32_t part)
{
	for (uint32_t i = 0; i < *n; i++) {
		if (held[i].part == part)
			held[i] = held[--*n];
	}
}

static void
note(struct trace_held *h, const struct kvr_msg *m, uint16_t by, uint64_t now_ns)
{
	if (h == NULL)
		return;
	h->by = by;
	h->since_ns = now_ns;
	h->until_ns = m->deadline_ns;
	snprintf(h->what, sizeof(h->what), "%s", kvr_msg_info[m->type].name);
}

uint32_t
trace_op_parts(const struct trace_model *m, const struct trace_op *op, struct trace_held *held)
{
	uint32_t n = 0;

	for (uint64_t i = op->first; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];
		const struct kvr_msg *in = &s->rec->msg;

		if (in->op == op->id && in->part != 0 &&
		    kvr_msg_info[in->type].owner == KVR_OWNER_RECEIVER) {
			if (s->rec->rec.actor == KVR_ID_ROUTER)
				forget(held, &n, in->part);
			else
				note(held_of(held, &n, in->part), in, s->rec->rec.actor,
				    s->rec->now_ns);
		}
		for (uint32_t k = 0; k < s->n_fx; k++) {
			const struct kvr_msg *e = &m->fx[s->fx + k].msg;

			if (m->fx[s->fx + k].kind == KVR_FX_SEND && e->op == op->id &&
			    e->part != 0 && kvr_msg_info[e->type].owner == KVR_OWNER_RECEIVER &&
			    e->to != KVR_ID_ROUTER)
				note(held_of(held, &n, e->part), e, e->to, s->rec->now_ns);
		}
	}
	return n;
}

void
trace_op_waits(const struct trace_model *m, const struct trace_op *op, const char *indent)
{
	struct trace_held held[TRACE_PARTS_MAX];
	uint32_t n = trace_op_parts(m, op, held);
	char id[24];

	for (uint32_t i = 0; i < n; i++) {
		printf("%spart %u.%u is with %s since %.3f ms", indent, KVR_PART_SLOT(held[i].part),
		    held[i].part >> 16, kvr_id_name(held[i].by, id, sizeof(id)),
		    trace_ms(m->head, held[i].since_ns));
		if (held[i].until_ns != 0 && held[i].until_ns != UINT64_MAX)
			printf(", its deadline is at %.3f ms", trace_ms(m->head, held[i].until_ns));
		printf("\n");
	}
}
