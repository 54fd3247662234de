/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options as text for people. */
#include "kvr_config.h"

#include "kvr_option.h"

#include <inttypes.h>
#include <stdio.h>

static void
amounts(struct kvr_text_out *out, const struct kvr_option *o)
{
	char a[KVR_VALUE_MAX], b[KVR_VALUE_MAX];

	if (o->type == KVR_TYPE_SIZE)
		kvr_out(out, "size, %s to %s", kvr_size_text(o->min, a), kvr_size_text(o->max, b));
	else if (o->type == KVR_TYPE_DURATION)
		kvr_out(out, "duration, %s to %s", kvr_duration_text(o->min, a),
		    kvr_duration_text(o->max, b));
	else
		kvr_out(out, "number, %" PRIu64 " to %" PRIu64, o->min, o->max);
	if (o->zero != NULL)
		kvr_out(out, ", or %s", o->zero);
}

static void
accepts(struct kvr_text_out *out, const struct kvr_option *o)
{
	switch (o->type) {
	case KVR_TYPE_SIZE:
	case KVR_TYPE_DURATION:
	case KVR_TYPE_COUNT:
		amounts(out, o);
		break;
	case KVR_TYPE_BOOL:
		kvr_out(out, "true or false");
		break;
	case KVR_TYPE_CHOICE:
		for (const struct kvr_choice *c = o->choice; c->name != NULL; c++)
			kvr_out(out, "%s%s", c == o->choice ? "" : ", ", c->name);
		break;
	case KVR_TYPE_RANK:
		kvr_out(out, "env:NAME");
		break;
	case KVR_TYPE_SHAPE:
		kvr_out(out, "array of five numbers");
		break;
	case KVR_TYPE_GROUPS:
		kvr_out(out, "array of objects");
		break;
	case KVR_TYPE_TEXT:
	case KVR_TYPE_NAME:
	case KVR_TYPE_URL:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	default:
		kvr_out(out, "text");
		break;
	}
}

size_t
kvr_config_help(char *ret_text, size_t cap)
{
	struct kvr_text_out out = { ret_text, cap, 0 };

	if (cap > 0)
		ret_text[0] = '\0';
	for (uint32_t i = 0; i < kvr_option_count; i++) {
		const struct kvr_option *o = &kvr_option_table[i];

		kvr_out(
		    &out, "%s%s\n    %s\n    ", o->in_tier ? "tiers.NAME." : "", o->path, o->help);
		accepts(&out, o);
		if (o->def[0] != '\0')
			kvr_out(&out, "; default %s", o->def);
		kvr_out(&out, "\n");
	}
	return out.len;
}
