/* SPDX-License-Identifier: Apache-2.0 */
/* draw: a sequence diagram as text or Mermaid. For Perfetto, see trace_chrome.c. */
#include "kvr_trace_cmd.h"

#include <inttypes.h>
#include <string.h>

enum { WHO_MAX = 24, COLUMN = 14, ARROWS_MAX = 500 };

struct cast {
	uint16_t id[WHO_MAX];
	uint32_t n;
	bool too_many;
};

/* Orders columns from the caller to the stores. */
static uint32_t
rank_of(uint16_t id)
{
	uint32_t lane = 0;

	if (id <= KVR_ID_API)
		return 0;
	if (id == KVR_ID_ROUTER)
		return 1;
	if (id == KVR_ID_TRANSFER)
		return 2;
	if (id < KVR_ID_TIER)
		return 3 + id;
	if (id < KVR_ID_LINK)
		return 1000 + 100 * ((uint32_t)id - KVR_ID_TIER);
	lane = (uint32_t)id - (id < KVR_ID_WORKER ? KVR_ID_LINK : KVR_ID_WORKER);
	return 1000 + 100 * (lane / KVR_LANES_MAX) + 2 * (lane % KVR_LANES_MAX) +
	       (id < KVR_ID_WORKER ? 1 : 2);
}

static uint16_t
as_who(uint16_t id)
{
	return id <= KVR_ID_API ? KVR_ID_API : id;
}

static void
enter(struct cast *c, uint16_t id)
{
	uint32_t i = 0;

	id = as_who(id);
	while (i < c->n && c->id[i] != id)
		i++;
	if (i < c->n)
		return;
	if (c->n == WHO_MAX) {
		c->too_many = true;
		return;
	}
	for (c->n++; i > 0 && rank_of(c->id[i - 1]) > rank_of(id); i--)
		c->id[i] = c->id[i - 1];
	c->id[i] = id;
}

static uint32_t
column_of(const struct cast *c, uint16_t id)
{
	uint32_t i = 0;

	while (i < c->n && c->id[i] != as_who(id))
		i++;
	return i;
}

/* ---- text ---- */

static void
lifelines(const struct cast *c, char *line)
{
	memset(line, ' ', c->n * COLUMN);
	for (uint32_t i = 0; i < c->n; i++)
		line[i * COLUMN + COLUMN / 2] = '|';
	line[c->n * COLUMN] = '\0';
}

static void
text_arrow(const struct cast *c, const struct trace_arrow *a, char *line)
{
	uint32_t from = column_of(c, a->msg->from), to = column_of(c, a->msg->to);
	const char *name = kvr_msg_info[a->msg->type].name;
	char shaft = trace_is_answer(a->msg->type) ? '.' : '-';

	lifelines(c, line);
	if (from == to) {
		memcpy(line + from * COLUMN + COLUMN / 2 + 1, "(", 1);
		return;
	}
	uint32_t left = KVR_MIN(from, to) * COLUMN + COLUMN / 2 + 1;
	uint32_t right = KVR_MAX(from, to) * COLUMN + COLUMN / 2;
	uint32_t len = (uint32_t)strlen(name);

	memset(line + left, shaft, right - left);
	line[to > from ? right - 1 : left] = to > from ? '>' : '<';
	if (len + 2 <= right - left)
		memcpy(line + left + (right - left - len) / 2, name, len);
}

static void
text_drawing(
    const struct trace_model *m, const struct trace_arrows *a, const struct cast *c, FILE *to)
{
	char line[WHO_MAX * COLUMN + 1], id[24], was[32], is[32], rest[320];

	fprintf(to, "%12s ", "ms");
	for (uint32_t i = 0; i < c->n; i++) {
		int len = (int)strlen(kvr_id_name(c->id[i], id, sizeof(id)));
		int left = (COLUMN + 1 - len) / 2;

		fprintf(to, "%*s%-*s", left, "", COLUMN - left, id);
	}
	fprintf(to, "\n");
	for (uint64_t i = 0; i < a->n; i++) {
		const struct trace_arrow *one = &a->at[i];
		const struct kvr_rec_step *s = one->step->rec;

		text_arrow(c, one, line);
		/* The drawing has the name. Print the rest behind it. */
		trace_msg_text(m->head, one->msg, rest, sizeof(rest));
		fprintf(to, "%12.3f %s %s", trace_ms(m->head, one->now_ns), line,
		    one->msg->from == one->msg->to
		        ? rest
		        : rest + strlen(kvr_msg_info[one->msg->type].name));
		if (one->arrives && s->before != s->after)
			fprintf(to, "; %s -> %s",
			    trace_state_name(s->rec.actor, s->before, was, sizeof(was)),
			    trace_state_name(s->rec.actor, s->after, is, sizeof(is)));
		fprintf(to, "\n");
	}
}

