/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the configuration share: an environment of their own, and all that was said. */
#ifndef KVR_CONFIG_TEST_H
#define KVR_CONFIG_TEST_H

#include "kvr_config.h"

#include <stdio.h>
#include <string.h>

struct kvr_said {
	char text[8192];  /* one note per line, warnings too */
	char lines[8192]; /* the same with source lines and carets */
	uint32_t n_warnings;
};

static inline void
kvr_test_note(void *arg, const struct kvr_config_note *note)
{
	struct kvr_said *said = arg;
	size_t at = strlen(said->text), below = strlen(said->lines);

	said->n_warnings += note->warning;
	at += kvr_config_note_print(note, false, said->text + at, sizeof(said->text) - at - 2);
	if (at < sizeof(said->text) - 2)
		memcpy(said->text + at, "\n", 2);
	below +=
	    kvr_config_note_print(note, true, said->lines + below, sizeof(said->lines) - below - 2);
	if (below < sizeof(said->lines) - 2)
		memcpy(said->lines + below, "\n", 2);
}

static inline const char *
kvr_test_env(void *arg, const char *name)
{
	static const char *const vars[][2] = {
		{ "RANK", "3" },
		{ "BADRANK", "three" },
		{ "KV_PASSWORD", "hunter2" },
		{ "KV_SENTINEL_PASSWORD", "hunter3" },
		{ "KVRELAY_DIR", "/var/cache/kvrelay" },
		{ "KVRELAY_REVISION", "rev-1" },
		{ "NODE_IP", "10.0.0.7" },
	};

	(void)arg;
	for (size_t i = 0; i < KVR_LEN(vars); i++) {
		if (strcmp(vars[i][0], name) == 0)
			return vars[i][1];
	}
	return NULL;
}

static inline struct kvr_config_opts
kvr_test_opts(struct kvr_said *said)
{
	memset(said, 0, sizeof(*said));
	return (
	    struct kvr_config_opts){ .env = kvr_test_env, .note = kvr_test_note, .note_arg = said };
}

#endif
