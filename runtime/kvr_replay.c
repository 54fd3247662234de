/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step that breaks an invariant leaves by longjmp, as it does in a domain. The replay's row table
 * holds what deciders have seen or written, not what callers and workers did to the real one
 * meanwhile: that comes in again with the records.
 */
#include "kvr_replay.h"

#include "kvr_map.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct kvr_replay {
	const struct kvr_trace_view *view;
	uint64_t at;
	uint64_t n_steps;
	uint64_t break_at; /* number of a step; 0: none */
	struct kvr_actor *actor[KVR_ID_N];
	struct kvr_row *rows;
	jmp_buf out_of_step;
	char broke[200];
	struct kvr_out out;
};

/* ---- open ---- */

static enum kvr_err
add_actor(struct kvr_replay *r, const struct kvr_trace_actor *t, kvr_spec_find_fn *find,
    bool anyway, char *why, size_t why_cap)
{
	const struct kvr_spec *spec = t->id < KVR_ID_N ? find(t->id) : NULL;
	char what[160] = "";

	if (spec == NULL || r->actor[t->id] != NULL)
		snprintf(what, sizeof(what), "this program has no such actor");
	else if (spec->self_size != t->self_size)
		snprintf(what, sizeof(what),
		    "its state had %u bytes then and has %zu in this program", t->self_size,
		    spec->self_size);
	else if (kvr_spec_hash(spec) != t->spec_hash && !anyway)
		snprintf(what, sizeof(what),
		    "its states or cells are others in this program (%u states then, %u now)",
		    t->n_states, spec->n_states);
	else if (kvr_layout_hash(spec) != t->layout_hash && !anyway)
		snprintf(what, sizeof(what),
		    "the fields of its state are others in this program, in as many bytes");
	if (what[0] != '\0') {
		snprintf(why, why_cap, "%.24s: %s", t->name, what);
		return KVR_E_UNSUPPORTED;
	}
	struct kvr_actor *a = calloc(1, sizeof(*a));
	void *bytes = kvr_map(kvr_actor_bytes(spec));
	if (a == NULL || bytes == NULL) {
		kvr_unmap(bytes, kvr_actor_bytes(spec));
		free(a);
		snprintf(why, why_cap, "no memory");
		return KVR_E_NOMEM;
	}
	kvr_actor_init(a, spec, t->id, bytes);
	r->actor[t->id] = a;
	return KVR_OK;
}

enum kvr_err
kvr_replay_open(const struct kvr_trace_view *view, kvr_spec_find_fn *find, bool anyway,
    struct kvr_replay **ret, char *why, size_t why_cap)
{
	struct kvr_replay *r = calloc(1, sizeof(*r));
	enum kvr_err err = KVR_OK;
	uint32_t n;
	const struct kvr_trace_actor *actors = kvr_trace_view_actors(view, &n);

	if (kvr_trace_view_head(view)->msg_hash != kvr_msg_hash() && !anyway) {
		free(r);
		snprintf(why, why_cap, "the messages are others in this program");
		return KVR_E_UNSUPPORTED;
	}
	if (r != NULL)
		r->rows = kvr_map(KVR_ROWS_MAX * sizeof(r->rows[0]));
	if (r == NULL || r->rows == NULL) {
		free(r);
		snprintf(why, why_cap, "no memory");
		return KVR_E_NOMEM;
	}
	r->view = view;
	r->out.row_table = r->rows;
	for (uint32_t i = 0; i < n && err == KVR_OK; i++)
		err = add_actor(r, &actors[i], find, anyway, why, why_cap);
	if (err != KVR_OK) {
		kvr_replay_free(r);
		return err;
	}
	r->at = kvr_trace_view_count(view); /* at the end, until the first seek */
	*ret = r;
	return KVR_OK;
}

void
kvr_replay_free(struct kvr_replay *take)
{
	if (take == NULL)
		return;
	for (uint32_t id = 0; id < KVR_ID_N; id++) {
		if (take->actor[id] == NULL)
			continue;
		kvr_unmap(take->actor[id]->self, kvr_actor_bytes(take->actor[id]->spec));
		free(take->actor[id]);
	}
	kvr_unmap(take->rows, KVR_ROWS_MAX * sizeof(take->rows[0]));
	free(take);
}

