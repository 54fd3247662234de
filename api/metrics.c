/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics of an instance as text: the system's counters, and what only the facade knows. */
#include "kvr_metrics.h"

#include "kvr_entry.h"
#include "kvr_instance.h"
#include "kvr_pool.h"
#include "kvr_system.h"
#include "kvr_user_log.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)KVR_METRICS_PROMETHEUS == (int)KVR_STATS_PROMETHEUS &&
                   (int)KVR_METRICS_OPENMETRICS == (int)KVR_STATS_OPENMETRICS &&
                   (int)KVR_METRICS_JSON == (int)KVR_STATS_JSON,
    "one set of forms");

void
kvr_refused(struct kvr *k, uint32_t kind, int32_t err)
{
	if (kind < KVR_OP_N && err < 0 && -err < KVR_METRICS_ERRS)
		atomic_fetch_add_explicit(&k->refused[kind][-err], 1, memory_order_relaxed);
}

static void
pool(struct kvr *k, struct kvr_stats_more *m)
{
	struct kvr_pool *p = k->pool;

	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	m->objects_limit = p->limit;
	m->n_objects = p->n_live;
	if (p->n_parts > 0)
		m->objects_bytes =
		    (uint64_t)(p->n_parts * p->part_slots - p->range.free) * p->slot;
	pthread_mutex_unlock(&p->lock);
}

static void
more(struct kvr *k, const struct kvr_health *h, struct kvr_stats_more *m)
{
	*m = (struct kvr_stats_more){ .n_flying = h->in_flight,
		.n_puts = atomic_load(&k->n_putting),
		.not_quiet = h->not_quiet,
		.staging_limit = k->config->memory.staging_bytes,
		.healthy = h->ok,
		.ready = atomic_load(&k->life) == KVR_LIFE_OPEN && atomic_load(&k->dead) == 0,
		.role = k->role == KVR_SCHEDULER ? "scheduler" : "worker",
		.why = h->why,
		.now_ns = kvr_now_ns() };
	pool(k, m);
	for (uint32_t kind = 0; kind < KVR_OP_N; kind++)
		for (uint32_t e = 0; e < KVR_METRICS_ERRS; e++)
			m->refused[kind][e] =
			    atomic_load_explicit(&k->refused[kind][e], memory_order_relaxed);
}

struct moment {
	struct kvr_stats stats;
	struct kvr_stats_more more;
	struct kvr_health health;
};

static struct moment *
now(struct kvr *k)
{
	struct moment *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->health.size = sizeof(m->health);
	(void)kvr_health(k, &m->health);
	kvr_system_stats(k->system, &m->stats);
	more(k, &m->health, &m->more);
	return m;
}

size_t
kvr_metrics_snapshot(struct kvr *k, uint32_t form, char *ret, size_t cap)
{
	size_t need = 0;

	if (ret == NULL)
		cap = 0;
	if (cap > 0)
		ret[0] = '\0';
	/* Also for a closed or dead instance: what it did last is of interest. */
	if (kvr_check_instance(k) != KVR_OK)
		return 0;
	if (form > KVR_METRICS_JSON) {
		kvr_bad(k, KVR_E_INVALID, "kvr_metrics_snapshot: %u is no form", form);
	} else {
		struct moment *m = now(k);

		if (m != NULL)
			need = kvr_stats_text(
			    &m->stats, k->config, &m->more, (enum kvr_stats_form)form, ret, cap);
		free(m);
	}
	return need;
}

/* Also while it is being closed, so that a scraper sees the end. */
char *
kvr_metrics_take(struct kvr *k, enum kvr_stats_form form, size_t *ret_len)
{
	struct moment *m = now(k);
	char *text = NULL;

	if (m == NULL)
		return NULL;
	size_t need = kvr_stats_text(&m->stats, k->config, &m->more, form, NULL, 0);

	text = malloc(need);
	if (text != NULL)
		*ret_len = kvr_stats_text(&m->stats, k->config, &m->more, form, text, need) - 1;
	free(m);
	return text;
}
