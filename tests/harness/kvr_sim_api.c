/* SPDX-License-Identifier: Apache-2.0 */
/* Callers: they take slots as the facade does, and count what comes back. */
#include "kvr_sim_hands.h"

#include <stdlib.h>
#include <string.h>

uint64_t
kvr_sim_content(uint64_t name)
{
	return kvr_hash64_seed(&name, sizeof(name), 7);
}

struct kvr_sim_hands *
kvr_sim_callers(struct kvr_sim *sim)
{
	struct sim_api *api = calloc(1, sizeof(*api));

	KVR_CHECK(sim->api == NULL && api != NULL);
	api->keys = calloc(KVR_KEYS_MAX, sizeof(api->keys[0]));
	api->stage = calloc(SIM_STAGES, sizeof(api->stage[0]));
	api->stage_layers = calloc(SIM_STAGES, sizeof(api->stage_layers[0]));
	KVR_CHECK(api->keys != NULL && api->stage != NULL && api->stage_layers != NULL);
	api->hands = (struct kvr_sim_hands){ .min_ns = 1000, .max_ns = 1000 };
	sim->api = api;
	return &api->hands;
}

void
kvr_sim_api_free(struct kvr_sim *sim)
{
	struct sim_api *api = sim->api;

	if (api == NULL)
		return;
	for (uint32_t i = 0; i < api->n_asked; i++)
		free(api->asked[i].rows);
	free(api->asked);
	free(api->keys);
	free(api->stage);
	free(api->stage_layers);
	free(api);
}

/* First fit; KVR_KEYS_MAX: none. */
static uint32_t
find_keys(const struct sim_api *api, uint32_t n)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < KVR_KEYS_MAX; i++) {
		run = api->keys[i].name == 0 ? run + 1 : 0;
		if (run == n)
			return i + 1 - n;
	}
	return KVR_KEYS_MAX;
}

static uint32_t
find_op(const struct sim_api *api)
{
	for (uint32_t i = 0; i < KVR_OPS_MAX; i++) {
		if (api->op[i].number == 0)
			return i;
	}
	return KVR_OPS_MAX;
}

static void
write_keys(struct kvr_sim *sim, const struct kvr_sim_ask *ask, uint32_t first, uint32_t number)
{
	for (uint32_t i = 0; i < ask->n; i++) {
		struct sim_key *key = &sim->api->keys[first + i];
		struct kvr_row *row = &sim->rows[first + i];

		KVR_CHECK(ask->names[i] != 0);
		*key =
		    (struct sim_key){ .name = ask->names[i], .number = number, .room = ask->len };
		key->paged = (ask->flags & KVR_OPF_PAGED) != 0;
		if (ask->kind == KVR_OP_PUT)
			key->memory = kvr_sim_content(key->name);
		*row = (struct kvr_row){ .len = ask->len, .key = first + i, .err = KVR_PENDING };
		row->digest = kvr_hash128(&key->name, sizeof(key->name));
		row->where = KVR_NOWHERE;
		if (ask->flags & KVR_OPF_AT_MOST)
			row->flags = KVR_ROW_AT_MOST;
		if (ask->nomem != 0 && kvr_sim_chance(sim, ask->nomem))
			row->err = KVR_E_NOMEM;
	}
}

static struct sim_asked *
new_asked(struct sim_api *api)
{
	if (api->n_asked == api->cap_asked) {
		api->cap_asked = api->cap_asked == 0 ? 256 : api->cap_asked * 2;
		api->asked = realloc(api->asked, api->cap_asked * sizeof(api->asked[0]));
		KVR_CHECK(api->asked != NULL);
	}
	return &api->asked[api->n_asked++];
}

