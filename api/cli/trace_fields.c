/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a decider's state: those that a step changed, those that are set. */
#include "kvr_trace_cmd.h"

#include <stdlib.h>
#include <string.h>

enum { LINE = 64, SHOWN_MAX = 60, ELEMENTS_MAX = 8 };

void *
trace_copy_of(const struct kvr_actor *a)
{
	void *copy = malloc(a->spec->self_size);

	return copy == NULL ? NULL : memcpy(copy, a->self, a->spec->self_size);
}

static void
one_change(const struct kvr_place *p, const struct kvr_actor *a, const void *copy,
    const struct kvr_trace_head *h, const char *indent)
{
	char was[KVR_FIELD_VALUE], is[KVR_FIELD_VALUE];

	printf("%s%-28s %s -> %s\n", indent, p->name,
	    kvr_field_value(p, copy, h->opened_mono_ns, was, sizeof(was)),
	    kvr_field_value(p, a->self, h->opened_mono_ns, is, sizeof(is)));
}

uint32_t
trace_fields_changed(
    const struct kvr_actor *a, const void *copy, const struct kvr_trace_head *h, const char *indent)
{
	const uint8_t *was = copy, *is = a->self;
	struct kvr_place p = { .field = NULL };
	uint32_t n = 0, end = 0; /* end: of the last field shown */

	for (uint32_t i = 0; i < a->n_touched; i++) {
		uint32_t from = a->touched[i] * LINE;

		if (i == 0 || a->touched[i] != a->touched[i - 1] + 1)
			end = 0;
		for (uint32_t off = KVR_MAX(from, end); off < from + LINE; off++) {
			if (was[off] == is[off])
				continue;
			if (!kvr_field_at(a->spec, off, &p)) {
				end = off + 1;
				continue;
			}
			end = p.off + p.field->size;
			off = end - 1;
			if (n++ < SHOWN_MAX)
				one_change(&p, a, copy, h, indent);
		}
	}
	if (n > SHOWN_MAX)
		printf("%s... and %u more\n", indent, n - SHOWN_MAX);
	return n;
}

static bool
is_set(const uint8_t *at, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++) {
		if (at[i] != 0)
			return true;
	}
	return false;
}

/* Prints the first few elements of this field that are not zero. */
static void
show_field(const struct kvr_actor *a, const struct kvr_field *f, const struct kvr_trace_head *h,
    const char *indent)
{
	uint64_t n = 1, shown = 0, more = 0;
	char value[KVR_FIELD_VALUE];
	struct kvr_place p;

	for (uint32_t d = 0; d < KVR_FIELD_DIMS && f->dim[d].n != 0; d++)
		n *= f->dim[d].n;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t rest = i;
		uint32_t off = f->off;

		for (uint32_t d = KVR_FIELD_DIMS; d-- > 0;) {
			if (f->dim[d].n == 0)
				continue;
			off += (uint32_t)(rest % f->dim[d].n) * f->dim[d].stride;
			rest /= f->dim[d].n;
		}
		if (!is_set((const uint8_t *)a->self + off, f->size))
			continue;
		if (shown++ >= ELEMENTS_MAX) {
			more++;
			continue;
		}
		if (kvr_field_at(a->spec, off, &p))
			printf("%s%-28s %s\n", indent, p.name,
			    kvr_field_value(&p, a->self, h->opened_mono_ns, value, sizeof(value)));
	}
	if (more > 0)
		printf("%s%s: %llu more\n", indent, f->name, (unsigned long long)more);
}

void
trace_fields_all(const struct kvr_actor *a, const struct kvr_trace_head *h, const char *indent)
{
	char state[32];

	printf("%s%-28s %s\n", indent, "state",
	    trace_state_name(a->id, a->state, state, sizeof(state)));
	for (size_t i = 0; a->spec->fields != NULL && i < a->spec->fields->n; i++) {
		const struct kvr_field *f = &a->spec->fields->at[i];

		if (f->kind != KVR_FIELD_SPARE)
			show_field(a, f, h, indent);
	}
}

void
trace_effects(const struct kvr_replay *r, const struct kvr_trace_head *h, const char *indent)
{
	const struct kvr_out *out = kvr_replay_out(r);
	char text[KVR_TRACE_LINE];

	for (uint32_t i = 0; i < out->n; i++)
		printf("%s-> %s\n", indent,
		    kvr_trace_fx(&out->fx[i], h->opened_mono_ns, text, sizeof(text)));
}
