/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_trace_input.h"
#include "kvr_actors.h"
#include "kvr_fuzz.h"
#include "kvr_trace_cut.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int
kvr_trace_input_file(char ret_path[32])
{
	int fd = memfd_create("trace", MFD_CLOEXEC);

	KVR_CHECK(fd >= 0);
	snprintf(ret_path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static size_t
take_file(int fd, uint8_t *ret)
{
	ssize_t n = pread(fd, ret, KVR_FUZZ_LEN_MAX - 2, 0);

	KVR_CHECK(n > 0);
	close(fd);
	return (size_t)n;
}

/* The second half of a trace, which begins with a snapshot. */
static size_t
half_of(const char *path, uint8_t *ret)
{
	struct kvr_trace_view *v = NULL;
	struct kvr_replay *r = NULL;
	char why[512], to[32];
	int fd = kvr_trace_input_file(to);

	KVR_CHECK(kvr_trace_view_open(path, &v, why, sizeof(why)) == KVR_OK);
	KVR_CHECK(kvr_replay_open(v, kvr_spec_of, false, &r, why, sizeof(why)) == KVR_OK);
	uint64_t n = kvr_trace_view_count(v);
	const struct kvr_trace_cut half = { .first = n / 2, .end = n };

	KVR_CHECK(kvr_trace_cut(v, r, &half, to, why, sizeof(why)) == KVR_OK);
	kvr_replay_free(r);
	kvr_trace_view_free(v);
	return take_file(fd, ret);
}

/* The kinds of records that no decider makes. */
static size_t
words(uint8_t *ret)
{
	const struct kvr_trace_options o = { .dir = "none", .size = KVR_MIB(1), .config = "{}",
		.config_len = 2 };
	struct kvr_trace *t = NULL;
	char why[256], to[32];
	int fd = kvr_trace_input_file(to);

	KVR_CHECK(kvr_trace_open(&o, &t, why, sizeof(why)) == KVR_OK);
	kvr_trace_actors(t, NULL, 0);
	kvr_trace_text(t, KVR_TEXT_OF_REQUEST, 7, 0, "request 1", 9);
	kvr_trace_text(t, KVR_TEXT_OF_KEY, 7, 3, "a\tkey", 5);
	kvr_trace_snapshot_whole(t, NULL, 0, 5);
	kvr_trace_mark(t, KVR_MARK_PANIC, 6, "tier.c:1: no cell");
	kvr_trace_mark(t, KVR_MARK_CLOSED, 7, "");
	KVR_CHECK(kvr_trace_save(t, to));
	kvr_trace_close(t);
	return take_file(fd, ret);
}

size_t
kvr_trace_input_seed(size_t i, uint8_t *ret)
{
	static const char *const names[] = { "deadline", "duplicate", "outage", "put_get",
		"two_tiers" };
	char path[512];

	if (i == 2 * KVR_LEN(names))
		return words(ret);
	if (i > 2 * KVR_LEN(names))
		return 0;
	snprintf(path, sizeof(path), "%s/%s.kvrt", KVR_TRACES, names[i / 2]);
	return i % 2 == 0 ? take_file(open(path, O_RDONLY | O_CLOEXEC), ret) : half_of(path, ret);
}

void
kvr_trace_input_repair(uint8_t *at, size_t len)
{
	struct kvr_trace_head h;

	if (len < sizeof(h))
		return;
	memcpy(&h, at, sizeof(h));
	if (h.head_bytes > len || h.ring_bytes > len - h.head_bytes || h.oldest > h.ring_bytes ||
	    h.oldest % 8 != 0 || h.head_bytes % 8 != 0)
		return;
	for (uint64_t off = h.oldest; h.ring_bytes - off >= sizeof(struct kvr_rec);) {
		struct kvr_rec *r = (struct kvr_rec *)(void *)(at + h.head_bytes + off);

		if (r->len < sizeof(*r) || r->len % 8 != 0 || r->len > h.ring_bytes - off)
			return;
		r->sum = kvr_rec_sum(r, r->len);
		off += r->len;
	}
}

/* ---- patches ---- */

enum { TRACES = 11, PATCH = 4 };

/* The n-th record after the head, counted round; NULL: there is none that long. */
static struct kvr_rec *
record(uint8_t *file, size_t len, uint32_t n)
{
	const struct kvr_trace_head *h = (const struct kvr_trace_head *)(void *)file;
	uint64_t at = h->head_bytes;

	for (;; n--) {
		struct kvr_rec *r = (struct kvr_rec *)(void *)(file + at);

		if (len - at < sizeof(*r) || r->len < sizeof(*r) || r->len % 8 != 0 || r->len > len - at)
			return NULL;
		if (n == 0)
			return r;
		at += r->len;
		if (len - at < sizeof(*r) || ((struct kvr_rec *)(void *)(file + at))->len == 0)
			at = h->head_bytes;
	}
}

/* A byte says how many bytes, and which of the numbers that are often too large or too small. */
static void
put_value(uint8_t *at, size_t room, uint8_t what)
{
	static const uint64_t values[] = { 0, 1, 2, 7, 8, 15, 16, 31, 63, 64, 127, 128, 255, 256,
		1023, 1024, 1056, 4096, 65535, 65536, 98303, 131072, 0x7fffffff, 0x80000000,
		0xffffffff, UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 1,
		UINT64_MAX, 3, 5 };
	size_t n = KVR_MIN((size_t)1 << what % 4, room);
	uint64_t value = values[what / 4 % KVR_LEN(values)];

	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

size_t
kvr_trace_input_patched(const uint8_t *recipe, size_t len, uint8_t *ret)
{
	static struct {
		uint8_t at[KVR_FUZZ_LEN_MAX];
		size_t len;
	} traces[TRACES];

	if (len == 0)
		return 0;
	size_t which = recipe[0] % TRACES;
	/* Making one takes a replay. */
	if (traces[which].len == 0)
		traces[which].len = kvr_trace_input_seed(which, traces[which].at);
	memcpy(ret, traces[which].at, traces[which].len);
	for (size_t i = 1; i + PATCH <= len; i += PATCH) {
		struct kvr_rec *r = record(ret, traces[which].len, recipe[i]);
		/* The rows of a wide part are further behind than a byte reaches. */
		size_t off = sizeof(r->len) + sizeof(r->sum) + recipe[i + 1] + recipe[i + 2] % 4 * 256U;

		if (r != NULL && off < r->len)
			put_value((uint8_t *)r + off, r->len - off, recipe[i + 3]);
	}
	kvr_trace_input_repair(ret, traces[which].len);
	return traces[which].len;
}
