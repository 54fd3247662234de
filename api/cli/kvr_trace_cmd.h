/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `kvrelay trace`: what its files say to each other.
 *
 *   trace.c          options, and who does what
 *   trace_file.c     which file is meant
 *   trace_filter.c   which steps are meant
 *   trace_model.c    all steps with what they asked for, by a replay
 *   trace_ops.c      the operations of a trace, and what has become of each
 *   trace_arrows.c   messages, for drawings
 *   trace_show.c     show, info        trace_last.c     last, ops
 *   trace_follow.c   follow            trace_stat.c     stat
 *   trace_replay.c   replay            trace_step.c     step
 *                                    trace_fields.c   fields of states
 *   trace_diff.c     diff              trace_check.c    check; trace_rule.c: one of its rules
 *   trace_draw.c     draw as text or Mermaid; trace_chrome.c: for Perfetto
 *   trace_states.c   states            trace_cut.c      cut, bless
 *   trace_watch.c    watch
 *
 * Exit status: 0; 1: a difference, a broken rule, nothing found; 2: cannot.
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
	/* Filters: each that is given must hold. */
	const char *actor, *op, *request, *key, *state, *msg;
	uint64_t    from_ns, until_ns; /* after the instance was opened; until 0: the end */
	uint64_t    step_from, step_until, break_at, lines; /* steps; 0: not given */
	const char *as, *out, *dir;
	const char *commands; /* of step, with semicolons between them; NULL: from standard input */
	bool        anyway, effects, for_report, once, seen;
	/* What is left on the command line behind the verb. */
	int    n_args;
	char **args;
	kvr_digest key_digest; /* of .key */
	uint64_t   request_hash;
};

struct trace_step {
	const struct kvr_rec_step *rec;
	uint64_t index; /* in the view */
	uint32_t fx;    /* first of its effects */
	uint32_t n_fx;
	uint32_t touched; /* lines of its state that it may have changed */
	bool     known;   /* it was replayed: its effects are there */
};

/*
 * Effects are not in a trace. They come from a replay, which a trace that has lost its beginning,
 * or that another program wrote, does not have from its first record on.
 */
struct trace_model {
	const struct kvr_trace_view *view;
	const struct kvr_trace_head *head;
	struct trace_step *step;
	uint64_t           n;
	struct kvr_fx     *fx;
	uint64_t           n_fx;
	uint64_t           first_known; /* index in step; n: none */
	char               why[512];    /* no replay, or it ended early; "" */
};

/* NULL after a line on standard error: only for want of memory. */
struct trace_model *trace_model_make(struct trace_cmd *, const struct kvr_trace_view *);
void                trace_model_free(struct trace_model *take);
/* Index in step of the step with this number; n: it is not in the trace. */
uint64_t trace_model_find(const struct trace_model *, uint64_t number);

/* ---- which steps ---- */

/* False after a line on standard error. Once, before trace_is_wanted. */
bool trace_filter_ready(struct trace_cmd *, const struct kvr_trace_view *);
bool trace_is_wanted(const struct trace_cmd *, const struct kvr_trace_view *, const struct kvr_rec *);
/* "link": every link; "link 1": those of that tier; "link 1.0": that one. */
bool trace_is_actor(const char *wanted, uint16_t id);

/*
 * With --key, of a step that has the outcomes of several keys: how that key ended. NULL: there is nothing
 * to say. The rest of its operation's keys stand in the same rows, and a count of them says nothing of it.
 */
const char *trace_key_fate(const struct trace_cmd *, const struct kvr_rec_step *);

/* By --op, --request and --key alone. */
bool trace_is_wanted_op(const struct trace_cmd *, uint64_t op);

/* ---- messages, for drawings ---- */

struct trace_arrow {
	const struct trace_step *step; /* that received it; of one that went outside: that sent it */
	const struct kvr_msg *msg;
	uint64_t now_ns;
	bool     arrives; /* at a decider */
};

struct trace_arrows {
	struct trace_arrow *at;
	uint64_t n, cap;
};

