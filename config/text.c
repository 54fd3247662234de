/* SPDX-License-Identifier: Apache-2.0 */
/* What a text may refer to: environment variables, and paths relative to its file. */
#include "kvr_config_own.h"

#include <stdio.h>
#include <string.h>

/* Far longer than any URL; bounds the growth by variables. */
enum { TEXT_MAX = 16384 };

static bool
expand_one(struct kvr_load *load, const struct kvr_origin *origin, const char *path,
    const char **at, struct kvr_text_out *out)
{
	struct kvr_config_own *own = load->cfg->own;
	size_t len = strcspn(*at + 2, "}");
	char name[128];
	const char *value;

	if ((*at)[2 + len] == '\0') {
		kvr_load_error(load, origin, "%s: \"${\" without \"}\"", path);
		return false;
	}
	if (len == 0 || len >= sizeof(name)) {
		kvr_load_error(load, origin, "%s: ${} must hold the name of a variable", path);
		return false;
	}
	memcpy(name, *at + 2, len);
	name[len] = '\0';
	value = own->env(own->env_arg, name);
	if (value == NULL) {
		kvr_load_error(load, origin, "%s: the variable %s is not set", path, name);
		return false;
	}
	kvr_out(out, "%s", value);
	*at += len + 3;
	return true;
}

/* "${NAME}" becomes the variable's value, "$${" becomes "${"; any other dollar is literal. */
const char *
kvr_expand(
    struct kvr_load *load, const struct kvr_origin *origin, const char *path, const char *text)
{
	char full[TEXT_MAX];
	struct kvr_text_out out = { full, sizeof(full), 0 };
	const char *at = text;

	if (load->import)
		return kvr_arena_text(&load->cfg->own->arena, text, strlen(text));
	full[0] = '\0';
	while (*at != '\0') {
		if (strncmp(at, "$${", 3) == 0) {
			kvr_out(&out, "${");
			at += 3;
		} else if (strncmp(at, "${", 2) != 0) {
			kvr_out(&out, "%c", *at++);
		} else if (!expand_one(load, origin, path, &at, &out)) {
			return NULL;
		}
	}
	if (out.len >= sizeof(full)) {
		kvr_load_error(load, origin, "%s has more than %d bytes", path, TEXT_MAX - 1);
		return NULL;
	}
	return kvr_arena_text(&load->cfg->own->arena, full, out.len);
}

static bool
is_relative(const char *path)
{
	return strncmp(path, "./", 2) == 0 || strncmp(path, "../", 3) == 0 ||
	       strcmp(path, ".") == 0 || strcmp(path, "..") == 0;
}

/* A process may live on in a directory that was removed, and needs none for absolute paths. */
static bool
has_directory(struct kvr_load *load, const struct kvr_origin *origin)
{
	if (load->dir == NULL)
		kvr_load_error(load, origin, "a relative path, and there is no current directory");
	return load->dir != NULL;
}

/*
 * The current directory of a service is arbitrary, so paths in a file are relative to the file.
 * Only "./" and "../" are relative: without a dot, the part after fs:// is a host in LMCache's
 * form.
 */
const char *
kvr_absolute_url(struct kvr_load *load, const struct kvr_origin *origin, const char *url)
{
	char full[TEXT_MAX];
	struct kvr_text_out out = { full, sizeof(full), 0 };
	const char *at = url + 5;

	if (!kvr_scheme_is(url, "fs") || !is_relative(at))
		return url;
	if (!has_directory(load, origin))
		return NULL;
	kvr_out(&out, "fs://");
	while (*at != '\0') {
		size_t len = strcspn(at, ",");

		if (is_relative(at)) {
			size_t dot = at[1] == '/' ? 2 : 0;

			kvr_out(&out, "%s/", load->dir);
			at += dot;
			len -= dot;
		}
		kvr_out(&out, "%.*s", (int)len, at);
		at += len;
		if (*at == ',')
			kvr_out(&out, "%c", *at++);
	}
	if (out.len >= sizeof(full)) {
		kvr_load_error(load, origin, "the path has more than %d bytes", TEXT_MAX - 1);
		return NULL;
	}
	return kvr_arena_text(&load->cfg->own->arena, full, out.len);
}

const char *
kvr_absolute_path(struct kvr_load *load, const struct kvr_origin *origin, const char *path)
{
	char full[TEXT_MAX];
	struct kvr_text_out out = { full, sizeof(full), 0 };

	if (path[0] == '/')
		return path;
	if (!has_directory(load, origin))
		return NULL;
	kvr_out(&out, "%s/%s", load->dir, strncmp(path, "./", 2) == 0 ? path + 2 : path);
	if (out.len >= sizeof(full)) {
		kvr_load_error(load, origin, "the path has more than %d bytes", TEXT_MAX - 1);
		return NULL;
	}
	return kvr_arena_text(&load->cfg->own->arena, full, out.len);
}
