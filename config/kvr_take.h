/* SPDX-License-Identifier: Apache-2.0 */
/* One value on its way into one option: shared by the files that check kinds of values. */
#ifndef KVR_TAKE_H
#define KVR_TAKE_H

#include "kvr_config_own.h"

struct kvr_take {
	struct kvr_load *load;
	struct kvr_place place;
	const struct kvr_option *option;
	const struct kvr_value *value;
	void *at;
	char path[KVR_PATH_MAX];
};

#define TAKE_ERROR(t, ...) kvr_load_error((t)->load, &(t)->value->origin, __VA_ARGS__)

/*
 * take_text.c: names, URLs, addresses, paths, ranks. False: an error was noted and nothing changed.
 */
bool kvr_take_text(struct kvr_take *);

#endif
