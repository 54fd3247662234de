/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First touch. A driver that locks fresh memory brings its pages in one by one on the calling
 * thread, which takes minutes for an engine's pool; so several threads bring them in before.
 */
#include "kvr_device.h"
#include "kvr_populate.h"
#include "kvr_thread.h"

#include <errno.h>
#include <unistd.h>

enum { THREADS_MAX = 16 };

struct slice {
	uint8_t *at;
	uint64_t len;
	enum kvr_touch use;
	struct kvr_thread *thread; /* NULL: the caller's own */
};

/* The machine's page, not KVR_PAGE: a slice that begins inside a page cannot be populated. */
static uint64_t
page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
touch(void *arg)
{
	const struct slice *s = arg;

	if (s->len == 0 || kvr_populate(s->at, s->len) == 0)
		return;
	/* No memory, or too little: the driver will report it, with an error and not a signal. */
	if (errno != EINVAL)
		return;
	/* It may be read-only, or its owner may write between our read and our write. */
	if (s->use == KVR_TOUCH_USED)
		return;
	/* An older kernel. Keeps what is there, because part of it may be in use already. */
	for (uint64_t i = 0; i < s->len; i += page_size()) {
		volatile uint8_t *byte = s->at + i;

		*byte = *byte;
	}
}

void
kvr_device_touch(void *at, uint64_t len, enum kvr_touch use, uint32_t n_threads)
{
	struct slice slice[THREADS_MAX] = { 0 };
	const uint64_t page = page_size();
	uint64_t pages = (len + page - 1) / page;

	n_threads = KVR_MAX(KVR_MIN(n_threads, (uint32_t)THREADS_MAX), 1U);
	for (uint32_t i = 0; i < n_threads; i++) {
		uint64_t first = pages * i / n_threads * page;
		uint64_t end = KVR_MIN(pages * (i + 1) / n_threads * page, len);

		slice[i] = (struct slice){ .at = (uint8_t *)at + first, .len = end - first, .use = use };
		if (i + 1 == n_threads ||
		    kvr_thread_start("kvr-touch", touch, &slice[i], &slice[i].thread) != KVR_OK) {
			slice[i].thread = NULL;
			touch(&slice[i]);
		}
	}
	for (uint32_t i = 0; i < n_threads; i++) {
		if (slice[i].thread != NULL)
			KVR_CHECK(kvr_thread_join(slice[i].thread, UINT64_MAX) == KVR_OK);
	}
}

uint32_t
kvr_device_touchers(uint64_t len)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t worth = len / KVR_MIB(64);

	return (uint32_t)KVR_MIN(KVR_MIN(worth, (uint64_t)THREADS_MAX), (uint64_t)KVR_MAX(cpus, 1));
}
