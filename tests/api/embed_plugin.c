/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage plugin of six methods, as engines have them: open, close, submit a store, a load or an
 * existence check of many keys with a length each, and collect what has ended when a descriptor
 * becomes readable. Nothing but the public header; the plugin's own memory.
 */
#include "kvr_api_bed.h"
#include "kvr_stores.h"

#include <poll.h>

enum { TASKS = 64, KEYS = 16 };

struct task {
	uint64_t len[KEYS];
	char *at[KEYS];
	int32_t err[KEYS];
	bool over;
};

struct plugin {
	struct kvr *kvr;
	struct kvr_queue *queue;
	struct task task[TASKS];
};

static void
plugin_open(struct plugin *p, const char *url)
{
	const struct kvr_options o = { .size = sizeof(o), .url = url, BED_SET };
	char why[512];

	memset(p, 0, sizeof(*p));
	ck_assert_msg(kvr_open(&o, 0, &p->kvr, why, sizeof(why)) == KVR_OK, "%s", why);
	OK(kvr_queue_open(p->kvr, &p->queue));
}

static void
plugin_close(struct plugin *p)
{
	for (int t = 0; t < TASKS; t++) {
		for (int i = 0; i < KEYS; i++)
			free(p->task[t].at[i]);
	}
	bed_close(p->kvr);
}

/* All keys as one text with a NUL after each. */
static void
keys_of(int t, char *ret, size_t cap)
{
	size_t n = 0;

	for (int i = 0; i < KEYS; i++)
		n += (size_t)snprintf(ret + n, cap - n, "plugin/task-%d/key-%d", t, i) + 1;
	ck_assert_uint_lt(n, cap);
}

static void
plugin_submit(struct plugin *p, int t, uint32_t kind)
{
	struct task *task = &p->task[t];
	char keys[KEYS * 64];
	const struct kvr_batch b = { .size = sizeof(b),
		.kind = kind,
		.n = KEYS,
		.keys = keys,
		.at = (void *const *)task->at,
		.len = task->len };
	const struct kvr_opts o = { .size = sizeof(o), .queue = p->queue, .tag = (uint64_t)t };
	kvr_op op;

	task->over = false;
	keys_of(t, keys, sizeof(keys));
	OK(kvr_submit(p->kvr, &b, &o, &op));
}

static int
plugin_fd(const struct plugin *p)
{
	return kvr_queue_fd(p->queue);
}

static int
plugin_collect(struct plugin *p)
{
	struct kvr_done d[8] = { { .size = sizeof(d[0]) } };
	int32_t err[8 * KEYS];
	struct kvr_results r = { .size = sizeof(r), .cap = 8 * KEYS, .err = err };
	int n = kvr_drain(p->queue, d, 8, &r);

	ck_assert_int_ge(n, 0);
	for (int i = 0; i < n; i++) {
		struct task *task = &p->task[d[i].tag];

		ck_assert(!task->over);
		task->over = true;
		memcpy(task->err, &err[d[i].first], sizeof(task->err));
	}
	return n;
}

static void
collect_all(struct plugin *p, int n)
{
	struct pollfd fd = { .fd = plugin_fd(p), .events = POLLIN };

	while (n > 0) {
		ck_assert_int_eq(poll(&fd, 1, 30000), 1);
		n -= plugin_collect(p);
	}
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(poll(&fd, 1, 0), 0);
}

/* From 1 byte to 200 KiB, another one for each key. */
static uint64_t
length(int t, int i)
{
	return 1 + (uint64_t)(t * 2711 + i * 12007) % 200000;
}

static void
life(const char *url)
{
	struct plugin p;

	plugin_open(&p, url);
	for (int t = 0; t < TASKS; t++) {
		for (int i = 0; i < KEYS; i++) {
			p.task[t].len[i] = length(t, i);
			p.task[t].at[i] = malloc(length(t, i));
			bed_fill(p.task[t].at[i], length(t, i), (uint32_t)(t * KEYS + i));
		}
		if (t < TASKS / 2)
			plugin_submit(&p, t, KVR_PUT);
	}
	collect_all(&p, TASKS / 2);
	for (int t = 0; t < TASKS; t++)
		plugin_submit(&p, t, KVR_LOOKUP);
	collect_all(&p, TASKS);
	for (int t = 0; t < TASKS; t++) {
		for (int i = 0; i < KEYS; i++)
			ERR(p.task[t].err[i], t < TASKS / 2 ? KVR_OK : KVR_E_MISS);
	}
	for (int t = 0; t < TASKS / 2; t++) {
		for (int i = 0; i < KEYS; i++)
			memset(p.task[t].at[i], 0, length(t, i));
		p.task[t].len[0] += t == 3 ? 1 : 0; /* a wrong guess is that key's error only */
		p.task[t].at[0] = realloc(p.task[t].at[0], p.task[t].len[0]);
		plugin_submit(&p, t, KVR_GET);
	}
	collect_all(&p, TASKS / 2);
	for (int t = 0; t < TASKS / 2; t++) {
		for (int i = 0; i < KEYS; i++) {
			ERR(p.task[t].err[i], t == 3 && i == 0 ? KVR_E_LENGTH : KVR_OK);
			if (p.task[t].err[i] == KVR_OK)
				bed_same(p.task[t].at[i], length(t, i), (uint32_t)(t * KEYS + i));
		}
	}
	plugin_close(&p);
}

START_TEST(a_plugin_of_six_methods)
{
	KVR_EACH_STORE(bed, life(kvr_store_bed_url(bed)));
}
END_TEST

KVR_CHECK_MAIN("api.embed_plugin", a_plugin_of_six_methods)