uint32_t
kvr_sim_ask(struct kvr_sim *sim, const struct kvr_sim_ask *ask)
{
	struct sim_api *api = sim->api;
	uint32_t rows = ask->flags & KVR_OPF_RECORD ? 2 * ask->n : ask->n;
	uint32_t slot = find_op(api), first = find_keys(api, rows);
	struct kvr_msg msg = { .type = KVR_MSG_SUBMIT, .from = KVR_ID_API };

	KVR_CHECK(ask->n > 0 && ask->kind < KVR_OP_N && ask->deadline_ns != 0);
	if (slot == KVR_OPS_MAX || first == KVR_KEYS_MAX)
		return UINT32_MAX;
	struct sim_asked *a = new_asked(api);
	uint32_t number = api->n_asked - 1;

	api->op[slot].number = number + 1;
	api->op[slot].gen++;
	api->n_open++;
	memset(a, 0, sizeof(*a));
	a->rows = calloc(ask->n, sizeof(a->rows[0]));
	KVR_CHECK(a->rows != NULL);
	a->answer = (struct kvr_sim_answer){ .kind = ask->kind,
		.flags = ask->flags,
		.n = ask->n,
		.first = first,
		.per_chunk = KVR_MAX(ask->per_chunk, 1U),
		.op = slot | (uint64_t)api->op[slot].gen << 32,
		.asked_ns = sim->now_ns,
		.rows = a->rows };
	write_keys(sim, ask, first, number);
	kvr_sim_layers_asked(sim, a, ask);
	for (uint32_t i = ask->n; i < rows; i++)
		api->keys[first + i] = (struct sim_key){ .name = UINT64_MAX };
	msg.op = a->answer.op;
	msg.deadline_ns = ask->deadline_ns;
	msg.rows = first;
	msg.n_rows = (uint16_t)KVR_MIN(ask->n, (uint32_t)KVR_SLICE_KEYS);
	msg.SUBMIT.first = first;
	msg.SUBMIT.n = ask->n;
	msg.SUBMIT.flags = ask->flags;
	msg.SUBMIT.per_chunk = (uint16_t)a->answer.per_chunk;
	msg.SUBMIT.kind = (uint8_t)ask->kind;
	msg.SUBMIT.only = (uint8_t)ask->only;
	kvr_sim_post(sim, KVR_ID_ROUTER, &msg);
	return number;
}

void
kvr_sim_cancel(struct kvr_sim *sim, uint32_t number, int32_t reason)
{
	KVR_CHECK(number < sim->api->n_asked);
	struct kvr_msg msg = {
		.type = KVR_MSG_CANCEL, .from = KVR_ID_API, .op = sim->api->asked[number].answer.op
	};

	msg.CANCEL.reason = reason;
	kvr_sim_post(sim, KVR_ID_ROUTER, &msg);
}

const struct kvr_sim_answer *
kvr_sim_answer_to(const struct kvr_sim *sim, uint32_t number)
{
	KVR_CHECK(number < sim->api->n_asked);
	return &sim->api->asked[number].answer;
}

uint32_t
kvr_sim_asked(const struct kvr_sim *sim)
{
	return sim->api->n_asked;
}

uint32_t
kvr_sim_open(const struct kvr_sim *sim)
{
	return sim->api->n_open;
}

struct sim_asked *
kvr_sim_find(struct kvr_sim *sim, uint64_t op)
{
	uint64_t slot = op & 0xffffffffU;

	if (slot >= KVR_OPS_MAX || sim->api->op[slot].number == 0)
		return NULL;
	struct sim_asked *a = &sim->api->asked[sim->api->op[slot].number - 1];

	return a->answer.op == op ? a : NULL;
}

struct sim_asked *
kvr_sim_live(struct kvr_sim *sim, const struct kvr_msg *msg, const char *what)
{
	struct sim_asked *a = kvr_sim_find(sim, msg->op);

	if (a == NULL)
		kvr_sim_broken(sim, what);
	return a;
}

static void
overwrite(struct kvr_sim *sim, const struct sim_asked *a)
{
	for (uint32_t i = 0; a->n_copied == a->n_begun && i < a->answer.n; i++) {
		struct sim_key *key = &sim->api->keys[a->answer.first + i];

		key->taken_back = true;
		key->memory = ~kvr_sim_content(key->name);
	}
}

