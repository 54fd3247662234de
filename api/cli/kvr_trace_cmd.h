/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kvrelay trace`: what its files share.
 *
 *   trace.c          options, dispatch
 *   trace_file.c     which file is meant
 *   trace_filter.c   which steps are meant
 *   trace_model.c    all steps and their effects, from a replay
 *   trace_ops.c      the operations of a trace, and how each ended
 *   trace_arrows.c   messages, for drawings
 *   trace_show.c     show, info        trace_last.c     last, ops
 *   trace_follow.c   follow            trace_stat.c     stat
 *   trace_replay.c   replay            trace_step.c     step
 *                                      trace_fields.c   fields of states
 *   trace_diff.c     diff              trace_check.c    check; trace_rule.c: one of its rules
 *   trace_draw.c     draw as text or Mermaid; trace_chrome.c: for Perfetto
 *   trace_states.c   states            trace_cut.c      cut, bless
 *   trace_watch.c    watch
 *
 * Exit status: 0 done; 1 a difference, a broken rule, nothing found; 2 an error.
 */
#ifndef KVR_TRACE_CMD_H
#define KVR_TRACE_CMD_H

#include "kvr_cli.h"

#include "kvr_actors.h"
#include "kvr_field.h"
#include "kvr_replay.h"
#include "kvr_trace_text.h"

enum { TRACE_PARTS_MAX = 64 };

struct trace_cmd {
	struct cli cli;
	/* Filters: a step must pass every given one. */
	const char *actor, *op, *request, *key, *state, *msg;
	uint64_t    from_ns, until_ns; /* since the instance was opened; until 0: the end */
	uint64_t    step_from, step_until, break_at, lines; /* steps; 0: not given */
	const char *as, *out, *dir;
	const char *commands; /* of step, separated by semicolons; NULL: from standard input */
	bool        anyway, effects, for_report, once, seen;
	/* The arguments after the verb. */
	int    n_args;
	char **args;
	kvr_digest key_digest; /* of .key */
	uint64_t   request_hash;
};

struct trace_step {
	const struct kvr_rec_step *rec;
	uint64_t index; /* in the view */
	uint32_t fx;    /* its first effect */
	uint32_t n_fx;
	uint32_t touched; /* lines of its state that it may have changed */
	bool     known;   /* replayed: its effects are known */
};

/*
 * A trace has no effects: they come from a replay. A trace that lost its beginning, or that another
 * program wrote, has them only from a later step on, or not at all.
 */
struct trace_model {
	const struct kvr_trace_view *view;
	const struct kvr_trace_head *head;
	struct trace_step *step;
	uint64_t           n;
	struct kvr_fx     *fx;
	uint64_t           n_fx;
	uint64_t           first_known; /* index in step; n: none */
	char               why[512];    /* why there is no replay, or why it ended early; "" */
};

/* NULL after a line on standard error: no memory. */
struct trace_model *trace_model_make(struct trace_cmd *, const struct kvr_trace_view *);
void                trace_model_free(struct trace_model *take);
/* Index in step of the step with this number. n: not in the trace. */
uint64_t trace_model_find(const struct trace_model *, uint64_t number);

/* ---- which steps ---- */

/* False after a line on standard error. Call before trace_is_wanted, once per view. */
bool trace_filter_ready(struct trace_cmd *, const struct kvr_trace_view *);
bool trace_is_wanted(
    const struct trace_cmd *, const struct kvr_trace_view *, const struct kvr_rec *);
/* "link": every link. "link 1": those of that tier. "link 1.0": that one. */
bool trace_is_actor(const char *wanted, uint16_t id);

/*
 * With --key, for a step with the outcomes of several keys: how that key ended. NULL: nothing to
 * say. The other keys are in the same rows, so their summary does not tell.
 */
const char *trace_key_fate(const struct trace_cmd *, const struct kvr_rec_step *);
/* With --key: a step with rows of the key's operation, and the key is in none of them. */
bool trace_key_elsewhere(const struct trace_cmd *, const struct kvr_rec_step *);

/* Checks --op, --request and --key only. */
bool trace_is_wanted_op(const struct trace_cmd *, uint64_t op);

/* ---- messages, for drawings ---- */

struct trace_arrow {
	const struct trace_step *step; /* the step that received it, or that sent it outside */
	const struct kvr_msg *msg;
	uint64_t now_ns;
	bool     arrives; /* at a decider */
};

struct trace_arrows {
	struct trace_arrow *at;
	uint64_t n, cap;
};

/* False: no memory. */
bool trace_arrows_of(
    const struct trace_cmd *, const struct trace_model *, struct trace_arrows *ret);
void trace_arrows_free(struct trace_arrows *);

/* ---- operations ---- */


struct trace_op {
	uint64_t id, request;
	uint64_t first;                /* index in step of SUBMIT, else of its first step */
	uint64_t asked_ns, deadline_ns; /* asked_ns 0: before the trace begins */
	uint64_t answered_ns, quiet_ns, released_ns, ahead_ns; /* 0: not yet */
	uint32_t n_complete, n_release, n_keys, flags;
	uint32_t done_bits; /* enum kvr_done_bit of the last answer, with its tiers */
	uint32_t row, n_ahead; /* its first row; answers ahead of its copies */
	int32_t  err;
	uint32_t n_ok, kind;
	uint64_t bytes;
	int8_t   said[KVR_TIERS_MAX]; /* each tier's first error for one of its keys until answered */
};

struct trace_ops {
	struct trace_op *op;
	uint64_t n, cap;
};

/* In the order of their first steps. False: no memory. */
bool trace_ops_of(const struct trace_model *, struct trace_ops *ret);
void trace_ops_free(struct trace_ops *);
/* "get of 12 keys" */
const char *trace_op_text(const struct trace_op *, char *ret, size_t cap);
enum { TRACE_END_MAX = 512 }; /* enough to name every tier */
/*
 * "OK, 12 of 12 keys, 1.5 MiB, after 1.655 ms", with the late, skipped or failed tiers; if
 * unanswered, for how long.
 */
const char *trace_op_end(
    const struct trace_model *, const struct trace_op *, char *ret, size_t cap);
/* Who has a part of it at the end of the trace, and since when. At most TRACE_PARTS_MAX; returns how many. */
struct trace_held {
	uint32_t part;
	uint16_t by;
	uint64_t since_ns, until_ns;
	char     what[16];
};
uint32_t trace_op_parts(const struct trace_model *, const struct trace_op *, struct trace_held *ret);
/* Prints the same. */
void trace_op_waits(const struct trace_model *, const struct trace_op *, const char *indent);
uint64_t trace_end_ns(const struct trace_model *);

/* An actor's last step, NULL if it has none, and its last change of state: NULL: before the trace begins. */
struct trace_last {
	const struct kvr_rec_step *last, *change;
};
struct trace_last trace_last_step(const struct trace_model *, uint16_t actor);
/* The mark that tells how the run ended. NULL: it runs, or it was killed or crashed. */
const struct kvr_rec_mark *trace_ending(const struct kvr_trace_view *);
/* The first of the last lines that are wanted; *ret_n: how many there are. */
uint64_t trace_last_lines(const struct trace_cmd *, const struct kvr_trace_view *, uint64_t *ret_n);

/* ---- as JSON ---- */

void trace_ops_json(const struct trace_cmd *, const struct trace_model *, const struct trace_ops *);
void trace_last_json(const struct trace_cmd *, const struct trace_model *, const struct trace_ops *,
    const char *path);

/* ---- texts ---- */

double      trace_ms(const struct kvr_trace_head *, uint64_t at_ns);
const char *trace_state_name(uint16_t actor, uint32_t state, char *ret, size_t cap);
/* Message name, part and fields. */
const char *trace_msg_text(
    const struct kvr_trace_head *, const struct kvr_msg *, char *ret, size_t cap);
bool        trace_is_answer(uint16_t type); /* from a worker, or on the way back */
bool        trace_is_decider(uint16_t id);

/* ---- what a step changed ---- */

/* A copy of the actor's state. NULL: no memory. */
void *trace_copy_of(const struct kvr_actor *);
/* After a step: prints each field that differs from the copy. Returns how many. */
uint32_t trace_fields_changed(const struct kvr_actor *, const void *copy,
    const struct kvr_trace_head *, const char *indent);
/* Prints each field that is not zero; of an array, its first elements. */
void trace_fields_all(const struct kvr_actor *, const struct kvr_trace_head *, const char *indent);
/* Prints each effect of the last step of the replay. */
void trace_effects(const struct kvr_replay *, const struct kvr_trace_head *, const char *indent);

/* ---- subcommands: c->args[0] is the file ---- */

typedef int trace_fn(struct trace_cmd *, const struct kvr_trace_view *, const char *path);
trace_fn trace_show, trace_info, trace_follow, trace_replay, trace_step_run, trace_draw,
    trace_check, trace_stat, trace_cut, trace_bless, trace_last_of, trace_list_ops;
int trace_chrome(struct trace_cmd *, const struct trace_model *, FILE *to);
int trace_diff(struct trace_cmd *);
int trace_states(struct trace_cmd *);
int trace_watch(struct trace_cmd *);

/* ---- files ---- */

/* Opens a trace, or reports why not on standard error. */
struct kvr_trace_view *trace_open(struct trace_cmd *, const char *path);
bool                   trace_is_folder(const char *path);
/* The newest trace of a directory; NULL: of the user's. False after a line on standard error. */
bool trace_newest(struct trace_cmd *, const char *dir, char *ret, size_t cap, int *ret_status);
/* The newest trace of that process. */
bool trace_of_pid(struct trace_cmd *, const char *dir, uint32_t pid, char *ret, size_t cap);

#endif
