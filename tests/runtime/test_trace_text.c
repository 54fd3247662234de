/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_trace_text.h"
#include "kvr_check.h"
#include "trace_bed.h"
#include "duo.h"

#include <string.h>

START_TEST(a_record_is_one_line_of_fixed_columns)
{
	struct kvr_trace *t = bed_trace("none", KVR_MIB(1), 0);
	struct duo_run run;
	char line[KVR_TRACE_LINE], text[128];
	struct kvr_msg m = { .type = KVR_MSG_PART_DONE };

	duo_open(&run, t);
	run.now_ns = kvr_now_ns();
	run.rows[7 * DUO_ROWS].len = 5;
	duo_post(&run, duo_submit(7, 2, 1, 1, run.now_ns + KVR_MS(20)));
	kvr_trace_snapshot(t, run.both, 2, run.now_ns);
	struct kvr_trace_view *v = bed_copy(t);
	const struct kvr_trace_head *h = kvr_trace_view_head(v);
	struct kvr_trace_head at_zero = *h;
	at_zero.opened_mono_ns = run.now_ns - 3737000;
	kvr_trace_line(&at_zero, kvr_trace_view_at(v, 2), duo_find, line, sizeof(line));
	char *digest = strstr(line, " digest ");
	ck_assert_ptr_nonnull(digest);
	*digest = '\0';
	ck_assert_str_eq(line,
	    "[     3.737 ms]      3 router     SUBMIT      IDLE       -> BUSY        "
	    "op 7.2 from api rows 112+1 deadline 23.737 ms first 112 n 1 kind get effects "
	    "2");
	kvr_trace_line(&at_zero, kvr_trace_view_at(v, 3), duo_find, line, sizeof(line));
	ck_assert_msg(strstr(line, "] "
	                           "     4 tier 0     PART        IDLE       -> BUSY        op 7.2 "
	                           "cause 3 from router part 7.1 rows 65648+1 verb exists cls "
	                           "prefetch effects 1 digest ") != NULL,
	    "%s", line);
	kvr_trace_line(&at_zero, kvr_trace_view_at(v, kvr_trace_view_count(v) - 1), duo_find, line,
	    sizeof(line));
	ck_assert_ptr_nonnull(strstr(line, " -- snapshot ends"));
	for (uint64_t i = 0; i < kvr_trace_view_count(v); i++) {
		for (size_t cap = 1; cap < 200; cap += 7) {
			kvr_trace_line(h, kvr_trace_view_at(v, i), NULL, line, cap);
			ck_assert_uint_lt(strlen(line), cap);
			ck_assert_ptr_null(strchr(line, '\n'));
		}
	}
	m.PART_DONE.err = KVR_E_TIMEOUT;
	m.PART_DONE.took_us = 4000000000U;
	m.PART_DONE.cls = 3;
	ck_assert_str_eq(kvr_msg_text(&m, 0, text, sizeof(text)),
	    "err TIMEOUT took_us 4000000000 verb exists cls put");
	m = (struct kvr_msg){ .type = KVR_MSG_OP_STAT };
	m.OP_STAT.err = KVR_E_MISS;
	m.OP_STAT.bytes = 1;
	ck_assert_str_eq(kvr_msg_text(&m, 0, text, sizeof(text)), "kind lookup err MISS bytes 1");
	m.OP_STAT.took_us = 17;
	m.deadline_ns = 5;
	kvr_msg_timeless(&m);
	ck_assert_uint_eq(m.OP_STAT.took_us, 0);
	ck_assert_uint_eq(m.deadline_ns, 1); /* that there is one */
	ck_assert_uint_eq(m.OP_STAT.bytes, 1);
	kvr_trace_view_free(v);
	duo_close(&run);
	kvr_trace_close(t);
}
END_TEST

/* Each message can be printed: its fields are parsed from their declarations. */
START_TEST(every_message_has_a_text)
{
	char text[256];

	for (uint16_t type = 0; type < KVR_MSG_N; type++) {
		struct kvr_msg m;

		memset(&m, 0xff, sizeof(m));
		m.type = type;
		kvr_msg_text(&m, 0, text, sizeof(text));
		/* what has no field but spare ones has no text */
		ck_assert_msg(text[0] != '\0' || type == KVR_MSG_PING || type == KVR_MSG_HANG_UP ||
		        type == KVR_MSG_BEGUN,
		    "%s", kvr_msg_info[type].name);
	}
}
END_TEST

KVR_CHECK_MAIN(
    "runtime.trace_text", a_record_is_one_line_of_fixed_columns, every_message_has_a_text)