void
kvr_sim_tells(struct kvr_sim *sim, const struct kvr_msg *copy, enum sim_copy what)
{
	if (copy->COPY.to_caller != 0 || sim->api->n_asked == 0)
		return; /* a get, or a world without a router */
	struct sim_asked *a = kvr_sim_live(sim, copy, "a copy for an operation that is not open");

	if (what == SIM_COPY_ASKED && a->ahead)
		kvr_sim_broken(sim, "a copy is asked for of a put that was told ahead");
	a->n_asked += what == SIM_COPY_ASKED;
	a->n_begun += what == SIM_COPY_BEGUN;
	a->n_copied += what == SIM_COPY_OVER;
	if (a->ahead)
		overwrite(sim, a);
}

/* Everything that a get says it has handed over must lie where the caller looks for it. */
static void
check_outcome(struct kvr_sim *sim, const struct sim_asked *a)
{
	const struct kvr_sim_answer *answer = &a->answer;
	uint32_t n_ok = 0;

	for (uint32_t i = 0; i < answer->n; i++) {
		const struct sim_key *key = &sim->api->keys[answer->first + i];

		if (a->rows[i].err == KVR_PENDING)
			kvr_sim_broken(sim, "COMPLETE with a key that has no outcome");
		n_ok += a->rows[i].err == KVR_OK;
		if (a->rows[i].err == KVR_OK && answer->kind == KVR_OP_GET &&
		    key->memory != kvr_sim_content(key->name))
			kvr_sim_broken(sim, "a get handed over something else");
		if (a->rows[i].err == KVR_OK && answer->kind == KVR_OP_GET && key->landed < a->layers)
			kvr_sim_broken(sim, "a get is over, and a layer of it was never told of");
	}
	if (n_ok != answer->n_ok)
		kvr_sim_broken(sim, "COMPLETE counts another number of good keys than its rows");
}

/* Ahead of the copies: once, first, and of rows of its own. */
static void
told_ahead(struct kvr_sim *sim, struct sim_asked *a, const struct kvr_msg *msg)
{
	const struct kvr_sim_answer *answer = &a->answer;
	const struct kvr_row *rows = &sim->rows[msg->rows];
	uint32_t n_ok = 0;

	if ((answer->flags & KVR_OPF_RECORD) == 0 || msg->rows != answer->first + answer->n ||
	    a->ahead || answer->n_complete > 0 || (msg->COMPLETE.flags & KVR_DONEB_QUIET) != 0)
		kvr_sim_broken(sim, "something is told ahead that may not be");
	for (uint32_t i = 0; i < answer->n; i++) {
		if (rows[i].err == KVR_PENDING)
			kvr_sim_broken(sim, "a key is told ahead without an outcome");
		n_ok += rows[i].err == KVR_OK;
	}
	if (n_ok != msg->COMPLETE.n_ok)
		kvr_sim_broken(sim, "what is told ahead counts another number of good keys than its rows");
	a->ahead = true;
	if (answer->kind != KVR_OP_PUT)
		return;
	if (a->n_begun < a->n_asked)
		kvr_sim_broken(sim, "a put is told ahead while a copy of it has not begun");
	overwrite(sim, a);
}

/*
 * Whoever was told that a key of a get is a miss has taken it for one. A put is told ahead what is
 * known by then, and that stays.
 */
static void
check_ahead(struct kvr_sim *sim, const struct sim_asked *a)
{
	const struct kvr_row *told = &sim->rows[a->answer.first + a->answer.n];
	bool put = a->answer.kind == KVR_OP_PUT;

	for (uint32_t i = 0; a->ahead && i < a->answer.n; i++) {
		if (put ? told[i].err != KVR_E_UNFINISHED && told[i].err != a->rows[i].err
		        : a->rows[i].err == KVR_OK && told[i].err != KVR_OK)
			kvr_sim_broken(sim, "a key ends otherwise than it was told ahead");
	}
}