/* ---- differences ---- */

static enum kvr_err differs(const struct kvr_replay *r, enum kvr_replay_what what,
    const struct kvr_rec *rec, const struct kvr_actor *a, struct kvr_replay_diff *ret,
    const char *format, ...) KVR_PRINTF(6, 7);

static enum kvr_err
differs(const struct kvr_replay *r, enum kvr_replay_what what, const struct kvr_rec *rec,
    const struct kvr_actor *a, struct kvr_replay_diff *ret, const char *format, ...)
{
	char id[24];
	va_list args;
	bool step = rec->kind == KVR_REC_STEP;
	int n = snprintf(ret->text, sizeof(ret->text),
	    "%s %" PRIu64 ", %s%s%s: ", step ? "step" : "record",
	    step ? kvr_rec_step(rec)->step : rec->number, kvr_id_name(a->id, id, sizeof(id)),
	    step ? ", " : "", step ? kvr_msg_info[kvr_rec_step(rec)->msg.type].name : "");

	ret->what = what;
	ret->actor = a->id;
	ret->type = rec->kind == KVR_REC_STEP ? kvr_rec_step(rec)->msg.type : KVR_MSG_N;
	ret->index = r->at;
	ret->number = rec->number;
	va_start(args, format);
	vsnprintf(ret->text + n, sizeof(ret->text) - (size_t)n, format, args);
	va_end(args);
	return KVR_E_CORRUPT;
}

static const char *
state_name(const struct kvr_actor *a, uint32_t state)
{
	return state < a->spec->n_states ? a->spec->state_name[state] : "?";
}

static enum kvr_err
compare(const struct kvr_replay *r, const struct kvr_rec_step *s, const struct kvr_actor *a,
    uint64_t digest, struct kvr_replay_diff *ret)
{
	ret->state_then = s->after;
	ret->state_now = a->state;
	ret->digest_then = s->digest;
	ret->digest_now = digest;
	if (s->after == KVR_STATE_BROKEN)
		return differs(r, KVR_REPLAY_WHOLE, &s->rec, a, ret,
		    "same input, other decision: an invariant broke then and holds now, %s -> %s",
		    state_name(a, s->before), state_name(a, a->state));
	if (s->after != a->state)
		return differs(r, KVR_REPLAY_AFTER, &s->rec, a, ret,
		    "same input, other decision: %s -> %s then, %s -> %s now",
		    state_name(a, s->before), state_name(a, s->after), state_name(a, s->before),
		    state_name(a, a->state));
	if (s->n_fx != r->out.n)
		return differs(r, KVR_REPLAY_EFFECTS, &s->rec, a, ret,
		    "same input, other decision: %u effects then, %u now", s->n_fx, r->out.n);
	if (s->digest != digest)
		return differs(r, KVR_REPLAY_DIGEST, &s->rec, a, ret,
		    "same input, other decision: digest of state, effects and rows %016" PRIx64
		    " then, %016" PRIx64 " now",
		    s->digest, digest);
	return KVR_OK;
}

/* ---- records ---- */

static void
broken(void *arg, const char *file, int line, const char *what)
{
	struct kvr_replay *r = arg;
	const char *base = strrchr(file, '/');

	snprintf(
	    r->broke, sizeof(r->broke), "%s:%d: %s", base == NULL ? file : base + 1, line, what);
	longjmp(r->out_of_step, 1);
}

/* False when an invariant broke; then r->broke says which. */
static bool
step(struct kvr_replay *r, struct kvr_actor *a, const struct kvr_event *ev, uint64_t *ret_digest)
{
	kvr_on_panic(broken, r);
	if (_setjmp(r->out_of_step) != 0) {
		kvr_on_panic(NULL, NULL);
		return false;
	}
	if (r->break_at != 0 && r->out.step == r->break_at)
		raise(SIGTRAP);
	*ret_digest = kvr_step(a, ev, &r->out);
	kvr_on_panic(NULL, NULL);
	return true;
}

