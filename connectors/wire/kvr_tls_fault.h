/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong under TLS, in words for people: what, where, and what to do. OpenSSL is not seen
 * here; kvr_tls_lib.c translates its codes into these.
 */
#ifndef KVR_TLS_FAULT_H
#define KVR_TLS_FAULT_H

#include "kvr_err.h"

/* name, error, sentence. A %s is the detail, which then must be there. */
#define KVR_TLS_FAULT_TABLE(X) \
	X(OTHER, PROTO, "%s") \
	X(CLOSED, DOWN, "the server closed the connection") \
	X(SYSTEM, DOWN, "%s") \
	X(NOT_TLS, PROTO, "what answers there does not speak TLS; use the server's TLS port, or " \
		"redis:// for this one") \
	X(VERSION, PROTO, "the server allows no TLS from 1.2 on; allow it there, in Redis by " \
		"tls-protocols") \
	X(NO_CIPHER, PROTO, "no cipher in common, or the server demands a certificate: tls.cert") \
	X(WANTS_CERT, AUTH, "the server demands a certificate of us: set tls.cert and tls.key") \
	X(OWN_CA, AUTH, "the server does not know the CA of our certificate (tls.cert)") \
	X(OWN_EXPIRED, AUTH, "the server says that our certificate (tls.cert) has expired") \
	X(OWN_REFUSED, AUTH, "the server does not accept our certificate (tls.cert): %s") \
	X(NAME_UNKNOWN, AUTH, "the server does not know this name: tls.server_name") \
	X(EXPIRED, AUTH, "a certificate has expired: %s; the server needs a new one") \
	X(TOO_EARLY, AUTH, "a certificate is not valid yet: %s; are both clocks right?") \
	X(UNKNOWN_CA, AUTH, "no CA that is known here stands behind %s; name its file as tls.ca") \
	X(WRONG_HOST, AUTH, "the server's certificate names %s; what it must name is set by " \
		"tls.server_name") \
	X(CERT, AUTH, "the server's certificate was not accepted: %s")

enum kvr_tls_fault {
#define X(name, err, text) KVR_TLS_FAULT_##name,
	KVR_TLS_FAULT_TABLE(X)
#undef X
};

enum kvr_err kvr_tls_fault_err(enum kvr_tls_fault);
void kvr_tls_fault_text(enum kvr_tls_fault, const char *detail, char *ret, size_t cap);

#endif
