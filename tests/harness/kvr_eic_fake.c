/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_eic_fake.h"
#include "kvr_eic_sdk.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef KVR_EIC_FAKE_ABI
#define KVR_EIC_FAKE_ABI KVR_EIC_ABI
#endif
#ifndef KVR_EIC_FAKE_PLAIN
#define KVR_EIC_FAKE_PLAIN 0
#endif

struct value {
	struct value *next;
	char    *name; /* namespace, a newline, key */
	void    *bytes;
	uint64_t len;
	int64_t  end_s; /* -1: never */
};

struct kvr_eic_fake kvr_eic_fake;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct value   *values;

/* Under lock. */
__attribute__((format(printf, 1, 2))) static void
deviation(const char *fmt, ...)
{
	struct kvr_eic_fake *f = &kvr_eic_fake;
	va_list args;
	va_start(args, fmt);
	if (atomic_fetch_add(&f->deviations, 1) == 0)
		vsnprintf(f->first_deviation, sizeof(f->first_deviation), fmt, args);
	va_end(args);
}

static void
hold(void)
{
	struct kvr_eic_fake *f = &kvr_eic_fake;
	if (!atomic_load(&f->hold))
		return;
	atomic_fetch_add(&f->held, 1);
	while (atomic_load(&f->hold))
		usleep(500);
	atomic_fetch_sub(&f->held, 1);
}

static int
open_client(const struct kvr_eic_options *o, void **ret, char *why, size_t why_cap)
{
	hold();
	int32_t fail = atomic_load(&kvr_eic_fake.fail_open);
	if (fail != 0) {
		snprintf(why, why_cap, "the fake refuses");
		return fail;
	}
	struct kvr_eic_fake *f = &kvr_eic_fake;
	snprintf(f->endpoint, sizeof(f->endpoint), "%s", o->endpoint);
	snprintf(f->instance_id, sizeof(f->instance_id), "%s", o->instance_id ? o->instance_id : "");
	snprintf(f->flag_file, sizeof(f->flag_file), "%s", o->flag_file ? o->flag_file : "");
	snprintf(f->log_dir, sizeof(f->log_dir), "%s", o->log_dir ? o->log_dir : "");
	f->trans_type = o->trans_type;
	f->log_level = o->log_level;
	atomic_fetch_add(&f->clients, 1);
	*ret = f;
	return 0;
}

static void
take_out(struct value **at)
{
	struct value *v = *at;
	*at = v->next;
	free(v->name);
	free(v->bytes);
	free(v);
}

static void
close_client(void *client)
{
	(void)client;
	if (atomic_fetch_sub(&kvr_eic_fake.clients, 1) > 1)
		return;
	pthread_mutex_lock(&lock);
	if (kvr_eic_fake.reg_at != NULL)
		deviation("closed with memory that is still registered");
	while (values != NULL)
		take_out(&values);
	pthread_mutex_unlock(&lock);
}

static int
reg(void *client, void *at, uint64_t len, char *why, size_t why_cap)
{
	struct kvr_eic_fake *f = &kvr_eic_fake;
	int32_t fail = atomic_load(&f->fail_reg);
	(void)client;
	if (fail != 0) {
		snprintf(why, why_cap, "the fake pins no memory");
		return fail;
	}
	pthread_mutex_lock(&lock);
	if (f->reg_at != NULL || f->trans_type != KVR_EIC_GDR || at == NULL || len == 0)
		deviation("%zu bytes registered with transport %d, %s", (size_t)len, f->trans_type,
		    f->reg_at != NULL ? "a second time" : "for the first time");
	f->reg_at = at;
	f->reg_len = len;
	pthread_mutex_unlock(&lock);
	atomic_fetch_add(&f->regs, 1);
	return 0;
}

static void
unreg(void *client, void *at, uint64_t len)
{
	struct kvr_eic_fake *f = &kvr_eic_fake;
	(void)client;
	pthread_mutex_lock(&lock);
	if (f->reg_at != at || f->reg_len != len)
		deviation("memory taken back that was not registered");
	f->reg_at = NULL;
	pthread_mutex_unlock(&lock);
	atomic_fetch_add(&f->unregs, 1);
}

/* Under lock. A mark that is not so, either way, would be a wrong transfer or a slow one. */
static void
look_at(uint32_t n, const struct kvr_eic_buffer *buffers)
{
	struct kvr_eic_fake *f = &kvr_eic_fake;
	for (uint32_t i = 0; i < n; i++) {
		const struct kvr_eic_buffer *b = &buffers[i];
		uintptr_t from = (uintptr_t)b->at, base = (uintptr_t)f->reg_at;
		uint32_t inside = f->reg_at != NULL && from >= base &&
		    from + b->len <= base + f->reg_len;
		if (b->registered != inside)
			deviation("buffer %u is marked %u and lies %s", i, b->registered,
			    inside ? "inside" : "outside");
		atomic_fetch_add(&f->direct, inside);
	}
}

/* Under lock. Where the value is, or where a new one would be put. */
static struct value **
find(const char *ns, const char *key)
{
	size_t n = strlen(ns);
	struct value **at = &values;
	while (*at != NULL && !(strncmp((*at)->name, ns, n) == 0 && (*at)->name[n] == '\n' &&
	        strcmp((*at)->name + n + 1, key) == 0))
		at = &(*at)->next;
	if (*at != NULL && (*at)->end_s >= 0 && (*at)->end_s <= atomic_load(&kvr_eic_fake.passed_s)) {
		take_out(at);
		return find(ns, key);
	}
	return at;
}

