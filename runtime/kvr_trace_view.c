/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy is taken between two reads of the head. What was whole at the first read (`written`) and
 * not yet given up at the second (`oldest`) is whole in the copy, whatever the writer did
 * meanwhile. Nothing in a file is trusted: every length and offset is checked before it is used.
 */
#include "kvr_trace_view.h"
#include "kvr_trace_clean.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPIES = 5 };

static const uint64_t bytes_max = UINT64_C(1) << 40;

struct snapshot {
	uint64_t first, after; /* indices of its BEGIN, and of the record after its END */
};

struct kvr_trace_view {
	uint8_t *bytes; /* head and ring */
	uint64_t len;
	struct kvr_trace_head head; /* from before the copy; oldest from after it */
	uint64_t written_after;
	uint64_t *at; /* offset of each record in bytes */
	uint64_t n, cap;
	struct snapshot *snapshots;
	uint64_t n_snapshots, snapshots_cap;
	char tail[96];
};

/* Where bytes come from. False: errno says why. */
typedef bool read_fn(void *arg, void *into, uint64_t len, uint64_t off);

static enum kvr_err fail(enum kvr_err err, char *why, size_t cap, const char *format, ...)
    KVR_PRINTF(4, 5);

static enum kvr_err
fail(enum kvr_err err, char *why, size_t cap, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, cap, format, args);
	va_end(args);
	return err;
}

/* ---- the copy ---- */

static bool
head_is_sound(const struct kvr_trace_head *h, uint64_t len)
{
	const uint64_t actors_end = h->actors_off + h->n_actors * sizeof(struct kvr_trace_actor);

	return h->head_bytes >= sizeof(*h) && h->head_bytes % 8 == 0 && h->head_bytes <= len &&
	       h->ring_bytes % 8 == 0 && h->ring_bytes >= sizeof(struct kvr_rec) &&
	       h->ring_bytes <= len - h->head_bytes && h->n_actors <= KVR_ID_N &&
	       h->actors_off % 8 == 0 && actors_end <= h->head_bytes &&
	       h->config_off <= h->head_bytes && h->config_len <= h->head_bytes - h->config_off &&
	       (h->config_off >= actors_end || h->config_off + h->config_len <= h->actors_off);
}

/* The head is looked at again: it may have been written over since it was found to be sound. */
static bool
read_all(struct kvr_trace_view *v, read_fn *read, void *arg, bool *ret_sound)
{
	struct kvr_trace_head again;

	/* First the magic number, then `written`, then the bytes that it announces. */
	atomic_thread_fence(memory_order_acquire);
	if (!read(arg, &v->head, sizeof(v->head), 0))
		return false;
	*ret_sound = head_is_sound(&v->head, v->len) &&
	             v->head.head_bytes + v->head.ring_bytes == v->len;
	if (!*ret_sound)
		return true;
	atomic_thread_fence(memory_order_acquire);
	if (!read(arg, v->bytes, v->len, 0))
		return false;
	atomic_thread_fence(memory_order_acquire);
	if (!read(arg, &again, sizeof(again), 0))
		return false;
	v->head.oldest = again.oldest;
	v->written_after = again.written;
	return true;
}

static enum kvr_err
copy(struct kvr_trace_view *v, read_fn *read, void *arg, char *why, size_t cap)
{
	bool sound = true;

	if (!read(arg, &v->head, sizeof(v->head), 0))
		return fail(KVR_E_DOWN, why, cap, "cannot be read: %s", strerror(errno));
	if (v->head.magic != KVR_TRACE_MAGIC)
		return fail(KVR_E_INVALID, why, cap, "is no trace");
	if (v->head.version != KVR_TRACE_VERSION)
		return fail(KVR_E_INVALID, why, cap,
		    "is a trace of version %u, this program reads %d", v->head.version,
		    KVR_TRACE_VERSION);
	if (!head_is_sound(&v->head, v->len))
		return fail(KVR_E_CORRUPT, why, cap, "has a damaged head");
	v->len = v->head.head_bytes + v->head.ring_bytes;
	v->bytes = malloc(v->len);
	if (v->bytes == NULL)
		return fail(
		    KVR_E_NOMEM, why, cap, "does not fit into memory: %" PRIu64 " bytes", v->len);
	for (int i = 0; i < COPIES && sound; i++) {
		if (!read_all(v, read, arg, &sound))
			return fail(KVR_E_DOWN, why, cap, "cannot be read: %s", strerror(errno));
		if (!sound || v->head.oldest % 8 != 0 || v->head.written % 8 != 0)
			break;
		/* Otherwise the writer went round the whole ring meanwhile. */
		if ((v->head.oldest < v->head.written || v->head.written == 0) &&
		    v->head.written - v->head.oldest <= v->head.ring_bytes)
			return KVR_OK;
	}
	return fail(KVR_E_CORRUPT, why, cap, "has a damaged head, or is written too fast");
}

