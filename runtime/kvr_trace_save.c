/* SPDX-License-Identifier: Apache-2.0 */
/* Saves a trace in memory as a file: a part of another trace, or a run without a directory. */
#include "kvr_trace_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALIGN = 64 };

void
kvr_trace_number(struct kvr_trace *t, uint64_t number)
{
	t->ring.number = number - 1;
}

void
kvr_trace_again(struct kvr_trace *t, const struct kvr_rec *rec, const struct kvr_row *rows)
{
	const bool step = rec->kind == KVR_REC_STEP;
	const struct kvr_rec_step *s = (const struct kvr_rec_step *)(const void *)rec;
	const uint64_t body = step ? sizeof(*s) : rec->len;
	const uint64_t len = body + (step && rows != NULL ? s->msg.n_rows * sizeof(*rows) : 0);
	struct kvr_rec *r = kvr_ring_begin(&t->ring, (enum kvr_rec_kind)rec->kind, rec->actor, len);

	memcpy(r + 1, rec + 1, body - sizeof(*r));
	if (step) {
		((struct kvr_rec_step *)(void *)r)->rows_here = rows != NULL;
		if (rows != NULL)
			memcpy((uint8_t *)r + body, rows, len - body);
	}
	kvr_ring_end(&t->ring, r, len);
}

/* ---- the file ---- */

static uint64_t
up(uint64_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* Head, actors and configuration without gaps. NULL: no memory. */
static uint8_t *
small_head(const struct kvr_trace_head *h, uint64_t ring_bytes, uint64_t *ret_len)
{
	const uint64_t actors = up(sizeof(*h));
	const uint64_t actors_len = h->n_actors * sizeof(struct kvr_trace_actor);
	const uint64_t config = up(actors + actors_len);
	uint8_t *at;

	*ret_len = up(config + h->config_len);
	at = calloc(1, *ret_len);
	if (at == NULL)
		return NULL;
	memcpy(at, h, sizeof(*h));
	memcpy(at + actors, (const uint8_t *)h + h->actors_off, actors_len);
	memcpy(at + config, (const uint8_t *)h + h->config_off, h->config_len);
	struct kvr_trace_head *small = (struct kvr_trace_head *)(void *)at;

	small->actors_off = (uint32_t)actors;
	small->config_off = (uint32_t)config;
	small->head_bytes = (uint32_t)*ret_len;
	small->ring_bytes = ring_bytes;
	return at;
}

/* What the trace's own file keeps from other users, a part of it keeps as well. */
static FILE *
create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");

	if (f == NULL && fd >= 0)
		close(fd);
	return f;
}

bool
kvr_trace_save(const struct kvr_trace *t, const char *path)
{
	const uint64_t written = t->ring.written;
	const bool wrapped = written > t->ring.bytes;
	const uint64_t ring = wrapped ? t->ring.bytes : KVR_MAX(up(written), (uint64_t)ALIGN);
	uint64_t head_len = 0;
	uint8_t *head = small_head(t->head, ring, &head_len);
	FILE *f = head == NULL ? NULL : create(path);
	bool ok = f != NULL && fwrite(head, 1, head_len, f) == head_len &&
	          fwrite(t->ring.base, 1, ring, f) == ring;

	if (f != NULL && fclose(f) != 0)
		ok = false;
	if (f != NULL && !ok) {
		int e = errno;

		unlink(path);
		errno = e;
	}
	free(head);
	return ok;
}
