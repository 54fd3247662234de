/* SPDX-License-Identifier: Apache-2.0 */
/* ps: the instances of this user, one line each, from their statistics pages. */
#include "kvr_seen.h"

#include <string.h>

static void
tell_text(const struct seen *s)
{
	char age[24];

	printf("%-8s %-8s %-9s %-9s %s\n", "PID", "INSTANCE", "UP FOR", "IN FLIGHT", "VERDICT");
	for (uint32_t i = 0; i < s->n; i++) {
		const struct seen_page *p = s->page[i];
		const struct kvr_stats_head *h = &p->s.head;

		printf("%-8u %-8s %-9s %-9u %s\n", h->pid, h->instance,
		    seen_age(p->at_ns - h->opened_mono_ns, age, sizeof(age)), p->s.router.n_ops,
		    p->why[0] == '\0' ? "healthy" : p->why);
	}
	if (s->n_others > 0)
		fprintf(stderr, "kvrelay ps: %u of another version of kvrelay are left out\n",
		    s->n_others);
}

static void
tell_json(const struct seen *s)
{
	printf("{\"instances\": [");
	for (uint32_t i = 0; i < s->n; i++) {
		const struct seen_page *p = s->page[i];
		const struct kvr_stats_head *h = &p->s.head;

		printf("%s{\"pid\": %u, \"instance\": ", i == 0 ? "" : ", ", h->pid);
		cli_json_text(stdout, h->instance);
		printf(", \"version\": ");
		cli_json_text(stdout, h->version_text);
		printf(", \"model\": ");
		cli_json_text(stdout, h->model);
		printf(", \"rank\": %d, \"alive\": %s, \"healthy\": %s, \"why\": ", h->rank,
		    p->alive ? "true" : "false", p->why[0] == '\0' ? "true" : "false");
		cli_json_text(stdout, p->why);
		printf(", \"up_s\": %.1f, \"in_flight\": %u, \"listen\": ",
		    (double)(p->at_ns - h->opened_mono_ns) / 1e9, p->s.router.n_ops);
		cli_json_text(stdout, h->listen);
		printf(", \"trace\": ");
		cli_json_text(stdout, h->trace);
		printf(", \"tiers\": [");
		for (uint32_t t = 0; t < h->n_tiers; t++) {
			printf("%s{\"name\": ", t == 0 ? "" : ", ");
			cli_json_text(stdout, h->tier[t].name);
			printf(", \"url\": ");
			cli_json_text(stdout, h->tier[t].url);
			printf(", \"state\": \"%s\"}", seen_tier_state(p->s.metrics.tier[t].state));
		}
		printf("]}");
	}
	printf("], \"other_versions\": %u}\n", s->n_others);
}

int
cli_ps(int argc, char **argv)
{
	struct cli cli = { 0 };
	const char *dir = NULL;
	const struct cli_option own[] = {
		{ "--dir", "DIR", "where trace.dir is, if it is not this user's folder", CLI_TEXT, &dir },
		{ NULL, NULL, NULL, CLI_FLAG, NULL },
	};
	struct seen seen;
	bool sick = false;
	int n = cli_read(&cli, own, argc, argv);

	if (n < 0)
		return CLI_ERROR;
	if (n != 0)
		return cli_fail(&cli, "it takes no arguments");
	if (!seen_read(&cli, dir, 0, &seen))
		return CLI_ERROR;
	if (cli.json)
		tell_json(&seen);
	else if (seen.n == 0 && seen.n_others == 0)
		seen_nobody(dir);
	else
		tell_text(&seen);
	for (uint32_t i = 0; i < seen.n; i++)
		sick = sick || seen.page[i]->why[0] != '\0';
	seen_drop(&seen);
	return sick ? CLI_MISS : CLI_OK;
}
