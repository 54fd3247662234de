/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_subject.h"

#include <string.h>

static void
open_store(struct kvr_world *w)
{
	char why[512] = "";

	int err = w->subject->ops->open(&w->opts, &w->store, why, sizeof(why));
	ck_assert_msg(err == KVR_OK, "%s: open: %s", w->subject->name, why);
}

struct kvr_connector *
kvr_world_dial(struct kvr_world *w, struct kvr_kick *kick)
{
	struct kvr_connector *lane = NULL;
	char                  why[512] = "";

	int err = w->subject->ops->dial(w->store, kvr_soon(), kick, &lane, why, sizeof(why));
	ck_assert_msg(err == KVR_OK, "%s: dial: %s", w->subject->name, why);
	ck_assert_ptr_nonnull(lane);
	return lane;
}

void
kvr_world_begin(struct kvr_world *w, int subject)
{
	memset(w, 0, sizeof(*w));
	w->subject = &kvr_subjects[subject];
	w->opts = (struct kvr_store_opts){ .tier = "conformance", .n_groups = 1,
		.format = w->subject->format, .connect_ns = KVR_SEC(10) };
	w->subject->begin(&w->opts);
	kvr_item_key_tail(w->subject->key_tail);
	kvr_kick_open(&w->kick);
	open_store(w);
	w->lane = kvr_world_dial(w, &w->kick);
}

void
kvr_world_redial(struct kvr_world *w)
{
	w->subject->ops->hang_up(w->lane);
	w->lane = kvr_world_dial(w, &w->kick);
}

void
kvr_world_end(struct kvr_world *w)
{
	w->subject->ops->hang_up(w->lane);
	w->subject->ops->close(w->store);
	kvr_kick_close(&w->kick);
	w->subject->end();
}