/* ---- the index ---- */

static bool
grow(void **at, uint64_t n, uint64_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	uint64_t more = *cap == 0 ? 1024 : 2 * *cap;
	void *bigger = realloc(*at, more * size);

	if (bigger == NULL)
		return false;
	*at = bigger;
	*cap = more;
	return true;
}

static uint64_t
least(uint16_t kind)
{
	switch (kind) {
	case KVR_REC_STEP:
		return sizeof(struct kvr_rec_step);
	case KVR_REC_STATE:
		return sizeof(struct kvr_rec_state);
	case KVR_REC_MARK:
		return sizeof(struct kvr_rec_mark);
	case KVR_REC_TEXT:
		return sizeof(struct kvr_rec_text);
	case KVR_REC_PAD:
		return sizeof(struct kvr_rec);
	default:
		return UINT64_MAX;
	}
}

/* Whether the lengths inside a record fit its own length, and its ids and rows exist. */
static bool
is_sound(const struct kvr_rec *r, uint64_t room)
{
	/* Numbers begin with 1, and each has one behind it. */
	if (r->len % 8 != 0 || r->len > room || r->len < least(r->kind) || r->number == 0 ||
	    r->number == UINT64_MAX || r->sum != kvr_rec_sum(r, r->len))
		return false;
	if (r->kind == KVR_REC_STEP) {
		const struct kvr_rec_step *s = kvr_rec_step(r);
		uint64_t rows = s->rows_here != 0 ? s->msg.n_rows : 0;

		return r->actor < KVR_ID_N && s->msg.from < KVR_ID_N && s->msg.to < KVR_ID_N &&
		       s->msg.type < KVR_MSG_N && s->msg.rows < KVR_ROWS_MAX &&
		       s->msg.n_rows <= KVR_ROWS_MAX - s->msg.rows &&
		       r->len == sizeof(*s) + rows * sizeof(struct kvr_row);
	}
	if (r->kind == KVR_REC_MARK)
		return kvr_rec_mark(r)->len <= r->len - sizeof(struct kvr_rec_mark);
	if (r->kind == KVR_REC_TEXT)
		return kvr_rec_text(r)->len <= r->len - sizeof(struct kvr_rec_text);
	return true;
}

static bool
add(struct kvr_trace_view *v, const struct kvr_rec *r, uint64_t at, uint64_t *begun)
{
	if (!grow((void **)&v->at, v->n, &v->cap, sizeof(v->at[0])) ||
	    !grow(
	        (void **)&v->snapshots, v->n_snapshots, &v->snapshots_cap, sizeof(v->snapshots[0])))
		return false;
	if (r->kind == KVR_REC_PAD)
		return true;
	if (r->kind == KVR_REC_MARK && kvr_rec_mark(r)->mark == KVR_MARK_SNAPSHOT_BEGIN)
		*begun = v->n;
	if (r->kind == KVR_REC_MARK && kvr_rec_mark(r)->mark == KVR_MARK_SNAPSHOT_END &&
	    *begun != UINT64_MAX)
		v->snapshots[v->n_snapshots++] = (struct snapshot){ *begun, v->n + 1 };
	v->at[v->n++] = at;
	return true;
}

static enum kvr_err
make_index(struct kvr_trace_view *v)
{
	const uint64_t ring = v->head.ring_bytes;
	/* If the writer stands still, also the record that it may not have announced. */
	const bool still = v->written_after == v->head.written;
	uint64_t last = 0, begun = UINT64_MAX;

	for (uint64_t off = v->head.oldest; off < v->head.oldest + ring;) {
		uint64_t rest = ring - off % ring;
		const struct kvr_rec *r =
		    (const struct kvr_rec *)(const void *)(v->bytes + v->head.head_bytes +
		                                           off % ring);
		bool announced = off < v->head.written;

		if (!announced && !still)
			break;
		if (rest < sizeof(*r)) {
			off += rest;
			continue;
		}
		if (!is_sound(r, KVR_MIN(rest, v->head.oldest + ring - off)) ||
		    (last != 0 && r->number != last + 1)) {
			if (announced)
				snprintf(v->tail, sizeof(v->tail), "record %" PRIu64 " is damaged",
				    last + 1);
			break;
		}
		if (last == 0 && !announced && r->number != 1)
			break;
		if (!add(v, r, (uint64_t)((const uint8_t *)r - v->bytes), &begun))
			return KVR_E_NOMEM;
		last = r->number;
		off += r->len;
	}
	return KVR_OK;
}

