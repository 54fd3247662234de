/* SPDX-License-Identifier: Apache-2.0 */
/* An operation comes in: its keys are read slice by slice. */
#include "kvr_router_own.h"

static void
load_key(struct step *s, struct op *op, uint32_t slot, const struct kvr_row *row)
{
	struct key *k = &s->me->key[slot]; /* touched with all of this slice */

	*k = (struct key){ .digest = row->digest, .len = row->len, .op = (uint32_t)(op - s->me->op),
		.err = row->err, .tier = UINT8_MAX };
	if (row->flags & KVR_ROW_AT_MOST)
		k->flags |= KEY_AT_MOST;
	if (row->err != KVR_PENDING) /* the facade knew the outcome already: SKIPPED_MLA, NOMEM */
		return;
	op->pending++;
	if (op->kind == KVR_OP_PUT) {
		kvr_router_claim(s, op, slot);
	} else if (op->kind == KVR_OP_REMOVE) {
		kvr_router_overtake(s, slot);
	}
}

/* Reads the rows of this event; the next slice comes as a message to myself. */
void
kvr_router_load(struct step *s, uint32_t slot)
{
	struct op *op = op_of(s, slot);
	uint32_t n = s->ev->msg.n_rows;

	KVR_CHECK(op->state == OP_LOADING && n > 0 && n <= op->n - op->loaded);
	kvr_touch(s->out, &s->me->key[op->first + op->loaded], n * sizeof(struct key));
	for (uint32_t i = 0; i < n; i++) {
		if (op->kind == KVR_OP_PUT && i + PUTS_AHEAD < n)
			kvr_router_puts_soon(s->me, s->ev->rows[i + PUTS_AHEAD].digest);
		load_key(s, op, op->first + op->loaded + i, &s->ev->rows[i]);
	}
	op->loaded += n;
	if (op->loaded == op->n) {
		kvr_router_begin(s, slot);
		return;
	}
	struct kvr_msg m = { .type = KVR_MSG_SLICE, .op = op->id, .rows = op->first + op->loaded };

	m.n_rows = (uint16_t)KVR_MIN(op->n - op->loaded, (uint32_t)KVR_SLICE_KEYS);
	m.SLICE.first = op->first + op->loaded;
	m.SLICE.n = m.n_rows;
	send(s, KVR_ID_ROUTER, &m);
}

void
kvr_router_submit(struct step *s, uint32_t slot)
{
	const struct kvr_msg *m = &s->ev->msg;
	struct op *op = op_of(s, slot);
	uint32_t gen = op->gen + 1;

	KVR_CHECK(op->state == OP_FREE && m->deadline_ns != 0);
	/* An operation that is told ahead has a second set of rows for that, behind its own. */
	uint32_t rows = m->SUBMIT.flags & KVR_OPF_RECORD ? 2 * m->SUBMIT.n : m->SUBMIT.n;

	KVR_CHECK(m->SUBMIT.n > 0 && m->SUBMIT.n <= KVR_KEYS_MAX && m->SUBMIT.first < KVR_KEYS_MAX &&
	    rows <= KVR_KEYS_MAX - m->SUBMIT.first && m->SUBMIT.kind < KVR_OP_N);
	KVR_CHECK(KVR_IMPLIES(m->SUBMIT.flags & KVR_OPF_RECORD,
	    m->SUBMIT.kind == KVR_OP_GET || m->SUBMIT.kind == KVR_OP_PUT));
	KVR_CHECK(m->SUBMIT.only <= s->me->config.n_tiers);
	*op = (struct op){ .id = m->op, .deadline_ns = m->deadline_ns, .start_ns = s->ev->now_ns,
		.first = m->SUBMIT.first, .n = m->SUBMIT.n, .gen = gen,
		.flags = (uint16_t)m->SUBMIT.flags,
		.per_chunk = m->SUBMIT.per_chunk == 0 ? 1 : m->SUBMIT.per_chunk,
		.kind = m->SUBMIT.kind, .only = m->SUBMIT.only, .state = OP_LOADING };
	kvr_touch(s->out, &s->me->n_ops, sizeof(s->me->n_ops));
	s->me->n_ops++;
	later(s, slot, m->deadline_ns);
	kvr_router_load(s, slot);
}
