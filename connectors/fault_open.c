/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCRIPT_MAX = 65536 };

/* ---- random draws ---- */

/* splitmix64 of a counter, so that lanes can draw at once without a lock. */
uint64_t
kvr_fault_draw(struct kvr_store *s)
{
	uint64_t n = atomic_fetch_add_explicit(&s->draws, 1, memory_order_relaxed);
	uint64_t z = (s->script.seed + n) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

bool
kvr_fault_hits(struct kvr_store *s, const struct kvr_fault *f)
{
	return f != NULL && kvr_fault_draw(s) % KVR_FAULT_PPM < f->ppm;
}

struct kvr_fault_met
kvr_fault_meet(const struct kvr_store *s, uint32_t verbs)
{
	const struct kvr_fault *f = NULL;
	uint32_t n = kvr_fault_script_now(&s->script, kvr_now_ns() - s->opened_ns, &f);
	struct kvr_fault_met met = { { NULL } };

	for (uint32_t i = 0; i < n; i++)
		if (verbs == 0 ? f[i].verbs == KVR_FAULT_ON_ALL : (f[i].verbs & verbs) != 0)
			met.by[f[i].kind] = &f[i];
	return met;
}

static struct kvr_harm
harm(struct kvr_spoil *spoil, uint64_t len)
{
	struct kvr_store *s = (struct kvr_store *)(void *)spoil;
	struct kvr_fault_met met = kvr_fault_meet(s, KVR_FAULT_ON_GET);
	struct kvr_harm h = { UINT64_MAX, UINT64_MAX, 0 };

	KVR_CHECK(s->magic == KVR_FAULT_STORE_MAGIC);
	if (len > 0 && kvr_fault_hits(s, met.by[KVR_FAULT_TRUNCATE]))
		h.cut_at = kvr_fault_draw(s) % len;
	if (len > 0 && kvr_fault_hits(s, met.by[KVR_FAULT_FLIP])) {
		h.flip_at = kvr_fault_draw(s) % len;
		h.flip = (uint8_t)(1U << kvr_fault_draw(s) % 8);
	}
	return h;
}

/* ---- the store ---- */

/* line 0 in *ret_wrong: the file itself is wrong. */
static enum kvr_err
read_script(const char *path, struct kvr_fault_script *ret, struct kvr_fault_wrong *ret_wrong)
{
	char *text = malloc(SCRIPT_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = 0, n = 0;

	while (fd >= 0 && text != NULL && len <= SCRIPT_MAX &&
	       (n = read(fd, text + len, (size_t)(SCRIPT_MAX + 1 - len))) > 0)
		len += n;
	int error = errno;
	enum kvr_err err = KVR_E_CONFIG;
	*ret_wrong = (struct kvr_fault_wrong){ .line = 0 };
	if (fd >= 0)
		close(fd);
	if (text == NULL)
		err = KVR_E_NOMEM;
	else if (fd < 0 || n < 0)
		snprintf(ret_wrong->what, sizeof(ret_wrong->what), "the faults cannot be read: %s",
		    strerror(error));
	else if (len > SCRIPT_MAX)
		snprintf(ret_wrong->what, sizeof(ret_wrong->what), "more than %d bytes of faults",
		    SCRIPT_MAX);
	else if (kvr_fault_script_parse(text, (size_t)len, ret, ret_wrong))
		err = KVR_OK;
	free(text);
	return err;
}

bool
kvr_connector_check_faults(
    const char *path, uint32_t *ret_line, uint32_t *ret_column, char *ret_what, size_t cap)
{
	struct kvr_fault_script *script = malloc(sizeof(*script));
	struct kvr_fault_wrong wrong = { .line = 0 };
	enum kvr_err err = script == NULL ? KVR_E_NOMEM : read_script(path, script, &wrong);

	free(script);
	*ret_line = wrong.line;
	*ret_column = wrong.column;
	snprintf(ret_what, cap, "%s", err == KVR_E_NOMEM ? "no memory to read it" : wrong.what);
	return err == KVR_OK;
}

static enum kvr_err
open_inner(struct kvr_store *s, const struct kvr_store_opts *opts, char *why, size_t why_cap)
{
	struct kvr_store_opts inner = *opts;

	s->ops = kvr_connector_find(opts->url);
	if (s->ops == NULL) {
		snprintf(why, why_cap, "no store serves this URL");
		return KVR_E_CONFIG;
	}
	if (opts->faults == NULL || strlen(opts->faults) >= sizeof(s->path)) {
		snprintf(why, why_cap, "faults: the path of a script, of at most %zu bytes",
		    sizeof(s->path) - 1);
		return KVR_E_CONFIG;
	}
	memcpy(s->path, opts->faults, strlen(opts->faults) + 1);
	struct kvr_fault_wrong wrong;
	enum kvr_err err = read_script(s->path, &s->script, &wrong);
	if (err == KVR_E_CONFIG && wrong.line > 0)
		snprintf(
		    why, why_cap, "%s:%u:%u: %s", s->path, wrong.line, wrong.column, wrong.what);
	else if (err == KVR_E_CONFIG)
		snprintf(why, why_cap, "%s: %s", s->path, wrong.what);
	if (err != KVR_OK)
		return err;
	s->spoil.draw = harm;
	s->connect_ns = opts->connect_ns;
	s->opened_ns = kvr_now_ns();
	inner.spoil = &s->spoil;
	inner.faults = NULL;
	return s->ops->open(&inner, &s->store, why, why_cap);
}

enum kvr_err
kvr_fault_open(const struct kvr_store_opts *opts, struct kvr_store **ret, char *why, size_t why_cap)
{
	struct kvr_store *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		snprintf(why, why_cap, "no memory for a store that fails on purpose");
		return KVR_E_NOMEM;
	}
	s->magic = KVR_FAULT_STORE_MAGIC;
	enum kvr_err err = open_inner(s, opts, why, why_cap);
	if (err == KVR_OK)
		*ret = s;
	else
		free(s);
	return err;
}

void
kvr_fault_close(struct kvr_store *take)
{
	if (take == NULL)
		return;
	KVR_CHECK(take->magic == KVR_FAULT_STORE_MAGIC);
	take->ops->close(take->store);
	take->magic = 0;
	free(take);
}
