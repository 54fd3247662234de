/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_actor.h"

#include <stdio.h>
#include <string.h>

enum { LINE = KVR_ACTOR_LINE };
_Static_assert(LINE == 64, "what kvr_hash64_line takes");

/*
 * The digest of a state is a sum over its lines, each hashed with its index, and a line of zeros
 * counts 0. So changing one line is one subtraction and one addition, the order of changes does not
 * matter, and a fresh state needs no pass over it. What each line counts is stored: hashing it
 * before a change as well took 6 % of the instructions of a lookup of 64 keys.
 */
static uint64_t
line_digest(const void *self, uint32_t line)
{
	const uint64_t *at = (const uint64_t *)self + (size_t)line * LINE / sizeof(uint64_t);
	uint64_t any = at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7];

	return any == 0 ? 0 : kvr_hash64_line(at, line);
}

static size_t
round_up(size_t n)
{
	return (n + LINE - 1) / LINE * LINE;
}

size_t
kvr_actor_bytes(const struct kvr_spec *spec)
{
	KVR_CHECK(spec->self_size % LINE == 0);
	size_t lines = spec->self_size / LINE;

	return spec->self_size + round_up(lines * sizeof(uint64_t)) +
	    round_up(lines * sizeof(uint32_t)) + round_up(KVR_TOUCH_MAX * sizeof(uint32_t));
}

void
kvr_actor_init(struct kvr_actor *a, const struct kvr_spec *spec, uint16_t id, void *zero_bytes)
{
	uint8_t *at = zero_bytes;

	KVR_CHECK((uintptr_t)at % LINE == 0);
	*a = (struct kvr_actor){ .spec = spec, .self = at, .id = id };
	a->lines = (uint32_t)(spec->self_size / LINE);
	at += spec->self_size;
	a->counts = (uint64_t *)(void *)at;
	at += round_up(a->lines * sizeof(uint64_t));
	a->stamp = (uint32_t *)(void *)at;
	at += round_up(a->lines * sizeof(uint32_t));
	a->touched = (uint32_t *)(void *)at;
}

void
kvr_touch(struct kvr_out *out, const void *at, size_t len)
{
	struct kvr_actor *a = out->actor;
	uintptr_t off = (uintptr_t)at - (uintptr_t)a->self;

	KVR_CHECK(len > 0 && off < a->spec->self_size && len <= a->spec->self_size - off);
	/* Local copies: for all the compiler knows, each stamp written could be one of these. */
	uint32_t *stamp = a->stamp, *touched = a->touched;
	uint32_t round = a->round, n = a->n_touched, last = (uint32_t)((off + len - 1) / LINE);

	for (uint32_t i = (uint32_t)(off / LINE); i <= last; i++) {
		if (stamp[i] == round)
			continue;
		KVR_CHECK(n < KVR_TOUCH_MAX);
		stamp[i] = round;
		touched[n++] = i;
	}
	a->n_touched = n;
}

static void
count_again(struct kvr_actor *a, uint32_t line)
{
	uint64_t now = line_digest(a->self, line);

	a->digest += now - a->counts[line];
	a->counts[line] = now;
}

void
kvr_actor_put(struct kvr_actor *a, uint64_t off, const void *from, size_t len)
{
	KVR_CHECK(off <= a->spec->self_size && len <= a->spec->self_size - off);
	if (len == 0)
		return;
	memcpy((uint8_t *)a->self + off, from, len);
	/* As if steps had touched these lines: a later snapshot of this actor must look at them. */
	a->round = 1;
	for (uint64_t i = off / LINE; i <= (off + len - 1) / LINE; i++) {
		a->stamp[i] = 1;
		count_again(a, (uint32_t)i);
	}
}

unsigned
kvr_ignore(void *self, const struct kvr_event *ev, struct kvr_out *out)
{
	(void)self;
	(void)ev;
	(void)out;
	return KVR_STAY;
}

void
kvr_send(struct kvr_out *out, uint16_t to, const struct kvr_msg *msg)
{
	KVR_CHECK(out->n < KVR_FX_MAX);
	struct kvr_fx *fx = &out->fx[out->n++];
	const struct kvr_msg_info *info = &kvr_msg_info[msg->type];

	/* Only the bytes that the type has: C leaves the rest of a union unspecified. */
	memset(fx, 0, sizeof(*fx));
	fx->kind = KVR_FX_SEND;
	memcpy(&fx->msg, msg, offsetof(struct kvr_msg, word));
	memcpy(fx->msg.word, msg->word, info->size);
	fx->msg.to = to;
	fx->msg.from = out->actor->id;
	fx->msg.cause = out->step;
}