static void
complete(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	struct sim_asked *a = kvr_sim_live(sim, msg, "COMPLETE of an operation that is not open");
	struct kvr_sim_answer *answer = &a->answer;

	if (msg->rows != answer->first) {
		told_ahead(sim, a, msg);
		return;
	}
	uint32_t may = answer->flags & KVR_OPF_EARLY ? 2 : 1;

	if (answer->n_complete == may || answer->done_bits & KVR_DONEB_QUIET)
		kvr_sim_broken(sim, "one COMPLETE too many");
	if (answer->n_complete == 1 &&
	    (memcmp(a->rows, &sim->rows[answer->first], answer->n * sizeof(a->rows[0])) != 0 ||
		answer->err != msg->COMPLETE.err || answer->prefix != msg->COMPLETE.prefix ||
		answer->bytes != msg->COMPLETE.bytes))
		kvr_sim_broken(sim, "the second COMPLETE tells another result than the first");
	answer->n_complete++;
	answer->answered_ns = sim->now_ns;
	answer->err = msg->COMPLETE.err;
	answer->done_bits = msg->COMPLETE.flags;
	answer->n_ok = msg->COMPLETE.n_ok;
	answer->prefix = msg->COMPLETE.prefix;
	answer->bytes = msg->COMPLETE.bytes;
	memcpy(a->rows, &sim->rows[answer->first], answer->n * sizeof(a->rows[0]));
	check_outcome(sim, a);
	check_ahead(sim, a);
	if (answer->n_complete == may && (answer->done_bits & KVR_DONEB_QUIET) == 0)
		kvr_sim_broken(sim, "the last COMPLETE and the memory is not quiet");
	for (uint32_t i = 0; i < answer->n && answer->done_bits & KVR_DONEB_QUIET; i++)
		sim->api->keys[answer->first + i].quiet = true;
}

static void
release(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	struct sim_asked *a = kvr_sim_live(sim, msg, "RELEASE of an operation that is not open");
	struct kvr_sim_answer *answer = &a->answer;

	if ((answer->done_bits & KVR_DONEB_QUIET) == 0)
		kvr_sim_broken(sim, "RELEASE before the answer is complete");
	if (msg->RELEASE.first != answer->first || msg->RELEASE.n != answer->n)
		kvr_sim_broken(sim, "RELEASE of other slots than were taken");
	answer->released_ns = sim->now_ns;
	memset(&sim->api->keys[answer->first], 0,
	    (answer->flags & KVR_OPF_RECORD ? 2 : 1) * answer->n * sizeof(sim->api->keys[0]));
	sim->api->op[msg->op & 0xffffffffU].number = 0;
	sim->api->n_open--;
}

bool
kvr_sim_api_take(struct kvr_sim *sim, const struct kvr_msg *msg)
{
	struct sim_event ev = { .kind = SIM_SERVE, .msg = *msg };
	struct sim_api *api = sim->api;

	if (api == NULL)
		return false;
	if (msg->to == KVR_ID_API && msg->type == KVR_MSG_COMPLETE) {
		complete(sim, msg);
		return true;
	}
	if (msg->to == KVR_ID_API && msg->type == KVR_MSG_RELEASE) {
		release(sim, msg);
		return true;
	}
	if (msg->type != KVR_MSG_ENCODE && msg->type != KVR_MSG_DECODE && msg->type != KVR_MSG_COPY)
		return false;
	uint64_t span_ns = api->hands.max_ns - api->hands.min_ns;
	uint64_t takes_ns = api->hands.min_ns + kvr_sim_rand(sim, span_ns + 1);
	uint64_t *busy_ns = &api->busy_ns[msg->to];

	if (msg->type == KVR_MSG_COPY && msg->COPY.tells != 0) {
		struct sim_event begun = ev;

		kvr_sim_tells(sim, msg, SIM_COPY_ASKED);
		begun.msg.type = KVR_MSG_BEGUN;
		kvr_sim_at(sim, KVR_MAX(*busy_ns, sim->now_ns), &begun);
	}

	uint64_t from_ns = KVR_MAX(*busy_ns, sim->now_ns);

	*busy_ns = from_ns + takes_ns;
	if (msg->type == KVR_MSG_COPY)
		kvr_sim_layers_take(sim, msg, from_ns, *busy_ns);
	kvr_sim_at(sim, *busy_ns, &ev);
	return true;
}
