/* SPDX-License-Identifier: Apache-2.0 */
/* The output of top: a screen of plain text, or JSON. */
#include "kvr_top.h"

#include <string.h>

/* "950 us", "1.5 ms", "2.1 s"; "-": none. */
static const char *
took(double us, char *ret, size_t cap)
{
	if (us < 0)
		snprintf(ret, cap, "-");
	else if (us < 1000)
		snprintf(ret, cap, "%.0f us", us);
	else if (us < 1e6)
		snprintf(ret, cap, "%.1f ms", us / 1e3);
	else
		snprintf(ret, cap, "%.1f s", us / 1e6);
	return ret;
}

static double
age_s(const struct seen_page *p, uint32_t t)
{
	uint64_t at_ns = p->s.tier[t].oldest_ns;

	return at_ns == 0 || at_ns > p->at_ns ? 0 : (double)(p->at_ns - at_ns) / 1e9;
}

static void
tier_text(const struct top_row *r, uint32_t t)
{
	const struct kvr_stats *s = &r->now->s;
	const struct top_tier *x = &r->tier[t];
	char p50[24], p99[24], hit[16];

	snprintf(hit, sizeof(hit), x->hit < 0 ? "-" : "%.1f", 100 * x->hit);
	printf("%-12.12s %-9s %9.1f %8.1f %8.1f %9s %9s %6s %8u %7u %6.1f %8.1f %8.1f %7llu\n",
	    s->head.tier[t].name, seen_tier_state(s->metrics.tier[t].state), x->keys_s,
	    x->in_s / 1e6, x->out_s / 1e6, took(x->p50_us, p50, sizeof(p50)),
	    took(x->p99_us, p99, sizeof(p99)), hit, s->tier[t].n_in_lanes, s->tier[t].n_queued,
	    age_s(r->now, t), x->error_s, x->drop_s, (unsigned long long)x->corrupt);
	for (uint32_t l = 0; l < s->tier[t].n_lanes && l < KVR_LANES_MAX; l++) {
		const struct kvr_stats_lane *lane = &s->tier[t].lane[l];
		char bytes[32], name[16];

		snprintf(name, sizeof(name), "lane %u", l);
		printf("  %-10s %-9s %8u parts, %s%s\n", name, seen_lane_state(lane->state),
		    lane->n_parts, cli_bytes(lane->bytes, bytes, sizeof(bytes)),
		    lane->stuck ? ", stuck below the library" : "");
	}
	if (s->words[t][KVR_WORDS_LAST].text[0] != '\0')
		printf("  last error: %s\n", s->words[t][KVR_WORDS_LAST].text);
}

void
top_text(const struct top_row *r, uint32_t n)
{
	char age[24], used[32];

	for (uint32_t i = 0; i < n; i++) {
		const struct kvr_stats *s = &r[i].now->s;
		uint64_t slots = s->router.n_slots - s->router.n_slots_free;

		printf("%sprocess %u %s, up %s: %s\n", i == 0 ? "" : "\n", s->head.pid,
		    s->head.instance,
		    seen_age(r[i].now->at_ns - s->head.opened_mono_ns, age, sizeof(age)),
		    r[i].now->why[0] == '\0' ? "healthy" : r[i].now->why);
		printf("%u operations in flight, staging %s in use\n", s->router.n_ops,
		    cli_bytes(slots * s->router.slot_pages * KVR_PAGE, used, sizeof(used)));
		printf("%-12s %-9s %9s %8s %8s %9s %9s %6s %8s %7s %6s %8s %8s %7s\n", "TIER",
		    "STATE", "KEYS/S", "MB/S IN", "MB/S OUT", "P50", "P99", "HIT %", "IN LANES",
		    "QUEUED", "AGE S", "ERRORS/S", "DROPS/S", "CORRUPT");
		for (uint32_t t = 0; t < s->head.n_tiers; t++)
			tier_text(&r[i], t);
	}
}

static void
number_or_null(const char *name, double n)
{
	if (n < 0)
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %.6g", name, n);
}

static void
tier_json(const struct top_row *r, uint32_t t)
{
	const struct kvr_stats *s = &r->now->s;
	const struct top_tier *x = &r->tier[t];

	printf("%s{\"name\": ", t == 0 ? "" : ", ");
	cli_json_text(stdout, s->head.tier[t].name);
	printf(", \"state\": \"%s\"", seen_tier_state(s->metrics.tier[t].state));
	number_or_null("keys_per_s", x->keys_s);
	number_or_null("bytes_in_per_s", x->in_s);
	number_or_null("bytes_out_per_s", x->out_s);
	number_or_null("p50_us", x->p50_us);
	number_or_null("p99_us", x->p99_us);
	number_or_null("hit", x->hit);
	number_or_null("queue_age_s", age_s(r->now, t));
	printf(", \"in_lanes\": %u, \"queued\": %u, \"errors\": %llu, \"dropped\": %llu, "
	       "\"corrupt\": %llu, \"last_error\": ",
	    s->tier[t].n_in_lanes, s->tier[t].n_queued, (unsigned long long)x->failed,
	    (unsigned long long)x->dropped, (unsigned long long)x->corrupt);
	cli_json_text(stdout, s->words[t][KVR_WORDS_LAST].text);
	printf(", \"lanes\": [");
	for (uint32_t l = 0; l < s->tier[t].n_lanes && l < KVR_LANES_MAX; l++) {
		const struct kvr_stats_lane *lane = &s->tier[t].lane[l];

		printf("%s{\"state\": \"%s\", \"parts\": %u, \"bytes\": %llu, \"stuck\": %s}",
		    l == 0 ? "" : ", ", seen_lane_state(lane->state), lane->n_parts,
		    (unsigned long long)lane->bytes, lane->stuck ? "true" : "false");
	}
	printf("]}");
}

void
top_json(const struct top_row *r, uint32_t n)
{
	printf("{\"instances\": [");
	for (uint32_t i = 0; i < n; i++) {
		const struct kvr_stats *s = &r[i].now->s;

		printf("%s{\"pid\": %u, \"instance\": ", i == 0 ? "" : ", ", s->head.pid);
		cli_json_text(stdout, s->head.instance);
		printf(", \"healthy\": %s, \"why\": ", r[i].now->why[0] == '\0' ? "true" : "false");
		cli_json_text(stdout, r[i].now->why);
		printf(", \"in_flight\": %u, \"tiers\": [", s->router.n_ops);
		for (uint32_t t = 0; t < s->head.n_tiers; t++)
			tier_json(&r[i], t);
		printf("]}");
	}
	printf("]}\n");
}
