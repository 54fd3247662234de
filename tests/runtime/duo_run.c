/* SPDX-License-Identifier: Apache-2.0 */
#include "duo.h"

#include <stdlib.h>
#include <string.h>

void
duo_open(struct duo_run *r, struct kvr_trace *trace)
{
	static const struct kvr_spec *const spec[2] = { &duo_front_spec, &duo_back_spec };
	struct kvr_actor *const actor[2] = { &r->front, &r->back };

	memset(r, 0, sizeof(*r));
	r->rows = calloc(KVR_ROWS_MAX, sizeof(r->rows[0]));
	KVR_CHECK(r->rows != NULL);
	r->out.row_table = r->rows;
	for (int i = 0; i < 2; i++) {
		r->bytes[i] = aligned_alloc(64, kvr_actor_bytes(spec[i]));
		KVR_CHECK(r->bytes[i] != NULL);
		memset(r->bytes[i], 0, kvr_actor_bytes(spec[i]));
		kvr_actor_init(
		    actor[i], spec[i], i == 0 ? KVR_ID_ROUTER : KVR_ID_TIER_OF(0), r->bytes[i]);
		r->both[i] = actor[i];
	}
	r->trace = trace;
	r->now_ns = 1000000;
	if (trace != NULL)
		kvr_trace_actors(trace, r->both, 2);
	duo_post(r, duo_start(KVR_ID_ROUTER, 42));
	duo_post(r, duo_start(KVR_ID_TIER_OF(0), 42));
}

void
duo_close(struct duo_run *r)
{
	free(r->bytes[0]);
	free(r->bytes[1]);
	free(r->rows);
}

static void
deliver(struct duo_run *r, const struct kvr_msg *m)
{
	if (m->to == KVR_ID_API) {
		r->n_complete += m->type == KVR_MSG_COMPLETE;
		return;
	}
	KVR_CHECK(r->n < KVR_LEN(r->queue));
	if (m->to == KVR_ID_WORKER_OF(0, 0)) {
		r->queue[r->n++] = duo_part_done(m);
		for (uint32_t i = 0; i < m->n_rows; i++)
			r->rows[m->rows + i].len *= 2;
	} else {
		r->queue[r->n++] = *m;
	}
}

void
duo_post(struct duo_run *r, const struct kvr_msg m)
{
	deliver(r, &m);
	while (r->n > 0) {
		struct kvr_event ev = { .now_ns = r->now_ns, .msg = r->queue[0] };
		struct kvr_actor *a = ev.msg.to == KVR_ID_ROUTER ? &r->front : &r->back;
		uint32_t before = a->state;

		memmove(r->queue, r->queue + 1, --r->n * sizeof(r->queue[0]));
		ev.rows = ev.msg.n_rows > 0 ? &r->rows[ev.msg.rows] : NULL;
		r->out.step = ++r->step;
		uint64_t digest = kvr_step(a, &ev, &r->out);
		r->n_steps++;
		r->mixed = kvr_hash64_seed(&digest, sizeof(digest), r->mixed);
		if (r->trace != NULL) {
			kvr_trace_step(r->trace, a, &ev, before, digest, &r->out);
			if (kvr_trace_wants_snapshot(r->trace))
				kvr_trace_snapshot(r->trace, r->both, 2, r->now_ns);
		}
		for (uint32_t i = 0; i < r->out.n; i++)
			if (r->out.fx[i].kind == KVR_FX_SEND)
				deliver(r, &r->out.fx[i].msg);
	}
}

void
duo_work(struct duo_run *r, uint64_t seed, uint32_t n)
{
	uint64_t rand = seed;

	for (uint32_t i = 1; i <= n; i++) {
		uint32_t slot = (uint32_t)(kvr_rand(&rand) % DUO_SLOTS);
		uint32_t n_rows = 1 + (uint32_t)(kvr_rand(&rand) % DUO_ROWS);
		int by_worker = kvr_rand(&rand) % 2 == 0;

		for (uint32_t k = 0; k < n_rows; k++) {
			uint32_t len = (uint32_t)(kvr_rand(&rand) % 100000);

			r->rows[slot * DUO_ROWS + k] =
			    (struct kvr_row){ .key = slot * DUO_ROWS + k, .len = len };
		}
		r->now_ns += 1 + kvr_rand(&rand) % 1000000;
		duo_post(r, duo_submit(slot, i, n_rows, by_worker, r->now_ns + KVR_SEC(1)));
	}
}