static enum kvr_err
make_view(
    read_fn *read, void *arg, uint64_t len, struct kvr_trace_view **ret, char *why, size_t cap)
{
	struct kvr_trace_view *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return fail(KVR_E_NOMEM, why, cap, "no memory");
	v->len = len;
	enum kvr_err err = copy(v, read, arg, why, cap);
	if (err == KVR_OK)
		kvr_trace_clean(&v->head, v->bytes);
	if (err == KVR_OK && make_index(v) != KVR_OK)
		err = fail(KVR_E_NOMEM, why, cap, "its index does not fit into memory");
	if (err == KVR_OK && v->n == 0 && v->head.written > 0)
		err = fail(KVR_E_CORRUPT, why, cap, "has no whole record");
	if (err != KVR_OK) {
		kvr_trace_view_free(v);
		return err;
	}
	*ret = v;
	return KVR_OK;
}

/* ---- open ---- */

static bool
read_file(void *arg, void *into, uint64_t len, uint64_t off)
{
	uint8_t *at = into;

	while (len > 0) {
		ssize_t n = pread(*(int *)arg, at, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ENODATA : errno;
			return false;
		}
		at += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return true;
}

static bool
read_memory(void *arg, void *into, uint64_t len, uint64_t off)
{
	memcpy(into, (const uint8_t *)arg + off, len);
	return true;
}

enum kvr_err
kvr_trace_view_open(const char *path, struct kvr_trace_view **ret, char *why, size_t why_cap)
{
	char what[128] = "";
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(KVR_E_DOWN, why, why_cap, "%s: %s", path, strerror(errno));
	enum kvr_err err = KVR_E_INVALID;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < (off_t)sizeof(struct kvr_trace_head) || (uint64_t)st.st_size > bytes_max)
		snprintf(what, sizeof(what), "is no trace");
	else
		err = make_view(read_file, &fd, (uint64_t)st.st_size, ret, what, sizeof(what));
	close(fd);
	if (err != KVR_OK)
		snprintf(why, why_cap, "%s %s", path, what);
	return err;
}

enum kvr_err
kvr_trace_view_copy(
    const void *bytes, uint64_t len, struct kvr_trace_view **ret, char *why, size_t why_cap)
{
	char what[128] = "";

	if (len < sizeof(struct kvr_trace_head))
		return fail(KVR_E_INVALID, why, why_cap, "the memory is no trace");
	enum kvr_err err =
	    make_view(read_memory, (void *)(uintptr_t)bytes, len, ret, what, sizeof(what));
	if (err != KVR_OK)
		snprintf(why, why_cap, "the memory %s", what);
	return err;
}

void
kvr_trace_view_free(struct kvr_trace_view *take)
{
	if (take == NULL)
		return;
	free(take->bytes);
	free(take->at);
	free(take->snapshots);
	free(take);
}

/* ---- questions ---- */

const struct kvr_trace_head *
kvr_trace_view_head(const struct kvr_trace_view *v)
{
	return &v->head;
}

const struct kvr_trace_actor *
kvr_trace_view_actors(const struct kvr_trace_view *v, uint32_t *ret_n)
{
	*ret_n = v->head.n_actors;
	return (const struct kvr_trace_actor *)(const void *)(v->bytes + v->head.actors_off);
}

const char *
kvr_trace_view_config(const struct kvr_trace_view *v, size_t *ret_len)
{
	*ret_len = v->head.config_len;
	return (const char *)v->bytes + v->head.config_off;
}

uint64_t
kvr_trace_view_count(const struct kvr_trace_view *v)
{
	return v->n;
}

const struct kvr_rec *
kvr_trace_view_at(const struct kvr_trace_view *v, uint64_t index)
{
	KVR_CHECK(index < v->n);
	return (const struct kvr_rec *)(const void *)(v->bytes + v->at[index]);
}

uint64_t
kvr_trace_view_find(const struct kvr_trace_view *v, uint64_t number)
{
	uint64_t low = 0, high = v->n;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (kvr_trace_view_at(v, mid)->number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool
has_beginning(const struct kvr_trace_view *v)
{
	return v->n == 0 || kvr_trace_view_at(v, 0)->number == 1;
}

bool
kvr_trace_view_start(
    const struct kvr_trace_view *v, uint64_t index, uint64_t *ret_start, uint64_t *ret_snapshot)
{
	for (uint64_t i = v->n_snapshots; i-- > 0;) {
		if (v->snapshots[i].after > index)
			continue;
		*ret_start = v->snapshots[i].after;
		*ret_snapshot = v->snapshots[i].first;
		return true;
	}
	if (!has_beginning(v))
		return false;
	*ret_start = 0;
	*ret_snapshot = UINT64_MAX;
	return true;
}

uint64_t
kvr_trace_view_first_start(const struct kvr_trace_view *v)
{
	if (has_beginning(v))
		return 0;
	return v->n_snapshots > 0 ? v->snapshots[0].after : v->n;
}

const char *
kvr_trace_view_tail(const struct kvr_trace_view *v)
{
	return v->tail;
}
