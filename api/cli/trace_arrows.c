/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of an operation in order, including those that reached no decider. */
#include "kvr_trace_cmd.h"

#include <stdlib.h>

static bool
add(struct trace_arrows *a, const struct trace_arrow *one)
{
	if (a->n == a->cap) {
		uint64_t cap = a->cap == 0 ? 256 : 2 * a->cap;
		struct trace_arrow *at = realloc(a->at, cap * sizeof(a->at[0]));

		if (at == NULL)
			return false;
		a->at = at;
		a->cap = cap;
	}
	a->at[a->n++] = *one;
	return true;
}

/* A message to an actor whose steps are not recorded. */
static bool
goes_outside(const struct trace_cmd *c, const struct kvr_fx *fx)
{
	return fx->kind == KVR_FX_SEND && !trace_is_decider(fx->msg.to) &&
	       trace_is_wanted_op(c, fx->msg.op);
}

bool
trace_arrows_of(const struct trace_cmd *c, const struct trace_model *m, struct trace_arrows *ret)
{
	*ret = (struct trace_arrows){ .n = 0 };
	for (uint64_t i = 0; i < m->n; i++) {
		const struct trace_step *s = &m->step[i];
		const struct kvr_msg *in = &s->rec->msg;
		bool quiet =
		    !c->cli.verbose && (in->to == KVR_ID_METRICS || in->type == KVR_MSG_TIMER ||
		                           in->type == KVR_MSG_CONTINUE);

		if (trace_is_wanted(c, m->view, &s->rec->rec) && !quiet &&
		    !add(
		        ret, &(struct trace_arrow){
		                 .step = s, .msg = in, .now_ns = s->rec->now_ns, .arrives = true }))
			return false;
		for (uint32_t k = 0; k < s->n_fx; k++) {
			const struct kvr_fx *fx = &m->fx[s->fx + k];

			if (goes_outside(c, fx) &&
			    !add(ret, &(struct trace_arrow){
			                  .step = s, .msg = &fx->msg, .now_ns = s->rec->now_ns }))
				return false;
		}
	}
	return true;
}

void
trace_arrows_free(struct trace_arrows *a)
{
	free(a->at);
	*a = (struct trace_arrows){ .n = 0 };
}