static int
begin(enum kvr_eic_fake_call call, const char *ns, uint32_t n, const struct kvr_eic_buffer *buffers)
{
	struct kvr_eic_fake *f = &kvr_eic_fake;
	atomic_fetch_add(&f->calls, 1);
	hold();
	pthread_mutex_lock(&lock);
	snprintf(f->last_ns, sizeof(f->last_ns), "%s", ns);
	if (n == 0 || n > KVR_EIC_KEYS_MAX)
		deviation("a call of %u keys", n);
	if (buffers != NULL)
		look_at(n, buffers);
	return atomic_load(&f->fail[call]);
}

static int
end(int rc)
{
	pthread_mutex_unlock(&lock);
	return rc;
}

/* Whether the test wants this key to fail. */
static int
fails(enum kvr_eic_fake_call call, uint32_t i, int32_t *code)
{
	uint32_t every = atomic_load(&kvr_eic_fake.every);
	int32_t want = atomic_load(&kvr_eic_fake.code[call]);
	if (every == 0 || want == 0 || i % every != every - 1)
		return 0;
	*code = want;
	return 1;
}

static void
keep(const char *ns, const char *key, const struct kvr_eic_buffer *b, int64_t ttl_s)
{
	struct value **at = find(ns, key);
	if (*at != NULL)
		take_out(at);
	struct value *v = calloc(1, sizeof(*v));
	size_t len = strlen(ns) + 1 + strlen(key) + 1;
	v->name = malloc(len);
	v->bytes = malloc(b->len + 1);
	if (v->name == NULL || v->bytes == NULL)
		abort();
	snprintf(v->name, len, "%s\n%s", ns, key);
	if (b->len > 0)
		memcpy(v->bytes, b->at, b->len);
	v->len = b->len;
	v->end_s = ttl_s < 0 ? -1 : atomic_load(&kvr_eic_fake.passed_s) + ttl_s;
	v->next = values;
	values = v;
}

static int
mset(void *client, const char *ns, int64_t ttl_s, uint32_t n, const char *const *keys,
    const struct kvr_eic_buffer *buffers, int32_t *codes)
{
	(void)client;
	int rc = begin(KVR_EIC_FAKE_MSET, ns, n, buffers);
	kvr_eic_fake.last_ttl_s = ttl_s;
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		if (fails(KVR_EIC_FAKE_MSET, i, &codes[i]))
			continue;
		keep(ns, keys[i], &buffers[i], ttl_s);
		codes[i] = KVR_EIC_OK;
	}
	return end(rc);
}

static int
mget(void *client, const char *ns, uint32_t n, const char *const *keys,
    struct kvr_eic_buffer *buffers, int32_t *codes)
{
	(void)client;
	int rc = begin(KVR_EIC_FAKE_MGET, ns, n, buffers);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		const struct value *v = *find(ns, keys[i]);
		codes[i] = v != NULL ? KVR_EIC_OK : KVR_EIC_NOT_EXIST;
		if (fails(KVR_EIC_FAKE_MGET, i, &codes[i]) || v == NULL)
			continue;
		uint64_t room = buffers[i].len < v->len ? buffers[i].len : v->len;
		if (room > 0)
			memcpy(buffers[i].at, v->bytes, room);
		buffers[i].len = v->len + (uint64_t)atomic_load(&kvr_eic_fake.longer);
	}
	return end(rc);
}

static int
mexist(void *client, const char *ns, uint32_t n, const char *const *keys, int32_t *codes)
{
	(void)client;
	int rc = begin(KVR_EIC_FAKE_MEXIST, ns, n, NULL);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		codes[i] = *find(ns, keys[i]) != NULL ? KVR_EIC_OK : KVR_EIC_NOT_EXIST;
		(void)fails(KVR_EIC_FAKE_MEXIST, i, &codes[i]);
	}
	return end(rc);
}

static int
mdel(void *client, const char *ns, uint32_t n, const char *const *keys, int32_t *codes)
{
	(void)client;
	int rc = begin(KVR_EIC_FAKE_MDEL, ns, n, NULL);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		struct value **at = find(ns, keys[i]);
		codes[i] = *at != NULL ? KVR_EIC_OK : KVR_EIC_NOT_EXIST;
		if (!fails(KVR_EIC_FAKE_MDEL, i, &codes[i]) && *at != NULL)
			take_out(at);
	}
	return end(rc);
}

kvr_eic_sdk_fn kvr_eic_sdk;

const struct kvr_eic_sdk *
kvr_eic_sdk(void)
{
	static const struct kvr_eic_sdk sdk = { .abi = KVR_EIC_FAKE_ABI,
		.size = sizeof(sdk), .open = open_client, .close = close_client, .mset = mset,
		.mget = mget, .mexist = mexist, .mdel = mdel,
		.reg = KVR_EIC_FAKE_PLAIN ? NULL : reg,
		.unreg = KVR_EIC_FAKE_PLAIN ? NULL : unreg };
	return &sdk;
}
