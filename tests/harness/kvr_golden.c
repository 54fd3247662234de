/* SPDX-License-Identifier: Apache-2.0 */
/* Golden data out of JSON. The only file of the tests that sees cJSON. */
#include "kvr_golden.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

static const cJSON *
node(const struct kvr_golden *g)
{
	ck_assert_ptr_nonnull(g);
	return (const cJSON *)(const void *)g;
}

static const struct kvr_golden *
golden(const cJSON *json)
{
	return (const struct kvr_golden *)(const void *)json;
}

static char *
read_whole(const char *path, size_t *ret_len)
{
	FILE *file = fopen(path, "rb");

	ck_assert_msg(file != NULL, "cannot open %s", path);
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	long len = ftell(file);
	ck_assert_msg(len > 0, "%s is empty", path);
	rewind(file);
	char *text = malloc((size_t)len);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(fread(text, 1, (size_t)len, file), (size_t)len);
	fclose(file);
	*ret_len = (size_t)len;
	return text;
}

struct kvr_golden *
kvr_golden_open(const char *name)
{
	char path[512];
	size_t len = 0;

	ck_assert_int_lt(
	    snprintf(path, sizeof(path), "%s/%s", KVR_GOLDEN, name), (int)sizeof(path));
	char *text = read_whole(path, &len);
	cJSON *json = cJSON_ParseWithLength(text, len);
	free(text);
	ck_assert_msg(json != NULL, "%s is not JSON", path);
	return (struct kvr_golden *)(void *)json;
}

void
kvr_golden_close(struct kvr_golden *take)
{
	cJSON_Delete((cJSON *)(void *)take);
}

const struct kvr_golden *
kvr_golden_find(const struct kvr_golden *g, const char *member)
{
	return golden(cJSON_GetObjectItemCaseSensitive(node(g), member));
}

const struct kvr_golden *
kvr_golden_get(const struct kvr_golden *g, const char *member)
{
	const struct kvr_golden *found = kvr_golden_find(g, member);

	ck_assert_msg(
	    found != NULL, "golden data: no member %s in \"%s\"", member, kvr_golden_name(g));
	return found;
}

const struct kvr_golden *
kvr_golden_first(const struct kvr_golden *g)
{
	ck_assert(cJSON_IsArray(node(g)) || cJSON_IsObject(node(g)));
	return golden(node(g)->child);
}

const struct kvr_golden *
kvr_golden_next(const struct kvr_golden *g)
{
	return golden(node(g)->next);
}

size_t
kvr_golden_count(const struct kvr_golden *g)
{
	return (size_t)cJSON_GetArraySize(node(g));
}

const char *
kvr_golden_name(const struct kvr_golden *g)
{
	return node(g)->string == NULL ? "" : node(g)->string;
}

bool
kvr_golden_is_null(const struct kvr_golden *g)
{
	return cJSON_IsNull(node(g)) != 0;
}

bool
kvr_golden_is_text(const struct kvr_golden *g)
{
	return cJSON_IsString(node(g)) != 0;
}

bool
kvr_golden_is_true(const struct kvr_golden *g)
{
	return cJSON_IsTrue(node(g)) != 0;
}

const char *
kvr_golden_text(const struct kvr_golden *g)
{
	ck_assert_msg(
	    cJSON_IsString(node(g)), "golden data: \"%s\" is no text", kvr_golden_name(g));
	return node(g)->valuestring;
}

int64_t
kvr_golden_int(const struct kvr_golden *g)
{
	ck_assert_msg(
	    cJSON_IsNumber(node(g)), "golden data: \"%s\" is no number", kvr_golden_name(g));
	return (int64_t)node(g)->valuedouble;
}

static uint8_t
digit(char c)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	ck_assert_msg(c >= 'a' && c <= 'f', "golden data: '%c' is no hex digit", c);
	return (uint8_t)(c - 'a' + 10);
}

uint8_t *
kvr_golden_hex(const struct kvr_golden *g, size_t *ret_len)
{
	const char *text = kvr_golden_text(g);
	size_t len = strlen(text);
	uint8_t *bytes = malloc(len / 2 + 1);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_msg(
	    len % 2 == 0, "golden data: half a byte at the end of \"%s\"", kvr_golden_name(g));
	for (size_t i = 0; i < len / 2; i++)
		bytes[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	*ret_len = len / 2;
	return bytes;
}

const char *
kvr_golden_text_of(const struct kvr_golden *g, const char *member)
{
	return kvr_golden_text(kvr_golden_get(g, member));
}

int64_t
kvr_golden_int_of(const struct kvr_golden *g, const char *member)
{
	return kvr_golden_int(kvr_golden_get(g, member));
}

uint8_t *
kvr_golden_hex_of(const struct kvr_golden *g, const char *member, size_t *ret_len)
{
	return kvr_golden_hex(kvr_golden_get(g, member), ret_len);
}
