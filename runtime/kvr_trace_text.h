/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as one line with fixed columns, made for grep; 17 is the number of the step:
 *
 *   [     3.737 ms]     17 link 1.0     DIALED       DIALING    -> UP         op 7.1 cause ...
 *
 * Then names and values, in pairs: op, cause, from, part, rows, deadline, the message's own fields,
 * how the keys ended, effects, digest. Zero and empty values are left out.
 */
#ifndef KVR_TRACE_TEXT_H
#define KVR_TRACE_TEXT_H

#include "kvr_trace_view.h"

enum { KVR_TRACE_LINE = 512 };

/* No newline; cut at cap. find may be NULL: states are then numbers. Returns ret. */
const char *kvr_trace_line(const struct kvr_trace_head *, const struct kvr_rec *,
    kvr_spec_find_fn *find, char *ret, size_t cap);

/* An effect, which is a message or a timer: "PART to tier 0 part 7.1 verb get rows 2". */
const char *kvr_trace_fx(const struct kvr_fx *, uint64_t opened_ns, char *ret, size_t cap);

/* "UP"; a number if the name is not known (find may be NULL). Returns ret. */
const char *kvr_state_text(
    kvr_spec_find_fn *find, uint16_t actor, uint32_t state, char *ret, size_t cap);

/* "3 OK, 1 MISS": how the keys of these rows ended; "" when none has. Returns ret. */
const char *kvr_rows_text(const struct kvr_row *, uint32_t n, char *ret, size_t cap);

/* What a mark says, in printable bytes: why the deciders stopped, for example. Returns ret. */
const char *kvr_mark_text(const struct kvr_rec_mark *, char *ret, size_t cap);

/* Clears what comes from the clock or from chance: times, durations, the seed, the cause. */
void kvr_msg_timeless(struct kvr_msg *);

/* The message's own fields: "err TIMEOUT took_us 12". Returns ret. */
const char *kvr_msg_text(const struct kvr_msg *, uint64_t opened_ns, char *ret, size_t cap);

#endif