static enum kvr_err
replay_step(struct kvr_replay *r, const struct kvr_rec_step *s, struct kvr_replay_diff *ret)
{
	struct kvr_actor *a = s->rec.actor < KVR_ID_N ? r->actor[s->rec.actor] : NULL;
	struct kvr_event ev = { .now_ns = s->now_ns, .msg = s->msg };
	uint64_t digest = 0;

	if (a == NULL)
		return differs(r, KVR_REPLAY_BEFORE, &s->rec,
		    &(struct kvr_actor){ .id = s->rec.actor }, ret, "the trace has no such actor");
	if (a->state != s->before) {
		ret->state_then = s->before;
		ret->state_now = a->state;
		return differs(r, KVR_REPLAY_BEFORE, &s->rec, a, ret, "in %s then, in %s now",
		    state_name(a, s->before), state_name(a, a->state));
	}
	if (s->rows_here != 0)
		memcpy(&r->rows[s->msg.rows], s + 1, s->msg.n_rows * sizeof(struct kvr_row));
	if (s->msg.n_rows > 0)
		ev.rows = &r->rows[s->msg.rows];
	r->out.step = s->step;
	r->n_steps++;
	if (step(r, a, &ev, &digest))
		return compare(r, s, a, digest, ret);
	if (s->after == KVR_STATE_BROKEN)
		return KVR_OK;
	return differs(r, KVR_REPLAY_BROKEN, &s->rec, a, ret,
	    "same input, other decision: an invariant breaks now: %s", r->broke);
}

/* The empty last piece of an actor in a snapshot: what it says against what the replay has. */
static enum kvr_err
check_piece(const struct kvr_replay *r, const struct kvr_rec_state *s, struct kvr_replay_diff *ret)
{
	const struct kvr_actor *a = s->rec.actor < KVR_ID_N ? r->actor[s->rec.actor] : NULL;

	if (a == NULL || s->rec.len > sizeof(*s))
		return KVR_OK;
	uint64_t digest = kvr_actor_digest(a);
	ret->state_then = s->state;
	ret->state_now = a->state;
	ret->digest_then = s->digest;
	ret->digest_now = digest;
	if (digest != a->digest)
		return differs(r, KVR_REPLAY_SNAPSHOT, &s->rec, a, ret,
		    "bytes of its state were changed that no step had touched");
	if (s->state != a->state || s->digest != digest || s->steps != a->steps)
		return differs(r, KVR_REPLAY_SNAPSHOT, &s->rec, a, ret,
		    "at the snapshot %s %016" PRIx64 " after %" PRIu64 " steps then, %s %016" PRIx64
		    " after %" PRIu64 " now",
		    state_name(a, s->state), s->digest, s->steps, state_name(a, a->state), digest,
		    a->steps);
	return KVR_OK;
}

enum kvr_err
kvr_replay_next(struct kvr_replay *r, struct kvr_replay_diff *ret)
{
	enum kvr_err err = KVR_OK;

	memset(ret, 0, sizeof(*ret));
	if (r->at >= kvr_trace_view_count(r->view))
		return KVR_E_MISS;
	const struct kvr_rec *rec = kvr_trace_view_at(r->view, r->at);
	if (rec->kind == KVR_REC_STEP)
		err = replay_step(r, kvr_rec_step(rec), ret);
	else if (rec->kind == KVR_REC_STATE)
		err = check_piece(r, kvr_rec_state(rec), ret);
	r->at++;
	return err;
}

/* ---- starting ---- */

static void
forget_all(struct kvr_replay *r)
{
	KVR_CHECK(madvise(r->rows, KVR_ROWS_MAX * sizeof(r->rows[0]), MADV_DONTNEED) == 0);
	for (uint32_t id = 0; id < KVR_ID_N; id++) {
		struct kvr_actor *a = r->actor[id];

		if (a == NULL)
			continue;
		KVR_CHECK(madvise(a->self, kvr_actor_bytes(a->spec), MADV_DONTNEED) == 0);
		kvr_actor_init(a, a->spec, a->id, a->self);
	}
}

