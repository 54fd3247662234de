/* SPDX-License-Identifier: Apache-2.0 */
/* Which steps are meant. A step must pass every given filter. */
#include "kvr_trace_cmd.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KEY_OPS_MAX = 4096 };

/* Operations that have the key or belong to the request. */
static struct {
	uint64_t op;
	uint32_t key; /* the key's slot there */
} chosen[KEY_OPS_MAX];
static size_t n_chosen;

bool
trace_is_actor(const char *wanted, uint16_t id)
{
	char name[24];
	size_t len = strlen(wanted);

	kvr_id_name(id, name, sizeof(name));
	return strncmp(name, wanted, len) == 0 &&
	       (name[len] == '\0' || name[len] == ' ' || name[len] == '.');
}

/* "7": all operations that used this slot. "7.2": one of them. */
static bool
has_op(const char *wanted, uint64_t op)
{
	char *end;
	unsigned long slot = strtoul(wanted, &end, 10);

	return op != 0 && (uint32_t)op == slot &&
	       (*end != '.' || strtoul(end + 1, NULL, 10) == op >> 32);
}

static bool
filters(const struct trace_cmd *c)
{
	return c->actor != NULL || c->op != NULL || c->request != NULL || c->key != NULL ||
	       c->state != NULL || c->msg != NULL;
}

static bool
has_key(const struct trace_cmd *c, const struct kvr_rec_step *s, uint32_t *ret_key)
{
	const struct kvr_row *rows = (const struct kvr_row *)(const void *)(s + 1);

	for (uint32_t i = 0; s->rows_here != 0 && i < s->msg.n_rows; i++) {
		if (memcmp(&rows[i].digest, &c->key_digest, sizeof(c->key_digest)) == 0) {
			*ret_key = rows[i].key;
			return true;
		}
	}
	return false;
}

static bool
is_chosen(uint64_t op)
{
	for (size_t i = 0; i < n_chosen; i++) {
		if (chosen[i].op == op)
			return true;
	}
	return false;
}

static void
choose(struct trace_cmd *c, const struct kvr_rec_step *s)
{
	bool submit = s->msg.type == KVR_MSG_SUBMIT;
	bool mine = true;
	uint32_t key = 0;

	if (c->request != NULL)
		mine = submit && s->msg.SUBMIT.request == c->request_hash;
	if (c->key != NULL)
		mine = mine && (submit || s->msg.type == KVR_MSG_SLICE) && has_key(c, s, &key);
	if (mine && n_chosen < KEY_OPS_MAX && !is_chosen(s->msg.op)) {
		chosen[n_chosen].op = s->msg.op;
		chosen[n_chosen++].key = key;
	}
}

/* The operation may have hundreds of parts, and the key is in a few of them. */
bool
trace_key_elsewhere(const struct trace_cmd *c, const struct kvr_rec_step *s)
{
	const struct kvr_row *rows = (const struct kvr_row *)(const void *)(s + 1);
	size_t k = 0;

	while (k < n_chosen && chosen[k].op != s->msg.op)
		k++;
	if (c->key == NULL || k == n_chosen || s->rows_here == 0 || s->msg.n_rows == 0 ||
	    kvr_msg_info[s->msg.type].owner != KVR_OWNER_RECEIVER)
		return false;
	for (uint32_t i = 0; i < s->msg.n_rows; i++) {
		if (rows[i].key == chosen[k].key)
			return false;
	}
	return true;
}

const char *
trace_key_fate(const struct trace_cmd *c, const struct kvr_rec_step *s)
{
	const struct kvr_row *rows = (const struct kvr_row *)(const void *)(s + 1);
	bool back = s->rows_here != 0 && kvr_msg_info[s->msg.type].owner == KVR_OWNER_RECEIVER;
	bool any = false; /* parts on their way out have no outcomes yet */
	size_t k = 0;

	while (k < n_chosen && chosen[k].op != s->msg.op)
		k++;
	if (c->key == NULL || !back || s->msg.n_rows < 2 || k == n_chosen)
		return NULL;
	for (uint32_t i = 0; i < s->msg.n_rows; i++) {
		any = any || rows[i].err != KVR_PENDING;
		if (rows[i].key == chosen[k].key)
			return rows[i].err == KVR_PENDING ? NULL : kvr_err_name(rows[i].err);
	}
	return any ? "not among them" : NULL;
}

static bool
is_state(const char *name)
{
	for (uint16_t id = 0; id < KVR_ID_N; id++) {
		const struct kvr_spec *spec = kvr_spec_of(id);

		for (unsigned s = 0; spec != NULL && s < spec->n_states; s++) {
			if (strcasecmp(spec->state_name[s], name) == 0)
				return true;
		}
	}
	return strcasecmp(name, "BROKEN") == 0;
}

