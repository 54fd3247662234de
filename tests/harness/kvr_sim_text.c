/* SPDX-License-Identifier: Apache-2.0 */
/* Transcripts: what each step did, as a person reads it. */
#include "kvr_sim_own.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void KVR_PRINTF(2, 3) say(struct sim_text *t, const char *format, ...)
{
	va_list args;

	if (t->cap - t->len < 512) {
		t->cap = t->cap == 0 ? 65536 : t->cap * 2;
		t->at = realloc(t->at, t->cap);
		KVR_CHECK(t->at != NULL);
	}
	va_start(args, format);
	int n = vsnprintf(t->at + t->len, t->cap - t->len, format, args);

	va_end(args);
	KVR_CHECK(n >= 0 && (size_t)n < t->cap - t->len);
	t->len += (size_t)n;
}

/* The error that a message carries; KVR_PENDING: it has no such field. */
static int32_t
err_of(const struct kvr_msg *msg)
{
	switch (msg->type) {
	case KVR_MSG_PART_DONE:
		return msg->PART_DONE.err;
	case KVR_MSG_DIALED:
		return msg->DIALED.err;
	case KVR_MSG_PONG:
		return msg->PONG.err;
	case KVR_MSG_LINK_STATE:
		return msg->LINK_STATE.err;
	case KVR_MSG_ENCODED:
		return msg->ENCODED.err;
	case KVR_MSG_DECODED:
		return msg->DECODED.err;
	case KVR_MSG_COPIED:
		return msg->COPIED.err;
	case KVR_MSG_COMPLETE:
		return msg->COMPLETE.err;
	case KVR_MSG_CANCEL:
		return msg->CANCEL.reason;
	case KVR_MSG_PART_CANCEL:
		return msg->PART_CANCEL.reason;
	default:
		return KVR_PENDING;
	}
}

static void
say_msg(struct sim_text *t, const struct kvr_msg *msg)
{
	static const char *const link_state[] = { "DOWN", "DIALING", "HALF_OPEN", "UP", "CLOSED" };
	static const char *const tier_state[] = { "OPENING", "UP", "COOLING", "PROBING", "CLOSED" };

	say(t, "%s", kvr_msg_info[msg->type].name);
	if (msg->part != 0)
		say(t, " %" PRIu32, KVR_PART_SLOT(msg->part));
	else if (msg->op != 0)
		say(t, " op %" PRIu64, msg->op & 0xffffffffU);
	if (msg->type == KVR_MSG_LINK_STATE)
		say(t, " %s", link_state[msg->LINK_STATE.state]);
	if (msg->type == KVR_MSG_TIER_STATE)
		say(t, " %s", tier_state[msg->TIER_STATE.state]);
	if (msg->type == KVR_MSG_DIAL && msg->DIAL.probe)
		say(t, " probe");
	if (err_of(msg) != KVR_PENDING)
		say(t, " %s", kvr_err_name(err_of(msg)));
}

static void
say_effects(struct kvr_sim *sim, uint16_t id)
{
	const char *between = "  send ";
	char name[24];

	for (uint32_t i = 0; i < sim->out->n; i++) {
		const struct kvr_fx *fx = &sim->out->fx[i];

		if (fx->kind != KVR_FX_SEND || fx->msg.to == KVR_ID_METRICS || fx->msg.to == id)
			continue;
		say(&sim->text, "%s", between);
		say_msg(&sim->text, &fx->msg);
		say(&sim->text, " to %s", kvr_id_name(fx->msg.to, name, sizeof(name)));
		between = ", ";
	}
	between = between[0] == ',' ? between : "  ";
	for (uint32_t i = 0; i < sim->out->n; i++) {
		const struct kvr_fx *fx = &sim->out->fx[i];

		if (fx->kind != KVR_FX_LATER)
			continue;
		say(&sim->text, "%stimer %" PRIu32 " in %" PRIu64 ".%03" PRIu64 " ms", between,
		    fx->msg.TIMER.timer, (fx->at_ns - sim->now_ns) / 1000000,
		    (fx->at_ns - sim->now_ns) / 1000 % 1000);
		between = ", ";
	}
}

void
kvr_sim_line(
    struct kvr_sim *sim, const struct kvr_actor *a, uint32_t before, const struct kvr_event *ev)
{
	struct sim_text *t = &sim->text;
	size_t column;
	char name[24];

	say(t, "[%6" PRIu64 ".%03" PRIu64 " ms] %-9s ", ev->now_ns / 1000000,
	    ev->now_ns / 1000 % 1000, kvr_id_name(a->id, name, sizeof(name)));
	column = t->len;
	say_msg(t, &ev->msg);
	say(t, "%*s", (int)(t->len - column < 24 ? 24 - (t->len - column) : 1), "");
	if (a->state == before)
		say(t, "%-22s", a->spec->state_name[before]);
	else
		say(t, "%-9s -> %-9s", a->spec->state_name[before], a->spec->state_name[a->state]);
	say_effects(sim, a->id);
	while (t->at[t->len - 1] == ' ')
		t->len--;
	say(t, "\n");
}

void
kvr_sim_note(struct kvr_sim *sim, const char *line)
{
	if (sim->options.transcript)
		say(&sim->text, "-- %s\n", line);
}

const char *
kvr_sim_text(const struct kvr_sim *sim)
{
	return sim->text.at == NULL ? "" : sim->text.at;
}

static char *
read_all(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = calloc(1, 1 << 20);

	KVR_CHECK(text != NULL);
	if (f == NULL)
		return text;
	size_t n = fread(text, 1, (1 << 20) - 1, f);

	text[n] = '\0';
	fclose(f);
	return text;
}

static void
show_difference(const char *want, const char *got)
{
	size_t line = 1, start = 0, i = 0;

	for (; want[i] == got[i] && want[i] != '\0'; i++) {
		if (want[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	fprintf(stderr, "line %zu\nexpected: %.*s\nhappened: %.*s\n", line,
	    (int)strcspn(want + start, "\n"), want + start, (int)strcspn(got + start, "\n"),
	    got + start);
}

void
kvr_sim_expect(struct kvr_sim *sim, const char *name)
{
	const char *bless = getenv("KVR_BLESS");
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.txt", KVR_TRANSCRIPTS, name);
	if (bless != NULL && strcmp(bless, "1") == 0) {
		FILE *f = fopen(path, "wb");

		if (f == NULL)
			kvr_sim_broken(sim, strerror(errno));
		fputs(kvr_sim_text(sim), f);
		fclose(f);
		return;
	}
	char *want = read_all(path);
	bool same = strcmp(want, kvr_sim_text(sim)) == 0;

	if (!same) {
		fprintf(stderr, "%s: KVR_BLESS=1 accepts what happened\n", path);
		show_difference(want, kvr_sim_text(sim));
	}
	free(want);
	if (!same)
		kvr_sim_broken(sim, "another transcript");
}
