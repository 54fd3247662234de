/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads with a slot on each side of their serde, because the caller has no span that the serde
 * could read or write: prefetches, and payloads in a paged cache.
 */
#include "kvr_router_own.h"

#include <string.h>

/* The part's rows as they came back, to be changed and sent on. */
static struct kvr_row *
same_rows(struct step *s, uint32_t slot)
{
	struct kvr_row old[KVR_PART_KEYS];
	const struct part *part = &s->me->part[slot];

	memcpy(old, s->ev->rows, part->n * sizeof(old[0]));
	struct kvr_row *rows = kvr_rows(s->out, kvr_part_rows(slot), part->n);

	memcpy(rows, old, part->n * sizeof(old[0]));
	return rows;
}

/* There is no span of the caller's to write to: each key is decoded into its second slot. */
void
kvr_router_decode_second(struct step *s, uint32_t slot)
{
	struct kvr_row *rows = same_rows(s, slot);

	for (uint32_t i = 0; i < s->me->part[slot].n; i++) {
		rows[i].body.other = s->me->part_buf[slot][KVR_PART_SECOND + i];
		rows[i].flags |= KVR_ROW_SECOND;
	}
	s->me->part[slot].stage = STAGE_DECODE;
	kvr_router_send_part(s, slot);
}

/* The copy worker then takes it from there, at its decoded length. */
void
kvr_router_copy_out_second(struct step *s, uint32_t slot)
{
	struct kvr_row *rows = same_rows(s, slot);

	for (uint32_t i = 0; i < s->me->part[slot].n; i++) {
		if (rows[i].err != KVR_OK)
			continue;
		rows[i].buf = rows[i].body.other;
		rows[i].len = rows[i].body.raw_len;
		rows[i].flags &= (uint8_t)~KVR_ROW_SECOND;
	}
	s->me->part[slot].stage = STAGE_COPY_OUT;
	kvr_router_send_part(s, slot);
}

/* The payload was copied in: the serde reads it there and writes to the second slot. */
void
kvr_router_encode_second(struct step *s, uint32_t slot)
{
	struct kvr_row *rows = same_rows(s, slot);

	for (uint32_t i = 0; i < s->me->part[slot].n; i++) {
		memset(&rows[i].body, 0, sizeof(rows[i].body));
		rows[i].body.other = rows[i].buf;
		rows[i].buf = s->me->part_buf[slot][KVR_PART_SECOND + i];
		rows[i].flags = (uint8_t)((rows[i].flags & ~KVR_ROW_STAGED) | KVR_ROW_SECOND);
	}
	s->me->part[slot].stage = STAGE_ENCODE;
	kvr_router_send_part(s, slot);
}