static bool
is_msg(const char *name)
{
	for (unsigned m = 0; m < KVR_MSG_N; m++) {
		if (strcasecmp(kvr_msg_info[m].name, name) == 0)
			return true;
	}
	return false;
}

static bool
is_actor(const char *name)
{
	for (uint16_t id = 0; id < KVR_ID_N; id++) {
		if (kvr_spec_of(id) != NULL && trace_is_actor(name, id))
			return true;
	}
	return false;
}

/* "7" or "7.2". Any other text could parse as another operation's number. */
static bool
is_op(const char *text)
{
	static const char digit[] = "0123456789";
	size_t slot = strspn(text, digit);
	size_t gen = text[slot] == '.' ? strspn(text + slot + 1, digit) : 0;

	return slot > 0 && text[slot + (gen > 0 ? gen + 1 : 0)] == '\0';
}

/* A word that never matches is a mistake, not a trace without such a step. */
bool
trace_filter_ready(struct trace_cmd *c, const struct kvr_trace_view *view)
{
	n_chosen = 0;
	if (c->op != NULL && !is_op(c->op)) {
		cli_fail(&c->cli, "no operation is named '%s': they look like 7 or 7.2", c->op);
		return false;
	}
	if (c->actor != NULL && !is_actor(c->actor)) {
		cli_fail(&c->cli,
		    "no actor '%s': there are router, tier, link, transfer, metrics, and of several "
		    "'tier 1' or 'link 1.0'",
		    c->actor);
		return false;
	}
	if (c->msg != NULL && !is_msg(c->msg)) {
		cli_fail(&c->cli,
		    "no message '%s'; 'kvrelay trace states router' has those that "
		    "there are",
		    c->msg);
		return false;
	}
	if (c->state != NULL && !is_state(c->state)) {
		cli_fail(&c->cli, "no actor has a state '%s'", c->state);
		return false;
	}
	if (c->request != NULL)
		c->request_hash = kvr_hash64(c->request, strlen(c->request)) | 1;
	if (c->key != NULL)
		c->key_digest = kvr_hash128(c->key, strlen(c->key));
	for (uint64_t i = 0; i < kvr_trace_view_count(view); i++) {
		const struct kvr_rec *r = kvr_trace_view_at(view, i);

		if (r->kind == KVR_REC_STEP && (c->request != NULL || c->key != NULL))
			choose(c, kvr_rec_step(r));
	}
	return true;
}

bool
trace_is_wanted_op(const struct trace_cmd *c, uint64_t op)
{
	return (c->op == NULL || has_op(c->op, op)) &&
	       ((c->request == NULL && c->key == NULL) || is_chosen(op));
}

static bool
is_in_state(const struct trace_cmd *c, const struct kvr_rec_step *s)
{
	char name[32];

	return strcasecmp(
	           trace_state_name(s->rec.actor, s->before, name, sizeof(name)), c->state) == 0 ||
	       strcasecmp(trace_state_name(s->rec.actor, s->after, name, sizeof(name)), c->state) ==
	           0;
}

static bool
is_in_time(const struct trace_cmd *c, const struct kvr_trace_head *h, uint64_t now_ns)
{
	uint64_t at_ns = now_ns - h->opened_mono_ns;

	return at_ns >= c->from_ns && (c->until_ns == 0 || at_ns <= c->until_ns);
}

bool
trace_is_wanted(
    const struct trace_cmd *c, const struct kvr_trace_view *view, const struct kvr_rec *r)
{
	const struct kvr_trace_head *h = kvr_trace_view_head(view);

	const bool by_step = c->step_from != 0 || c->step_until != 0;

	if (r->kind == KVR_REC_MARK)
		return !filters(c) && !by_step &&
		       is_in_time(c, h, kvr_rec_mark(r)->now_ns);
	if (r->kind == KVR_REC_TEXT)
		return c->actor == NULL && c->state == NULL && c->msg == NULL && c->from_ns == 0 &&
		       !by_step && (c->op == NULL || has_op(c->op, kvr_rec_text(r)->op)) &&
		       ((c->request == NULL && c->key == NULL) || is_chosen(kvr_rec_text(r)->op));
	if (r->kind != KVR_REC_STEP)
		return false;
	const struct kvr_rec_step *s = kvr_rec_step(r);

	return is_in_time(c, h, s->now_ns) &&
	       (c->actor == NULL || trace_is_actor(c->actor, r->actor)) &&
	       trace_is_wanted_op(c, s->msg.op) && (c->state == NULL || is_in_state(c, s)) &&
	       (c->msg == NULL || strcasecmp(kvr_msg_info[s->msg.type].name, c->msg) == 0) &&
	       (c->step_from == 0 || s->step >= c->step_from) &&
	       (c->step_until == 0 || s->step <= c->step_until);
}
