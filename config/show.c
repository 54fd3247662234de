/* SPDX-License-Identifier: Apache-2.0 */
/* `config show`: every value as it could be written, and where it came from. */
#include "kvr_config_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
show_shape(struct kvr_text_out *out, const struct kvr_raw_shape *s)
{
	kvr_out(out, "[%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", s->dim[0],
	    s->dim[1], s->dim[2], s->dim[3], s->dim[4]);
}

const char *
kvr_choice_name(const struct kvr_option *o, uint32_t value)
{
	for (const struct kvr_choice *c = o->choice; c->name != NULL; c++) {
		if (c->value == value)
			return c->name;
	}
	return "?";
}

static void
show_groups(struct kvr_text_out *out, const struct kvr_config_own *own)
{
	const struct kvr_option *o = kvr_option_find(false, "engine.kv_dtype", 15);

	kvr_out(out, "[");
	for (uint32_t g = 0; g < own->n_kv_groups; g++) {
		kvr_out(out, "%s%s ", g == 0 ? "" : ", ", kvr_choice_name(o, own->kv_group[g].dtype));
		show_shape(out, &own->kv_group[g]);
	}
	kvr_out(out, "]");
}

static void
show_text(struct kvr_text_out *out, const struct kvr_option *o, const char *text)
{
	char redacted[2048];

	if (text == NULL) {
		kvr_out(out, "%s", o->zero != NULL ? o->zero : "-");
	} else if (o->type == KVR_TYPE_SECRET) {
		kvr_out(out, "***");
	} else if (o->type == KVR_TYPE_URL) {
		kvr_config_redact(text, redacted, sizeof(redacted));
		kvr_out(out, "%s", redacted);
	} else {
		kvr_out(out, "%s", text);
	}
}

static void
show_amount(struct kvr_text_out *out, const struct kvr_option *o, uint64_t value)
{
	char text[KVR_VALUE_MAX];

	if (value == 0 && o->zero != NULL)
		kvr_out(out, "%s", o->zero);
	else if (o->type == KVR_TYPE_SIZE)
		kvr_out(out, "%s", kvr_size_text(value, text));
	else
		kvr_out(out, "%s", kvr_duration_text(value, text));
}

static void
show_engine(struct kvr_text_out *out, const struct kvr_config *cfg, enum kvr_option_type type)
{
	if (type == KVR_TYPE_RANK && cfg->engine.worker_id >= 0)
		kvr_out(out, "%d", cfg->engine.worker_id);
	else if (type == KVR_TYPE_SHAPE && cfg->own->kv_shape.dim[0] != 0)
		show_shape(out, &cfg->own->kv_shape);
	else if (type == KVR_TYPE_GROUPS && cfg->own->n_kv_groups != 0)
		show_groups(out, cfg->own);
	else
		kvr_out(out, "-");
}

static void
show_value(struct kvr_text_out *out, const struct kvr_config *cfg, struct kvr_place place)
{
	const struct kvr_option *o = place.option;
	const void *at = kvr_place_look(cfg, place);

	switch (o->type) {
	case KVR_TYPE_SIZE:
	case KVR_TYPE_DURATION:
		show_amount(out, o, *(const uint64_t *)at);
		break;
	case KVR_TYPE_COUNT:
		kvr_out(out, "%u", *(const uint32_t *)at);
		break;
	case KVR_TYPE_BOOL:
		kvr_out(out, "%s", *(const bool *)at ? "true" : "false");
		break;
	case KVR_TYPE_CHOICE:
		kvr_out(out, "%s", kvr_choice_name(o, *(const uint32_t *)at));
		break;
	case KVR_TYPE_RANK:
	case KVR_TYPE_SHAPE:
	case KVR_TYPE_GROUPS:
		show_engine(out, cfg, o->type);
		break;
	case KVR_TYPE_TEXT:
	case KVR_TYPE_NAME:
	case KVR_TYPE_URL:
	case KVR_TYPE_PATH:
	case KVR_TYPE_SECRET:
	case KVR_TYPE_LISTEN:
	default:
		show_text(out, o, *(const char *const *)at);
		break;
	}
}