/* False: no memory. */
bool trace_arrows_of(const struct trace_cmd *, const struct trace_model *, struct trace_arrows *ret);
void trace_arrows_free(struct trace_arrows *);

/* ---- operations ---- */


struct trace_op {
	uint64_t id, request;
	uint64_t first;                /* index in step of SUBMIT; where it is first seen without */
	uint64_t asked_ns, deadline_ns; /* asked_ns 0: before the trace begins */
	uint64_t answered_ns, quiet_ns, released_ns, ahead_ns; /* 0: not */
	uint32_t n_complete, n_release, n_keys, flags;
	uint32_t done_bits; /* enum kvr_done_bit of its last answer, and its tiers */
	uint32_t row, n_ahead; /* its first; answers ahead of its copies */
	int32_t  err;
	uint32_t n_ok, kind;
	uint64_t bytes;
	int8_t   said[KVR_TIERS_MAX]; /* the first error that a tier had for a key of it, before the answer */
};

struct trace_ops {
	struct trace_op *op;
	uint64_t n, cap;
};

/* In the order in which they are first seen. False: no memory. */
bool trace_ops_of(const struct trace_model *, struct trace_ops *ret);
void trace_ops_free(struct trace_ops *);
/* "get of 12 keys" */
const char *trace_op_text(const struct trace_op *, char *ret, size_t cap);
enum { TRACE_END_MAX = 512 }; /* of every tier something may be said */
/* "OK, 12 of 12 keys, 1.5 MiB after 1.655 ms", with the tiers that it does without or failed at, or how long it has not been answered. */
const char *trace_op_end(const struct trace_model *, const struct trace_op *, char *ret, size_t cap);
/* Lines that say who has its parts at the end of the trace, and since when. */
void trace_op_waits(const struct trace_model *, const struct trace_op *, const char *indent);
uint64_t trace_end_ns(const struct trace_model *);

/* ---- texts ---- */

double      trace_ms(const struct kvr_trace_head *, uint64_t at_ns);
const char *trace_state_name(uint16_t actor, uint32_t state, char *ret, size_t cap);
/* The operation or the part that it is about, and its own fields. */
const char *trace_msg_text(const struct kvr_trace_head *, const struct kvr_msg *, char *ret, size_t cap);
bool        trace_is_answer(uint16_t type); /* of a worker, or on the way back */
bool        trace_is_decider(uint16_t id);

/* ---- what a step changed ---- */

/* A copy of its state; NULL: no memory. */
void *trace_copy_of(const struct kvr_actor *);
/* After a step: a line for each field that is another than in the copy. Returns how many. */
uint32_t trace_fields_changed(const struct kvr_actor *, const void *copy,
    const struct kvr_trace_head *, const char *indent);
/* A line for each field that is not zero; of an array its first elements. */
void trace_fields_all(const struct kvr_actor *, const struct kvr_trace_head *, const char *indent);
/* A line for each thing that the last step of the replay asked for. */
void trace_effects(const struct kvr_replay *, const struct kvr_trace_head *, const char *indent);

/* ---- subcommands: c->args[0] is the file ---- */

typedef int trace_fn(struct trace_cmd *, const struct kvr_trace_view *, const char *path);
trace_fn trace_show, trace_info, trace_follow, trace_replay, trace_step_run, trace_draw, trace_check,
    trace_stat, trace_cut, trace_bless, trace_last_of, trace_list_ops;
int trace_chrome(struct trace_cmd *, const struct trace_model *, FILE *to);
int trace_diff(struct trace_cmd *);
int trace_states(struct trace_cmd *);
int trace_watch(struct trace_cmd *);

/* ---- files ---- */

/* Opens it, or says on standard error why not. */
struct kvr_trace_view *trace_open(struct trace_cmd *, const char *path);
bool                   trace_is_folder(const char *path);
/* The newest trace of a directory; NULL: the user's own. False after a line on standard error. */
bool trace_newest(struct trace_cmd *, const char *dir, char *ret, size_t cap, int *ret_status);
/* The newest of that process. */
bool trace_of_pid(struct trace_cmd *, const char *dir, uint32_t pid, char *ret, size_t cap);

#endif
