/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_tls_fault.h"

#include <stdio.h>
#include <string.h>

static const struct {
	enum kvr_err err;
	const char  *text;
} faults[] = {
#define X(name, err, text) { KVR_E_##err, text },
	KVR_TLS_FAULT_TABLE(X)
#undef X
};

enum kvr_err
kvr_tls_fault_err(enum kvr_tls_fault fault)
{
	KVR_CHECK((size_t)fault < KVR_LEN(faults));
	return faults[fault].err;
}

/* Without printf: text from a certificate must never become part of a format. */
void
kvr_tls_fault_text(enum kvr_tls_fault fault, const char *detail, char *ret, size_t cap)
{
	KVR_CHECK((size_t)fault < KVR_LEN(faults));
	const char *text = faults[fault].text, *gap = strstr(text, "%s");
	size_t before = gap != NULL ? (size_t)(gap - text) : strlen(text);

	snprintf(ret, cap, "TLS: %.*s%s%s", (int)before, text, gap != NULL ? detail : "",
	    gap != NULL ? gap + 2 : "");
}
