/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_field.h"

#include "kvr_err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name with these indices filled into its "[]". */
static void
name_it(const struct kvr_field *f, const uint32_t *index, char *ret, size_t cap)
{
	size_t n = 0, dim = 0;

	for (const char *at = f->name; *at != '\0' && n + 12 < cap; at++) {
		ret[n++] = *at;
		if (*at == '[' && dim < KVR_FIELD_DIMS)
			n += (size_t)snprintf(ret + n, cap - n, "%" PRIu32, index[dim++]);
	}
	ret[n] = '\0';
}

static bool
holds(const struct kvr_field *f, uint32_t off, struct kvr_place *ret)
{
	uint32_t index[KVR_FIELD_DIMS] = { 0 };

	if (off < f->off)
		return false;
	uint32_t rest = off - f->off;
	for (uint32_t d = 0; d < KVR_FIELD_DIMS && f->dim[d].n != 0; d++) {
		index[d] = rest / f->dim[d].stride;
		if (index[d] >= f->dim[d].n)
			return false;
		rest %= f->dim[d].stride;
	}
	if (rest >= f->size)
		return false;
	ret->field = f;
	ret->off = off - rest;
	name_it(f, index, ret->name, sizeof(ret->name));
	return true;
}

bool
kvr_field_at(const struct kvr_spec *spec, uint32_t off, struct kvr_place *ret)
{
	for (size_t i = 0; spec->fields != NULL && i < spec->fields->n; i++) {
		if (holds(&spec->fields->at[i], off, ret))
			return true;
	}
	return false;
}

/* The element that the name means, if it means one of this field. */
static bool
means(const struct kvr_field *f, const char *name, struct kvr_place *ret)
{
	const char *at = f->name;
	uint32_t off = f->off, dim = 0;

	while (*at != '\0') {
		if (*at != *name)
			return false;
		name++;
		if (*at++ != '[')
			continue;
		char *end;
		unsigned long i = strtoul(name, &end, 10);

		if (end == name || dim == KVR_FIELD_DIMS || i >= f->dim[dim].n)
			return false;
		off += (uint32_t)i * f->dim[dim++].stride;
		name = end;
	}
	return *name == '\0' && holds(f, off, ret);
}

bool
kvr_field_named(const struct kvr_spec *spec, const char *name, struct kvr_place *ret)
{
	for (size_t i = 0; spec->fields != NULL && i < spec->fields->n; i++) {
		if (means(&spec->fields->at[i], name, ret))
			return true;
	}
	return false;
}

const char *
kvr_field_value(
    const struct kvr_place *p, const void *self, uint64_t opened_ns, char *ret, size_t cap)
{
	const uint8_t *at = (const uint8_t *)self + p->off;
	const struct kvr_field *f = p->field;
	uint64_t value = 0;

	if (f->size > sizeof(value) || f->kind == KVR_FIELD_SPARE) {
		size_t n = 0;

		for (uint32_t i = 0; i < f->size && n + 3 < cap; i++)
			n += (size_t)snprintf(ret + n, cap - n, "%02x", at[i]);
		return ret;
	}
	memcpy(&value, at, f->size);
	if (f->kind == KVR_FIELD_ERR) {
		/* Sign-extended from its own width. */
		int32_t err = f->size == 1 ? (int8_t)value : (int32_t)value;

		snprintf(ret, cap, "%s", err == KVR_PENDING ? "PENDING" : kvr_err_name(err));
	} else if (f->kind == KVR_FIELD_HEX) {
		snprintf(ret, cap, "%" PRIx64, value);
	} else if (f->kind == KVR_FIELD_OP && value > UINT32_MAX) {
		snprintf(ret, cap, "%" PRIu32 ".%" PRIu64, (uint32_t)value, value >> 32);
	} else if (f->kind == KVR_FIELD_AT && value == UINT64_MAX) {
		snprintf(ret, cap, "never");
	} else if (f->kind == KVR_FIELD_AT && value != 0) {
		snprintf(ret, cap, "at %.3f ms", (double)(int64_t)(value - opened_ns) / 1e6);
	} else if (f->kind == KVR_FIELD_NS && value != 0) {
		snprintf(ret, cap, "%.3f ms", (double)value / 1e6);
	} else {
		snprintf(ret, cap, "%" PRIu64, value);
	}
	return ret;
}