/* False when the piece does not fit its actor. */
static bool
restore_piece(struct kvr_replay *r, const struct kvr_rec_state *s)
{
	uint64_t len = s->rec.len - sizeof(*s);
	uint64_t size = (KVR_ROWS_MAX - KVR_ROWS_PARTS) * sizeof(struct kvr_row);
	struct kvr_actor *a = NULL;

	if (s->rec.actor != KVR_ID_NONE) {
		a = s->rec.actor < KVR_ID_N ? r->actor[s->rec.actor] : NULL;
		if (a == NULL || s->state >= a->spec->n_states)
			return false;
		size = a->spec->self_size;
		a->state = s->state;
		a->steps = s->steps;
	}
	if (s->off > size || len > size - s->off)
		return false;
	if (a == NULL)
		memcpy((uint8_t *)&r->rows[KVR_ROWS_PARTS] + s->off, s + 1, len);
	else
		kvr_actor_put(a, s->off, s + 1, len);
	return true;
}

static enum kvr_err
restore(struct kvr_replay *r, uint64_t from, uint64_t to, struct kvr_replay_diff *ret)
{
	uint64_t digest[KVR_ID_N] = { 0 };

	for (r->at = from; r->at < to; r->at++) {
		const struct kvr_rec *rec = kvr_trace_view_at(r->view, r->at);

		if (rec->kind == KVR_REC_STATE && !restore_piece(r, kvr_rec_state(rec)))
			return differs(r, KVR_REPLAY_SNAPSHOT, rec,
			    &(struct kvr_actor){ .id = rec->actor }, ret,
			    "a piece of the snapshot does not fit to its actor");
		if (rec->kind == KVR_REC_STATE && rec->actor != KVR_ID_NONE)
			digest[rec->actor] = kvr_rec_state(rec)->digest;
	}
	for (uint32_t id = 0; id < KVR_ID_N; id++) {
		const struct kvr_actor *a = r->actor[id];

		if (a != NULL && a->digest != digest[id])
			return differs(r, KVR_REPLAY_SNAPSHOT, kvr_trace_view_at(r->view, from), a,
			    ret, "the snapshot does not have the digest that it was recorded with");
	}
	return KVR_OK;
}

enum kvr_err
kvr_replay_seek(struct kvr_replay *r, uint64_t index, struct kvr_replay_diff *ret)
{
	uint64_t start = 0, snapshot = 0;
	enum kvr_err err = KVR_OK;

	memset(ret, 0, sizeof(*ret));
	if (index > kvr_trace_view_count(r->view) ||
	    !kvr_trace_view_start(r->view, index, &start, &snapshot))
		return KVR_E_MISS;
	forget_all(r);
	if (snapshot != UINT64_MAX)
		err = restore(r, snapshot, start, ret);
	r->at = start;
	while (err == KVR_OK && r->at < index)
		err = kvr_replay_next(r, ret);
	return err;
}

enum kvr_err
kvr_replay_all(struct kvr_replay *r, uint64_t *ret_steps, struct kvr_replay_diff *ret)
{
	uint64_t first = kvr_trace_view_first_start(r->view);
	enum kvr_err err;

	if (first == kvr_trace_view_count(r->view) && first > 0)
		return KVR_E_MISS;
	r->n_steps = 0;
	err = kvr_replay_seek(r, first, ret);
	while (err == KVR_OK)
		err = kvr_replay_next(r, ret);
	*ret_steps = r->n_steps;
	return err == KVR_E_MISS ? KVR_OK : err;
}

void
kvr_replay_break_at(struct kvr_replay *r, uint64_t step)
{
	r->break_at = step;
}

uint64_t
kvr_replay_position(const struct kvr_replay *r)
{
	return r->at;
}

const struct kvr_actor *
kvr_replay_actor(const struct kvr_replay *r, uint16_t id)
{
	return id < KVR_ID_N ? r->actor[id] : NULL;
}

const struct kvr_out *
kvr_replay_out(const struct kvr_replay *r)
{
	return &r->out;
}