void
kvr_later(struct kvr_out *out, uint32_t timer, uint32_t gen, uint64_t at_ns)
{
	KVR_CHECK(out->n < KVR_FX_MAX);
	struct kvr_fx *fx = &out->fx[out->n++];

	memset(fx, 0, sizeof(*fx));
	fx->kind = KVR_FX_LATER;
	fx->at_ns = at_ns;
	fx->msg.type = KVR_MSG_TIMER;
	fx->msg.from = fx->msg.to = out->actor->id;
	fx->msg.cause = out->step;
	fx->msg.TIMER.timer = timer;
	fx->msg.TIMER.gen = gen;
}

struct kvr_row *
kvr_rows(struct kvr_out *out, uint32_t first, uint32_t n)
{
	KVR_CHECK(n > 0 && first < KVR_ROWS_MAX && n <= KVR_ROWS_MAX - first);
	KVR_CHECK(out->n_wrote < KVR_WROTE_MAX);
	out->wrote[out->n_wrote++] = (struct kvr_wrote){ .first = first, .n = n };
	return memset(&out->row_table[first], 0, n * sizeof(struct kvr_row));
}

uint64_t
kvr_rand(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t
step_digest(const struct kvr_actor *a, const struct kvr_out *out)
{
	uint64_t d = kvr_hash64_seed(&a->digest, sizeof(a->digest), a->state);

	if (out->n > 0)
		d = kvr_hash64_seed(out->fx, out->n * sizeof(out->fx[0]), d);
	for (uint32_t i = 0; i < out->n_wrote; i++) {
		const struct kvr_wrote *w = &out->wrote[i];

		d = kvr_hash64_seed(&out->row_table[w->first], w->n * sizeof(struct kvr_row), d);
	}
	return d;
}

/* Names actor, message and state, which is what the reader needs first. */
static _Noreturn void
refuse(const struct kvr_actor *a, const struct kvr_event *ev, const char *what)
{
	char text[160], id[24];

	snprintf(text, sizeof(text), "%s: %s in %s: %s", kvr_id_name(a->id, id, sizeof(id)),
	    kvr_msg_info[ev->msg.type].name, a->spec->state_name[a->state], what);
	kvr_panic(__FILE__, __LINE__, text);
}

uint64_t
kvr_step(struct kvr_actor *a, const struct kvr_event *ev, struct kvr_out *out)
{
	KVR_CHECK(ev->msg.type < KVR_MSG_N && a->state < a->spec->n_states);
	const struct kvr_cell *cell = &a->spec->table[a->state][ev->msg.type];

	if (cell->fn == NULL)
		refuse(a, ev, "no cell");
	out->n = 0;
	out->n_wrote = 0;
	out->actor = a;
	a->n_touched = 0;
	if (++a->round == 0) { /* once in four billion steps the stamps must be cleared */
		memset(a->stamp, 0, a->lines * sizeof(uint32_t));
		a->round = 1;
	}
	unsigned next = cell->fn(a->self, ev, out);

	if ((cell->to & KVR_TO(next)) == 0)
		refuse(a, ev, "goes to a state that its cell does not allow");
	if (next != KVR_STAY)
		a->state = next;
	for (uint32_t i = 0; i < a->n_touched; i++)
		count_again(a, a->touched[i]);
	a->steps++;
	a->spec->check(a->self, a->state, false);
	return step_digest(a, out);
}

uint64_t
kvr_actor_digest(const struct kvr_actor *a)
{
	uint64_t d = 0;

	for (uint32_t i = 0; i < a->lines; i++)
		d += line_digest(a->self, i);
	return d;
}

uint64_t
kvr_spec_hash(const struct kvr_spec *spec)
{
	uint64_t d = kvr_hash64_seed(spec->name, strlen(spec->name), spec->self_size);

	for (unsigned s = 0; s < spec->n_states; s++) {
		d = kvr_hash64_seed(spec->state_name[s], strlen(spec->state_name[s]), d);
		for (unsigned m = 0; m < KVR_MSG_N; m++) {
			const struct kvr_cell *cell = &spec->table[s][m];

			if (cell->fn == NULL)
				continue;
			d = kvr_hash64_seed(kvr_msg_info[m].name, strlen(kvr_msg_info[m].name), d);
			d = kvr_hash64_seed(&cell->to, sizeof(cell->to), d);
		}
	}
	return d;
}

uint64_t
kvr_layout_hash(const struct kvr_spec *spec)
{
	uint64_t d = spec->self_size;

	for (size_t i = 0; spec->fields != NULL && i < spec->fields->n; i++) {
		const struct kvr_field *f = &spec->fields->at[i];
		const uint32_t place[2] = { f->off, f->size };

		d = kvr_hash64_seed(f->name, strlen(f->name), d);
		d = kvr_hash64_seed(place, sizeof(place), d);
		d = kvr_hash64_seed(f->dim, sizeof(f->dim), d);
	}
	return d;
}
