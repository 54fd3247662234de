/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong in TLS, in words for people: what, where, and what to do. Does not include
 * OpenSSL; kvr_tls_lib.c translates its codes into these.
 */
#ifndef KVR_TLS_FAULT_H
#define KVR_TLS_FAULT_H

#include "kvr_err.h"

/*
 * name, error, sentence. A %s stands for the detail, which must then be given. It is at the end and
 * the rest is short, because kvr_done.why holds a hundred bytes and the advice must not be cut off.
 */
#define KVR_TLS_FAULT_TABLE(X) \
	X(OTHER, PROTO, "%s") \
	X(CLOSED, DOWN, "the server closed the connection") \
	X(SYSTEM, DOWN, "%s") \
	X(NOT_TLS, PROTO, "it does not speak TLS: use its TLS port, or redis:// for this one") \
	X(VERSION, PROTO, "the server allows no TLS from 1.2 on (tls-protocols)") \
	X(NO_CIPHER, PROTO, "no common cipher, or it demands a certificate (tls.cert)") \
	X(WANTS_CERT, AUTH, "the server demands a certificate: set tls.cert") \
	X(OWN_CA, AUTH, "the server does not know the CA of tls.cert") \
	X(OWN_EXPIRED, AUTH, "the server says that tls.cert has expired") \
	X(OWN_REFUSED, AUTH, "the server does not accept tls.cert: %s") \
	X(NAME_UNKNOWN, AUTH, "the server does not know this name: set tls.server_name") \
	X(EXPIRED, AUTH, "the server's certificate has expired: %s") \
	X(TOO_EARLY, AUTH, "the server's certificate is not valid yet: %s") \
	X(UNKNOWN_CA, AUTH, "unknown CA, set tls.ca: %s") \
	X(REVOKED, AUTH, "the server's certificate is revoked, give it a new one: %s") \
	X(NO_CRL, AUTH, "no CRL of this CA, add it to tls.crl: %s") \
	X(CRL_EXPIRED, AUTH, "the CA's CRL has expired, renew it in tls.crl: %s") \
	X(CRL, AUTH, "a CRL of tls.crl was not accepted: %s") \
	X(WRONG_HOST, AUTH, "wrong host, see tls.server_name: its certificate has %s") \
	X(CERT, AUTH, "the server's certificate was not accepted: %s")

enum kvr_tls_fault {
#define X(name, err, text) KVR_TLS_FAULT_##name,
	KVR_TLS_FAULT_TABLE(X)
#undef X
};

enum kvr_err kvr_tls_fault_err(enum kvr_tls_fault);
void kvr_tls_fault_text(enum kvr_tls_fault, const char *detail, char *ret, size_t cap);

#endif
