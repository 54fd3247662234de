/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as one line of fixed columns, made for grep:
 *
 *   [     3.737 ms]     17 link 1.0     DIALED       DIALING    -> UP         op 7.1 from ...
 *
 * Then name and value, in pairs: op, cause, from, part, rows, deadline, the message's own fields,
 * effects, digest. What is zero or empty is left out.
 */
#ifndef KVR_TRACE_TEXT_H
#define KVR_TRACE_TEXT_H

#include "kvr_trace_view.h"

enum { KVR_TRACE_LINE = 512 };

/*
 * Without a newline; cut at cap. find may be NULL: states are then numbers. Returns ret.
 */
const char *kvr_trace_line(const struct kvr_trace_head *, const struct kvr_rec *,
    kvr_spec_find_fn *find, char *ret, size_t cap);

/* The message's own fields: "err TIMEOUT took_us 12". Returns ret. */
const char *kvr_msg_text(const struct kvr_msg *, uint64_t opened_ns, char *ret, size_t cap);

#endif
