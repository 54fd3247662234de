/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of a trace file that are printed, on terminals too, where some bytes are commands. */
#include "kvr_trace_clean.h"

#include <string.h>

static bool
is_blank(const char *at, size_t len)
{
	return at[0] == '\n' || at[0] == '\t' || (at[0] == '\r' && len > 1 && at[1] == '\n');
}

/* What is no text becomes a dot, because it is printed: on a terminal, some bytes are commands. */
static void
clean(char *at, size_t len, bool lines)
{
	for (size_t i = 0; i < len; i++) {
		bool control = (unsigned char)at[i] < ' ' || at[i] == 0x7f;

		if (control && !(lines && is_blank(at + i, len - i)))
			at[i] = '.';
	}
}

/* One that fills its place ends there all the same. */
static void
clean_name(char *at, size_t cap)
{
	at[cap - 1] = '\0';
	clean(at, strlen(at), false);
}

void
kvr_trace_clean(struct kvr_trace_head *h, uint8_t *bytes)
{
	struct kvr_trace_actor *a = (struct kvr_trace_actor *)(void *)(bytes + h->actors_off);

	clean_name(h->build, sizeof(h->build));
	clean_name(h->instance, sizeof(h->instance));
	clean((char *)bytes + h->config_off, h->config_len, true);
	for (uint32_t i = 0; i < h->n_actors; i++)
		clean_name(a[i].name, sizeof(a[i].name));
}
