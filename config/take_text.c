/* SPDX-License-Identifier: Apache-2.0 */
/* Texts with rules: names, URLs, addresses, paths, and the variable of a rank. */
#include "kvr_take.h"

#include <stdio.h>
#include <string.h>

static bool
take_name(struct kvr_take *t)
{
	const char *text = t->value->text;
	char quoted[KVR_QUOTED_MAX];
	size_t len = strlen(text);

	/* Names appear in dotted paths, in labels and in lists with commas. */
	if (len == 0 || len > t->option->max ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") !=
	        len) {
		TAKE_ERROR(t,
		    "a tier cannot be named %s: a name has 1 to %u letters, digits, '-' "
		    "or '_'",
		    kvr_quoted(text, quoted), (unsigned)t->option->max);
		return false;
	}
	*(const char **)t->at = text;
	return true;
}

static bool
bad_scheme(struct kvr_take *t, const char *url, const char *const *schemes)
{
	struct kvr_nearest near = { .to = NULL };
	char scheme[KVR_QUOTED_MAX], quoted[KVR_QUOTED_MAX], all[256];
	struct kvr_text_out out = { all, sizeof(all), 0 };

	snprintf(
	    scheme, sizeof(scheme), "%.*s", (int)KVR_MIN(kvr_scheme_len(url), (size_t)50), url);
	near.to = scheme;
	all[0] = '\0';
	for (size_t i = 0; schemes[i] != NULL; i++) {
		kvr_nearest_try(&near, schemes[i], strlen(schemes[i]));
		kvr_out(&out, "%s%s", i == 0 ? "" : ", ", schemes[i]);
	}
	if (near.best != NULL)
		TAKE_ERROR(t, "%s: no store has the scheme %s; nearest: \"%s\"", t->path,
		    kvr_quoted(scheme, quoted), near.best);
	else
		TAKE_ERROR(t, "%s: no store has the scheme %s; there are: %s", t->path,
		    kvr_quoted(scheme, quoted), all);
	return false;
}

static bool
take_url(struct kvr_take *t)
{
	const char *const *schemes = t->load->cfg->own->schemes;
	const char *url = kvr_expand(t->load, &t->value->origin, t->path, t->value->text);
	size_t i = 0;

	if (url == NULL)
		return false;
	if (kvr_scheme_len(url) == 0) {
		/* The text is not repeated: without a scheme it is unknown where its password is. */
		TAKE_ERROR(t, "%s has no scheme; a URL looks like \"redis://host:6379\"", t->path);
		return false;
	}
	while (schemes[i] != NULL && !kvr_scheme_is(url, schemes[i]))
		i++;
	if (schemes[i] == NULL)
		return bad_scheme(t, url, schemes);
	url = kvr_absolute_url(t->load, &t->value->origin, url);
	if (url == NULL)
		return false;
	*(const char **)t->at = url;
	return true;
}

static bool
take_listen(struct kvr_take *t)
{
	const char *text = kvr_expand(t->load, &t->value->origin, t->path, t->value->text);
	const char *colon;
	char quoted[KVR_QUOTED_MAX];

	if (text == NULL)
		return false;
	if (strcmp(text, t->option->zero) == 0) {
		*(const char **)t->at = NULL;
		return true;
	}
	colon = strrchr(text, ':');
	if (strncmp(text, "unix:/", 6) != 0 &&
	    (colon == NULL || colon == text || colon[1] == '\0' ||
	        strspn(colon + 1, "0123456789+{rank}") != strlen(colon + 1))) {
		TAKE_ERROR(t, "%s is %s; it must be \"host:port\", \"unix:/path\" or \"off\"",
		    t->path, kvr_quoted(text, quoted));
		return false;
	}
	*(const char **)t->at = text;
	return true;
}

static bool
take_plain(struct kvr_take *t)
{
	const char *text = t->value->text;

	if (t->option->type != KVR_TYPE_SECRET)
		text = kvr_expand(t->load, &t->value->origin, t->path, text);
	if (text == NULL)
		return false;
	if (t->option->zero != NULL && strcmp(text, t->option->zero) == 0)
		text = "";
	if (t->option->type == KVR_TYPE_PATH && text[0] != '\0')
		text = kvr_absolute_path(t->load, &t->value->origin, text);
	if (text == NULL)
		return false;
	*(const char **)t->at = text[0] == '\0' ? NULL : text;
	return true;
}

/* Eight ranks share one file, so a number in it would be wrong for seven of them. */
static bool
take_rank(struct kvr_take *t)
{
	struct kvr_config_own *own = t->load->cfg->own;
	const char *name = t->value->text + 4, *text;
	uint64_t rank = 0;
	bool huge = false;
	char quoted[KVR_QUOTED_MAX];

	if (strncmp(t->value->text, "env:", 4) != 0 || name[0] == '\0') {
		TAKE_ERROR(t, "%s is %s; it must name a variable, such as \"env:RANK\"", t->path,
		    kvr_quoted(t->value->text, quoted));
		return false;
	}
	kvr_place_origin(t->load->cfg, t->place)->env = name;
	*(int32_t *)t->at = -1;
	text = t->load->import ? NULL : own->env(own->env_arg, name);
	/* Not an error: the embedder may know its rank without the variable. */
	if (text == NULL)
		return true;
	if (!kvr_parse_whole(text, &rank, &huge) || huge || rank > t->option->max) {
		/* Its value is not repeated: the wrong variable may contain a secret. */
		TAKE_ERROR(t, "%s: what the variable %.40s holds is no rank", t->path, name);
		return false;
	}
	*(int32_t *)t->at = (int32_t)rank;
	return true;
}

bool
kvr_take_text(struct kvr_take *t)
{
	if (t->option->type == KVR_TYPE_NAME)
		return take_name(t);
	if (t->option->type == KVR_TYPE_URL)
		return take_url(t);
	if (t->option->type == KVR_TYPE_LISTEN)
		return take_listen(t);
	if (t->option->type == KVR_TYPE_RANK)
		return take_rank(t);
	return take_plain(t);
}