static void
show_origin(struct kvr_text_out *out, const struct kvr_config_own *own,
    const struct kvr_origin *origin)
{
	switch (origin->kind) {
	case KVR_FROM_FILE:
		if (origin->line == 0)
			kvr_out(out, "%s", origin->name);
		else
			kvr_out(out, "%s:%u:%u", origin->name, origin->line, origin->column);
		break;
	case KVR_FROM_SET:
		kvr_out(out, "%s", own->set_name);
		break;
	case KVR_FROM_URL:
		kvr_out(out, "%s", own->url_name);
		break;
	case KVR_FROM_API:
		kvr_out(out, "api");
		break;
	case KVR_FROM_DEFAULT:
	default:
		kvr_out(out, "default");
		break;
	}
	if (origin->env != NULL)
		kvr_out(out, " (env %s)", origin->env);
}

static void
show_line(struct kvr_text_out *out, const struct kvr_config *cfg, struct kvr_place place)
{
	uint32_t i = kvr_option_index(place.option);
	char path[KVR_PATH_MAX];
	size_t from;

	kvr_out(out, "%-32s ", kvr_place_path(cfg, place, path));
	from = out->len;
	show_value(out, cfg, place);
	kvr_out(out, "%*s  # ", out->len - from < 24 ? (int)(24 - (out->len - from)) : 0, "");
	show_origin(out, cfg->own,
	    place.tier >= 0 ? &cfg->own->tier[place.tier][i] : &cfg->own->root[i]);
	kvr_out(out, "\n");
}

static void
show_lmcache(struct kvr_text_out *out, const struct kvr_config_lmcache *lm)
{
	char a[KVR_VALUE_MAX], b[KVR_VALUE_MAX], c[KVR_VALUE_MAX];

	kvr_out(out, "lmcache.save_unfull_chunk %s\n", lm->save_unfull_chunk ? "true" : "false");
	kvr_out(out, "lmcache.remote_enable_mla_worker_id_as0 %s\n",
	    lm->mla_worker_id_as0 ? "true" : "false");
	kvr_out(out, "lmcache.ping_timeout %s\nlmcache.ping_interval %s\n",
	    kvr_duration_text(lm->ping_timeout_ns, a), kvr_duration_text(lm->ping_interval_ns, b));
	kvr_out(
	    out, "lmcache.get_blocking_failed_threshold %u\n", lm->get_blocking_failed_threshold);
	kvr_out(out, "lmcache.waiting_time_for_recovery %s\n",
	    kvr_duration_text(lm->waiting_time_for_recovery_ns, c));
	kvr_out(out, "lmcache.fallback_policy %s\n",
	    lm->fallback == KVR_CONFIG_LOCAL_CPU ? "local_cpu" : "recompute");
}

size_t
kvr_config_show(const struct kvr_config *cfg, char *ret_text, size_t cap)
{
	struct kvr_text_out out = { ret_text, cap, 0 };

	if (cap > 0)
		ret_text[0] = '\0';
	for (uint32_t i = 0; i < kvr_option_count; i++) {
		if (!kvr_option_table[i].in_tier)
			show_line(&out, cfg, (struct kvr_place){ &kvr_option_table[i], -1 });
	}
	for (uint32_t t = 0; t < cfg->n_tiers; t++) {
		for (uint32_t i = 0; i < kvr_option_count; i++) {
			if (kvr_option_table[i].in_tier)
				show_line(&out, cfg,
				    (struct kvr_place){ &kvr_option_table[i], (int32_t)t });
		}
	}
	if (cfg->flat)
		show_lmcache(&out, &cfg->lmcache);
	return out.len;
}

size_t
kvr_config_origin(const struct kvr_config *cfg, const char *path, char *ret_text, size_t cap)
{
	struct kvr_text_out out = { ret_text, cap, 0 };
	struct kvr_place place;
	char why[320];

	if (cap > 0)
		ret_text[0] = '\0';
	if (!kvr_place_find(cfg, path, &place, why, sizeof(why))) {
		kvr_out(&out, "%s", why);
	} else {
		uint32_t i = kvr_option_index(place.option);

		show_origin(&out, cfg->own,
		    place.tier >= 0 ? &cfg->own->tier[place.tier][i] : &cfg->own->root[i]);
	}
	return out.len;
}