/* ---- Mermaid ---- */

/* A name without blanks and dots: Mermaid takes them for syntax. */
static const char *
handle(uint16_t id, char *ret, size_t cap)
{
	kvr_id_name(as_who(id), ret, cap);
	for (char *at = ret; *at != '\0'; at++) {
		if (*at == ' ' || *at == '.')
			*at = '_';
	}
	return ret;
}

static void
mermaid(const struct trace_model *m, const struct trace_arrows *a, const struct cast *c, FILE *to)
{
	char from[24], into[24], id[24], was[32], is[32], text[320];

	fprintf(to, "sequenceDiagram\n  autonumber\n");
	for (uint32_t i = 0; i < c->n; i++)
		fprintf(to, "  participant %s as %s\n", handle(c->id[i], from, sizeof(from)),
		    kvr_id_name(c->id[i], id, sizeof(id)));
	for (uint64_t i = 0; i < a->n; i++) {
		const struct trace_arrow *one = &a->at[i];
		const struct kvr_rec_step *s = one->step->rec;

		fprintf(to, "  %s%s%s: %s, %.3f ms\n", handle(one->msg->from, from, sizeof(from)),
		    trace_is_answer(one->msg->type) ? "-->>" : "->>",
		    handle(one->msg->to, into, sizeof(into)),
		    trace_msg_text(m->head, one->msg, text, sizeof(text)),
		    trace_ms(m->head, one->now_ns));
		if (one->arrives && s->before != s->after)
			fprintf(to, "  Note over %s: %s to %s\n",
			    handle(s->rec.actor, from, sizeof(from)),
			    trace_state_name(s->rec.actor, s->before, was, sizeof(was)),
			    trace_state_name(s->rec.actor, s->after, is, sizeof(is)));
	}
}

/* ---- draw ---- */

static int
draw(struct trace_cmd *c, struct trace_model *m, const char *as, FILE *to)
{
	struct trace_arrows a;
	struct cast cast = { .n = 0 };

	if (!trace_arrows_of(c, m, &a))
		return cli_fail(&c->cli, "no memory");
	if (a.n > ARROWS_MAX) {
		fprintf(stderr,
		    "kvrelay trace: %" PRIu64 " messages, the first %d are drawn: --op, "
		    "--actor, --from and --until choose\n",
		    a.n, ARROWS_MAX);
		a.n = ARROWS_MAX;
	}
	for (uint64_t i = 0; i < a.n && !cast.too_many; i++) {
		enter(&cast, a.at[i].msg->from);
		enter(&cast, a.at[i].msg->to);
	}
	int status = a.n == 0 ? CLI_MISS : CLI_OK;

	if (cast.too_many)
		status = cli_fail(
		    &c->cli, "more than %d actors take part: choose with --op or --actor", WHO_MAX);
	else if (a.n > 0 && strcmp(as, "text") == 0)
		text_drawing(m, &a, &cast, to);
	else if (a.n > 0)
		mermaid(m, &a, &cast, to);
	trace_arrows_free(&a);
	return status;
}

int
trace_draw(struct trace_cmd *c, const struct kvr_trace_view *view, const char *path)
{
	const char *as = c->as == NULL ? "text" : c->as;
	const bool chrome = strcmp(as, "chrome") == 0;

	(void)path;
	if (!chrome && strcmp(as, "text") != 0 && strcmp(as, "mermaid") != 0)
		return cli_fail(&c->cli, "--as is text, mermaid or chrome, not '%s'", as);
	struct trace_model *m = trace_model_make(c, view);
	FILE *to = m == NULL ? NULL : c->out == NULL ? stdout : fopen(c->out, "w");
	int status = CLI_ERROR;

	if (m != NULL && to == NULL)
		status = cli_fail(&c->cli, "%s cannot be written", c->out);
	else if (m != NULL)
		status = chrome ? trace_chrome(c, m, to) : draw(c, m, as, to);
	if (m != NULL && m->why[0] != '\0')
		fprintf(stderr, "kvrelay trace: what went outside is not known everywhere: %s\n",
		    m->why);
	if (to != NULL && to != stdout && fclose(to) != 0)
		status = cli_fail(&c->cli, "%s cannot be written", c->out);
	trace_model_free(m);
	return status;
}
